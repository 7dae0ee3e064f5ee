#include "connection/limits.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include "tls/crypto.hpp"

namespace comity::connection {

namespace {

/// Fewer addresses than these are not worth a look at each.
constexpr std::size_t forget_least = 1024;

std::uint64_t random_salt() {
  const auto bytes = tls::random_bytes(sizeof(std::uint64_t));
  std::uint64_t salt = 0;
  std::memcpy(&salt, bytes.data(), sizeof salt);
  return salt | 1U;
}

/// A bijection that nobody outside can steer: distinct addresses stay distinct.
std::uint64_t mix(std::uint64_t x, std::uint64_t salt) noexcept {
  x = (x ^ salt) * 0x9e3779b97f4a7c15ULL;
  x ^= x >> 32U;
  x *= salt;
  return x ^ (x >> 29U);
}

}  // namespace

ip_limits::key ip_limits::key_of(const dns::address& address) noexcept {
  // IPv4 is put where no /64 of the IPv6 space in use lies: 0::/32 holds neither routed nor loopback prefixes but
  // ::/64.
  constexpr std::uint64_t ipv4_mark = 0x0000'0001'0000'0000ULL;
  constexpr std::size_t prefix_bytes = 8;
  const auto number = [](std::span<const std::uint8_t> bytes) {
    std::uint64_t n = 0;
    for (const auto b : bytes) {
      n = n << 8U | b;
    }
    return n;
  };
  const auto bytes = address.bytes();
  return address.v4() ? ipv4_mark | number(bytes) : number(bytes.first(prefix_bytes));
}

ip_limits::ip_limits(std::uint32_t connections, std::uint32_t unauthenticated, std::uint32_t total) noexcept
    : connections_limit_{connections},
      unauthenticated_limit_{unauthenticated},
      salt_{random_salt()},
      total_limit_{total} {
}

void ip_limits::configure(std::uint32_t connections, std::uint32_t unauthenticated) noexcept {
  connections_limit_.store(connections, std::memory_order_relaxed);
  unauthenticated_limit_.store(unauthenticated, std::memory_order_relaxed);
  const std::lock_guard lock{lock_};
  attempts_.clear();  // each has the rate that it began with
}

/// What a full bucket knows, a new one knows too. Swept when it has doubled, so at a constant price an address; what is
/// left is what came within a second, which accepting bounds, or owes for guesses, which hashing bounds.
token_bucket& ip_limits::attempts_of(key k, clock::time_point now) {
  const std::uint64_t rate = std::max(connections_limit_.load(std::memory_order_relaxed), least_attempts);
  if (attempts_.size() >= forget_at_) {
    std::erase_if(attempts_, [&](const auto& a) { return a.second.available(now) == rate; });
    forget_at_ = std::max(forget_least, 2 * attempts_.size());
  }
  return attempts_.try_emplace(k, rate, now).first->second;
}

std::expected<ip_limits::permit, rejection> ip_limits::admit(key k, clock::time_point now) {
  k = mix(k, salt_);
  const std::lock_guard lock{lock_};
  const auto found = counts_.find(k);
  const counts held = found == counts_.end() ? counts{} : found->second;
  if (held.connections >= connections_limit_.load(std::memory_order_relaxed) ||
      held.unauthenticated >= unauthenticated_limit_.load(std::memory_order_relaxed)) {
    return std::unexpected{rejection::per_ip_limit};
  }
  if (total_ >= total_limit_) {
    return std::unexpected{rejection::global_limit};
  }
  auto& attempts = attempts_of(k, now);
  if (attempts.available(now) == 0) {
    return std::unexpected{rejection::per_ip_limit};
  }
  attempts.take(1, now);
  counts_[k] = {held.connections + 1, held.unauthenticated + 1};
  ++total_;
  return permit{*this, k};
}

std::size_t ip_limits::addresses() const {
  const std::lock_guard lock{lock_};
  return counts_.size();
}

std::size_t ip_limits::addresses_remembered() const {
  const std::lock_guard lock{lock_};
  return attempts_.size();
}

ip_limits::permit& ip_limits::permit::operator=(permit&& other) noexcept {
  if (this != &other) {
    release();
    owner_ = std::exchange(other.owner_, nullptr);
    key_ = other.key_;
    unauthenticated_ = other.unauthenticated_;
  }
  return *this;
}

void ip_limits::permit::authenticated() noexcept {
  if (owner_ != nullptr && std::exchange(unauthenticated_, false)) {
    const std::lock_guard lock{owner_->lock_};
    --owner_->counts_[key_].unauthenticated;
  }
}

void ip_limits::permit::guessed(clock::time_point now) noexcept {
  if (owner_ != nullptr) {
    const std::lock_guard lock{owner_->lock_};
    owner_->attempts_of(key_, now).take(guess_costs, now);
  }
}

void ip_limits::permit::release() noexcept {
  auto* owner = std::exchange(owner_, nullptr);
  if (owner == nullptr) {
    return;
  }
  const std::lock_guard lock{owner->lock_};
  const auto found = owner->counts_.find(key_);
  --owner->total_;
  found->second.unauthenticated -= unauthenticated_ ? 1 : 0;
  if (--found->second.connections == 0) {
    owner->counts_.erase(found);
  }
}

}  // namespace comity::connection
