// connection/negotiation/compression.hpp: stream compression (XEP-0138, obsolete), which is never offered.
//
// A request is answered as that specification says, and the stream goes on (THREATS A16).
#pragma once

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

class no_compression final : public stream_feature {
public:
  [[nodiscard]] bool offered(const stream_facts&) const override { return false; }
  void advertise(xml::writer&, const stream_facts&) const override {}
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  using stream_feature::on;
};

}  // namespace comity::connection
