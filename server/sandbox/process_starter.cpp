#include "server/sandbox/process_starter.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <string_view>
#include <system_error>
#include <utility>

#include "server/sandbox/call_filter.hpp"

namespace comity::sandbox {
namespace {

/// What the daemon asks for: a process, or that one ends.
struct request {
  enum class what : std::uint32_t { start, end } asked = what::start;
  pid_t process = 0;
};
/// What it is told: the process and, beside it, the socket; or how it ended, as wait(2) has it.
struct result {
  pid_t process = 0;
  int error = 0;
  int status = 0;
};

constexpr int parent_end = 0, child_end = 1;

// --- in the process that starts others -----------------------------------------------------------------------------

/// Nothing of the daemon's is open in it: from resolver_socket + 1 on all are closed, and what is below says nothing. A
/// sanitizer's report still goes to where the daemon's would.
[[noreturn]] void become_resolver(int socket, pid_t starter) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != starter) {
    ::_exit(1);
  }
  // Out of the way first: what is put in its place may be this very number.
  const int safe = ::fcntl(socket, F_DUPFD, resolver_socket + 1);
  const int nothing = ::open("/dev/null", O_RDWR);
  for (int to = 0; to <= STDERR_FILENO; ++to) {
    if (to != STDERR_FILENO || confinable()) {
      (void)::dup2(nothing, to);
    }
  }
  if (::dup2(safe, resolver_socket) != resolver_socket ||
      ::syscall(SYS_close_range, static_cast<unsigned>(resolver_socket) + 1, ~0U, 0) != 0) {
    ::_exit(1);
  }
  std::array<std::string, 2> words{"comityd", resolver_argument};
  std::array<char*, 3> arguments{words[0].data(), words[1].data(), nullptr};
  std::array<char*, 1> environment{nullptr};
  (void)::execve("/proc/self/exe", arguments.data(), confinable() ? environment.data() : environ);
  ::_exit(1);
}

void answer(int socket, const result& r, int passed) {
  iovec part{.iov_base = const_cast<result*>(&r), .iov_len = sizeof r};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (passed >= 0) {
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    auto* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  }
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL);
}

void start_one(int socket) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    answer(socket, {.process = 0, .error = errno, .status = 0}, -1);
    return;
  }
  const auto self = ::getpid();
  const auto made = ::fork();
  if (made == 0) {
    become_resolver(ends[child_end], self);
  }
  const int error = made < 0 ? errno : 0;
  ::close(ends[child_end]);
  answer(socket, {.process = made, .error = error, .status = 0}, made < 0 ? -1 : ends[parent_end]);
  ::close(ends[parent_end]);
}

/// One that is ending is waited for, so that its own end is told and not ours.
void end_one(int socket, pid_t process) {
  constexpr int looks = 100;
  constexpr timespec between{.tv_sec = 0, .tv_nsec = 1'000'000};
  int status = 0;
  pid_t ended = 0;
  for (int i = 0; i < looks && ended == 0; ++i) {
    ended = ::waitpid(process, &status, WNOHANG);
    if (ended == 0) {
      (void)::nanosleep(&between, nullptr);
    }
  }
  if (ended == 0) {
    (void)::kill(process, SIGKILL);
    ended = ::waitpid(process, &status, 0);
  }
  answer(socket, {.process = process, .error = ended == process ? 0 : ECHILD, .status = status}, -1);
}

/// Ends when the daemon has closed its end. What a terminal or a service manager tells its whole group is for the
/// daemon.
[[noreturn]] void start_others(int socket, pid_t daemon) {
  (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)::prctl(PR_SET_NAME, "comity-starter");
  (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);  // whom it starts has none then
  for (const int s : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2}) {
    (void)std::signal(s, SIG_IGN);
  }
  if (::getppid() != daemon) {
    ::_exit(0);
  }
  for (;;) {
    request r;
    const auto n = ::recv(socket, &r, sizeof r, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n != static_cast<ssize_t>(sizeof r)) {
      ::_exit(0);  // and whom it has started are told by the kernel
    }
    r.asked == request::what::start ? start_one(socket) : end_one(socket, r.process);
  }
}

// --- in the daemon -------------------------------------------------------------------------------------------------

/// The answer and what was passed beside it, or -1.
std::expected<std::pair<result, int>, std::string> ask(int socket, const request& r) {
  const auto failed = [] {
    return std::unexpected{"whoever starts processes has ended, so restart the server: " +
                           std::generic_category().message(errno)};
  };
  if (::send(socket, &r, sizeof r, MSG_NOSIGNAL) < 0) {
    return failed();
  }
  result told;
  iovec part{.iov_base = &told, .iov_len = sizeof told};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.data();
  message.msg_controllen = room.size();
  ssize_t n = 0;
  while ((n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
  }
  if (n != static_cast<ssize_t>(sizeof told)) {
    errno = n < 0 ? errno : EPIPE;
    return failed();
  }
  int passed = -1;
  if (const auto* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::memcpy(&passed, CMSG_DATA(header), sizeof passed);
  }
  return std::pair{told, passed};
}

std::string in_words(int status) {
  return WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                             : "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

bool asked_to_resolve(int argc, const char* const* argv) noexcept {
  return argc == 2 && std::string_view{argv[1]} == resolver_argument;
}

class process_starter::started final : public dns::child_process {
public:
  started(process_starter& by, pid_t process, int socket) : by_{by}, process_{process}, socket_{socket} {}
  ~started() override {
    if (!ended_) {
      (void)end();
    }
    ::close(socket_);
  }
  started(const started&) = delete;
  started& operator=(const started&) = delete;
  [[nodiscard]] int socket() const noexcept override { return socket_; }
  [[nodiscard]] std::string end() override {
    ended_ = true;
    (void)::shutdown(socket_, SHUT_RDWR);  // it ends by itself where it is what it was
    const std::lock_guard lock{by_.lock_};
    const auto told = ask(by_.socket_, {.asked = request::what::end, .process = process_});
    return told ? in_words(told->first.status) : told.error();
  }

private:
  process_starter& by_;
  pid_t process_;
  int socket_;
  bool ended_ = false;
};

process_starter::process_starter() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::system_error{errno, std::generic_category(), "cannot make a socket"};
  }
  const auto self = ::getpid();
  const auto made = ::fork();
  if (made < 0) {
    throw std::system_error{errno, std::generic_category(), "cannot start a process"};
  }
  if (made == 0) {
    ::close(ends[parent_end]);
    start_others(ends[child_end], self);
  }
  ::close(ends[child_end]);
  socket_ = ends[parent_end];
}

process_starter::~process_starter() {
  ::close(socket_);
}

std::expected<std::unique_ptr<dns::child_process>, std::string> process_starter::start() {
  const std::lock_guard lock{lock_};
  auto told = ask(socket_, {});
  if (!told) {
    return std::unexpected{std::move(told.error())};
  }
  const auto& [made, passed] = *told;
  if (made.error != 0 || passed < 0) {
    return std::unexpected{"cannot start a process: " + std::generic_category().message(made.error)};
  }
  return std::make_unique<started>(*this, made.process, passed);
}

}  // namespace comity::sandbox
