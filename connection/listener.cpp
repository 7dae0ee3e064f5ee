#include "connection/listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <asio.hpp>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "connection/memory_reserve.hpp"
#include "connection/timer_wheel.hpp"
#include "connection/transport/ip_endpoint.hpp"
#include "connection/transport/tcp_connect.hpp"
#include "connection/transport/tcp_options.hpp"

namespace comity::connection {

namespace {

constexpr int backlog = 4096;
constexpr unsigned accepts_a_turn = 64;
/// How long accepting rests when the process is out of descriptors.
constexpr std::chrono::milliseconds pause{100};

/// Where descriptors are short this takes none, and no memory beyond the text.
std::string reason(int error) {
  const char* const known = ::strerrordesc_np(error);
  return known != nullptr ? known : "error " + std::to_string(error);
}

}  // namespace

struct listener::state : std::enable_shared_from_this<listener::state> {
  // Shared because a wait that close() cancels still calls back once.
  state(collaborators w, int socket, route u, taker t, std::vector<address_block> p)
      : with{w},
        descriptor{w.loop.context(), socket},
        rest{w.loop.context()},
        usual{u},
        take{std::move(t)},
        proxies{std::move(p)} {}

  void wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](std::error_code error) {
                            if (!error && self->descriptor.is_open()) {
                              self->accept();
                            }
                          });
  }

  /// THREATS X13: without memory it tries again; what nobody has taken waits in the backlog.
  void accept() {
    try {
      accept_ready();
    } catch (const std::exception&) {
      with.loop.arm(later, timer_wheel::clock::now() + pause);
    }
  }

  void accept_ready() {
    if (memory_is_short()) {
      return rest_a_while(ENOMEM);
    }
    for (unsigned turn = 0; turn < accepts_a_turn; ++turn) {
      sockaddr_storage from{};
      const int socket = next(from);
      if (socket < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          return rest_a_while(errno);
        }
        if (errno == ECONNABORTED || errno == EINTR) {
          continue;
        }
        break;  // nothing left to accept
      }
      admit(socket, from);
    }
    paused = false;
    wait();
  }

  int next(sockaddr_storage& from) {
    socklen_t size = sizeof from;
    return ::accept4(descriptor.native_handle(), reinterpret_cast<sockaddr*>(&from), &size,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
  }

  void admit(int socket, const sockaddr_storage& from) {
    const auto client = from_system(from);
    if (!client) {
      ::close(socket);
      return;
    }
    const bool proxy = std::ranges::any_of(proxies, [&](const auto& b) { return b.contains(client->ip.bytes()); });
    auto permit = proxy ? ip_limits::permit{} : with.limits.admit(ip_limits::key_of(client->ip));
    if (!permit) {
      return refuse(socket, *client, permit.error());
    }
    take({.descriptor = socket,
          .address = endpoint_text(client->ip, client->port),
          .method = usual.method,
          .permit = std::move(*permit),
          .ip = client->ip});
  }

  /// RFC 6120 §13.12: before a stream exists, so there is nobody to tell (XEP-0205).
  void refuse(int socket, const ip_endpoint& client, rejection why) {
    with.loop.metrics().rejected(usual.scope, why);
    with.log.write(log::level::debug, usual.scope == scope::c2s ? "c2s.rejected" : "s2s.rejected",
                   {{"address", endpoint_text(client.ip, client.port)}, {"cause", to_string(why)}});
    ::close(socket);
  }

  void close() {
    if (!descriptor.is_open()) {
      return;
    }
    rest.cancel();
    later.cancel();
    // The system would reset these without a word of who they were.
    sockaddr_storage from{};
    for (int socket = next(from); socket >= 0; socket = next(from)) {
      if (const auto client = from_system(from)) {
        refuse(socket, *client, rejection::draining);
      } else {
        ::close(socket);
      }
    }
    std::error_code ignored;
    descriptor.close(ignored);
  }

  void rest_a_while(int error) {
    if (!std::exchange(paused, true)) {
      with.log.write(log::level::error, "listener.paused", {{"detail", reason(error)}});
    }
    rest.expires_after(pause);
    rest.async_wait([self = shared_from_this()](std::error_code aborted) {
      if (!aborted && self->descriptor.is_open()) {
        self->accept();
      }
    });
  }

  struct retry final : timer_wheel::entry {
    explicit retry(state& s) : again{s} {}
    void expired() override { again.accept(); }
    state& again;
  };

  collaborators with;
  retry later{*this};
  asio::posix::stream_descriptor descriptor;
  asio::steady_timer rest;
  route usual;
  taker take;
  std::vector<address_block> proxies;
  bool paused = false;
};

std::expected<std::unique_ptr<listener>, std::string> listener::open(collaborators with, const std::string& host,
                                                                     std::uint16_t port, route usual, taker take,
                                                                     std::vector<address_block> proxies) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int fault = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); fault != 0) {
    return std::unexpected{std::string{::gai_strerror(fault)}};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> address{found, &::freeaddrinfo};
  const int socket = ::socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) {
    return std::unexpected{reason(errno)};
  }
  const int on = 1;
  const int off = 0;
  (void)::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->ai_family == AF_INET6) {
    (void)::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  set_tcp_options(socket);  // what is accepted inherits them
  if (::bind(socket, address->ai_addr, address->ai_addrlen) != 0 || ::listen(socket, backlog) != 0) {
    const int error = errno;
    ::close(socket);
    return std::unexpected{reason(error)};
  }
  return std::unique_ptr<listener>{
      new listener{std::make_shared<state>(with, socket, usual, std::move(take), std::move(proxies))}};
}

listener::listener(std::shared_ptr<state> s) noexcept : state_{std::move(s)} {
}

listener::~listener() {
  close();
}

void listener::start() {
  state_->wait();
}

void listener::proxies(std::vector<address_block> p) {
  state_->proxies = std::move(p);
}

void listener::close() {
  state_->close();
}

std::uint16_t listener::port() const noexcept {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(state_->descriptor.native_handle(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return 0;
  }
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

}  // namespace comity::connection
