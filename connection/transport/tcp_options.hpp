// connection/transport/tcp_options.hpp: how every TCP connection is set up, whoever opened it.
#pragma once

#include <chrono>

namespace comity::connection {

/// A peer that is gone without a word is found by the kernel, within a minute (THREATS X7): if nothing is on its way to
/// it, by probes, and if something is, by nobody acknowledging it.
constexpr std::chrono::seconds silence_before_probes{40}, between_probes{6};
constexpr std::chrono::milliseconds unanswered_at_most{57'000};

/// No delay for small writes, and the above. What the system refuses is left as it is.
void set_tcp_options(int socket) noexcept;

/// What the kernel takes from a client ahead of us. By itself it would take megabytes from each that writes faster than
/// it is read: memory that no limit of ours counts, and seconds of delay for what stands behind them (THREATS X14).
constexpr int received_ahead_bytes = 64 * 1024;
/// Sets that limit. The kernel counts its own book-keeping too, and doubles the number for it.
void limit_received_ahead(int socket) noexcept;

}  // namespace comity::connection
