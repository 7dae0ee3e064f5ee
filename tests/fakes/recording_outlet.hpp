// tests/fakes/recording_outlet.hpp: an outlet that keeps what each session was sent. Any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/router.hpp"

namespace comity::fakes {

class recording_outlet : public server::outlet {
public:
  void send(connection::session_ref to, stanza_ref s) override {
    if (sending) {
      sending(to);
    }
    const std::lock_guard lock{mutex_};
    sent_[to.id].push_back(std::move(s));
  }
  void say(connection::session_ref to, std::string element) override {
    const std::lock_guard lock{mutex_};
    said_[to.id].push_back(std::move(element));
  }
  void overcounted(connection::session_ref to, std::uint32_t handled, std::uint32_t sent) override {
    say(to, "too high " + std::to_string(handled) + " of " + std::to_string(sent));
  }
  void close(connection::session_ref to, stream_condition why, std::string) override {
    const std::lock_guard lock{mutex_};
    closed_[to.id] = why;
  }

  /// What the session was sent since last asked, in order.
  [[nodiscard]] std::vector<stanza_ref> take(connection::session_ref s) {
    const std::lock_guard lock{mutex_};
    return std::exchange(sent_[s.id], {});
  }
  /// The elements that are no stanzas, since last asked.
  [[nodiscard]] std::vector<std::string> take_said(connection::session_ref s) {
    const std::lock_guard lock{mutex_};
    return std::exchange(said_[s.id], {});
  }
  /// How the session was told to end, if it was.
  [[nodiscard]] std::optional<stream_condition> closed(connection::session_ref s) const {
    const std::lock_guard lock{mutex_};
    const auto at = closed_.find(s.id);
    return at == closed_.end() ? std::nullopt : std::optional{at->second};
  }

  std::function<void(connection::session_ref)> sending;  // of each, before it is kept; what a full queue may lead to

private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, std::vector<stanza_ref>> sent_;
  std::map<std::uint64_t, std::vector<std::string>> said_;
  std::map<std::uint64_t, stream_condition> closed_;
};

}  // namespace comity::fakes
