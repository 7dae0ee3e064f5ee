// server/sandbox/process_starter.hpp: starts the daemon's resolver processes, at any time, although the daemon itself
// can start nothing any more.
//
// A process of its own does it. It is forked from the daemon before that has read a file or started a thread, so it
// holds nothing and may fork; each process that it starts executes this program anew, and so shares neither memory nor
// the layout of it with the daemon. All of them end with the daemon, whatever becomes of it.
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>

#include "dns/child_resolver.hpp"

namespace comity::sandbox {

/// How this program is to be executed to be a resolver process, and the descriptor where that has its socket.
inline constexpr const char* resolver_argument = "--resolve-for-comityd";
inline constexpr int resolver_socket = 3;
/// Whether it has been.
[[nodiscard]] bool asked_to_resolve(int argc, const char* const* argv) noexcept;

class process_starter {
public:
  /// Forks; call it while there is one thread. Throws std::system_error where the machine lets it not.
  process_starter();
  /// Ends the process and all that it has started.
  ~process_starter();
  process_starter(const process_starter&) = delete;
  process_starter& operator=(const process_starter&) = delete;

  /// Another resolver process; this outlives it. Any thread.
  [[nodiscard]] std::expected<std::unique_ptr<dns::child_process>, std::string> start();

private:
  class started;

  std::mutex lock_;  // one question at a time
  int socket_ = -1;
};

}  // namespace comity::sandbox
