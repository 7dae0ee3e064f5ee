// server/metrics.hpp: everything a scrape returns, put together: connections, sessions, certificates, process.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/log.hpp"
#include "tls/context.hpp"

namespace comity::server {

/// "0.1.0 (a1b2c3d4e5f6)": version and source revision.
[[nodiscard]] std::string version_text();

class server_metrics {
public:
  /// Asked at each scrape, on the thread of the scrape; whatever they use outlives this.
  struct sources {
    std::function<std::vector<std::pair<std::string, std::size_t>>()> sessions_by_host;
    std::function<std::shared_ptr<const tls::certificate_table>()> certificates;
    std::function<std::array<std::uint64_t, log::level_count>()> log_counts;
  };
  /// `counted`: what else there is to scrape, in the order of the text.
  server_metrics(std::vector<std::shared_ptr<prometheus::Collectable>> counted, sources from);

  /// comity_config_last_reload_successful. Any thread.
  void reloaded(bool successful) noexcept { last_reload_.store(successful, std::memory_order_relaxed); }

  /// The text of a scrape (Prometheus text format 0.0.4). Any thread.
  [[nodiscard]] std::string render() const;
  static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";

private:
  std::vector<std::shared_ptr<prometheus::Collectable>> counted_;
  sources from_;
  std::atomic<bool> last_reload_{true};
};

}  // namespace comity::server
