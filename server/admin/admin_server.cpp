#include "server/admin/admin_server.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asio.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "tls/crypto.hpp"

namespace comity::admin {

namespace {

using local = asio::local::stream_protocol;

constexpr std::size_t request_limit = 64U * 1024U;
constexpr std::chrono::seconds idle_time{60};
constexpr std::size_t connections_limit = 32;

/// The command's name alone: arguments may hold a password.
std::string command_of(std::string_view request) {
  const auto j = nlohmann::json::parse(request, nullptr, false);
  return j.is_object() && j.contains("command") && j["command"].is_string() ? j["command"].get<std::string>()
                                                                            : std::string{};
}

/// Whether somebody answers on that socket.
bool answered(asio::io_context& context, const std::filesystem::path& path) {
  local::socket probe{context};
  std::error_code fault;
  probe.connect(local::endpoint{path.native()}, fault);
  return !fault;
}

}  // namespace

struct admin_server::state : std::enable_shared_from_this<admin_server::state> {
  state(asio::io_context& c, log::sink& l, runner r, std::filesystem::path p)
      : context{c}, acceptor{c}, log{l}, run{std::move(r)}, path{std::move(p)} {}

  void accept();

  asio::io_context& context;
  local::acceptor acceptor;
  log::sink& log;
  runner run;
  std::filesystem::path path;
  std::size_t open = 0;
  bool over = false;
};

namespace {

class operator_session : public std::enable_shared_from_this<operator_session> {
public:
  operator_session(local::socket socket, ::uid_t who, std::shared_ptr<admin_server::state> server)
      : socket_{std::move(socket)}, who_{who}, idle_{server->context}, server_{std::move(server)} {
    ++server_->open;
  }
  ~operator_session() { --server_->open; }

  void read() {
    idle_.expires_after(idle_time);
    idle_.async_wait([self = shared_from_this()](std::error_code aborted) {
      if (!aborted) {
        self->close();
      }
    });
    asio::async_read_until(socket_, asio::dynamic_buffer(input_, request_limit), '\n',
                           [self = shared_from_this()](std::error_code error, std::size_t size) {
                             self->idle_.cancel();
                             if (error == asio::error::not_found) {
                               return self->write(refusal("a request is at most 64 KiB"), false);
                             }
                             if (error || self->server_->over) {
                               return self->close();
                             }
                             auto request = self->input_.substr(0, size - 1);
                             self->input_.erase(0, size);
                             self->answer(std::move(request));
                           });
  }

private:
  void answer(std::string request) {
    server_->log.write(log::level::info, "admin.command",
                       {{"command", command_of(request)}, {"uid", static_cast<std::int64_t>(who_)}});
    server_->run(request, [self = shared_from_this()](std::string reply) {
      // From whatever thread had the answer back to this one.
      asio::post(self->server_->context, [self, reply = std::move(reply)] { self->write(reply, true); });
    });
    tls::cleanse(request);  // it may have carried a password
  }

  void write(const std::string& reply, bool go_on) {
    output_ = reply + "\n";
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this(), go_on](std::error_code error, std::size_t /*n*/) {
                        error || !go_on ? self->close() : self->read();
                      });
  }

  void close() {
    std::error_code ignored;
    idle_.cancel();
    socket_.close(ignored);
  }

  local::socket socket_;
  ::uid_t who_;
  asio::steady_timer idle_;
  std::shared_ptr<admin_server::state> server_;
  std::string input_, output_;
};

}  // namespace

void admin_server::state::accept() {
  acceptor.async_accept([self = shared_from_this()](std::error_code error, local::socket socket) {
    if (self->over) {
      return;
    }
    if (!error) {
      ucred peer{};
      socklen_t size = sizeof peer;
      if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
          may_command(peer.uid, ::getuid()) && self->open < connections_limit) {
        std::make_shared<operator_session>(std::move(socket), peer.uid, self)->read();
      } else {
        self->log.write(log::level::warn, "admin.refused", {{"uid", static_cast<std::int64_t>(peer.uid)}});
      }
    }
    self->accept();
  });
}

std::expected<std::unique_ptr<admin_server>, std::string> admin_server::open(asio::io_context& context,
                                                                             const std::filesystem::path& path,
                                                                             log::sink& log, runner run) {
  std::error_code fault;
  const auto folder = path.parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder, fault)) {
    std::filesystem::create_directories(folder, fault);
    std::filesystem::permissions(folder, static_cast<std::filesystem::perms>(0750), fault);
  }
  if (std::filesystem::is_socket(path, fault)) {
    if (answered(context, path)) {
      return std::unexpected{"a daemon is running already: it answers on " + path.string()};
    }
    std::filesystem::remove(path, fault);
  }
  auto made = std::make_shared<state>(context, log, std::move(run), path);
  std::error_code error;
  made->acceptor.open(local{}, error);
  if (!error) {
    const auto before = ::umask(0177);  // the socket appears with mode 0600 and never with another
    made->acceptor.bind(local::endpoint{path.native()}, error);
    ::umask(before);
  }
  if (!error) {
    made->acceptor.listen(asio::socket_base::max_listen_connections, error);
  }
  if (error) {
    return std::unexpected{"cannot open the admin socket " + path.string() + ": " + error.message()};
  }
  made->accept();
  return std::unique_ptr<admin_server>{new admin_server{std::move(made)}};
}

admin_server::admin_server(std::shared_ptr<state> s) noexcept : state_{std::move(s)} {
}

admin_server::~admin_server() {
  std::error_code ignored;
  state_->over = true;
  state_->acceptor.close(ignored);
  std::filesystem::remove(state_->path, ignored);
}

}  // namespace comity::admin
