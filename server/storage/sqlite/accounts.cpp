#include "server/storage/sqlite/accounts.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

#include "tls/hash_name.hpp"

namespace comity::storage {

namespace {

std::optional<tls::hash> hash_named(std::string_view name) {
  for (const auto h : {tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}) {
    if (tls::name_of(h) == name) {
      return h;
    }
  }
  return std::nullopt;
}

}  // namespace

std::expected<bool, error> account_there(database& db, const jid& user) {
  return db.prepare("SELECT 1 FROM accounts WHERE user=?").bind(user.text()).step();
}

std::expected<void, error> put_credentials(database& db, const jid& user, const credentials& c) {
  if (auto gone = db.prepare("DELETE FROM credentials WHERE user=?").bind(user.text()).run(); !gone) {
    return gone;
  }
  for (const auto& [hash, keys] : c.scram) {
    auto put = db.prepare("INSERT INTO credentials VALUES (?,?,?,?,?,?)")
                   .bind(user.text())
                   .bind(tls::name_of(hash))
                   .bind_blob(keys.salt)
                   .bind(static_cast<std::int64_t>(keys.iterations))
                   .bind_blob(keys.stored_key.reveal())
                   .bind_blob(keys.server_key.reveal())
                   .run();
    if (!put) {
      return put;
    }
  }
  return {};
}

std::expected<bool, error> load_credentials(database& db, const jid& user, credentials& into) {
  // THREATS C2: where the account is not there, the keys of whoever is next by name are read, so that it takes as many
  // rows and bytes from as many places to find out. Both ends of the search are looked up in any case, and kept, lest
  // SQLite see that only one is needed.
  bool there = false;
  auto q = db.prepare(
      "WITH asked(nearest, first) AS MATERIALIZED (SELECT "
      "(SELECT user FROM accounts WHERE user>=?1 ORDER BY user LIMIT 1), "
      "(SELECT user FROM accounts ORDER BY user LIMIT 1)) "
      "SELECT hash, salt, iterations, stored_key, server_key, nearest IS ?1 "
      "FROM asked LEFT JOIN credentials ON user=coalesce(nearest, first)");
  q.bind(user.text());
  for (auto row = q.step(); !row || *row; row = q.step()) {
    if (!row) {
      return std::unexpected{row.error()};
    }
    there = q.number(5) != 0;
    if (const auto hash = hash_named(q.text(0))) {
      into.scram[*hash] = {q.text(1), static_cast<std::uint32_t>(q.number(2)), tls::secret{q.text(3)},
                           tls::secret{q.text(4)}};
    }
  }
  return there;
}

}  // namespace comity::storage
