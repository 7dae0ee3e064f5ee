#include "server/http/http_listener.hpp"

#include <unistd.h>

#include <utility>

#include "connection/listener.hpp"

namespace comity::http {

std::expected<std::unique_ptr<http_listener>, std::string> http_listener::open(
    collaborators with, const std::string& host, std::uint16_t port, std::map<std::string, handler, std::less<>> paths,
    listener_limits limits) {
  std::unique_ptr<http_listener> made{new http_listener{with.loop}};
  auto served = std::make_shared<const site>(
      site{.paths = std::move(paths), .limits = limits.each, .proxies = {}, .upgraded = {}});
  auto opened =
      connection::listener::open({with.loop, made->addresses_, with.log}, host, port, {},
                                 [self = made.get(), &log = with.log, most = limits.connections,
                                  served = std::move(served)](connection::accepted_socket socket) {
                                   if (self->connections_.size() < most) {
                                     serve_http({self->connections_, self->addresses_, log}, served, std::move(socket));
                                   } else {
                                     ::close(socket.descriptor);
                                   }
                                 });
  if (!opened) {
    return std::unexpected{std::move(opened.error())};
  }
  made->listener_ = std::move(*opened);
  made->listener_->start();
  return made;
}

http_listener::http_listener(connection::loop& l)
    : addresses_{connection::ip_limits::unlimited, connection::ip_limits::unlimited}, connections_{l} {
}

http_listener::~http_listener() {
  listener_.reset();
  connections_.clear();
}

std::uint16_t http_listener::port() const noexcept {
  return listener_->port();
}

}  // namespace comity::http
