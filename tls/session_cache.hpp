// tls/session_cache.hpp: sessions that servers gave us, to be resumed when we connect again (RFC 7590 §3.3, F07).
//
// A session carries the certificate and chain it was made with, so that a resumed connection is judged as the first one
// was. Sessions are put here once the peer has proven itself, by the key of that proof, and dropped when a proof fails.
// Any thread.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

struct ssl_session_st;

namespace comity::tls {

/// One TLS session of the client's end.
class session {
public:
  /// Takes over one reference.
  explicit session(ssl_session_st* owned) noexcept : session_{owned} {}

  /// Whether it may be resumed at that time, and the server has said it may at all.
  [[nodiscard]] bool resumable(std::chrono::system_clock::time_point now) const noexcept;
  /// RFC 8446 §C.4: a ticket of TLS 1.3 is used once, so that connections cannot be linked.
  [[nodiscard]] bool single_use() const noexcept;

private:
  friend class stream;
  struct deleter {
    void operator()(ssl_session_st*) const noexcept;
  };
  std::unique_ptr<ssl_session_st, deleter> session_;
};

class session_cache {
public:
  /// Whom a session was made with. Sessions never serve another pair of domains: what they prove is bound to both.
  struct key {
    std::string local_domain;
    std::string remote_domain;
    std::string host;  // the target, or the address where there is none
    std::uint16_t port = 0;
    bool direct = false;  // direct TLS, else STARTTLS
    auto operator<=>(const key&) const = default;
  };

  /// Keeps `capacity` sessions, the latest put; none for longer than `lifetime` (RFC 9325 §3.4).
  explicit session_cache(
      std::size_t capacity = 1024, std::chrono::seconds lifetime = std::chrono::hours{24},
      std::function<std::chrono::system_clock::time_point()> now = [] { return std::chrono::system_clock::now(); });

  /// In place of what was there; nullptr and what cannot be resumed are let go.
  void put(const key&, std::shared_ptr<const session>);
  /// One to resume, or nullptr. A single-use session is gone with this.
  [[nodiscard]] std::shared_ptr<const session> take(const key&);
  /// The peer did not prove itself.
  void drop(const key&);
  /// Our certificates have changed.
  void clear();
  [[nodiscard]] std::size_t size() const;

private:
  struct entry {
    key of;
    std::shared_ptr<const session> held;
    std::chrono::system_clock::time_point put;
  };
  std::size_t capacity_;
  std::chrono::seconds lifetime_;
  std::function<std::chrono::system_clock::time_point()> now_;
  mutable std::mutex lock_;
  std::list<entry> entries_;  // the latest first
  std::map<key, std::list<entry>::iterator> by_key_;
};

}  // namespace comity::tls
