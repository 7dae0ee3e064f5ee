// tests/bench/load/scram_client.hpp: the client's side of SCRAM-SHA-1 (RFC 5802), without channel binding.
//
// The salted password of one salt is computed once a process: its rounds are no cost of the server's.
#pragma once

#include <string>
#include <string_view>

namespace comity::bench {

[[nodiscard]] std::string base64(std::string_view bytes);

class scram_client {
public:
  scram_client(std::string user, std::string password);
  /// client-first-message, base64.
  [[nodiscard]] std::string first();
  /// client-final-message for the server's challenge, both base64; "" where that makes no sense.
  [[nodiscard]] std::string final(std::string_view challenge);

private:
  std::string user_, password_, nonce_;
};

}  // namespace comity::bench
