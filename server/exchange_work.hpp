// server/exchange_work.hpp: how work gets to an account and runs there, one piece after another. Part of exchange,
// apart because only its own sources need the templates.
#pragma once

#include <utility>

#include "connection/memory_reserve.hpp"
#include "server/exchange.hpp"

namespace comity::server {

/// Runs `work(account&)` as a piece of the work of the user whom `address` names, on the user's home loop.
template <typename Work>
void exchange::at_home(const jid& address, Work work) {
  // Accounts are only kept by the thread they are at home on: found here, there is nowhere to go.
  if (auto* who = find(address.bare_text())) {
    run(*who, std::move(work));
    return;
  }
  auto go = [this, work = std::move(work)](const jid& user) mutable { run(open(user), std::move(work)); };
  if (address.has_resource()) {
    const jid user = address.bare();
    with_.homes.at_home(user, [user, go = std::move(go)]() mutable { go(user); });
  } else {
    with_.homes.at_home(address, [user = address, go = std::move(go)]() mutable { go(user); });
  }
}

template <typename Work>
void exchange::run(account& who, Work&& work) {
  // What fails here is told to nobody: it is carried through, whatever it came from (THREATS X13).
  const connection::memory_policy policy{connection::memory_policy::work::begun};
  if (who.active) {
    if constexpr (requires { work.subject(); }) {
      if (who.waiting.size() >= limits().waiting) {
        if constexpr (requires { work.refused(who); }) {
          work.refused(who);
        }
        refuse(work.subject(), stanza_condition::resource_constraint);
        return;
      }
    }
    who.waiting.emplace_back(std::forward<Work>(work));
    return;
  }
  who.active = who.on_stack = true;
  try {
    work(who);
  } catch (const std::exception& e) {
    with_.log.write(log::level::error, "router.failed", {{"user", who.user.text()}, {"reason", e.what()}});
  }
  settle(who);
}

/// Runs `work(account&, bound_resource&)` where the session still has that resource.
template <typename Work>
void exchange::at_session(connection::session_ref session, const jid& full, Work work) {
  at_home(full, [session, full, work = std::move(work)](account& who) mutable {
    auto* mine = who.find(full.resourcepart());
    if (mine != nullptr && mine->session == session) {
      work(who, *mine);
    }
  });
}

}  // namespace comity::server
