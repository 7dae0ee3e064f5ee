// connection/negotiation/bind.hpp: resource binding, server side (RFC 6120 §7).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_bind = "urn:ietf:params:xml:ns:xmpp-bind";

class bind final : public stream_feature {
public:
  /// Where what it refuses is counted: asked each time, since a stream may go on elsewhere.
  explicit bind(std::function<metrics_cell&()> metrics) noexcept : metrics_{std::move(metrics)} {}
  [[nodiscard]] bool offered(const stream_facts&) const override;  // authenticated and not yet bound
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;  // an IQ with a <bind/>
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  [[nodiscard]] step on(answer, const stream_facts&) override;

private:
  [[nodiscard]] std::string refuse(std::string_view id, const bind_refusal& why, const stream_facts&);

  std::function<metrics_cell&()> metrics_;
  std::string id_;  // of the request being answered
  bool asked_ = false;
};

}  // namespace comity::connection
