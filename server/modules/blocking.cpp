// XEP-0191: Blocking Command. A change is committed before it is acknowledged and before anybody hears of it. What the
// list does to stanzas is the exchange's to see to (exchange_paths.cpp), and to presence the presence module's
// (blocked_presence.cpp).
//
// Blocking is polite (§4): subscriptions stay as they are, and nobody is told.
#include <algorithm>

#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::blocking {
namespace {

constexpr std::string_view ns = "urn:xmpp:blocking";

iq_answer refused(const iq_request& request, stanza_condition why) {
  return error_reply(*request.stanza, why);
}

iq_answer refused(const iq_request& request, storage::error why) {
  return refused(request, why == storage::error::full ? stanza_condition::resource_constraint
                                                      : stanza_condition::internal_server_error);
}

void write_item(xml::writer& w, const jid& item) {
  w.open("item", {}).attribute("jid", item.text()).close();
}

/// To all resources that asked for the list (§3.3, §3.4). No `from`: it is implicitly the user's own account.
void push(exchange& x, account& who, std::string_view change, const std::vector<jid>& items) {
  for (const auto& r : who.resources) {
    if (r.sees_blocks) {
      stanza_builder b{stanza_kind::iq, stanza_type::set, jid{}, r.full,
                       "push-" + std::string{change} + "-" + std::to_string(++who.block_pushes)};
      auto& w = b.writer();
      w.open(change, ns);
      for (const auto& each : items) {
        write_item(w, each);
      }
      w.close();
      x.send(r, b.finish());
    }
  }
}

/// What a change names, each once. What stands beside the items belongs to extensions (XEP-0377), and is passed over.
std::expected<std::vector<jid>, stanza_condition> items_in(const iq_request& request) {
  std::vector<jid> items;
  for (const auto child : request.payload.children()) {
    if (!child.is("item", ns)) {
      continue;
    }
    const auto address = child.attribute("jid");
    if (!address) {
      return std::unexpected{stanza_condition::bad_request};
    }
    auto item = jid::parse(*address);
    if (!item) {
      return std::unexpected{stanza_condition::jid_malformed};
    }
    items.push_back(std::move(*item));
  }
  std::ranges::sort(items);
  items.erase(std::ranges::unique(items).begin(), items.end());
  return items;
}

iq_answer list(const iq_request& request, account& who) {
  if (auto* asker = who.find(request.stanza->from().resourcepart())) {
    asker->sees_blocks = true;
  }
  auto b = iq_result_builder(*request.stanza);
  auto& w = b.writer();
  w.open("blocklist", ns);
  if (who.blocked) {
    for (const auto& each : who.blocked->items()) {
      write_item(w, each);
    }
  }
  w.close();
  return b.finish();
}

job<iq_answer> block(exchange& x, iq_request request, account& who) {
  auto items = items_in(request);
  if (!items) {
    co_return refused(request, items.error());
  }
  if (items->empty()) {  // §3.3
    co_return refused(request, stanza_condition::bad_request);
  }
  auto more = *items;
  std::erase_if(more, [&](const jid& each) { return who.blocked && who.blocked->has(each); });
  if ((who.blocked ? who.blocked->size() : 0) + more.size() > x.limits().blocked) {
    co_return refused(request, stanza_condition::resource_constraint);  // THREATS F14
  }
  if (!more.empty()) {
    if (const auto roster = co_await x.roster_of(who); !roster) {
      co_return refused(request, roster.error());
    }
    if (const auto stored =
            co_await x.stored<void>(who, [&](auto done) { x.store().blocked_add(who.user, more, std::move(done)); });
        !stored) {
      co_return refused(request, stored.error());
    }
    presence::blocking(x, who, block_list{more});
    if (!who.blocked) {
      who.blocked = std::make_unique<block_list>();
    }
    who.blocked->add(more);
  }
  co_return iq_answer{iq_result(*request.stanza),
                      [&x, &who, items = std::move(*items)] { push(x, who, "block", items); }};
}

job<iq_answer> unblock(exchange& x, iq_request request, account& who) {
  auto items = items_in(request);
  if (!items) {
    co_return refused(request, items.error());
  }
  auto fewer = *items;
  if (fewer.empty() && who.blocked) {  // §3.5
    fewer.assign(who.blocked->items().begin(), who.blocked->items().end());
  }
  std::erase_if(fewer, [&](const jid& each) { return !who.blocked || !who.blocked->has(each); });
  if (!fewer.empty()) {
    if (const auto roster = co_await x.roster_of(who); !roster) {
      co_return refused(request, roster.error());
    }
    if (const auto stored = co_await x.stored<void>(
            who, [&](auto done) { x.store().blocked_remove(who.user, fewer, std::move(done)); });
        !stored) {
      co_return refused(request, stored.error());
    }
    who.blocked->remove(fewer);
    if (who.blocked->empty()) {
      who.blocked.reset();
    }
    presence::unblocked(x, who, block_list{fewer});
  }
  co_return iq_answer{iq_result(*request.stanza),
                      [&x, &who, items = std::move(*items)] { push(x, who, "unblock", items); }};
}

job<iq_answer> of_account(exchange& x, iq_request request, account& who) {
  if (!request.own) {  // nobody's business; as if it were not there (THREATS F8)
    co_return refused(request, stanza_condition::service_unavailable);
  }
  const auto asked = request.payload.name();
  if (asked == "block") {
    co_return co_await block(x, std::move(request), who);
  }
  if (asked == "unblock") {
    co_return co_await unblock(x, std::move(request), who);
  }
  co_return list(request, who);
}

}  // namespace

void serve(iq_table& table, exchange& x) {
  for (const std::string_view name : {"blocklist", "block", "unblock"}) {
    const bool change = name != "blocklist";
    table.add({.name = name,
               .ns = ns,
               .feature = ns,
               .of_account = [&x](iq_request request, account& who) { return of_account(x, std::move(request), who); },
               .get = !change,
               .set = change});
  }
  table.add_feature(ns, true, true);  // §3.1: the server says so
}

}  // namespace comity::server::blocking
