// connection/c2s/features.hpp: the stream features that clients are offered, in one list; its order is policy.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

/// `before` and `after` authentication: the limits that clients are told (XEP-0478); `metrics` finds the cell of
/// the loop that the stream is on at the time.
[[nodiscard]] std::vector<std::unique_ptr<stream_feature>> c2s_features(std::function<metrics_cell&()> metrics,
                                                                        const stream_limits& before,
                                                                        const stream_limits& after);

}  // namespace comity::connection
