// tls/ticket_keys.hpp: the keys that session tickets are sealed with (RFC 5077 §4), changed often and then destroyed.
//
// A new key is made every `lifetime`; the one before it still opens tickets for as long again, and is then overwritten
// (RFC 9325 §3.4). One set serves all contexts, so sessions resume across hosts' reloads. Any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>

namespace comity::tls {

class ticket_keys {
public:
  using clock = std::chrono::steady_clock;
  /// Overwritten when it goes.
  struct key {
    key() = default;
    key(const key&) = default;
    key& operator=(const key&) = default;
    ~key();
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> aes{};
    std::array<unsigned char, 32> mac{};
    clock::time_point made;
  };

  explicit ticket_keys(
      std::chrono::seconds lifetime = std::chrono::hours{12},
      std::function<clock::time_point()> now = [] { return clock::now(); });
  ticket_keys(const ticket_keys&) = delete;
  ticket_keys& operator=(const ticket_keys&) = delete;

  /// The key that new tickets are sealed with.
  [[nodiscard]] key current();
  /// The key of that name, where it still opens tickets; `renew` where a newer one is there to seal with.
  struct found {
    tls::ticket_keys::key key;
    bool renew = false;
  };
  [[nodiscard]] std::optional<found> named(const unsigned char* name);

private:
  void rotate();
  std::chrono::seconds lifetime_;
  std::function<clock::time_point()> now_;
  std::mutex lock_;
  std::optional<key> current_, previous_;
};

}  // namespace comity::tls
