#include "connection/transport/ip_endpoint.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <span>

namespace comity::connection {

namespace {

std::optional<ip_endpoint> made(std::span<const std::uint8_t> bytes, in_port_t port) {
  const auto ip = dns::address::from_bytes(bytes);
  return ip ? std::optional<ip_endpoint>{{*ip, ntohs(port)}} : std::nullopt;
}

template <typename Name>
std::optional<ip_endpoint> end_of(int socket, Name name) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  return name(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 ? from_system(address) : std::nullopt;
}

}  // namespace

std::optional<ip_endpoint> from_system(const sockaddr_storage& address) noexcept {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return made({reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), sizeof v4.sin_addr}, v4.sin_port);
  }
  if (address.ss_family != AF_INET6) {
    return std::nullopt;
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof v6);
  const std::span<const std::uint8_t, sizeof v6.sin6_addr> bytes{v6.sin6_addr.s6_addr};
  return IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) ? made(bytes.subspan<12>(), v6.sin6_port) : made(bytes, v6.sin6_port);
}

std::optional<ip_endpoint> local_end(int socket) noexcept {
  return end_of(socket, ::getsockname);
}

std::optional<ip_endpoint> remote_end(int socket) noexcept {
  return end_of(socket, ::getpeername);
}

}  // namespace comity::connection
