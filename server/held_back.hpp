// server/held_back.hpp: what waits for a client whose user does not look (XEP-0352): presence, chat states, news that
// nobody would be woken for.
//
// Pure. It belongs to the session, at the user's home. Held back is not sent: stream management counts it when it is
// released, and until then a restart or the end of the session finds it here.
#pragma once

#include <cstddef>
#include <deque>

#include "connection/stanza.hpp"
#include "server/managed_stream.hpp"

namespace comity::server {

/// Whether it may wait until the user looks, or something comes that may not:
///  - presence, but for subscriptions, errors, and the one by which a room says that its user has entered or left
///    (XEP-0045, status 110): clients wait for that;
///  - messages that are nothing but chat states (XEP-0085), and carbons of such (XEP-0280);
///  - messages without a body that tell of a node's items (XEP-0060, and so XEP-0163).
[[nodiscard]] bool may_wait(const stanza&);

class held_back {
public:
  using entry = managed_stream::entry;

  /// In place of older presence from the same address, if that waits.
  void hold(entry);
  [[nodiscard]] std::size_t size() const noexcept { return queue_.size(); }
  /// As they will be sent.
  [[nodiscard]] std::size_t octets() const noexcept { return octets_; }
  /// In the order in which they came.
  [[nodiscard]] const std::deque<entry>& entries() const noexcept { return queue_; }

  /// All of them, to be sent.
  [[nodiscard]] std::deque<entry> release();
  /// All that nobody else has or awaits; the session is over.
  [[nodiscard]] std::deque<entry> take_lost();

private:
  std::deque<entry> queue_;
  std::size_t octets_ = 0;
};

}  // namespace comity::server
