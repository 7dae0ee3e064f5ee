// server/setup/places.hpp: where a server's files are, and to whom they belong; and how they are written.
#pragma once

#include <sys/types.h>

#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace comity::setup {

/// INTERFACE: what is below / on a machine is below `prefix` here.
struct places {
  explicit places(const std::filesystem::path& prefix)
      : configuration{prefix / "etc/comity/comity.toml"},
        data{prefix / "var/lib/comity"},
        socket{prefix / "run/comity/admin.sock"} {}
  [[nodiscard]] std::filesystem::path folder() const { return configuration.parent_path(); }
  [[nodiscard]] std::filesystem::path certificates() const { return folder() / "certs"; }
  [[nodiscard]] std::filesystem::path authority() const { return folder() / "ca.crt"; }
  [[nodiscard]] std::filesystem::path authority_key() const { return folder() / "ca.key"; }

  std::filesystem::path configuration, data, socket;
};

struct owner {
  uid_t user = 0;
  gid_t group = 0;
};
/// The user that the service runs as, where we may give it files: we are root, and there is one.
[[nodiscard]] std::optional<owner> service_user();

/// In every case the error is one line: what could not be done with which file, and why.
using done = std::expected<void, std::string>;

/// Makes the folder and those above it; one that is there keeps what it has.
[[nodiscard]] done make_folder(const std::filesystem::path&, mode_t, const std::optional<owner>&);

/// Writes the whole file or nothing: it appears with its mode, its owner and all of its content, in place of what was
/// there.
[[nodiscard]] done write_file(const std::filesystem::path&, std::string_view content, mode_t,
                              const std::optional<owner>&);

[[nodiscard]] std::expected<std::string, std::string> read_file(const std::filesystem::path&);

}  // namespace comity::setup
