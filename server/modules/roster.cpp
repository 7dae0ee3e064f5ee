// jabber:iq:roster (RFC 6121 §2): get, set, remove, pushes, versions. A change is committed before it is acknowledged.
#include <algorithm>
#include <charconv>
#include <set>

#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::roster {
namespace {

constexpr std::size_t name_limit = 1023;  // octets of a name or group (§2.3.3)
constexpr std::size_t group_limit = 100;  // groups of one contact

std::string push_id(std::uint64_t version, std::size_t n) {
  return "push-" + std::to_string(version) + "-" + std::to_string(n);
}

/// One push to one resource. No `from`: it is implicitly the user's own account (§2.1.6).
template <typename WriteItem>
void push_to(exchange& x, const bound_resource& r, std::uint64_t version, std::size_t n, WriteItem write) {
  stanza_builder b{stanza_kind::iq, stanza_type::set, jid{}, r.full, push_id(version, n)};
  auto& w = b.writer();
  w.open("query", ns_roster).attribute("ver", std::to_string(version));
  write(w);
  w.close();
  x.send(r, b.finish());
}

template <typename WriteItem>
void push_to_interested(exchange& x, const account& who, std::uint64_t version, WriteItem write) {
  std::size_t n = 0;
  for (const auto& r : who.resources) {
    if (r.interested) {
      push_to(x, r, version, n++, write);
    }
  }
}

iq_answer refused(const iq_request& request, stanza_condition why) {
  return error_reply(*request.stanza, why);
}

iq_answer refused(const iq_request& request, storage::error why) {
  return refused(request, why == storage::error::full ? stanza_condition::resource_constraint
                                                      : stanza_condition::internal_server_error);
}

/// Only these are counted: what else stands beside them belongs to an extension that is not ours, and is passed over
/// (RFC 6120 §8.4). QXmpp adds XEP-0405's <annotate/> to every get.
std::ptrdiff_t items_in(const iq_request& request) {
  return std::ranges::count_if(request.payload.children(), [](xml::element e) { return e.is("item", ns_roster); });
}

/// The version a client says it has; nullopt for none and for one that is not ours.
std::optional<std::uint64_t> version_in(const iq_request& request) {
  const auto text = request.payload.attribute("ver");
  std::uint64_t version = 0;
  if (!text || text->empty()) {
    return std::nullopt;
  }
  const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), version);
  return fault == std::errc{} && end == text->data() + text->size() ? std::optional{version} : std::nullopt;
}

/// §2.6.3: nothing in the result, then a push for each contact that changed since.
iq_answer only_changes(exchange& x, const iq_request& request, account& who, std::vector<contacts::change> changes) {
  return {iq_result(*request.stanza), [&x, &who, from = request.stanza->from(), changes = std::move(changes)] {
            const auto* asker = who.find(from.resourcepart());
            if (asker == nullptr) {
              return;
            }
            for (const auto& c : changes) {
              push_to(x, *asker, c.version, 0, [&](xml::writer& w) {
                if (c.item != nullptr) {
                  write_item(w, *c.item);
                } else {
                  write_removed_item(w, c.contact);
                }
              });
            }
          }};
}

job<iq_answer> on_get(exchange& x, iq_request request, account& who) {
  if (items_in(request) != 0) {  // §2.1.3
    co_return refused(request, stanza_condition::bad_request);
  }
  const auto loaded = co_await x.roster_of(who);
  if (!loaded) {
    co_return refused(request, loaded.error());
  }
  const contacts& known = **loaded;
  if (auto* asker = who.find(request.stanza->from().resourcepart())) {
    asker->interested = true;  // §2.2
  }
  if (const auto version = version_in(request)) {
    if (auto changes = known.since(*version)) {
      co_return only_changes(x, request, who, std::move(*changes));
    }
  }
  auto b = iq_result_builder(*request.stanza);
  auto& w = b.writer();
  w.open("query", ns_roster).attribute("ver", std::to_string(known.version()));
  for (const auto& [bare, item] : known.items()) {
    if (item.in_roster) {
      write_item(w, item);
    }
  }
  w.close();
  co_return b.finish();
}

/// What a roster set asks for, or why it cannot be (§2.3.3).
struct wish {
  jid contact;
  bool remove = false;
  std::string name;
  std::vector<std::string> groups;
};

