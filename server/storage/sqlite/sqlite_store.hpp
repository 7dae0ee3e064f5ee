// server/storage/sqlite/sqlite_store.hpp: the embedded store: SQLite in WAL mode.
//
// One thread writes: all changes that wait are put into one transaction, each under a savepoint of its own, and are
// told done once it is committed. One thread reads, on a connection of its own.
#pragma once

#include <expected>
#include <filesystem>
#include <memory>
#include <string>

#include "connection/log.hpp"
#include "server/storage/store.hpp"

namespace comity::storage {

/// Makes the database's folder, where there is none, with mode 0700. The error is one line.
[[nodiscard]] std::expected<void, std::string> make_folder_of(const std::filesystem::path& file);

/// Opens or makes the database; its folder is made as above, the file with mode 0600. The error is one line that says
/// why it cannot be used; nothing is changed then. The destructor of the store commits what waits, and calls back.
[[nodiscard]] std::expected<std::unique_ptr<store>, std::string> open_sqlite(const std::filesystem::path& file,
                                                                             log::sink& log);

}  // namespace comity::storage
