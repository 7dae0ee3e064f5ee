// tests/bench/floor.cpp: comity-bench-floor, the least that a server of TLS connections can cost.
//
// A single-threaded epoll and OpenSSL relay that knows nothing of XMPP. A connection's first line, "room NAME", says
// whom its bytes are for; from then on each record that is read is written to all others of that room: one read, one
// decrypt, and an encrypt and a write for each recipient. Compared servers stand above this by what they do themselves.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/wire/poller.hpp"
#include "bench/wire/tls_socket.hpp"

namespace comity::bench {
namespace {

constexpr std::size_t buffer_bytes = 32UL * 1024UL;
constexpr int backlog = 4096;

class relayed;

struct floor_server {
  poller sockets;
  tls_context context;
  std::array<char, buffer_bytes> buffer{};
  std::unordered_map<std::string, std::vector<relayed*>> rooms;
  std::unordered_map<relayed*, std::unique_ptr<relayed>> all;
  std::vector<std::unique_ptr<relayed>> gone;  // destroyed after the turn
};

class relayed final : public pollable {
public:
  relayed(floor_server& server, int descriptor) : server_{server}, tls_{server.context.get(), descriptor, true} {
    server.sockets.add(descriptor, *this, false);
  }

  void ready(bool readable, bool writable) override {
    if (writable && established_ && !tls_.flush()) {
      return leave();
    }
    if (!established_) {
      const auto stepped = tls_.handshake();
      if (stepped != tls_socket::status::done) {
        return stepped == tls_socket::status::again ? want() : leave();
      }
      established_ = true;
    }
    do {
      std::size_t count = 0;
      const auto got = tls_.read(server_.buffer, count);
      if (got == tls_socket::status::closed) {
        return leave();
      }
      if (got == tls_socket::status::done) {
        take({server_.buffer.data(), count});
      }
      readable = got == tls_socket::status::done;
    } while (readable && tls_.more());
    want();
  }

private:
  void take(std::string_view bytes) {
    if (room_ == nullptr) {
      line_ += bytes;
      const auto end = line_.find('\n');
      if (end != std::string::npos) {
        room_ = &server_.rooms[line_.substr(0, end)];
        line_ = {};
        room_->push_back(this);
      }
      return;
    }
    for (auto* other : *room_) {
      if (other != this) {
        other->tls_.write(bytes);
        other->want();
      }
    }
  }

  void want() {
    if (tls_.wants_write() != waits_) {
      waits_ = !waits_;
      server_.sockets.change(tls_.descriptor(), *this, waits_);
    }
  }

  void leave() {
    server_.sockets.remove(tls_.descriptor(), *this);
    if (room_ != nullptr) {
      std::erase(*room_, this);
    }
    const auto self = server_.all.find(this);
    server_.gone.push_back(std::move(self->second));
    server_.all.erase(self);
  }

  floor_server& server_;
  tls_socket tls_;
  std::string line_;
  std::vector<relayed*>* room_ = nullptr;
  bool established_ = false;
  bool waits_ = false;
};

class acceptor final : public pollable {
public:
  acceptor(floor_server& server, int descriptor) : server_{server}, descriptor_{descriptor} {
    server.sockets.add(descriptor, *this, false);
  }
  void ready(bool /*readable*/, bool /*writable*/) override {
    for (;;) {
      const int accepted = ::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (accepted < 0) {
        return;
      }
      const int on = 1;
      ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto made = std::make_unique<relayed>(server_, accepted);
      auto* key = made.get();
      server_.all.emplace(key, std::move(made));
    }
  }

private:
  floor_server& server_;
  int descriptor_;
};

int listen_on(std::uint16_t port) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (s < 0 || ::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(s, backlog) != 0) {
    std::perror("comity-bench-floor");
    std::exit(1);
  }
  return s;
}

}  // namespace
}  // namespace comity::bench

int main(int count, char** words) {
  using namespace comity::bench;
  const std::span<char*> given{words, static_cast<std::size_t>(count)};
  if (given.size() != 4) {
    std::fputs("usage: comity-bench-floor PORT CERTIFICATE KEY\n", stderr);
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  floor_server server;
  server.context = server_context(given[2], given[3]);
  const acceptor listener{server, listen_on(static_cast<std::uint16_t>(std::stoul(given[1])))};
  std::puts("serving");
  std::fflush(stdout);
  for (;;) {
    server.sockets.turn(std::chrono::seconds{1});
    server.gone.clear();
  }
}
