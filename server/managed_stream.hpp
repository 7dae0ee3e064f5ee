// server/managed_stream.hpp: what stream management (XEP-0198) keeps of a session: what its client has handled, and
// what of it the server has.
//
// Pure. It belongs to the session and not to the stream, at the user's home, since a session outlives its stream: a
// stanza is in the queue from the moment it is sent until the client has acknowledged it, wherever it is by then.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "connection/stanza.hpp"
#include "server/homes.hpp"
#include "server/receipt.hpp"

namespace comity::server {

class managed_stream {
public:
  /// A message that went to several resources at once: it is lost only where none of them gets it.
  struct copies {
    unsigned outstanding = 0;
    bool taken = false;
  };
  struct entry {
    stanza_ref stanza;
    std::chrono::system_clock::time_point at;  // when it was sent first
    std::shared_ptr<copies> shared;            // nullptr: it went here alone
  };

  /// `id` is "" for a session that cannot be resumed.
  managed_stream(std::string id, std::chrono::seconds resume_within) noexcept
      : id_{std::move(id)}, resume_within_{resume_within} {}

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] bool resumable() const noexcept { return !id_.empty(); }
  [[nodiscard]] std::chrono::seconds resume_within() const noexcept { return resume_within_; }

  /// A stanza of the client's has been handled. Counters are modulo 2^32 (XEP-0198 §4).
  void handled_one() noexcept { ++handled_; }
  [[nodiscard]] std::uint32_t handled() const noexcept { return handled_; }

  void sent(entry);
  [[nodiscard]] std::uint32_t sent_count() const noexcept {
    return acknowledged_ + static_cast<std::uint32_t>(queue_.size());
  }
  /// Whether so many can have been handled: no more than were sent, no fewer than before (THREATS F2).
  [[nodiscard]] bool credible(std::uint32_t handled) const noexcept { return handled - acknowledged_ <= queue_.size(); }
  /// The client has handled so many; credible. True where that is news.
  bool acknowledge(std::uint32_t handled);
  [[nodiscard]] const std::deque<entry>& unacknowledged() const noexcept { return queue_; }
  /// Those of which nobody else has a copy or awaits one; whoever asks takes them.
  [[nodiscard]] static std::deque<entry> lost_of(std::deque<entry>);
  /// All that was never acknowledged, and no copy of which anybody else has or awaits.
  [[nodiscard]] std::deque<entry> take_lost();

  // Where its stream is. Without one, what is sent waits.
  enum class place : std::uint8_t { attached, detached, resuming };
  place at = place::attached;
  bool asked = false;                      // <r/> is unanswered
  bool overfull = false;                   // it is to end
  std::weak_ptr<receipt> unstored;         // of what its client sent and a crash would lose; the last of them
  std::unique_ptr<homes::waiting> expiry;  // its end, unless it has a stream by then

  /// Begins with counters at these, as a session that was kept does.
  void restore(std::uint32_t handled, std::uint32_t acknowledged) noexcept {
    handled_ = handled;
    acknowledged_ = acknowledged;
  }
  [[nodiscard]] std::uint32_t acknowledged() const noexcept { return acknowledged_; }

private:
  std::string id_;
  std::chrono::seconds resume_within_;
  std::uint32_t handled_ = 0;
  std::uint32_t acknowledged_ = 0;
  std::deque<entry> queue_;
};

}  // namespace comity::server
