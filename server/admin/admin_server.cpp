#include "server/admin/admin_server.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asio.hpp>
#include <chrono>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "tls/crypto.hpp"

namespace comity::admin {

namespace {

using local = asio::local::stream_protocol;

/// How long accepting rests when the process is out of descriptors (THREATS G4).
constexpr std::chrono::milliseconds pause{100};

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
  state(asio::io_context& c, log::sink& l, runner r, std::filesystem::path p, const admin_limits& most)
      : context{c}, acceptor{c}, rest{c}, log{l}, run{std::move(r)}, path{std::move(p)}, limits{most} {}

  void accept();
  void accept_later();
  void admit(local::socket);

  asio::io_context& context;
  local::acceptor acceptor;
  asio::steady_timer rest;
  log::sink& log;
  runner run;
  std::filesystem::path path;
  admin_limits limits;
  std::size_t open = 0;
  bool over = false;
};

namespace {

class operator_session;

/// What waits to be told, between the threads that tell and the session that writes.
class told_lines final : public progress, public std::enable_shared_from_this<told_lines> {
public:
  told_lines(std::weak_ptr<operator_session> to, asio::io_context& context, std::size_t most)
      : to_{std::move(to)}, context_{context}, most_{most} {}

  fate tell(std::string value) override;
  void when_gone(std::move_only_function<void()> left) override;

  // Control thread:
  [[nodiscard]] std::string take() {
    const std::lock_guard hold{lock_};
    posted_ = false;
    return std::exchange(lines_, {});
  }
  void over(bool operator_left);

private:
  std::weak_ptr<operator_session> to_;
  asio::io_context& context_;
  std::size_t most_;
  std::mutex lock_;
  std::string lines_;
  bool posted_ = false, over_ = false, left_early_ = false;
  std::move_only_function<void()> left_;
};

class operator_session : public std::enable_shared_from_this<operator_session> {
public:
  operator_session(local::socket socket, ::uid_t who, std::shared_ptr<admin_server::state> server)
      : socket_{std::move(socket)}, who_{who}, idle_{server->context}, server_{std::move(server)} {
    ++server_->open;
  }
  ~operator_session() {
    end_of_command(true);
    --server_->open;
  }

  void begin() {
    // Both directions shut: nobody will read an answer that is still being worked on.
    socket_.async_wait(local::socket::wait_error, [self = shared_from_this()](std::error_code aborted) {
      if (!aborted) {
        self->hung_up();
      }
    });
    read();
  }

  /// Something is to be told.
  void write_on() {
    if (writing_ || !socket_.is_open()) {
      return;
    }
    if (told_) {
      output_ = told_->take();
    }
    const bool answered = answer_.has_value();
    if (answered) {
      output_ += *std::exchange(answer_, std::nullopt);
      end_of_command(false);
    }
    if (output_.empty()) {
      return;
    }
    writing_ = true;
    expire();
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this(), answered](std::error_code error, std::size_t /*n*/) {
                        self->idle_.cancel();
                        self->writing_ = false;
                        self->output_.clear();
                        if (error || (answered && self->last_)) {
                          return self->close();
                        }
                        answered ? self->read() : self->write_on();
                      });
  }

private:
  void read() {
    expire();
    asio::async_read_until(socket_, asio::dynamic_buffer(input_, server_->limits.request_bytes), '\n',
                           [self = shared_from_this()](std::error_code error, std::size_t size) {
                             self->idle_.cancel();
                             if (error == asio::error::not_found) {
                               self->last_ = true;
                               return self->write_answer(refusal("the request is too long"));
                             }
                             if (error || self->server_->over) {
                               return self->close();
                             }
                             auto rest = self->input_.substr(size);
                             self->answer(std::exchange(self->input_, std::move(rest)), size - 1);
                           });
  }

  void expire() {
    idle_.expires_after(server_->limits.idle_time);
    idle_.async_wait([self = shared_from_this()](std::error_code aborted) {
      if (!aborted && self->idle_.expiry() <= asio::steady_timer::clock_type::now()) {
        self->close();
      }
    });
  }

