#include "connection/s2s/known_certificates.hpp"

#include <algorithm>

namespace comity::connection {

std::optional<std::string> known_certificates::seen(const std::string& domain, direction d,
                                                    const std::string& fingerprint) {
  // What a domain shows to those it calls and to its callers may well be two certificates.
  const auto key = std::string{to_string(d)} + ' ' + domain;
  const std::lock_guard hold{lock_};
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    if (entries_.size() >= limit_) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
    entries_.push_front({key, {fingerprint}});
    by_key_.emplace(key, entries_.begin());
    return std::nullopt;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  auto& known = entries_.front().fingerprints;
  const auto at = std::ranges::find(known, fingerprint);
  if (at != known.end()) {
    std::rotate(known.begin(), at, at + 1);
    return std::nullopt;
  }
  auto before = known.front();
  known.insert(known.begin(), fingerprint);
  if (known.size() > of_one_domain) {
    known.pop_back();
  }
  return before;
}

std::size_t known_certificates::size() const {
  const std::lock_guard hold{lock_};
  return entries_.size();
}

}  // namespace comity::connection
