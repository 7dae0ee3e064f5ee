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

constexpr std::size_t connections_limit = 64;
constexpr std::chrono::seconds request_time{10};  // from its first byte to our last
constexpr std::chrono::seconds idle_time{60};

/// What the path of a target is looked up by: everything before the query.
std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

}  // namespace

class connection;

struct http_listener::state : std::enable_shared_from_this<http_listener::state> {
  state(asio::io_context& c, std::map<std::string, handler> r) : acceptor{c}, routes{std::move(r)} {}
  void accept();
  [[nodiscard]] response answer(const request&) const;

  tcp::acceptor acceptor;
  std::map<std::string, handler> routes;
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
    expire_after(idle_time);
    read();
  }
  void close() {
    std::error_code ignored;
    deadline_.cancel();
    socket_.close(ignored);
  }

private:
  void expire_after(std::chrono::seconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([self = shared_from_this()](std::error_code aborted) {
      if (!aborted) {
        self->close();
      }
    });
  }

  void read() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](std::error_code error, std::size_t n) {
      if (error) {
        return self->close();
      }
      if (self->reader_.idle()) {
        self->expire_after(request_time);  // one absolute deadline a request: slow bytes do not move it
      }
      self->input_.append(self->buffer_.data(), n);
      self->work();
    });
  }

  void work() {
    while (!input_.empty()) {
      const auto progress = reader_.feed(input_);
      input_.erase(0, progress.used);
      if (progress.what == request_reader::outcome::need_more) {
        break;
      }
      if (progress.what == request_reader::outcome::refused) {
        response refused{
            .status = reader_.refusal(), .content_type = "text/plain; charset=utf-8", .body = {}, .allow = {}};
        refused.body = std::string{reason_phrase(refused.status)} + "\n";
        if (refused.status == 405) {
          refused.allow = "GET, HEAD";
        }
        return write(serialise(refused, false, false), false);
      }
      const auto& asked = reader_.request();
      return write(serialise(server_->answer(asked), reader_.keep_alive(), asked.method == "HEAD"),
                   reader_.keep_alive());
    }
    read();
  }

  void write(std::string bytes, bool keep_alive) {
    output_ = std::move(bytes);
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this(), keep_alive](std::error_code error, std::size_t /*n*/) {
                        if (error || !keep_alive) {
                          return self->finish();
                        }
                        self->expire_after(idle_time);
                        self->work();  // what was pipelined behind it
                      });
  }

  /// FIN first, so that the answer arrives even where the peer had more to say.
  void finish() {
    std::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    close();
  }

  tcp::socket socket_;
  asio::steady_timer deadline_;
  std::shared_ptr<http_listener::state> server_;
  request_reader reader_;
  std::array<char, 4096> buffer_{};
  std::string input_, output_;
};

void http_listener::state::accept() {
  acceptor.async_accept([self = shared_from_this()](std::error_code error, tcp::socket socket) {
    if (!self->acceptor.is_open()) {
      return;
    }
    if (!error && self->open < connections_limit) {
      auto made = std::make_shared<connection>(std::move(socket), self);
      std::erase_if(self->connections, [](const auto& c) { return c.expired(); });
      self->connections.push_back(made);
      made->begin();
    }
    self->accept();
  });
}

response http_listener::state::answer(const request& asked) const {
  response refused;
  if (asked.method != "GET" && asked.method != "HEAD") {
    refused.status = 405;
    refused.allow = "GET, HEAD";
  } else if (const auto found = routes.find(std::string{path_of(asked.target)}); found != routes.end()) {
    return found->second(asked);
  } else {
    refused.status = 404;
  }
  refused.body = std::string{reason_phrase(refused.status)} + "\n";
  return refused;
}

std::expected<std::unique_ptr<http_listener>, std::string> http_listener::open(asio::io_context& context,
                                                                               const std::string& host,
                                                                               std::uint16_t port,
                                                                               std::map<std::string, handler> routes) {
  auto made = std::make_shared<state>(context, std::move(routes));
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
