#include "connection/transport/tcp_options.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>

namespace comity::connection {

void set_tcp_options(int socket) noexcept {
  const auto set = [socket](int level, int option, std::int64_t number) {
    const int value = static_cast<int>(number);
    (void)::setsockopt(socket, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, silence_before_probes.count());
  set(IPPROTO_TCP, TCP_KEEPINTVL, between_probes.count());
  // Decides of probes too, in the place of a number of them, and is looked at whenever one is due.
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, unanswered_at_most.count());
}

void limit_received_ahead(int socket) noexcept {
  (void)::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &received_ahead_bytes, sizeof received_ahead_bytes);
}

}  // namespace comity::connection
