// server/config/certificate_files.hpp: which files a host's certificate and key are in, where the host names them or
// the programs that fetch certificates have put them.
//
// Nothing is opened. Any thread.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/settings.hpp"

namespace comity::config {

struct certificate_pair {
  std::filesystem::path certificate, private_key;
  friend bool operator==(const certificate_pair&, const certificate_pair&) = default;
};

/// Where the pair of a domain (A-labels) may be in a directory, the layout to prefer first.
[[nodiscard]] std::vector<certificate_pair> certificate_places(const std::filesystem::path& directory,
                                                               std::string_view domain);

/// The pair of a host: what it names, else the first place where both files are. The error completes a sentence about
/// the directory.
[[nodiscard]] std::expected<certificate_pair, std::string> certificate_files(const settings&, const host_settings&);

/// Every file that has a say in which certificates are served and what certificates are believed, whether it is there
/// or not: where one of them changes, all is to be read again.
[[nodiscard]] std::vector<std::filesystem::path> trusted_files(const settings&);

}  // namespace comity::config
