#include "dns/dns_relay.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <stdexcept>

namespace comity {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t header = 12;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  return at;
}

bool read_all(int socket, std::span<std::uint8_t> into) {
  while (!into.empty()) {
    const auto got = recv(socket, into.data(), into.size(), 0);
    if (got <= 0) {
      return false;
    }
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

/// A message over TCP, its length before it; empty where it does not come.
std::vector<std::uint8_t> read_framed(int socket) {
  std::array<std::uint8_t, 2> length{};
  if (!read_all(socket, length)) {
    return {};
  }
  std::vector<std::uint8_t> message(static_cast<std::size_t>(length[0] * 256 + length[1]));
  return read_all(socket, message) ? message : std::vector<std::uint8_t>{};
}

void write_framed(int socket, const std::vector<std::uint8_t>& message) {
  std::vector<std::uint8_t> framed{static_cast<std::uint8_t>(message.size() >> 8),
                                   static_cast<std::uint8_t>(message.size() & 0xff)};
  framed.insert(framed.end(), message.begin(), message.end());
  (void)!send(socket, framed.data(), framed.size(), MSG_NOSIGNAL);
}

void limit_waiting(int socket) {
  const timeval two_seconds{.tv_sec = 2, .tv_usec = 0};
  setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &two_seconds, sizeof two_seconds);
}

/// Where the question section of a message ends.
std::size_t question_end(const std::vector<std::uint8_t>& message) {
  std::size_t at = header;
  while (at < message.size() && message[at] != 0) {
    at += message[at] + 1U;
  }
  return at + 5;
}

/// A query has no other record than its OPT, whose "DNSSEC OK" is the first bit of the last two bytes of its TTL.
void ask_for_no_signatures(std::vector<std::uint8_t>& query) {
  const auto opt = question_end(query);
  if (opt + 9 <= query.size()) {
    query[opt + 7] &= 0x7f;
  }
}

/// The question alone, with a response code and whether it is cut short.
std::vector<std::uint8_t> bare(std::vector<std::uint8_t> message, std::uint8_t rcode, bool truncated) {
  message.resize(std::min(question_end(message), message.size()));
  message[2] = static_cast<std::uint8_t>((message[2] | 0x80) & ~0x02);
  if (truncated) {
    message[2] |= 0x02;
  }
  message[3] = static_cast<std::uint8_t>(0x80 | rcode);  // recursion is available
  std::fill(message.begin() + 6, message.begin() + header, std::uint8_t{0});
  return message;
}

}  // namespace

