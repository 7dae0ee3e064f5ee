#include "server/contacts.hpp"

#include <algorithm>

namespace comity::server {
namespace {
constexpr std::size_t remembered_removals = 1000;
}

contacts::contacts(storage::roster stored) : version_{stored.version}, complete_since_{stored.complete_since} {
  for (auto& item : stored.items) {
    visible_ += item.in_roster ? 1U : 0U;
    share(item.contact, shares_with_contact(state_of(item)));
    std::string key = item.contact.text();
    items_.insert_or_assign(std::move(key), std::move(item));
  }
  for (auto& [contact, version] : stored.removed) {
    auto& last = removed_[contact.text()];
    last = std::max(last, version);
  }
}

const storage::roster_item* contacts::find(std::string_view bare) const noexcept {
  const auto at = items_.find(bare);
  return at == items_.end() ? nullptr : &at->second;
}

subscription_state contacts::state(std::string_view bare) const noexcept {
  const auto* item = find(bare);
  return item == nullptr ? subscription_state::none : state_of(*item);
}

bool contacts::shares_with(std::string_view bare) const noexcept {
  return shares_with_contact(state(bare));
}

void contacts::share(const jid& contact, bool shares) {
  const auto at =
      std::ranges::lower_bound(subscribers_, contact, {}, [](const auto& each) -> const jid& { return each->address; });
  const bool there = at != subscribers_.end() && (*at)->address == contact;
  if (shares && !there) {
    subscribers_.insert(at, std::make_shared<const addressee>(contact));
  } else if (!shares && there) {
    subscribers_.erase(at);
  }
}

void contacts::put(storage::roster_item item, std::uint64_t version) {
  version_ = std::max(version_, version);
  item.version = version;
  if (item.in_roster) {
    removed_.erase(item.contact.text());
  }
  share(item.contact, shares_with_contact(state_of(item)));
  const std::string key = item.contact.text();
  auto& held = items_[key];
  visible_ -= held.in_roster && !held.contact.empty() ? 1U : 0U;
  visible_ += item.in_roster ? 1U : 0U;
  held = std::move(item);
}

void contacts::removed(const jid& contact, std::uint64_t version) {
  version_ = std::max(version_, version);
  const auto at = items_.find(contact.text());
  if (at == items_.end()) {
    return;
  }
  if (at->second.in_roster) {
    --visible_;
    if (removed_.size() >= remembered_removals) {
      removed_.clear();  // older versions are answered with the whole roster from now on
      complete_since_ = version_;
    }
    removed_.insert_or_assign(contact.text(), version);
  }
  share(contact, false);
  items_.erase(at);
}

std::optional<std::vector<contacts::change>> contacts::since(std::uint64_t version) const {
  if (version > version_ || version < complete_since_) {
    return std::nullopt;  // RFC 6121 §2.6.3: not a version on file
  }
  std::vector<change> changes;
  for (const auto& [bare, item] : items_) {
    if (item.in_roster && item.version > version) {
      changes.push_back({.version = item.version, .contact = item.contact, .item = &item});
    }
  }
  for (const auto& [bare, when] : removed_) {
    const auto* again = find(bare);
    if (when > version && (again == nullptr || !again->in_roster)) {
      if (auto contact = jid::parse(bare)) {
        changes.push_back({.version = when, .contact = std::move(*contact), .item = nullptr});
      }
    }
  }
  if (changes.size() > visible_ + 1) {
    return std::nullopt;
  }
  std::ranges::sort(changes, {}, &change::version);
  return changes;
}

void write_item(xml::writer& out, const storage::roster_item& item) {
  out.open("item", {}).attribute("jid", item.contact.text());
  if (!item.name.empty()) {
    out.attribute("name", item.name);
  }
  out.attribute("subscription", storage::to_string(item.subscription));
  if (item.pending_out) {
    out.attribute("ask", "subscribe");  // RFC 6121 §2.1.2.2
  }
  if (item.approved) {
    out.attribute("approved", "true");  // §2.1.2.1
  }
  for (const auto& group : item.groups) {
    out.leaf("group", {}, group);
  }
  out.close();
}

void write_removed_item(xml::writer& out, const jid& contact) {
  out.open("item", {}).attribute("jid", contact.text()).attribute("subscription", "remove").close();
}

}  // namespace comity::server
