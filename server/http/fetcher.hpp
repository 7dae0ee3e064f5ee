// server/http/fetcher.hpp: gets a document over HTTPS, as an interface, so that who needs one can be tested without.
//
// It has a thread of its own, on which its answers come and on which whoever uses it may run work: state that only that
// thread touches needs no lock.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/answer.hpp"

namespace comity::server::http {

/// An absolute https: URL without user, password or fragment.
struct https_url {
  std::string text;  // as it is to be asked for
  std::string host;  // in A-labels, or an address without brackets
  std::uint16_t port = 443;
};
[[nodiscard]] std::optional<https_url> parse_https_url(std::string_view text);

struct fetched {
  unsigned status = 0;        // 0: there was no answer, `error` says why
  std::string body = {};      // whole, or the answer is an error
  std::string location = {};  // of a redirect, absolute
  std::string error = {};     // one line
};

class fetcher {
public:
  using completion = std::move_only_function<void(fetched)>;
  virtual ~fetcher() = default;
  /// Gets `what`, connecting to those addresses and no others; the certificate is verified for the host (RFC 2818).
  /// Follows no redirect. `done` runs on the fetcher's thread, once; not at all when the fetcher ends first. Any
  /// thread.
  virtual void get(https_url what, std::vector<dns::address> at, completion done) = 0;
  /// Runs `work` on the fetcher's thread, never at once. Any thread; dropped once the fetcher has ended.
  virtual void post(std::move_only_function<void()> work) = 0;
};

}  // namespace comity::server::http
