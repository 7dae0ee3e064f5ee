// connection/negotiation/bind.hpp: resource binding, server side (RFC 6120 §7).
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_bind = "urn:ietf:params:xml:ns:xmpp-bind";

class bind final : public stream_feature {
public:
  [[nodiscard]] bool offered(const stream_facts&) const override;  // authenticated and not yet bound
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;  // an IQ with a <bind/>
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  [[nodiscard]] step on(answer, const stream_facts&) override;

private:
  std::string id_;  // of the request being answered
  bool asked_ = false;
};

}  // namespace comity::connection
