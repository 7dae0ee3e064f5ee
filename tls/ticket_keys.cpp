#include "tls/ticket_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <cstring>
#include <stdexcept>
#include <utility>

namespace comity::tls {

ticket_keys::ticket_keys(std::chrono::seconds lifetime, std::function<clock::time_point()> now)
    : lifetime_{lifetime}, now_{std::move(now)} {
}

ticket_keys::key::~key() {
  OPENSSL_cleanse(name.data(), name.size());
  OPENSSL_cleanse(aes.data(), aes.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

void ticket_keys::rotate() {
  const auto now = now_();
  if (current_ && now - current_->made < lifetime_) {
    return;
  }
  previous_.reset();
  if (current_ && now - current_->made < 2 * lifetime_) {
    previous_ = current_;
  }
  key fresh;
  fresh.made = now;
  if (RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) != 1 ||
      RAND_priv_bytes(fresh.aes.data(), static_cast<int>(fresh.aes.size())) != 1 ||
      RAND_priv_bytes(fresh.mac.data(), static_cast<int>(fresh.mac.size())) != 1) {
    throw std::runtime_error{"OpenSSL cannot give random bytes"};
  }
  current_ = fresh;
}

ticket_keys::key ticket_keys::current() {
  const std::lock_guard lock{lock_};
  rotate();
  return *current_;
}

std::optional<ticket_keys::found> ticket_keys::named(const unsigned char* name) {
  const std::lock_guard lock{lock_};
  rotate();
  if (std::memcmp(current_->name.data(), name, current_->name.size()) == 0) {
    return found{*current_, false};
  }
  if (previous_ && std::memcmp(previous_->name.data(), name, previous_->name.size()) == 0) {
    return found{*previous_, true};
  }
  return std::nullopt;
}

}  // namespace comity::tls
