// connection/transport/tcp_options.hpp: how every TCP connection is set up, whoever opened it.
#pragma once

namespace comity::connection {

/// No delay for small writes, and a dead peer is found by the kernel: probes after a minute of silence, and a minute
/// for bytes that nobody acknowledges. What the system refuses is left as it is.
void set_tcp_options(int socket) noexcept;

}  // namespace comity::connection
