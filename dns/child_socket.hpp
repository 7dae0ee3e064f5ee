// dns/child_socket.hpp: the packets of child_messages.hpp on their SOCK_SEQPACKET socket, the same at both of its ends.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace comity::dns::child {

enum class received : std::uint8_t { packet, nothing_yet, ended };

/// The next packet, without waiting; its size may be over packet_limit, and what is over it is lost. Readiness is no
/// promise that there is one: a wait for room to send on the same socket re-arms it, and may tell for a second time of
/// what has been taken since. `packet` is empty where there is none. One thread at a time.
[[nodiscard]] received receive_packet(int socket, std::vector<std::uint8_t>& packet);

/// Without waiting: 0, EAGAIN, or why it failed. One thread at a time.
[[nodiscard]] int send_packet(int socket, std::string_view packet) noexcept;

}  // namespace comity::dns::child
