// server/sandbox/common_calls.hpp: the calls that every process of ours makes: memory, time, threads, what is open
// already; and those that none makes ever.
#pragma once

#include <cstdint>
#include <vector>

#include "server/sandbox/call_filter.hpp"

namespace comity::sandbox {

inline constexpr std::uint32_t socket_type = 0xf;  // SOCK_TYPE_MASK: without SOCK_NONBLOCK and SOCK_CLOEXEC

/// All of the argument is that.
constexpr argument is(unsigned index, std::uint32_t value) {
  return {.index = index, .mask = UINT32_MAX, .value = value};
}

/// Executing, forking, tracing, loading and mounting kill, and so does a signal to any process but this one, in which
/// the rules have to be applied. Threads are made, processes are not; nothing becomes executable that could be written.
[[nodiscard]] std::vector<call_rule> common_calls();

}  // namespace comity::sandbox
