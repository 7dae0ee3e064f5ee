// connection/negotiation/session.hpp: session establishment of RFC 3921 §3, for clients of that age.
//
// RFC 6121 made it a thing without effect; it is advertised as optional and its request is answered, nothing more.
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_session = "urn:ietf:params:xml:ns:xmpp-session";

class session final : public stream_feature {
public:
  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;
};

}  // namespace comity::connection
