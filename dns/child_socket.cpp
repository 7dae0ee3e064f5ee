#include "dns/child_socket.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "dns/child_messages.hpp"

namespace comity::dns::child {

received receive_packet(int socket, std::vector<std::uint8_t>& packet) {
  packet.resize(packet_limit + 1);
  for (;;) {
    const auto n = ::recv(socket, packet.data(), packet.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    const bool nothing_yet = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    packet.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    return n > 0 ? received::packet : nothing_yet ? received::nothing_yet : received::ended;
  }
}

int send_packet(int socket, std::string_view packet) noexcept {
  while (::send(socket, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace comity::dns::child
