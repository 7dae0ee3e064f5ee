// server/config/config.hpp: reads the configuration file, and says everything that is wrong with it at once.
//
// Pure but for reading the files it is told to: safe from any thread, keeps nothing.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/settings.hpp"
#include "tls/chain.hpp"
#include "tls/context.hpp"

namespace comity::config {

/// One thing that is wrong with the configuration.
struct fault {
  std::filesystem::path file;
  int line = 1, column = 1;
  std::string text;  // "what is wrong; what would be right", without control characters
  friend bool operator==(const fault&, const fault&) = default;
};
/// `FILE:LINE:COLUMN: what is wrong; what would be right`
[[nodiscard]] std::string to_string(const fault&);

/// Reads and checks a file; all faults at once, in the order of their places. Certificate files are not opened.
/// Relative paths start at the file's directory, a relative SQLite file at server.data_directory.
[[nodiscard]] std::expected<settings, std::vector<fault>> load(const std::filesystem::path& file);

/// The same for a text; `file` gives messages a name and relative paths a directory.
[[nodiscard]] std::expected<settings, std::vector<fault>> load_text(std::string_view text,
                                                                    const std::filesystem::path& file);

/// Loads every host's certificate and key; a fault stands where the file is named, or at the host whose files were
/// found.
[[nodiscard]] std::expected<std::shared_ptr<const tls::certificate_table>, std::vector<fault>> check_certificates(
    const settings&);

/// The same while `running` is in force: a host whose files are at fault keeps what it has.
struct renewed_certificates {
  std::shared_ptr<const tls::certificate_table> table;
  std::vector<fault> faults;
};
[[nodiscard]] renewed_certificates renew_certificates(const settings&, const tls::certificate_table& running);

/// Loads the authorities that other servers' certificates are judged by, and what they took back; a fault stands at
/// tls.ca_file or tls.crl_file.
[[nodiscard]] std::expected<std::shared_ptr<const tls::trust_store>, std::vector<fault>> check_authorities(
    const settings&);

/// What is wrong with the files that [dns] names: each must be there and readable.
[[nodiscard]] std::vector<fault> check_dns_files(const settings&);

/// The files that `beyond` says a running server cannot read any more, although its user may: to be told before they
/// are taken for damaged.
[[nodiscard]] std::vector<fault> check_reach(const settings&,
                                             const std::function<bool(const std::filesystem::path&)>& beyond);

/// Everything that files are read for, checked; all faults at once, in the order of their places.
struct checked_files {
  std::shared_ptr<const tls::certificate_table> certificates;
  std::shared_ptr<const tls::trust_store> authorities;  // nullptr where s2s is off
};
[[nodiscard]] std::expected<checked_files, std::vector<fault>> check_files(const settings&);

/// The keys in which `next` differs from `running` and which a reload leaves as they are: the caller keeps what runs
/// and tells the operator. ("server.threads", "listen".)
[[nodiscard]] std::vector<std::string> restart_needed(const settings& running, const settings& next);

/// What is in force after a reload: `next`, with the values that take a restart kept as they run.
[[nodiscard]] settings after_reload(const settings& running, settings next);

/// Every value in force as a TOML document, defaults included. Loading it yields the same settings.
[[nodiscard]] std::string canonical(const settings&);

/// deploy/comity.toml: every key with its default and what it is for.
[[nodiscard]] std::string annotated_example();

/// comity.toml(5), for man(1).
[[nodiscard]] std::string manual_page();

}  // namespace comity::config
