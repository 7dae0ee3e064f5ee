// connection/s2s/features.hpp: the stream features that servers are offered, in one list; its order is policy.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "connection/negotiation/dialback.hpp"
#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

struct s2s_feature_settings {
  metrics_cell& metrics;             // outlives the features
  std::string_view dialback_secret;  // so does this
  domain_rules domains;
  stream_limits
      limits;  // what we take from an authenticated server; told from the start, since dialback restarts nothing
};
[[nodiscard]] std::vector<std::unique_ptr<stream_feature>> s2s_features(const s2s_feature_settings&);

}  // namespace comity::connection
