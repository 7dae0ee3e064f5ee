// What a confined process may not do, tried in one: it dies, or is told no (THREATS §3).
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

#include "server/descriptor.hpp"
#include "server/sandbox/call_filter.hpp"
#include "server/sandbox/landlock.hpp"
#include "server/sandbox/resolver_confinement.hpp"

namespace comity::sandbox {
namespace {

constexpr int not_confined = 100;
constexpr int killed = 200;

/// What `attempt` returns in a process that is confined as the resolver's; `killed` where it was.
int tried(const std::function<int()>& attempt, const dns::settings& s = {}) {
  const auto child = ::fork();
  if (child == 0) {
    ::_exit(confine_resolver(s) ? attempt() : not_confined);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFSIGNALED(status) ? (WTERMSIG(status) == SIGSYS ? killed : -WTERMSIG(status)) : WEXITSTATUS(status);
}
int error_of(long result) {
  return result < 0 ? errno : 0;
}
int connecting(std::uint16_t port) {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return s < 0 ? errno : error_of(::connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof to));
}

class ResolverConfinement : public testing::Test {
protected:
  void SetUp() override {
    if (!confinable()) {
      GTEST_SKIP() << "this build has a sanitizer, whose runtime makes calls of its own";
    }
  }
};

TEST_F(ResolverConfinement, ExecutesForksAndTracesNothing) {
  EXPECT_EQ(tried([] { return error_of(::execl("/bin/true", "true", nullptr)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::fork()); }), killed);
  EXPECT_EQ(tried([] { return error_of(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }), killed);
}

TEST_F(ResolverConfinement, OpensNoFile) {
  for (const auto* path : {"/etc/shadow", "/etc/passwd", "/proc/self/maps", "/dev/null"}) {
    EXPECT_EQ(tried([&] { return error_of(::open(path, O_RDONLY)); }), EPERM) << path;
  }
  EXPECT_EQ(tried([] { return error_of(::open("/tmp/comity-confined", O_WRONLY | O_CREAT, 0600)); }), EPERM);
  EXPECT_EQ(tried([] { return error_of(::unlink("/tmp/comity-confined")); }), EPERM);
}

TEST_F(ResolverConfinement, ReachesNameServersOnly) {
  EXPECT_EQ(tried([] { return error_of(::socket(AF_INET, SOCK_DGRAM, 0)); }), 0);
  EXPECT_EQ(tried([] { return error_of(::socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0)); }), 0);
  for (const int family : {AF_UNIX, AF_NETLINK, AF_PACKET}) {
    EXPECT_EQ(tried([&] { return error_of(::socket(family, SOCK_DGRAM, 0)); }), EPERM) << family;
  }
  EXPECT_EQ(tried([] { return error_of(::socket(AF_INET, SOCK_RAW, 0)); }), EPERM);
  EXPECT_EQ(tried([] { return error_of(::listen(::socket(AF_INET, SOCK_STREAM, 0), 1)); }), EPERM);
  constexpr int judges_tcp = 4;
  if (landlock_version() < judges_tcp) {
    GTEST_SKIP() << "this kernel's Landlock does not judge TCP";
  }
  EXPECT_EQ(tried([] { return connecting(25); }), EACCES);
  EXPECT_EQ(tried([] { return connecting(53); }), ECONNREFUSED);
  dns::settings s;
  s.servers = {"127.0.0.1@1"};
  s.stubs = {{"test", {"::1@2"}}};
  EXPECT_EQ(tried([] { return connecting(1); }), EACCES);
  EXPECT_EQ(tried([] { return connecting(1); }, s), ECONNREFUSED);
  EXPECT_EQ(tried([] { return connecting(2); }, s), ECONNREFUSED);
}

TEST_F(ResolverConfinement, RunsThreadsAndNoCodeThatWasWritten) {
  EXPECT_EQ(tried([] {
              int seen = 0;
              std::thread{[&] { seen = 7; }}.join();
              return seen;
            }),
            7);
  EXPECT_EQ(tried([] {
              return ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                             MAP_FAILED
                         ? errno
                         : 0;
            }),
            EPERM);
  EXPECT_EQ(tried([] {
              auto* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              return error_of(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
            }),
            EPERM);
}

TEST_F(ResolverConfinement, IsNobodyAndShowsItsMemoryToNobody) {
  EXPECT_EQ(tried([] { return ::getuid() == 0 ? 1 : 0; }), 0);
  EXPECT_EQ(tried([] { return error_of(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }), EPERM);
}

TEST_F(ResolverConfinement, SignalsNobodyElse) {
  const auto other = ::getpid();
  EXPECT_EQ(tried([&] { return error_of(::kill(other, 0)); }), killed);
  EXPECT_EQ(tried([&] { return error_of(::syscall(SYS_tkill, other, 0)); }), killed);
  EXPECT_EQ(tried([&] { return error_of(::syscall(SYS_tgkill, other, other, 0)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0)); }), 0);
  EXPECT_EQ(tried([]() -> int { std::abort(); }), -SIGABRT);
  // Nor by way of something to read.
  const descriptor open{::eventfd(0, EFD_CLOEXEC)};
  EXPECT_EQ(tried([&] { return error_of(::fcntl(open.number(), F_SETOWN, other)); }), EPERM);
  EXPECT_EQ(tried([&] { return error_of(::fcntl(open.number(), F_SETSIG, SIGKILL)); }), EPERM);
  EXPECT_EQ(tried([&] { return error_of(::fcntl(open.number(), F_GETFL)); }), 0);
}

TEST(CallFilter, LetsTheFirstRuleWhoseArgumentsMatchDecide) {
  const std::array rules{
      call_rule{.call = 7, .then = verdict::refuse, .when = {argument{.index = 1, .mask = 4, .value = 4}}},
      call_rule{.call = 7, .then = verdict::allow, .when = {}}};
  const auto program = compile(rules, verdict::kill);
  // Two loads and three judgements before the rules; then the jump over the first, its test, verdict and reload.
  ASSERT_EQ(program.size(), 8U + 6U + 2U + 1U);
  const auto& skips = program[8];
  EXPECT_EQ(8U + 1U + skips.jf, 14U) << "to the second rule";
  EXPECT_EQ(11U + 1U + program[11].jf, 13U) << "to where the number is loaded again";
}

}  // namespace
}  // namespace comity::sandbox
