#include "server/storage/sqlite/rosters.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "server/storage/sqlite/accounts.hpp"

namespace comity::storage {

namespace {

/// How many removed contacts of a roster are remembered for answers by difference (RFC 6121 §2.6).
constexpr std::int64_t removed_kept = 500;
/// Parts groups; no XML text can hold it.
constexpr char group_separator = '\x1f';

std::string joined(const std::vector<std::string>& groups) {
  std::string all;
  for (const auto& g : groups) {
    all += g;
    all += group_separator;
  }
  return all;
}

std::vector<std::string> parted(std::string_view all) {
  std::vector<std::string> groups;
  while (!all.empty()) {
    const auto end = all.find(group_separator);
    groups.emplace_back(all.substr(0, end));
    all.remove_prefix(std::min(end, all.size() - 1) + 1);
  }
  return groups;
}

/// The next version of a user's roster, taken.
std::expected<std::uint64_t, error> next_version(database& db, const jid& user) {
  auto bumped = db.prepare(
      "INSERT INTO rosters VALUES (?,1,0) ON CONFLICT (user) DO UPDATE SET version=version+1 RETURNING version");
  bumped.bind(user.text());
  const auto row = bumped.step();
  if (!row) {
    return std::unexpected{row.error()};
  }
  const auto version = static_cast<std::uint64_t>(bumped.number(0));
  const auto ended = bumped.step();  // only at its end does the change count
  return ended ? std::expected<std::uint64_t, error>{version} : std::unexpected{ended.error()};
}

/// Whether clients see the contact in the roster.
std::expected<bool, error> shown(database& db, const jid& user, const jid& contact) {
  auto q = db.prepare("SELECT in_roster FROM roster_items WHERE user=? AND contact=?");
  const auto row = q.bind(user.text()).bind(contact.text()).step();
  if (!row) {
    return row;
  }
  return *row && q.number(0) != 0;
}

/// Keeps that the contact left the roster at that version, for answers by difference; the oldest are forgotten.
std::expected<void, error> remember_removed(database& db, const jid& user, const jid& contact, std::uint64_t version) {
  auto kept = db.prepare("INSERT OR REPLACE INTO roster_removed VALUES (?,?,?)")
                  .bind(user.text())
                  .bind(contact.text())
                  .bind(static_cast<std::int64_t>(version))
                  .run();
  if (kept) {
    // What is forgotten moves the point before which no answer by difference is complete.
    kept = db.prepare(
                 "UPDATE rosters SET complete_since=max(complete_since, coalesce((SELECT version FROM roster_removed "
                 "WHERE user=?1 ORDER BY version DESC LIMIT 1 OFFSET ?2), 0)) WHERE user=?1")
               .bind(user.text())
               .bind(removed_kept)
               .run();
  }
  if (kept) {
    kept = db.prepare(
                 "DELETE FROM roster_removed WHERE user=?1 AND version<=(SELECT complete_since FROM rosters WHERE "
                 "user=?1)")
               .bind(user.text())
               .run();
  }
  return kept;
}

}  // namespace

std::expected<roster, error> load_roster(database& db, const jid& user) {
  roster r;
  {
    auto q = db.prepare("SELECT version, complete_since FROM rosters WHERE user=?");
    const auto row = q.bind(user.text()).step();
    if (!row) {
      return std::unexpected{row.error()};
    }
    if (!*row) {
      const auto there = account_there(db, user);
      if (!there || !*there) {
        return std::unexpected{there ? error::not_found : there.error()};
      }
      return r;
    }
    r.version = static_cast<std::uint64_t>(q.number(0));
    r.complete_since = static_cast<std::uint64_t>(q.number(1));
  }
  auto q = db.prepare(
      "SELECT contact, name, subscription, pending_out, pending_in, approved, in_roster, groups, request, version "
      "FROM roster_items WHERE user=? ORDER BY contact");
  q.bind(user.text());
  for (auto row = q.step(); !row || *row; row = q.step()) {
    if (!row) {
      return std::unexpected{row.error()};
    }
    auto contact = jid::parse(q.text(0));
    if (!contact) {
      continue;
    }
    roster_item i;
    i.contact = std::move(*contact);
    i.name = q.text(1);
    i.subscription = static_cast<subscription>(q.number(2) & 3);
    i.pending_out = q.number(3) != 0;
    i.pending_in = q.number(4) != 0;
    i.approved = q.number(5) != 0;
    i.in_roster = q.number(6) != 0;
    i.groups = parted(q.text(7));
    i.request = q.text(8);
    i.version = static_cast<std::uint64_t>(q.number(9));
    r.items.push_back(std::move(i));
  }
  auto removed = db.prepare("SELECT contact, version FROM roster_removed WHERE user=? ORDER BY version");
  removed.bind(user.text());
  for (auto row = removed.step(); !row || *row; row = removed.step()) {
    if (!row) {
      return std::unexpected{row.error()};
    }
    if (auto contact = jid::parse(removed.text(0))) {
      r.removed.emplace_back(std::move(*contact), static_cast<std::uint64_t>(removed.number(1)));
    }
  }
  return r;
}

std::expected<std::uint64_t, error> put_item(database& db, const jid& user, const roster_item& item) {
  const auto version = next_version(db, user);
  if (!version) {
    return version;
  }
  const auto was = shown(db, user, item.contact);
  if (!was) {
    return std::unexpected{was.error()};
  }
  auto put = db.prepare("INSERT OR REPLACE INTO roster_items VALUES (?,?,?,?,?,?,?,?,?,?,?)")
                 .bind(user.text())
                 .bind(item.contact.text())
                 .bind(item.name)
                 .bind(static_cast<std::int64_t>(std::to_underlying(item.subscription)))
                 .bind(static_cast<std::int64_t>(item.pending_out))
                 .bind(static_cast<std::int64_t>(item.pending_in))
                 .bind(static_cast<std::int64_t>(item.approved))
                 .bind(static_cast<std::int64_t>(item.in_roster))
                 .bind_blob(joined(item.groups))
                 .bind_blob(item.request)
                 .bind(static_cast<std::int64_t>(*version))
                 .run();
  if (put && item.in_roster) {
    put = db.prepare("DELETE FROM roster_removed WHERE user=? AND contact=?")
              .bind(user.text())
              .bind(item.contact.text())
              .run();
  } else if (put && *was) {
    put = remember_removed(db, user, item.contact, *version);  // what clients saw is gone from their view
  }
  return put ? version : std::unexpected{put.error()};
}

std::expected<std::uint64_t, error> remove_item(database& db, const jid& user, const jid& contact) {
  const auto version = next_version(db, user);
  if (!version) {
    return version;
  }
  const auto was = shown(db, user, contact);
  if (!was) {
    return std::unexpected{was.error()};
  }
  auto gone =
      db.prepare("DELETE FROM roster_items WHERE user=? AND contact=?").bind(user.text()).bind(contact.text()).run();
  if (gone && *was) {
    gone = remember_removed(db, user, contact, *version);
  }
  return gone ? version : std::unexpected{gone.error()};
}

}  // namespace comity::storage
