// tests/dns/name_server.hpp: nsd serving the zones of signed_zones.sh on loopback, as a child of the test.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace comity {

class name_server {
public:
  /// Makes the zones and serves them; throws where that fails.
  name_server();
  ~name_server();
  name_server(const name_server&) = delete;
  name_server& operator=(const name_server&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  [[nodiscard]] std::string trust_anchor() const { return (directory_ / "trusted.ds").string(); }
  [[nodiscard]] const std::filesystem::path& directory() const noexcept { return directory_; }

private:
  std::filesystem::path directory_;
  std::uint16_t port_;
  pid_t child_ = -1;
};

}  // namespace comity