  /// The request is the first `size` of these bytes, which go for good: they may hold a password.
  void answer(std::string bytes, std::size_t size) {
    const std::string_view request{bytes.data(), size};
    server_->log.write(log::level::info, "admin.command",
                       {{"command", command_of(request)}, {"uid", static_cast<std::int64_t>(who_)}});
    told_ = std::make_shared<told_lines>(weak_from_this(), server_->context, server_->limits.progress_bytes);
    server_->run(request, told_, [self = shared_from_this()](std::string reply) mutable {
      // From whatever thread had the answer back to this one, and nothing of the session stays there.
      auto& context = self->server_->context;
      asio::post(context, [self = std::move(self), reply = std::move(reply)]() mutable {
        self->write_answer(std::move(reply));
      });
    });
    tls::cleanse(bytes);
    pollfd now{.fd = socket_.native_handle(), .events = 0, .revents = 0};
    if (::poll(&now, 1, 0) == 1 && (now.revents & POLLHUP) != 0) {
      hung_up();  // before anybody waited for it
    }
  }

  void write_answer(std::string reply) {
    answer_ = std::move(reply) + "\n";
    write_on();
  }

  void hung_up() {
    if (told_) {
      close();
    }
  }

  void end_of_command(bool operator_left) {
    if (const auto told = std::exchange(told_, nullptr)) {
      told->over(operator_left);
    }
  }

  void close() {
    std::error_code ignored;
    idle_.cancel();
    socket_.close(ignored);
    end_of_command(true);
  }

  local::socket socket_;
  ::uid_t who_;
  asio::steady_timer idle_;
  std::shared_ptr<admin_server::state> server_;
  std::string input_, output_;
  std::shared_ptr<told_lines> told_;  // of the command that is under way
  std::optional<std::string> answer_;
  bool writing_ = false;
  bool last_ = false;  // nothing is taken after this answer
};

progress::fate told_lines::tell(std::string value) {
  const std::lock_guard hold{lock_};
  if (over_) {
    return fate::gone;
  }
  constexpr std::string_view before = R"({"progress":)", behind = "}\n";
  if (lines_.size() + before.size() + value.size() + behind.size() > most_) {
    return fate::full;
  }
  lines_.append(before).append(value).append(behind);
  if (!std::exchange(posted_, true)) {
    asio::post(context_, [to = to_] {
      if (const auto session = to.lock()) {
        session->write_on();
      }
    });
  }
  return fate::taken;
}

void told_lines::when_gone(std::move_only_function<void()> left) {
  {
    const std::lock_guard hold{lock_};
    if (!over_) {
      left_ = std::move(left);
      return;
    }
    if (!left_early_) {
      return;
    }
  }
  asio::post(context_, std::move(left));
}

void told_lines::over(bool operator_left) {
  std::move_only_function<void()> left;
  {
    const std::lock_guard hold{lock_};
    over_ = true;
    left_early_ = operator_left;
    left = std::exchange(left_, nullptr);
  }
  if (operator_left && left) {
    left();
  }
}

}  // namespace

void admin_server::state::accept() {
  acceptor.async_accept([self = shared_from_this()](std::error_code error, local::socket socket) {
    if (self->over) {
      return;
    }
    if (error) {
      return self->accept_later();
    }
    self->admit(std::move(socket));
    self->accept();
  });
}

void admin_server::state::accept_later() {
  rest.expires_after(pause);
  rest.async_wait([self = shared_from_this()](std::error_code aborted) {
    if (!aborted && !self->over) {
      self->accept();
    }
  });
}

void admin_server::state::admit(local::socket socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  if (known && may_command(peer.uid, ::getuid()) && open < limits.connections) {
    std::make_shared<operator_session>(std::move(socket), peer.uid, shared_from_this())->begin();
  } else {
    log.write(log::level::warn, "admin.refused", {{"uid", static_cast<std::int64_t>(peer.uid)}});
  }
}

void make_folder_of(const std::filesystem::path& socket) {
  std::error_code fault;
  const auto folder = socket.parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder, fault)) {
    std::filesystem::create_directories(folder, fault);
    std::filesystem::permissions(folder, static_cast<std::filesystem::perms>(0750), fault);
  }
}

std::expected<std::unique_ptr<admin_server>, std::string> admin_server::open(asio::io_context& context,
                                                                             const std::filesystem::path& path,
                                                                             log::sink& log, runner run,
                                                                             admin_limits limits) {
  make_folder_of(path);
  std::error_code fault;
  if (std::filesystem::is_socket(path, fault)) {
    if (answered(context, path)) {
      return std::unexpected{"a daemon is running already: it answers on " + path.string()};
    }
    std::filesystem::remove(path, fault);
  }
  auto made = std::make_shared<state>(context, log, std::move(run), path, limits);
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
  state_->rest.cancel();
  std::filesystem::remove(state_->path, ignored);
}

}  // namespace comity::admin
