// connection/negotiation/bidi.hpp: bidirectional server-to-server streams (XEP-0288), receiving side.
//
// Negotiated under TLS and before authentication (L01). It lets us send on the peer's stream what flows the other way
// of an authorised flow, and nothing else (L02).
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_bidi = "urn:xmpp:bidi";
inline constexpr std::string_view ns_bidi_feature = "urn:xmpp:features:bidi";

class bidi final : public stream_feature {
public:
  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;
};

}  // namespace comity::connection
