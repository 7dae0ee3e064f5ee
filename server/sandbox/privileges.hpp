// server/sandbox/privileges.hpp: what a process gives up of what its user may do. One thread.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace comity::sandbox {

/// Nobody else looks into the memory of this process, by ptrace(2) or a core dump.
void hide_memory() noexcept;

/// Of its capabilities the thread keeps those of this set (1 << CAP_…), and those that it starts do; execve(2) gives
/// none to any of them. The error is a sentence.
[[nodiscard]] std::expected<void, std::string> keep_capabilities(std::uint64_t kept);

/// Where this is root, it is nobody from then on; and no capability is left, whoever it is. What kills the process with
/// its parent stays set. Says what it did: "as user 65534", "". The error is a sentence.
[[nodiscard]] std::expected<std::string, std::string> give_up_privileges();

}  // namespace comity::sandbox
