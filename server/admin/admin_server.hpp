// server/admin/admin_server.hpp: the operator's UNIX socket.
//
// Only root and the daemon's own user may speak, by the kernel's word (SO_PEERCRED). One JSON object a line each way;
// requests are bounded in size and time. Before its answer a request may have lines {"progress":…}, which are bounded
// too. Runs on the io_context given.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "connection/log.hpp"
#include "server/admin/commands.hpp"
#include "server/admin/progress.hpp"

namespace asio {
class io_context;
}

namespace comity::admin {

/// Whether a peer with that user id may give orders to a daemon of user `own`.
[[nodiscard]] constexpr bool may_command(uid_t peer, uid_t own) noexcept {
  return peer == 0 || peer == own;
}

/// What the operators may take.
struct admin_limits {
  std::size_t request_bytes = 64U * 1024U;      // a line, its end included
  std::chrono::milliseconds idle_time{60'000};  // for a request to come, and for an answer to be taken
  std::size_t connections = 32;                 // one more is closed at once
  std::size_t progress_bytes = 1024U * 1024U;   // that wait for an operator who reads slowly
};

/// Makes the folder of an admin socket, where there is none, with mode 0750. What goes wrong, open() says.
void make_folder_of(const std::filesystem::path& socket);

class admin_server {
public:
  /// What is told before the answer reaches the operator before it.
  using runner = std::function<void(std::string_view request, progress_ref, replier)>;

  /// Makes the socket with mode 0600 (its folder with 0750 where there is none). A socket that nobody answers on is
  /// replaced; one that somebody answers on is an error, like any failure: one line.
  [[nodiscard]] static std::expected<std::unique_ptr<admin_server>, std::string> open(asio::io_context& context,
                                                                                      const std::filesystem::path& path,
                                                                                      log::sink& log, runner run,
                                                                                      admin_limits = {});
  /// Removes the socket.
  ~admin_server();
  admin_server(const admin_server&) = delete;
  admin_server& operator=(const admin_server&) = delete;

  struct state;  // of the source file

private:
  explicit admin_server(std::shared_ptr<state>) noexcept;
  std::shared_ptr<state> state_;  // shared with what is under way on the context
};

}  // namespace comity::admin
