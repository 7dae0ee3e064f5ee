// server/storage/sqlite/rosters.hpp: rosters as rows, with what answers by difference need (RFC 6121 §2.6).
//
// Each is one step inside the transaction of whoever calls, on the thread of that connection.
#pragma once

#include <cstdint>
#include <expected>

#include "connection/jid.hpp"
#include "server/storage/sqlite/database.hpp"
#include "server/storage/store.hpp"

namespace comity::storage {

/// A user's roster; an empty one for an account that has none yet, not_found where there is no account. It takes
/// several statements: under one transaction they see one state.
[[nodiscard]] std::expected<roster, error> load_roster(database&, const jid& user);
/// Writes a contact in place of what was known of it. The roster's version with it.
[[nodiscard]] std::expected<std::uint64_t, error> put_item(database&, const jid& user, const roster_item&);
/// Removes a contact, if it is there. The roster's version without it.
[[nodiscard]] std::expected<std::uint64_t, error> remove_item(database&, const jid& user, const jid& contact);

}  // namespace comity::storage
