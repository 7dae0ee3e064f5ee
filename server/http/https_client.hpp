// server/http/https_client.hpp: the fetcher over libcurl: one thread, many transfers, each bounded in size and time.
// Thread and libcurl come with the first call.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>

#include "server/http/fetcher.hpp"

namespace comity::server::http {

class https_client final : public fetcher {
public:
  struct settings {
    std::filesystem::path ca_file;                    // PEM; "": the system's authorities
    std::chrono::milliseconds timeout{10'000};        // of a transfer, whole
    std::size_t body_bytes = std::size_t{64} * 1024;  // a longer answer is an error
    std::size_t transfers = 32;                       // at once; more wait
    std::size_t waiting = 1000;                       // more fail at once
  };
  explicit https_client(settings);
  /// Ends its thread; what is under way is dropped.
  ~https_client() override;
  https_client(const https_client&) = delete;
  https_client& operator=(const https_client&) = delete;

  void get(https_url what, std::vector<dns::address> at, completion done) override;
  void post(std::move_only_function<void()> work) override;
  /// For transfers that begin from now on. Any thread.
  void ca_file(std::filesystem::path);

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::server::http
