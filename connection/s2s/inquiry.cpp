#include "connection/s2s/inquiry.hpp"

#include <utility>

namespace comity::connection {

inquiry::inquiry(const s2s_collaborators& with, explain_request what, endpoint_health& health, teller told,
                 std::function<void()> over)
    : told_{std::move(told)},
      over_{std::move(over)},
      search_{with,
              {.flow = std::move(what.flow),
               .discover_only = what.dry_run,
               .only = what.only,
               .answered = [this](const dns::traced_query& q) { told_(q); }},
              health,
              *this} {
}

void inquiry::tried(const attempt_record& r) {
  if (r.number == 0) {
    return;  // no address was tried; the endpoint or the plan has said why
  }
  ++attempts_;
  if (!r.cause) {
    winner_ = r;
    winner_->more.reset();
  }
  told_(explained::tried{.attempt = r, .called_off = false});
}

void inquiry::connected(outbound_stream& stream) {
  stream.abandon();
  finish({.winner = std::move(winner_)});
}

void inquiry::failed(const dial_failure& why) {
  finish({.cause = why.cause, .phase = why.phase, .text = why.text});
}

void inquiry::finish(explained::outcome o) {
  o.attempts = attempts_;
  o.took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began_);
  told_(std::move(o));
  over_();
}

}  // namespace comity::connection
