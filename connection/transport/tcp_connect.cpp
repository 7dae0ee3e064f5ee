#include "connection/transport/tcp_connect.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <asio.hpp>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "connection/transport/tcp_options.hpp"

namespace comity::connection {

namespace {

tcp_connect::failure failure_of(int error) {
  tcp_connect::failure f;
  f.text = std::generic_category().message(error);
  if (error == ECONNREFUSED) {
    f.cause = cause::tcp_refused;
  } else if (error == ETIMEDOUT) {
    f.cause = cause::tcp_timeout;
  } else if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
    f.cause = cause::internal;
  }
  return f;
}

socklen_t to_system(const dns::address& address, std::uint16_t port, sockaddr_storage& out) {
  const auto bytes = address.bytes();
  if (address.v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, bytes.data(), bytes.size());
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

}  // namespace

std::string endpoint_text(const dns::address& address, std::uint16_t port) {
  const auto host = address.v4() ? address.text() : "[" + address.text() + "]";
  return host + ":" + std::to_string(port);
}

struct tcp_connect::state : std::enable_shared_from_this<tcp_connect::state> {
  // Shared because the wait that a destroyed tcp_connect leaves behind still calls back once.
  state(connection::loop& l, completion d) : loop{l}, descriptor{l.context()}, done{std::move(d)} {}

  void begin(const dns::address& address, std::uint16_t port) {
    const int socket = ::socket(address.v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket < 0) {
      return end_later(std::unexpected{failure_of(errno)});
    }
    descriptor.assign(socket);
    set_tcp_options(socket);
    sockaddr_storage to{};
    const auto size = to_system(address, port, to);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&to), size) != 0 && errno != EINPROGRESS) {
      return end_later(std::unexpected{failure_of(errno)});
    }
    descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                          [self = shared_from_this()](std::error_code) { self->settle(); });
  }

  void settle() {
    if (!done) {
      return;  // called off
    }
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(descriptor.native_handle(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
      error = errno;
    }
    if (error != 0) {
      return end(std::unexpected{failure_of(error)});
    }
    end(descriptor.release());
  }

  void end_later(std::expected<int, failure> result) {
    loop.post([self = shared_from_this(), result = std::move(result)]() mutable {
      if (self->done) {
        self->end(std::move(result));
      }
    });
  }

  void end(std::expected<int, failure> result) { std::exchange(done, nullptr)(std::move(result)); }

  connection::loop& loop;
  asio::posix::stream_descriptor descriptor;
  completion done;
};

tcp_connect::tcp_connect(loop& l, const dns::address& address, std::uint16_t port, completion done)
    : state_{std::make_shared<state>(l, std::move(done))} {
  state_->begin(address, port);
}

tcp_connect::~tcp_connect() {
  state_->done = nullptr;
  std::error_code ignored;
  state_->descriptor.close(ignored);
}

}  // namespace comity::connection
