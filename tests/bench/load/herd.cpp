// Everybody is thrown out at once and comes back.
#include <algorithm>
#include <cstdio>
#include <deque>
#include <numeric>
#include <stdexcept>

#include "bench/load/crowd.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

namespace {

constexpr std::chrono::milliseconds beat{20};
constexpr std::chrono::minutes patience{3};

class returning_crowd {
public:
  returning_crowd(const surroundings& around, const herd_load& load)
      : around_{around}, load_{load}, clients_{poller_, around.progress}, attempts_(load.sessions) {}

  findings run() {
    clients_.gather(around_.where, 0, load_.sessions, load_.parallel, told_);
    std::ranges::fill(attempts_, 0U);
    std::puts("ready");
    std::fflush(stdout);
    wait_for([this] { return thrown_out_ > 0; });
    const auto begun = clock::now();
    wait_for([this] { return thrown_out_ >= load_.sessions && online_ == load_.sessions; });
    const std::chrono::duration<double> took = clock::now() - begun;
    for (const auto& each : clients_.all()) {
      each->close();
    }
    const auto all = std::accumulate(attempts_.begin(), attempts_.end(), std::uint64_t{0});
    return {{"sessions", static_cast<double>(load_.sessions)},
            {"back_s", took.count()},
            {"attempts_most", std::ranges::max(attempts_)},
            {"attempts_mean", static_cast<double>(all) / static_cast<double>(load_.sessions)},
            {"not_listening", static_cast<double>(refused_)}};
  }

private:
  struct absent {
    clock::time_point until;
    std::size_t index;
  };

  void came_online(const client& c) {
    ++online_;
    ++attempts_[c.number()];
  }

  /// An attempt that found nobody listening is none.
  void ended(const client& c) {
    switch (c.failed_at()) {
      case client::stage::online:
        --online_;
        ++thrown_out_;
        break;
      case client::stage::connecting:
        ++refused_;
        break;
      default:
        ++attempts_[c.number()];
    }
    absent_.push_back({.until = clock::now() + load_.back_off, .index = c.number()});
  }

  void come_back() {
    const auto now = clock::now();
    while (!absent_.empty() && absent_.front().until <= now) {
      const auto index = absent_.front().index;
      absent_.pop_front();
      try {
        clients_.begin_again(index, around_.where, told_);
      } catch (const connection_refused&) {
        ++refused_;
        absent_.push_back({.until = now + load_.back_off, .index = index});
      }
    }
  }

  void wait_for(const std::function<bool()>& done) {
    progress telling{around_.progress, "back", load_.sessions};
    const auto end = clock::now() + patience;
    while (!done()) {
      if (clock::now() > end) {
        throw std::runtime_error{std::to_string(online_) + " of " + std::to_string(load_.sessions) +
                                 " are online after three minutes"};
      }
      poller_.turn(beat);
      come_back();
      telling.at(online_);
    }
  }

  const surroundings& around_;
  const herd_load& load_;
  const client::events told_{.online = [this](client& c) { came_online(c); }, .ended = [this](client& c) { ended(c); }};
  poller poller_;
  crowd clients_;
  std::vector<unsigned> attempts_;  // by number, since all were thrown out
  std::deque<absent> absent_;       // who comes back next first
  std::size_t online_ = 0;
  std::size_t thrown_out_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace

findings herd(const surroundings& around, const herd_load& load) {
  return returning_crowd{around, load}.run();
}

}  // namespace comity::bench
