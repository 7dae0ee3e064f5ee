// Binding and ending of sessions: the part of exchange that decides who is connected (RFC 6120 §7).
#include <algorithm>

#include "server/exchange.hpp"
#include "server/exchange_work.hpp"
#include "server/modules/modules.hpp"
#include "tls/crypto.hpp"

namespace comity::server {
namespace {

constexpr std::size_t resource_bits = 96;

}  // namespace

void exchange::bind(connection::session_ref session, const jid& user, std::string wanted,
                    std::move_only_function<void(std::expected<jid, bind_failure>)> done) {
  at_home(user, [this, session, wanted = std::move(wanted), done = std::move(done)](account& who) mutable {
    if (knows_blocks(who)) {
      bind_here(who, session, wanted, done);
    } else {
      begin(who, bind_after_loading(who, session, std::move(wanted), std::move(done)));
    }
  });
}

/// Nothing comes to a resource before it is known what must not (XEP-0191).
job<void> exchange::bind_after_loading(account& who, connection::session_ref session, std::string wanted,
                                       std::move_only_function<void(std::expected<jid, bind_failure>)> done) {
  if (!co_await load_blocked(who)) {
    done(std::unexpected{bind_failure{.condition = stanza_condition::internal_server_error, .type = "wait"}});
    co_return;
  }
  // In a turn of its own: it may begin work.
  who.waiting.emplace_front([this, session, wanted = std::move(wanted), done = std::move(done)](account& w) mutable {
    bind_here(w, session, wanted, done);
  });
}

void exchange::bind_here(account& who, connection::session_ref session, const std::string& wanted,
                         std::move_only_function<void(std::expected<jid, bind_failure>)>& done) {
  // RFC 6120 §7.6: the server's choice cannot be guessed; §7.7.2.1: a client's is made conformant or refused.
  const auto full = who.user.with_resource(wanted.empty() ? tls::random_token(resource_bits) : wanted);
  if (!full) {
    done(std::unexpected{bind_failure{.condition = stanza_condition::bad_request, .type = "modify"}});
    return;
  }
  const auto same = std::ranges::find(who.resources, *full, &bound_resource::full);
  if (same == who.resources.end()) {
    make_room(who);
    if (who.resources.size() >= configuration().resources_per_user) {  // RFC 6120 §7.6.2.1, XEP-0205
      done(std::unexpected{
          bind_failure{.condition = stanza_condition::resource_constraint, .type = "wait", .resource_limit = true}});
      return;
    }
  } else {
    // RFC 6120 §7.7.2.2: the newcomer has it. Its peers see the old one go before the new one comes (THREATS F5).
    with_.outlet.close(same->session, stream_condition::conflict, "resource bound by another session");
    end_resource(who, static_cast<std::size_t>(same - who.resources.begin()));
  }
  count_session(who.user.domainpart(), true);
  bound_resource mine;
  mine.session = session;
  mine.full = *full;
  who.resources.push_back(std::move(mine));
  done(*full);
}

/// Of sessions without a stream, the one that was bound first gives way to one that has a stream.
void exchange::make_room(account& who) {
  if (who.resources.size() < configuration().resources_per_user) {
    return;
  }
  const auto idle = std::ranges::find_if(who.resources, [](const bound_resource& r) {
    return r.managed && r.managed->at == managed_stream::place::detached;
  });
  if (idle != who.resources.end()) {
    end_resource(who, static_cast<std::size_t>(idle - who.resources.begin()));
  }
}

void exchange::unbind(connection::session_ref session, const jid& full, bool broken) {
  // Marked before it is this account's turn: what is handed out meanwhile is not handed to a dead session.
  if (auto* who = find(full.bare_text())) {
    if (auto* mine = who->find(full.resourcepart()); mine != nullptr && mine->session == session) {
      mine->ending = !broken || !mine->managed || !mine->managed->resumable();
    }
  }
  at_home(full, [this, session, full, broken](account& who) {
    const auto mine = std::ranges::find(who.resources, full, &bound_resource::full);
    if (mine == who.resources.end() || mine->session != session) {
      return;
    }
    if (broken && mine->managed && mine->managed->resumable()) {
      return detach(*mine);
    }
    end_resource(who, static_cast<std::size_t>(mine - who.resources.begin()));
  });
}

void exchange::end_sessions(const jid& user, stream_condition why) {
  at_home(user, [this, why](account& who) {
    while (!who.resources.empty()) {
      with_.outlet.close(who.resources.back().session, why, {});
      end_resource(who, who.resources.size() - 1);
    }
    who.roster.reset();
    who.blocked.reset();
    who.blocks_known = false;
    who.offline_unread = true;
  });
}

}  // namespace comity::server
