// server/setup/setup.hpp: a server for one domain, from nothing to files that comityd runs on.
//
// Run again it leaves alone what is there and right, so that a run that broke off is finished by the next.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/config/config.hpp"
#include "server/setup/found_certificate.hpp"
#include "server/setup/places.hpp"

namespace comity::setup {

struct wishes {
  std::string domain;  // as JIDs have it, enforced
  setup::places places{"/"};
  std::filesystem::path prefix = "/";         // where certificates of other programs are looked for
  std::optional<certificate_place> own = {};  // in place of one that is found
  bool local_authority = false;               // look for none
  bool force = false;                         // replace a configuration that is another
};

/// What is there now.
struct outcome {
  config::settings settings;
  std::shared_ptr<const tls::certificate_table> certificates;
  std::vector<std::string> said;  // a sentence for each thing that was done, or left as it was
};

/// The certificate that would be used were none named: the first that is found and fit. Those that are not fit are told
/// to `say`.
[[nodiscard]] std::optional<certificate_place> usable_certificate(const wishes&,
                                                                  const std::function<void(std::string)>& say);

/// Folders, certificate and configuration. The error is what was wrong and what would be right, a line each.
[[nodiscard]] std::expected<outcome, std::string> prepare(const wishes&);

/// comity.toml for the domain: the usual four ports, and everything else as it is by default.
struct written_settings {
  std::string domain;
  std::filesystem::path certificate, private_key, data, socket;
  bool validates = true;  // the root's trust anchor is on this machine
  bool as_root = false;   // nobody else can read what root sets up
};
[[nodiscard]] std::string configuration_text(const written_settings&);

}  // namespace comity::setup
