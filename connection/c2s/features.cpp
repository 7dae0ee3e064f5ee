#include "connection/c2s/features.hpp"

#include "connection/negotiation/announcement.hpp"
#include "connection/negotiation/bind.hpp"
#include "connection/negotiation/client_state.hpp"
#include "connection/negotiation/compression.hpp"
#include "connection/negotiation/sasl.hpp"
#include "connection/negotiation/session.hpp"
#include "connection/negotiation/starttls.hpp"
#include "connection/negotiation/stream_limits.hpp"
#include "connection/negotiation/stream_management.hpp"

namespace comity::connection {

std::vector<std::unique_ptr<stream_feature>> c2s_features(std::function<metrics_cell&()> metrics,
                                                          const stream_limits& before, const stream_limits& after) {
  std::vector<std::unique_ptr<stream_feature>> features;
  features.push_back(std::make_unique<starttls>());
  features.push_back(std::make_unique<sasl>(metrics));
  features.push_back(std::make_unique<bind>(std::move(metrics)));
  features.push_back(std::make_unique<session>());
  features.push_back(std::make_unique<stream_management>());
  features.push_back(std::make_unique<announcement>("ver", "urn:xmpp:features:rosterver"));
  features.push_back(std::make_unique<announcement>("sub", "urn:xmpp:features:pre-approval"));
  features.push_back(std::make_unique<announcement>("csi", ns_csi));
  features.push_back(std::make_unique<limits_feature>(before, after));
  features.push_back(std::make_unique<no_compression>());
  return features;
}

}  // namespace comity::connection
