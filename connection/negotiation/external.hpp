// connection/negotiation/external.hpp: SASL EXTERNAL between servers, receiving side (RFC 6120 §6, XEP-0178 §3).
//
// Offered where the peer's certificate has been accepted as that of its stream's `from` (facts.judgment), in the same
// way by STARTTLS and by direct TLS; accepted exactly where it is offered (THREATS C4).
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

class external final : public stream_feature {
public:
  static constexpr unsigned refusals_allowed = 5;  // RFC 6120 §6.4.5

  /// `metrics` counts attempts and failures; it outlives this.
  explicit external(metrics_cell& metrics) noexcept : metrics_{metrics} {}

  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;

private:
  step judge(std::string_view authzid, const stream_facts&);
  step refuse(mechanism, sasl_condition, const stream_facts&);

  metrics_cell& metrics_;
  bool challenged_ = false;  // an empty challenge is out: the identity was not in <auth/>
  unsigned refusals_ = 0;
};

}  // namespace comity::connection
