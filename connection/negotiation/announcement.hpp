// connection/negotiation/announcement.hpp: features that are told to a client that may bind, and need no negotiation:
// roster versioning (RFC 6121 §2.6.1), pre-approved subscriptions (§3.4), client state indication (XEP-0352).
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

class announcement final : public stream_feature {
public:
  /// `element` and `ns` are literals that outlive this.
  constexpr announcement(std::string_view element, std::string_view ns) noexcept : element_{element}, ns_{ns} {}
  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override { return false; }
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;

private:
  std::string_view element_;
  std::string_view ns_;
};

}  // namespace comity::connection
