// connection/c2s/features.hpp: the stream features that clients are offered, in one list; its order is policy.
#pragma once

#include <memory>
#include <vector>

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

[[nodiscard]] std::vector<std::unique_ptr<stream_feature>> c2s_features(metrics_cell& metrics);

}  // namespace comity::connection
