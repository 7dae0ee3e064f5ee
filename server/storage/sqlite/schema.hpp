// server/storage/sqlite/schema.hpp: the tables, and how an older database becomes one of today.
#pragma once

#include <expected>
#include <string>

#include "server/storage/sqlite/database.hpp"

namespace comity::storage {

/// Brings a database to the present schema in one transaction. A newer one is refused and left as it is.
[[nodiscard]] std::expected<void, std::string> migrate(database&);

}  // namespace comity::storage
