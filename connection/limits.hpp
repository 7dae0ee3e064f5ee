// connection/limits.hpp: how many connections one address may have, and begin in a second (RFC 6120 §13.12 (1) and (2),
// L07, THREATS G1), how many all of them together (THREATS G4), as move-only permits; and how many passwords one
// address may guess in a second (THREATS C8): a wrong one costs it as much as many connections, so that it waits for
// the next. Nothing is held against an account, or anyone could lock its owner out (XEP-0205).
//
// IPv4 addresses count one by one (IPv4-mapped ones as IPv4); IPv6 addresses by their /64, which is what one customer
// has. Shared by all listeners and loops. A permit gives back what it holds when it goes, however that comes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <expected>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "connection/transport/token_bucket.hpp"
#include "connection/vocabulary.hpp"
#include "dns/answer.hpp"

namespace comity::connection {

class ip_limits {
public:
  /// What counts as one address.
  using key = std::uint64_t;
  [[nodiscard]] static key key_of(const dns::address&) noexcept;

  class permit {
  public:
    permit() = default;
    ~permit() { release(); }
    permit(permit&& other) noexcept
        : owner_{std::exchange(other.owner_, nullptr)}, key_{other.key_}, unauthenticated_{other.unauthenticated_} {}
    permit& operator=(permit&& other) noexcept;
    permit(const permit&) = delete;
    permit& operator=(const permit&) = delete;
    /// The connection has authenticated: it stops counting against unauthenticated_per_ip.
    void authenticated() noexcept;
    /// Its peer has named a wrong password, or the like: whoever goes on has to wait before the address is admitted
    /// again.
    void guessed(token_bucket::clock::time_point now = token_bucket::clock::now()) noexcept;

  private:
    friend class ip_limits;
    permit(ip_limits& owner, key k) noexcept : owner_{&owner}, key_{k}, unauthenticated_{true} {}
    void release() noexcept;
    ip_limits* owner_ = nullptr;
    key key_ = 0;
    bool unauthenticated_ = false;
  };

  using clock = token_bucket::clock;

  /// An address begins as many connections in a second as it may have, but not fewer than these: whoever has few may
  /// come back at once.
  static constexpr std::uint32_t least_attempts = 100;
  /// What a wrong password costs, in attempts. More than the address has is a debt.
  static constexpr std::uint32_t guess_costs = 100;
  static constexpr std::uint32_t unlimited = std::numeric_limits<std::uint32_t>::max();

  /// `connections`, `unauthenticated`: of one address; `total`: of all, for as long as the process lives.
  ip_limits(std::uint32_t connections, std::uint32_t unauthenticated, std::uint32_t total = unlimited) noexcept;
  /// New limits of one address hold for connections to come.
  void configure(std::uint32_t connections, std::uint32_t unauthenticated) noexcept;
  /// Or what is against it: that address, or all together, have as many as they may have, or the address has begun too
  /// many of late. Any thread.
  [[nodiscard]] std::expected<permit, rejection> admit(key, clock::time_point now = clock::now());
  /// Addresses counted at present, for tests.
  [[nodiscard]] std::size_t addresses() const;
  /// Addresses whose attempts are remembered, for tests.
  [[nodiscard]] std::size_t addresses_remembered() const;

private:
  struct counts {
    std::uint32_t connections = 0;
    std::uint32_t unauthenticated = 0;
  };
  [[nodiscard]] token_bucket& attempts_of(key, clock::time_point now);

  std::atomic<std::uint32_t> connections_limit_;
  std::atomic<std::uint32_t> unauthenticated_limit_;
  mutable std::mutex lock_;
  std::uint64_t salt_;  // keys come from strangers: no chosen collisions (THREATS G9)
  std::unordered_map<key, counts> counts_;
  std::unordered_map<key, token_bucket> attempts_;  // those that are full again go when there are many
  std::size_t forget_at_ = 0;                       // how many are many
  std::uint32_t total_limit_;
  std::uint32_t total_ = 0;
};

}  // namespace comity::connection
