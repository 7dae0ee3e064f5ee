// server/storage/sqlite/accounts.hpp: accounts and what they log in with, as rows.
//
// Each is one step inside the transaction of whoever calls, on the thread of that connection.
#pragma once

#include <expected>

#include "connection/jid.hpp"
#include "server/storage/sqlite/database.hpp"
#include "server/storage/store.hpp"

namespace comity::storage {

/// Whether there is such an account.
[[nodiscard]] std::expected<bool, error> account_there(database&, const jid& user);
/// Writes an account's keys in place of those it had.
[[nodiscard]] std::expected<void, error> put_credentials(database&, const jid& user, const credentials&);
/// Whether there is such an account; `into` gets its keys. Where there is none it gets somebody else's, which are for
/// nobody to see: it takes as long that way (THREATS C2).
[[nodiscard]] std::expected<bool, error> load_credentials(database&, const jid& user, credentials& into);

}  // namespace comity::storage
