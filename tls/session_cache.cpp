#include "tls/session_cache.hpp"

#include <openssl/ssl.h>

#include <utility>

namespace comity::tls {

void session::deleter::operator()(ssl_session_st* s) const noexcept {
  SSL_SESSION_free(s);
}

bool session::resumable(std::chrono::system_clock::time_point now) const noexcept {
  const auto made = std::chrono::system_clock::from_time_t(SSL_SESSION_get_time(session_.get()));
  const std::chrono::seconds lifetime{SSL_SESSION_get_timeout(session_.get())};
  return SSL_SESSION_is_resumable(session_.get()) == 1 && now < made + lifetime;
}

bool session::single_use() const noexcept {
  return SSL_SESSION_get_protocol_version(session_.get()) >= TLS1_3_VERSION;
}

session_cache::session_cache(std::size_t capacity, std::chrono::seconds lifetime,
                             std::function<std::chrono::system_clock::time_point()> now)
    : capacity_{capacity}, lifetime_{lifetime}, now_{std::move(now)} {
}

void session_cache::put(const key& k, std::shared_ptr<const session> held) {
  const auto now = now_();
  if (!held || !held->resumable(now)) {
    return;
  }
  const std::lock_guard guard{lock_};
  if (const auto found = by_key_.find(k); found != by_key_.end()) {
    entries_.erase(found->second);
    by_key_.erase(found);
  }
  entries_.push_front({k, std::move(held), now});
  by_key_.emplace(k, entries_.begin());
  if (entries_.size() > capacity_) {
    by_key_.erase(entries_.back().of);
    entries_.pop_back();
  }
}

std::shared_ptr<const session> session_cache::take(const key& k) {
  const auto now = now_();
  const std::lock_guard guard{lock_};
  const auto found = by_key_.find(k);
  if (found == by_key_.end()) {
    return nullptr;
  }
  auto held = found->second->held;
  const bool alive = held->resumable(now) && now < found->second->put + lifetime_;
  if (!alive || held->single_use()) {
    entries_.erase(found->second);
    by_key_.erase(found);
  }
  return alive ? held : nullptr;
}

void session_cache::drop(const key& k) {
  const std::lock_guard guard{lock_};
  if (const auto found = by_key_.find(k); found != by_key_.end()) {
    entries_.erase(found->second);
    by_key_.erase(found);
  }
}

void session_cache::clear() {
  const std::lock_guard guard{lock_};
  by_key_.clear();
  entries_.clear();
}

std::size_t session_cache::size() const {
  const std::lock_guard guard{lock_};
  return entries_.size();
}

}  // namespace comity::tls
