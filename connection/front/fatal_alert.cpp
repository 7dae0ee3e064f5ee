#include "connection/front/fatal_alert.hpp"

#include <sys/socket.h>

#include <array>

namespace comity::connection {

namespace {

// RFC 8446 §5.1, §6
constexpr std::uint8_t alert_record = 21;
constexpr std::uint8_t fatal = 2;

}  // namespace

void send_fatal_alert(int socket, tls_alert alert, std::span<char> scratch) noexcept {
  (void)::recv(socket, scratch.data(), scratch.size(), 0);
  const std::array<std::uint8_t, 7> record{alert_record, 3, 3, 0, 2, fatal, static_cast<std::uint8_t>(alert)};
  (void)::send(socket, record.data(), record.size(), MSG_NOSIGNAL);
  (void)::shutdown(socket, SHUT_WR);
}

}  // namespace comity::connection
