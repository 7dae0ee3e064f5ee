// server/sandbox/landlock.hpp: which files and ports a thread, and those that it starts, may use from now on
// (landlock(7)). Kernels before 5.13, and those that have it switched off, know nothing of it.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace comity::sandbox {

struct reach {
  std::vector<std::filesystem::path> readable;  // files, or folders with all that is below
  std::vector<std::filesystem::path> writable;  // the same, to be written, made and removed in as well
  std::vector<std::filesystem::path> sockets;   // folders where UNIX sockets are made, and files are removed
  /// TCP ports that may be connected to, and none may be bound to; nullopt: TCP is not judged.
  std::optional<std::vector<std::uint16_t>> tcp_ports;
};

/// The version of the kernel's interface, 0 where it has none: files are judged from 1 on, TCP from 4 on.
[[nodiscard]] int landlock_version() noexcept;

/// For the calling thread, and for good. Paths that are not there are left out. Nothing is executed any more. What the
/// kernel cannot judge it does not; where it has no Landlock at all, nothing happens. The error is a sentence.
[[nodiscard]] std::expected<void, std::string> confine_to(const reach&);

}  // namespace comity::sandbox
