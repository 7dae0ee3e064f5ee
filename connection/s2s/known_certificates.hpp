// connection/s2s/known_certificates.hpp: which certificates each remote domain has shown, so that an operator is told
// when one changes (RFC 7590 §3.6; L11). In memory only. Any thread; asked once a stream.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "connection/keyed_hash.hpp"
#include "connection/vocabulary.hpp"

namespace comity::connection {

class known_certificates {
public:
  /// Of one domain; a service on several machines may have several, and changes between those are no news.
  static constexpr std::size_t of_one_domain = 4;

  /// Remembers `domains` of them, those seen last.
  explicit known_certificates(std::size_t domains = 10'000) noexcept : limit_{domains} {}

  /// A peer has proven to be `domain` and shown the certificate with that fingerprint. The one seen before, where that
  /// was another and this one is new.
  [[nodiscard]] std::optional<std::string> seen(const std::string& domain, direction, const std::string& fingerprint);
  [[nodiscard]] std::size_t size() const;

private:
  struct entry {
    std::string key;
    std::vector<std::string> fingerprints;  // the latest first
  };
  std::size_t limit_;
  mutable std::mutex lock_;
  std::list<entry> entries_;  // the latest first
  std::unordered_map<std::string, std::list<entry>::iterator, keyed_hash> by_key_;
};

}  // namespace comity::connection
