#include "server/http/http_listener.hpp"

#include <array>
#include <asio.hpp>
#include <chrono>
#include <list>
#include <utility>

#include "server/http/request_reader.hpp"

namespace comity::http {

namespace {

using asio::ip::tcp;

/// How long accepting rests when the process is out of descriptors (THREATS G4).
constexpr std::chrono::milliseconds pause{100};

/// What a target is looked up by: its path, everything before the query. RFC 9112 §3.2.2: a target in absolute form is
/// taken too, whatever host it names.
std::string_view path_of(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (target.starts_with(scheme)) {
    const auto path = target.find_first_of("/?", scheme.size());
    target = path == std::string_view::npos || target[path] == '?' ? std::string_view{"/"} : target.substr(path);
  }
  return target.substr(0, target.find('?'));
}

response plain(unsigned status) {
  response r;
  r.status = status;
  r.body = std::string{reason_phrase(status)} + "\n";
  if (status == 405) {
    r.allow = "GET, HEAD";
  }
  return r;
}

}  // namespace

class connection;

struct http_listener::state : std::enable_shared_from_this<http_listener::state> {
  state(asio::io_context& c, std::map<std::string, handler> r, const listener_limits& l)
      : acceptor{c}, rest{c}, routes{std::move(r)}, limits{l} {}
  void accept();
  void accept_later();
  [[nodiscard]] response answer(const request&) const;

  tcp::acceptor acceptor;
  asio::steady_timer rest;
  std::map<std::string, handler> routes;
  listener_limits limits;
  std::list<std::weak_ptr<connection>> connections;
  std::size_t open = 0;
};

/// One peer. Lives as long as something is under way for it: each wait holds it.
class connection : public std::enable_shared_from_this<connection> {
public:
  connection(tcp::socket socket, std::shared_ptr<http_listener::state> server)
      : socket_{std::move(socket)}, deadline_{socket_.get_executor()}, server_{std::move(server)} {
    ++server_->open;
  }
  ~connection() { --server_->open; }

  void begin() {
    expire_after(server_->limits.idle_time);
    read();
  }
  void close() {
    std::error_code ignored;
    deadline_.cancel();
    socket_.close(ignored);
  }

private:
  enum class stage : std::uint8_t { reading, writing, lingering };

  void expire_after(std::chrono::milliseconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([self = shared_from_this()](std::error_code aborted) {
      if (!aborted && self->deadline_.expiry() <= asio::steady_timer::clock_type::now()) {
        self->expired();
      }
    });
  }

  /// RFC 9110 §15.5.9: who has begun a request is told, as far as that can be said at once.
  void expired() {
    if (stage_ == stage::reading && !reader_.idle()) {
      std::error_code ignored;
      socket_.non_blocking(true, ignored);
      socket_.write_some(asio::buffer(serialise(plain(408), false, false)), ignored);
    }
    close();
  }

  void read() {
    stage_ = stage::reading;
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](std::error_code error, std::size_t n) {
      if (error) {
        return self->close();
      }
      if (self->reader_.idle()) {
        self->expire_after(self->server_->limits.request_time);  // slow bytes do not move it
      }
      self->input_.append(self->buffer_.data(), n);
      self->work();
    });
  }

  void work() {
    if (input_.empty()) {
      return read();
    }
    const auto progress = reader_.feed(input_);
    input_.erase(0, progress.used);
    const auto& asked = reader_.request();
    switch (progress.what) {
      case request_reader::outcome::need_more:
        return read();
      case request_reader::outcome::refused:
        return write(serialise(plain(reader_.refusal()), false, asked.method == "HEAD"), false);
      case request_reader::outcome::complete:
        return write(serialise(server_->answer(asked), reader_.keep_alive(), asked.method == "HEAD"),
                     reader_.keep_alive());
    }
  }

  void write(std::string bytes, bool keep_alive) {
    stage_ = stage::writing;
    output_ = std::move(bytes);
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this(), keep_alive](std::error_code error, std::size_t /*n*/) {
                        if (error) {
                          return self->close();
                        }
                        if (!keep_alive) {
                          return self->finish();
                        }
                        const auto& limits = self->server_->limits;
                        self->expire_after(self->input_.empty() ? limits.idle_time : limits.request_time);
                        self->work();  // what was pipelined behind it
                      });
  }

  /// RFC 9112 §9.6: FIN, and the peer's words are read on until it closes too, lest a reset takes our answer from it.
  void finish() {
    std::error_code ignored;
    stage_ = stage::lingering;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    expire_after(server_->limits.linger_time);
    drop();
  }

  void drop() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](std::error_code error, std::size_t) {
      error ? self->close() : self->drop();
    });
  }

  tcp::socket socket_;
  asio::steady_timer deadline_;
  std::shared_ptr<http_listener::state> server_;
  stage stage_ = stage::reading;
  request_reader reader_;
  std::array<char, 4096> buffer_{};
  std::string input_, output_;
};

void http_listener::state::accept() {
  acceptor.async_accept([self = shared_from_this()](std::error_code error, tcp::socket socket) {
    if (!self->acceptor.is_open()) {
      return;
    }
    if (error) {
      return self->accept_later();
    }
    if (self->open < self->limits.connections) {
      auto made = std::make_shared<connection>(std::move(socket), self);
      std::erase_if(self->connections, [](const auto& c) { return c.expired(); });
      self->connections.push_back(made);
      made->begin();
    }
    self->accept();
  });
}

void http_listener::state::accept_later() {
  rest.expires_after(pause);
  rest.async_wait([self = shared_from_this()](std::error_code aborted) {
    if (!aborted && self->acceptor.is_open()) {
      self->accept();
    }
  });
}

response http_listener::state::answer(const request& asked) const {
  if (asked.method != "GET" && asked.method != "HEAD") {
    return plain(405);
  }
  const auto found = routes.find(std::string{path_of(asked.target)});
  return found != routes.end() ? found->second(asked) : plain(404);
}

std::expected<std::unique_ptr<http_listener>, std::string> http_listener::open(asio::io_context& context,
                                                                               const std::string& host,
                                                                               std::uint16_t port,
                                                                               std::map<std::string, handler> routes,
                                                                               listener_limits limits) {
  auto made = std::make_shared<state>(context, std::move(routes), limits);
  std::error_code error;
  const auto address = asio::ip::make_address(host, error);
  const tcp::endpoint endpoint{address, port};
  if (!error) {
    made->acceptor.open(endpoint.protocol(), error);
  }
  if (!error) {
    made->acceptor.set_option(tcp::acceptor::reuse_address{true}, error);
  }
  if (!error) {
    made->acceptor.bind(endpoint, error);
  }
  if (!error) {
    made->acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    return std::unexpected{error.message()};
  }
  made->accept();
  return std::unique_ptr<http_listener>{new http_listener{std::move(made)}};
}

http_listener::http_listener(std::shared_ptr<state> s) noexcept : state_{std::move(s)} {
}

http_listener::~http_listener() {
  std::error_code ignored;
  state_->acceptor.close(ignored);
  state_->rest.cancel();
  for (const auto& weak : state_->connections) {
    if (const auto c = weak.lock()) {
      c->close();
    }
  }
}

std::uint16_t http_listener::port() const noexcept {
  std::error_code ignored;
  return state_->acceptor.local_endpoint(ignored).port();
}

}  // namespace comity::http