std::expected<std::vector<std::string>, stanza_condition> groups_of(xml::element item) {
  std::vector<std::string> groups;
  std::set<std::string> seen;
  for (const auto child : item.children()) {
    if (!child.is("group", ns_roster)) {
      continue;
    }
    auto group = child.text();
    if (group.empty() || group.size() > name_limit || groups.size() >= group_limit) {
      return std::unexpected{stanza_condition::not_acceptable};
    }
    // Compared as resourceparts are (RFC 7622 §3.4); text that cannot be one stands for itself.
    if (!seen.insert(enforce_opaque_string(group).value_or(group)).second) {
      return std::unexpected{stanza_condition::bad_request};
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

std::expected<wish, stanza_condition> wish_in(const iq_request& request, const account& who) {
  const auto item = request.payload.child("item", ns_roster);
  if (!item || items_in(request) != 1) {  // §2.1.5 rule 1
    return std::unexpected{stanza_condition::bad_request};
  }
  const auto address = item.attribute("jid");
  if (!address) {  // §2.1.2.3
    return std::unexpected{stanza_condition::bad_request};
  }
  auto contact = jid::parse(*address);
  if (!contact) {
    return std::unexpected{stanza_condition::jid_malformed};
  }
  if (contact->has_resource()) {  // subscriptions are between bare JIDs
    return std::unexpected{stanza_condition::bad_request};
  }
  wish w{.contact = std::move(*contact), .name = {}, .groups = {}};
  w.remove = item.attribute("subscription") == "remove";  // §2.1.5 rule 2: any other value is ignored
  if (w.remove) {
    return w;
  }
  if (w.contact == who.user) {
    return std::unexpected{stanza_condition::not_allowed};  // §2.3.3, interoperability note
  }
  w.name = item.attribute("name").value_or("");
  if (w.name.size() > name_limit) {
    return std::unexpected{stanza_condition::not_acceptable};
  }
  auto groups = groups_of(item);
  if (!groups) {
    return std::unexpected{groups.error()};
  }
  w.groups = std::move(*groups);
  return w;
}

/// §2.5.2: the subscriptions go with the contact. A request of ours that waits is taken back too, or its approval would
/// leave the contact with a subscription that we know nothing of.
void cancel_subscriptions(exchange& x, account& who, const storage::roster_item& item) {
  const auto state = state_of(item);
  if (subscribed_to_contact(state) || pending_out(state)) {
    x.route(stanza_builder{stanza_kind::presence, stanza_type::unsubscribe, who.user, item.contact, {}}.finish());
  }
  if (shares_with_contact(state)) {
    presence::send_unavailable(x, who, item.contact);  // §3.2.2
    x.route(stanza_builder{stanza_kind::presence, stanza_type::unsubscribed, who.user, item.contact, {}}.finish());
  }
}

job<iq_answer> on_remove(exchange& x, iq_request request, account& who, contacts& known, jid contact) {
  const auto* found = known.find(contact.text());
  if (found == nullptr || !found->in_roster) {
    co_return refused(request, stanza_condition::item_not_found);  // §2.5.3
  }
  const auto item = *found;
  const auto version = co_await x.stored<std::uint64_t>(
      who, [&](auto done) { x.store().roster_remove(who.user, contact, std::move(done)); });
  if (!version) {
    co_return refused(request, version.error());
  }
  known.removed(contact, *version);
  if (item.pending_in) {
    // A.1 state 3: the contact's own request still waits for an answer.
    storage::roster_item hidden;
    hidden.contact = contact;
    hidden.pending_in = true;
    hidden.in_roster = false;
    hidden.request = item.request;
    if (const auto kept = co_await x.store_item(who, std::move(hidden)); !kept) {
      x.log().write(log::level::error, "roster.request_lost", {{"user", who.user.text()}});
    }
  }
  co_return iq_answer{iq_result(*request.stanza), [&x, &who, item, version = *version] {
                        push_to_interested(x, who, version,
                                           [&](xml::writer& w) { write_removed_item(w, item.contact); });
                        cancel_subscriptions(x, who, item);
                      }};
}

job<iq_answer> on_set(exchange& x, iq_request request, account& who) {
  auto wanted = wish_in(request, who);
  if (!wanted) {
    co_return refused(request, wanted.error());
  }
  const auto loaded = co_await x.roster_of(who);
  if (!loaded) {
    co_return refused(request, loaded.error());
  }
  contacts& known = **loaded;
  if (wanted->remove) {
    co_return co_await on_remove(x, std::move(request), who, known, std::move(wanted->contact));
  }
  const auto* found = known.find(wanted->contact.text());
  storage::roster_item item;
  if (found != nullptr) {
    item = *found;  // subscription, ask and approved are not the client's to set (§2.1.2)
  }
  if ((found == nullptr || !found->in_roster) && known.visible() >= x.limits().roster_items) {
    co_return refused(request, stanza_condition::resource_constraint);  // THREATS F14
  }
  item.contact = wanted->contact;
  item.name = std::move(wanted->name);
  item.groups = std::move(wanted->groups);
  item.in_roster = true;
  if (const auto stored = co_await x.store_item(who, std::move(item)); !stored) {
    co_return refused(request, stored.error());
  }
  co_return iq_answer{iq_result(*request.stanza), [&x, &who, contact = wanted->contact] {
                        if (const auto* now = who.roster->find(contact.text())) {
                          push(x, who, *now);
                        }
                      }};
}

job<iq_answer> of_account(exchange& x, iq_request request, account& who) {
  if (!request.own) {
    // §2.1.5, §2.3.3: <forbidden/>, but only to those to whom it tells nothing new (THREATS F8).
    const auto loaded = co_await x.roster_of(who);
    const bool contact = loaded && (*loaded)->shares_with(request.stanza->from().bare_text());
    co_return refused(request, contact ? stanza_condition::forbidden : stanza_condition::service_unavailable);
  }
  if (request.set()) {
    co_return co_await on_set(x, std::move(request), who);
  }
  co_return co_await on_get(x, std::move(request), who);
}

}  // namespace

void push(exchange& x, account& who, const storage::roster_item& item) {
  push_to_interested(x, who, item.version, [&](xml::writer& w) { write_item(w, item); });
}

void serve(iq_table& table, exchange& x) {
  table.add({.name = "query",
             .ns = ns_roster,
             .feature = ns_roster,
             .of_account = [&x](iq_request request, account& who) { return of_account(x, std::move(request), who); },
             .get = true,
             .set = true});
}

}  // namespace comity::server::roster
