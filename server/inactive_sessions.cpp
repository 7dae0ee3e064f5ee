// Sessions whose user does not look (XEP-0352): the part of exchange that lets wait for them what may.
//
// Nobody else is told, and presence is what it was. What has waited goes out, in the order in which it came, before
// anything that must not wait, when there is too much of it, and when the user looks again.
#include <algorithm>

#include "server/exchange.hpp"
#include "server/exchange_work.hpp"

namespace comity::server {

void exchange::send(const bound_resource& to, const stanza_ref& s,
                    const std::shared_ptr<managed_stream::copies>& shared) {
  if (to.held) {
    hold_back(to, {s, now(), shared});
  } else if (to.managed) {
    send_managed(to, {s, now(), shared});
  } else {
    hand_out(to, s, shared);
  }
}

void exchange::send_now(const bound_resource& to, managed_stream::entry e) {
  if (to.managed) {
    send_managed(to, std::move(e));
  } else {
    hand_out(to, e.stanza, e.shared);
  }
}

void exchange::hand_out(const bound_resource& to, const stanza_ref& s,
                        const std::shared_ptr<managed_stream::copies>& shared) {
  if (shared) {
    shared->taken = true;
  }
  with_.outlet.send(to.session, s);
}

void exchange::hold_back(const bound_resource& to, managed_stream::entry e) {
  if (!may_wait(*e.stanza)) {
    release(to);
    send_now(to, std::move(e));
    return;
  }
  to.held->hold(std::move(e));
  // All at once must leave room among what a client may owe an acknowledgement for.
  const auto most =
      to.managed ? std::min(limits().held_stanzas, configuration().managed.queue_stanzas / 2) : limits().held_stanzas;
  if (to.held->size() > most || to.held->octets() > limits().held_octets) {
    release(to);
  }
}

void exchange::release(const bound_resource& to) {
  for (auto& e : to.held->release()) {
    send_now(to, std::move(e));
  }
}

void exchange::activate(bound_resource& r) {
  if (r.held) {
    release(r);
    r.held.reset();
  }
}

void exchange::indicated(connection::session_ref session, const jid& full, connection::client_state state) {
  at_session(session, full, [this, state](account&, bound_resource& mine) {
    if (state == connection::client_state::active) {
      activate(mine);
    } else if (!mine.held) {
      mine.held = std::make_unique<held_back>();
    }
  });
}

}  // namespace comity::server