dns_relay::dns_relay(std::uint16_t server_port) : server_port_{server_port}, wake_{eventfd(0, EFD_CLOEXEC)} {
  for (int tries = 0; port_ == 0; ++tries) {  // what is free for UDP may be taken for TCP
    udp_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tcp_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto at = loopback(0);
    socklen_t size = sizeof at;
    if (bind(udp_, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
        getsockname(udp_, reinterpret_cast<sockaddr*>(&at), &size) == 0 &&
        bind(tcp_, reinterpret_cast<sockaddr*>(&at), size) == 0 && listen(tcp_, 64) == 0) {
      port_ = ntohs(at.sin_port);
      break;
    }
    close(udp_);
    close(tcp_);
    if (tries == 100) {
      throw std::runtime_error("the relay has no port");
    }
  }
  thread_ = std::thread{[this] { run(); }};
}

dns_relay::~dns_relay() {
  eventfd_write(wake_, 1);
  thread_.join();
  close(udp_);
  close(tcp_);
  close(wake_);
}

void dns_relay::behave(habit h, std::chrono::milliseconds delay) {
  const std::lock_guard lock{mutex_};
  general_ = {h, delay};
}

void dns_relay::behave(const std::string& name, std::uint16_t type, habit h, std::chrono::milliseconds delay) {
  const std::lock_guard lock{mutex_};
  special_[{name, type}] = {h, delay};
}

int dns_relay::count(const std::string& name, std::uint16_t type) const {
  const std::lock_guard lock{mutex_};
  const auto found = counts_.find({name, type});
  return found == counts_.end() ? 0 : found->second;
}

int dns_relay::count_tcp() const {
  const std::lock_guard lock{mutex_};
  return tcp_count_;
}

dns_relay::conduct dns_relay::noted(const message& query, bool tcp) {
  question asked;
  std::size_t at = header;
  while (at < query.size() && query[at] != 0) {
    asked.first += asked.first.empty() ? "" : ".";
    for (std::size_t i = at + 1; i <= at + query[at] && i < query.size(); ++i) {
      asked.first += static_cast<char>(std::tolower(query[i]));
    }
    at += query[at] + 1U;
  }
  if (at + 2 < query.size()) {
    asked.second = static_cast<std::uint16_t>(query[at + 1] * 256 + query[at + 2]);
  }
  const std::lock_guard lock{mutex_};
  ++counts_[asked];
  tcp_count_ += tcp ? 1 : 0;
  const auto found = special_.find(asked);
  return found == special_.end() ? general_ : found->second;
}

dns_relay::message dns_relay::ask_server(const message& query) const {
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  limit_waiting(server);
  const auto at = loopback(server_port_);
  message got;
  if (connect(server, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) {
    write_framed(server, query);
    got = read_framed(server);
  }
  close(server);
  return got;
}

dns_relay::message dns_relay::answer(message query, habit h, bool tcp) const {
  switch (h) {
    case habit::silent:
      return {};
    case habit::servfail:
      return bare(std::move(query), 2, false);
    case habit::refused:
      return bare(std::move(query), 5, false);
    case habit::truncates:
    case habit::resets:
      if (!tcp) {
        return bare(std::move(query), 0, true);
      }
      if (h == habit::resets) {
        return {};
      }
      break;
    case habit::strips_dnssec:
      ask_for_no_signatures(query);
      break;
    case habit::pass:
    case habit::slow:
    case habit::drops_proofs:
      break;
  }
  auto got = ask_server(query);
  if (got.size() < header) {
    return {};
  }
  if (h == habit::drops_proofs && got[6] == 0 && got[7] == 0) {
    const std::uint8_t rcode = got[3] & 0x0f;
    return bare(std::move(got), rcode, false);
  }
  got[3] |= 0x80;  // as a resolver would: recursion is available
  return !tcp && got.size() > 1232 ? bare(std::move(got), 0, true) : got;
}

void dns_relay::serve_udp() {
  message query(65536);
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const auto got = recvfrom(udp_, query.data(), query.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got < static_cast<ssize_t>(header)) {
    return;
  }
  query.resize(static_cast<std::size_t>(got));
  const auto how = noted(query, false);
  auto reply = answer(std::move(query), how.kind, false);
  if (!reply.empty()) {
    delayed_.push_back({clock::now() + how.delay, std::move(reply), from.sin_addr.s_addr, from.sin_port});
  }
}

void dns_relay::serve_tcp() {
  const int client = accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
  limit_waiting(client);
  if (auto query = read_framed(client); query.size() >= header) {
    const auto how = noted(query, true);
    if (const auto reply = answer(std::move(query), how.kind, true); !reply.empty()) {
      write_framed(client, reply);
    } else if (how.kind == habit::resets) {
      const linger at_once{.l_onoff = 1, .l_linger = 0};
      setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
  }
  close(client);
}

void dns_relay::run() {
  while (true) {
    const auto now = clock::now();
    int wait = -1;
    std::erase_if(delayed_, [&](const delayed& d) {
      if (d.due > now) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(d.due - now).count();
        wait = wait < 0 ? static_cast<int>(left) : std::min(wait, static_cast<int>(left));
        return false;
      }
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = d.to_address;
      to.sin_port = d.to_port;
      sendto(udp_, d.answer.data(), d.answer.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
      return true;
    });
    std::array<pollfd, 3> watched{pollfd{udp_, POLLIN, 0}, pollfd{tcp_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
    poll(watched.data(), watched.size(), wait);
    if ((watched[2].revents & POLLIN) != 0) {
      return;
    }
    if ((watched[0].revents & POLLIN) != 0) {
      serve_udp();
    }
    if ((watched[1].revents & POLLIN) != 0) {
      serve_tcp();
    }
  }
}

}  // namespace comity
