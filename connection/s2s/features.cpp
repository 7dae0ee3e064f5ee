#include "connection/s2s/features.hpp"

#include "connection/negotiation/bidi.hpp"
#include "connection/negotiation/compression.hpp"
#include "connection/negotiation/external.hpp"
#include "connection/negotiation/starttls.hpp"
#include "connection/negotiation/stream_limits.hpp"

namespace comity::connection {

std::vector<std::unique_ptr<stream_feature>> s2s_features(const s2s_feature_settings& with) {
  std::vector<std::unique_ptr<stream_feature>> features;
  features.push_back(std::make_unique<starttls>());
  features.push_back(std::make_unique<external>(with.metrics));
  features.push_back(std::make_unique<dialback>(with.dialback_secret, with.domains));
  features.push_back(std::make_unique<bidi>());
  features.push_back(std::make_unique<limits_feature>(with.limits, with.limits));
  features.push_back(std::make_unique<no_compression>());
  return features;
}

}  // namespace comity::connection
