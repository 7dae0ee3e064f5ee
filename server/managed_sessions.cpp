// Sessions under stream management (XEP-0198): counting, resuming, and what becomes of what nobody acknowledged. The
// part of exchange that knows of it.
#include <algorithm>

#include "connection/negotiation/stream_management.hpp"
#include "server/exchange.hpp"
#include "server/exchange_work.hpp"
#include "server/kept_session.hpp"
#include "server/modules/modules.hpp"
#include "tls/crypto.hpp"

namespace comity::server {
namespace {

constexpr std::size_t id_bits = 192;  // THREATS F1: at least 128

}  // namespace

void exchange::send_managed(const bound_resource& to, managed_stream::entry e) {
  auto& managed = *to.managed;
  const auto s = e.stanza;
  managed.sent(std::move(e));
  if (managed.at == managed_stream::place::attached) {
    with_.outlet.send(to.session, s);
    ask(to);
  }
  if (managed.unacknowledged().size() > configuration().managed.queue_stanzas &&
      !std::exchange(managed.overfull, true)) {
    overfull(to);
  }
}

/// One request is under way at most: its answer covers what was sent meanwhile, or leads to the next.
void exchange::ask(const bound_resource& of) {
  if (!std::exchange(of.managed->asked, true)) {
    with_.outlet.say(of.session, std::string{connection::acknowledgement_request});
  }
}

/// THREATS F3. Who called is going over the account's resources, so it ends in a turn of its own.
void exchange::overfull(const bound_resource& who) {
  if (who.managed->at == managed_stream::place::attached) {
    with_.outlet.close(who.session, stream_condition::resource_constraint, "too much unacknowledged");
    return;  // and its stream says that it is gone
  }
  end_later(who, std::chrono::seconds{0});
}

/// Ends it after that time, unless it has a stream by then.
void exchange::end_later(const bound_resource& r, std::chrono::seconds wait) {
  const auto user = r.full.bare();
  r.managed->expiry = with_.homes.after(user, wait, [alive = weak_from_this(), user, full = r.full] {
    if (const auto self = alive.lock()) {
      self->at_home(user, [&self = *self, full](account& who) {
        const auto mine = std::ranges::find(who.resources, full, &bound_resource::full);
        if (mine != who.resources.end() && mine->managed && mine->managed->expiry &&
            mine->managed->at == managed_stream::place::detached) {
          self.log().write(log::level::info, "session.expired", {{"peer", full.text()}});
          self.end_resource(who, static_cast<std::size_t>(mine - who.resources.begin()));
        }
      });
    }
  });
}

void exchange::detach(bound_resource& r) {
  auto& managed = *r.managed;
  r.session = {};
  managed.at = managed_stream::place::detached;
  managed.asked = false;
  log().write(
      log::level::info, "session.suspended",
      {{"peer", r.full.text()}, {"unacknowledged", static_cast<std::int64_t>(managed.unacknowledged().size())}});
  end_later(r, managed.overfull ? std::chrono::seconds{0} : managed.resume_within());
}

void exchange::end_resource(account& who, std::size_t index) {
  bound_resource gone = std::move(who.resources[index]);
  who.resources.erase(who.resources.begin() + static_cast<std::ptrdiff_t>(index));
  count_session(who.user.domainpart(), false);
  const auto again = [&](std::deque<managed_stream::entry> all) {
    for (auto& lost : all) {
      who.waiting.emplace_back([this, lost = std::move(lost)](account& w) { deliver_again(w, lost); });
    }
  };
  if (gone.managed) {
    if (gone.managed->at == managed_stream::place::detached) {
      here().sessions_ended.remember({.id = gone.managed->id(),
                                      .user = who.user.text(),
                                      .handled = gone.managed->handled(),
                                      .unstored = gone.managed->unstored});
    }
    again(gone.managed->take_lost());
  }
  if (gone.held) {
    again(gone.held->take_lost());
  }
  presence::ended(*this, who, std::move(gone));
}

/// XEP-0198 §4: as if it had been sent to a resource that is not available.
void exchange::deliver_again(account& who, const managed_stream::entry& lost) {
  const auto& s = lost.stanza;
  switch (s->kind()) {
    case stanza_kind::message:
      if (who.blocks(s->from())) {
        refuse(*s, stanza_condition::service_unavailable);  // XEP-0191: since it was sent
      } else if (s->from() != who.user) {                   // else a carbon, whose original went its own way (XEP-0280)
        message::again(*this, who, s, lost.at);
      }
      return;
    case stanza_kind::iq:
      if (s->type() == stanza_type::get || s->type() == stanza_type::set) {
        refuse(*s, stanza_condition::service_unavailable);
      }
      return;
    case stanza_kind::presence:
      return;  // whoever comes next is told what holds then
  }
}

void exchange::manage(connection::session_ref session, const jid& full, connection::management::enable wanted) {
  at_session(session, full, [this, wanted](account&, bound_resource& mine) {
    if (mine.managed) {
      // XEP-0198 §3: once a stream.
      with_.outlet.say(mine.session, connection::write_management_failure(stanza_condition::unexpected_request));
      with_.outlet.close(mine.session, stream_condition::policy_violation, "stream management enabled twice");
      return;
    }
    auto within = configuration().managed.resume_timeout;
    within = std::min(within, std::chrono::seconds{wanted.max_seconds.value_or(UINT32_MAX)});
    const bool resumable = wanted.resume && within.count() > 0;
    mine.managed = std::make_unique<managed_stream>(resumable ? tls::random_token(id_bits) : std::string{}, within);
    with_.outlet.say(
        mine.session,
        connection::write_enabled(
            mine.managed->id(), resumable ? std::optional{static_cast<std::uint32_t>(within.count())} : std::nullopt));
  });
}

void exchange::resume(connection::session_ref session, connection::resume_session wanted,
                      std::move_only_function<void(connection::resume_answer)> done) {
  const auto user = wanted.user;
  at_home(user, [this, session, wanted = std::move(wanted), done = std::move(done)](account& who) mutable {
    // THREATS F1: only the user's own, and only one at a time.
    const auto mine = std::ranges::find_if(who.resources, [&](const bound_resource& r) {
      return r.managed && r.managed->id() == wanted.id && r.managed->at != managed_stream::place::resuming &&
             !r.managed->overfull && !r.ending;
    });
    if (mine == who.resources.end()) {
      connection::resume_refusal refusal;
      const auto* const ended = here().sessions_ended.find(wanted.id, who.user.text());
      if (ended == nullptr) {
        return done(std::unexpected{refusal});
      }
      refusal.handled = ended->handled;
      return when_stored(who, ended->unstored,
                         [done = std::move(done), refusal]() mutable { done(std::unexpected{refusal}); });
    }
    auto& managed = *mine->managed;
    if (!managed.credible(wanted.handled)) {
      return done(
          std::unexpected{connection::resume_refusal{stanza_condition::undefined_condition, managed.sent_count(), {}}});
    }
    if (managed.at == managed_stream::place::attached) {
      with_.outlet.close(mine->session, stream_condition::conflict, "resumed elsewhere");
    }
    managed.acknowledge(wanted.handled);
    managed.at = managed_stream::place::resuming;
    managed.expiry.reset();
    managed.asked = false;
    mine->session = session;
    when_stored(who, managed.unstored,
                [done = std::move(done), answer = connection::resumed_session{
                                             mine->full, managed.handled()}]() mutable { done(std::move(answer)); });
  });
}

void exchange::resumed(connection::session_ref session, const jid& full) {
  at_session(session, full, [this](account&, bound_resource& mine) {
    if (!mine.managed || mine.managed->at != managed_stream::place::resuming) {
      return;
    }
    mine.managed->at = managed_stream::place::attached;
    for (const auto& e : mine.managed->unacknowledged()) {
      with_.outlet.send(mine.session, e.stanza);
    }
    if (!mine.managed->unacknowledged().empty()) {
      ask(mine);
    }
    if (mine.managed->overfull) {
      overfull(mine);
    }
    activate(mine);  // XEP-0352 §5.2: as every stream begins
  });
}

/// That of its session, where a client's message may have to be stored before the client is told that we have it.
std::shared_ptr<receipt> exchange::receipt_of(const stanza& s) {
  if (s.kind() != stanza_kind::message) {
    return nullptr;  // nothing else is stored for later
  }
  auto* who = find(s.from().bare_text());
  const auto* sender = who != nullptr ? who->find(s.from().resourcepart()) : nullptr;
  if (sender == nullptr || !sender->managed) {
    return nullptr;
  }
  auto last = sender->managed->unstored.lock();
  if (last && !last->awaited()) {
    return last;
  }
  auto next = std::make_shared<receipt>();
  if (last) {
    last->precede(next);
  }
  sender->managed->unstored = next;
  return next;
}

/// Calls `what` at the user's home once all that the client has sent by now outlives a crash (THREATS X1); at once
/// where nothing is on its way to the store. Not at all once the exchange has ended.
void exchange::when_stored(const account& of, const std::weak_ptr<receipt>& unstored,
                           std::move_only_function<void()> what) {
  const auto last = unstored.lock();
  if (!last) {
    return what();
  }
  last->then([alive = weak_from_this(), user = of.user, what = std::move(what)]() mutable {
    if (const auto self = alive.lock()) {
      self->with_.homes.at_home(user, [alive, what = std::move(what)]() mutable {
        if (const auto still = alive.lock()) {
          what();
        }
      });
    }
  });
}

void exchange::acknowledge(connection::session_ref session, const jid& full) {
  at_session(session, full, [this](account& who, bound_resource& mine) {
    if (!mine.managed) {
      with_.outlet.say(mine.session, connection::write_management_failure(stanza_condition::unexpected_request));
      return;
    }
    when_stored(who, mine.managed->unstored, [this, session = mine.session, handled = mine.managed->handled()] {
      with_.outlet.say(session, connection::write_acknowledgement(handled));
    });
  });
}

void exchange::acknowledged(connection::session_ref session, const jid& full, std::uint32_t handled) {
  at_session(session, full, [this, handled](account&, bound_resource& mine) {
    if (!mine.managed) {
      with_.outlet.say(mine.session, connection::write_management_failure(stanza_condition::unexpected_request));
      return;
    }
    auto& managed = *mine.managed;
    if (!managed.credible(handled)) {
      return with_.outlet.overcounted(mine.session, handled, managed.sent_count());  // THREATS F2
    }
    managed.asked = false;
    // Who acknowledges nothing new is asked again with the next stanza, not at once.
    if (managed.acknowledge(handled) && !managed.unacknowledged().empty()) {
      ask(mine);
    }
  });
}

void exchange::answered(connection::session_ref session, const jid& full, const stanza_ref& reply) {
  at_session(session, full, [this, reply](account&, bound_resource& mine) {
    if (mine.managed) {
      mine.managed->handled_one();
    }
    if (reply) {
      send(mine, reply);
    }
  });
}

// --- over a restart --------------------------------------------------------------------------------------------------

std::vector<std::string> exchange::suspended() const {
  std::vector<std::string> all;
  std::map<const managed_stream::copies*, std::uint64_t> numbers;
  const std::lock_guard lock{mutex_};
  for (const auto& [thread, shard] : shards_) {
    for (const auto& [user, who] : shard->accounts) {
      for (const auto& r : who->resources) {
        if (!r.managed || !r.managed->resumable() || r.ending) {
          continue;
        }
        // One that was about to end for what it holds ends there: it is to lose nothing by that.
        const auto within = r.managed->overfull ? std::chrono::seconds{0} : r.managed->resume_within();
        kept_session s{.id = r.managed->id(),
                       .full = r.full,
                       .resume_within = within,
                       .handled = r.managed->handled(),
                       .acknowledged = r.managed->acknowledged(),
                       .presence = r.presence,
                       .interested = r.interested,
                       .sees_blocks = r.sees_blocks,
                       .carbons = r.carbons,
                       .directed = r.directed,
                       .unacknowledged = {}};
        const auto keep = [&](const std::deque<managed_stream::entry>& all) {
          for (const auto& e : all) {
            const auto number = e.shared ? numbers.try_emplace(e.shared.get(), numbers.size() + 1).first->second : 0;
            s.unacknowledged.push_back({e.stanza, e.at, number});
          }
        };
        keep(r.managed->unacknowledged());
        if (r.held) {
          keep(r.held->entries());  // as if it were sent now, to nobody
        }
        all.push_back(written(s));
      }
    }
  }
  return all;
}

void exchange::restore(const std::vector<std::string>& kept) {
  std::map<std::uint64_t, std::shared_ptr<managed_stream::copies>> copies;
  for (const auto& text : kept) {
    auto s = read_session(text);
    if (!s || !hosts_anywhere(s->full.domainpart())) {
      log().write(log::level::error, "session.lost", {{"detail", s ? s->full.text() : "damaged"}});
      continue;
    }
    bound_resource r;
    r.full = s->full;
    r.presence = s->presence;
    r.priority = s->presence ? s->presence->priority().value_or(0) : std::int8_t{0};
    r.interested = s->interested;
    r.sees_blocks = s->sees_blocks;
    r.carbons = s->carbons;
    r.directed = std::move(s->directed);
    r.managed = std::make_unique<managed_stream>(s->id, s->resume_within);
    r.managed->restore(s->handled, s->acknowledged);
    r.managed->at = managed_stream::place::detached;
    for (auto& e : s->unacknowledged) {
      std::shared_ptr<managed_stream::copies> shared;
      if (e.copies != 0) {
        auto& known = copies[e.copies];
        known = known ? known : std::make_shared<managed_stream::copies>();
        shared = known;
      }
      r.managed->sent({std::move(e.stanza), e.at, std::move(shared)});
    }
    at_home(s->full, [this, r = std::move(r)](account& who) mutable { begin(who, take_up(who, std::move(r))); });
  }
}

/// Its contacts have to be known, for when it ends.
job<void> exchange::take_up(account& who, bound_resource r) {
  const auto there = co_await exists(who);
  const auto known = co_await roster_of(who);
  const auto blocked = co_await load_blocked(who);
  if (!there || !*there || !known || !blocked || who.find(r.full.resourcepart()) != nullptr) {
    log().write(log::level::error, "session.lost", {{"detail", r.full.text()}});
    co_return;
  }
  count_session(who.user.domainpart(), true);
  who.resources.push_back(std::move(r));
  end_later(who.resources.back(), who.resources.back().managed->resume_within());
}

}  // namespace comity::server
