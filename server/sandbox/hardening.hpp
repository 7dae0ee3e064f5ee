// server/sandbox/hardening.hpp: what the daemon gives up of what its user may do, once it needs it no more
// (THREATS §3).
//
// Two steps. Before there is a second thread it gives up what can be given up by one: files that it has no business
// with, core dumps, being looked into, capabilities. When everything is open it gives up system calls, for all of its
// threads. What the kernel, or whoever started us, does not let us give up we keep, and say so.
//
// Nothing of it holds for the processes that resolve names (resolver_confinement.hpp): whoever starts them was there
// before.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "server/config/settings.hpp"
#include "server/sandbox/landlock.hpp"

namespace comity::sandbox {

/// The files that a daemon of these settings opens while it runs; what is at the end of symbolic links included. Where
/// a certificate may be put in place by a rename, that is its folder, and the one above as long as that is no folder
/// like /etc that holds everybody's.
[[nodiscard]] reach reach_of(const config::settings&);

/// Whether it is us that keep this process from reading a file, or a folder, which its user could read.
[[nodiscard]] bool out_of_reach(const std::filesystem::path&);

class hardening {
public:
  /// Gives up nothing yet; `wanted` is server.hardening.
  explicit hardening(bool wanted) noexcept : wanted_{wanted} {}

  /// The first step; the calling thread, and those that it starts from then on. Ports below 1024 may still be bound.
  void give_up_files(const config::settings&);
  /// No capability is left to the calling thread, nor to those that it starts from then on.
  void give_up_capabilities();
  /// The last step, for every thread. Nothing is listened on from then on but what is already.
  void give_up_calls();

  /// What was given up, and what not with its reason; each a few words. Empty, both, where it is not wanted.
  [[nodiscard]] const std::vector<std::string>& applied() const noexcept { return applied_; }
  [[nodiscard]] const std::vector<std::string>& lacking() const noexcept { return lacking_; }

private:
  void note(std::string what, const std::expected<void, std::string>& done);

  bool wanted_;
  std::vector<std::string> applied_, lacking_;
};

}  // namespace comity::sandbox
