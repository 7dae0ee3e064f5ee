// tests/dns/dns_relay.hpp: stands between a resolver and a name server, on UDP and TCP of one port of 127.0.0.1, counts
// what is asked, and misbehaves as told. A thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace comity {

class dns_relay {
public:
  enum class habit : std::uint8_t {
    pass,
    silent,  // never answers
    slow,    // after `delay`
    servfail,
    refused,
    strips_dnssec,  // asks for no signatures, so that none come
    drops_proofs,   // answers of no records have nothing but the question
    truncates,      // over UDP says that the answer is only to be had over TCP, and there
    resets,         // closes the connection
  };

  explicit dns_relay(std::uint16_t server_port);
  ~dns_relay();
  dns_relay(const dns_relay&) = delete;
  dns_relay& operator=(const dns_relay&) = delete;

  /// "127.0.0.1@PORT".
  [[nodiscard]] std::string address() const { return "127.0.0.1@" + std::to_string(port_); }

  void behave(habit h, std::chrono::milliseconds delay = {});
  /// For questions about that name and the type of that number alone, before the general habit.
  void behave(const std::string& name, std::uint16_t type, habit h, std::chrono::milliseconds delay = {});
  /// How often that was asked, over UDP and TCP.
  [[nodiscard]] int count(const std::string& name, std::uint16_t type) const;
  [[nodiscard]] int count_tcp() const;

private:
  struct conduct {
    habit kind = habit::pass;
    std::chrono::milliseconds delay{};
  };
  using question = std::pair<std::string, std::uint16_t>;
  using message = std::vector<std::uint8_t>;
  struct delayed {
    std::chrono::steady_clock::time_point due;
    message answer;
    std::uint32_t to_address;
    std::uint16_t to_port;
  };

  void run();
  void serve_udp();
  void serve_tcp();
  [[nodiscard]] conduct noted(const message& query, bool tcp);
  /// What the server answers, and what the habit makes of it; empty for nothing.
  [[nodiscard]] message answer(message query, habit h, bool tcp) const;
  [[nodiscard]] message ask_server(const message& query) const;

  std::uint16_t server_port_;
  std::uint16_t port_ = 0;
  int udp_ = -1;
  int tcp_ = -1;
  int wake_;
  mutable std::mutex mutex_;
  conduct general_;
  std::map<question, conduct> special_;
  std::map<question, int> counts_;
  int tcp_count_ = 0;
  std::vector<delayed> delayed_;
  std::thread thread_;
};

}  // namespace comity
