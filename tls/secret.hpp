// tls/secret.hpp: bytes that nobody is to see: passwords, keys, and what logs in like them (THREATS §3).
//
// It can be neither printed nor formatted nor taken for a string: who needs the bytes says reveal(). They are
// overwritten where they were when it goes, is moved from or is given others, in a way that no compiler leaves out.
// Copies are as careful. Any thread, as a string.
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "tls/crypto.hpp"

namespace comity::tls {

class secret {
public:
  secret() = default;
  /// Takes the bytes of a string that is given up, which is overwritten.
  template <std::same_as<std::string> String>
  explicit secret(String&& bytes) noexcept : bytes_{std::forward<String>(bytes)} {
    cleanse(bytes);
  }
  explicit secret(std::string_view bytes) : bytes_{bytes} {}
  secret(const secret&) = default;
  secret(secret&& other) noexcept : bytes_{std::move(other.bytes_)} { cleanse(other.bytes_); }
  secret& operator=(secret other) noexcept {
    cleanse(bytes_);
    bytes_ = std::move(other.bytes_);
    return *this;
  }
  ~secret() { cleanse(bytes_); }

  /// Borrowed: whoever copies them has to see to the copy.
  [[nodiscard]] std::string_view reveal() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }

  /// Takes as long wherever they differ.
  friend bool operator==(const secret& a, const secret& b) noexcept { return equal_constant_time(a.bytes_, b.bytes_); }

private:
  std::string bytes_;
};

}  // namespace comity::tls
