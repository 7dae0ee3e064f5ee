// connection/negotiation/starttls.hpp: the STARTTLS feature, receiving side (RFC 6120 §5). Always mandatory.
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_starttls = "urn:ietf:params:xml:ns:xmpp-tls";

class starttls final : public stream_feature {
public:
  [[nodiscard]] bool offered(const stream_facts&) const override;  // never once encrypted (§5.4.3.3, XEP-0368 §4)
  [[nodiscard]] bool exclusive() const override { return true; }
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;
};

/// What is sent where TLS cannot begin (RFC 6120 §5.4.2.2).
[[nodiscard]] std::string starttls_failure();

}  // namespace comity::connection
