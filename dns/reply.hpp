// dns/reply.hpp: the two ends of one lookup, for whoever implements resolver: the asker's ticket, and the reply to come
// from another thread.
#pragma once

#include <memory>
#include <utility>

#include "dns/resolver.hpp"

namespace comity::dns {

/// Answers one asker, or does nothing where the asker has gone. Copies are the same reply; any thread.
class reply {
public:
  /// Posts the answer to the asker's thread. Once.
  void operator()(std::shared_ptr<const answer>) const;

private:
  friend class asked;
  struct shared;
  explicit reply(std::shared_ptr<shared>);
  std::shared_ptr<shared> shared_;
};

/// Made on the asker's thread by lookup(), which returns the ticket and keeps the reply.
class asked {
public:
  asked(executor run_on, resolver::completion done);
  [[nodiscard]] const reply& answer_by() const noexcept { return reply_; }
  [[nodiscard]] ticket take_ticket() { return std::move(ticket_); }

private:
  reply reply_;
  ticket ticket_;
};

}  // namespace comity::dns
