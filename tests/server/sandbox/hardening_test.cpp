// What the daemon may not do once it has begun, tried in a process that is hardened as it is (THREATS §3).
#include "server/sandbox/hardening.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <thread>

#include "fakes/folder.hpp"
#include "server/sandbox/call_filter.hpp"

namespace comity::sandbox {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::IsEmpty;
using testing::Not;

constexpr int killed = 200;

int error_of(long result) {
  return result < 0 ? errno : 0;
}
int opening(const fs::path& path, int how) {
  return error_of(::open(path.c_str(), how | O_CLOEXEC, 0600));
}

/// A configuration with its certificates in certbot's places, and a file that is none of the daemon's business.
class Hardening : public testing::Test {
protected:
  Hardening() {
    for (const auto* folder : {"conf", "data", "run", "archive/a.example", "live/a.example", "other"}) {
      fs::create_directories(at(folder));
    }
    for (const auto* file : {"conf/comity.toml", "conf/beside", "archive/a.example/cert1.pem",
                             "archive/a.example/key1.pem", "other/file"}) {
      std::ofstream{at(file)} << "content\n";
    }
    fs::create_symlink("../../archive/a.example/cert1.pem", at("live/a.example/fullchain.pem"));
    fs::create_symlink("../../archive/a.example/key1.pem", at("live/a.example/privkey.pem"));
    settings_.file = at("conf/comity.toml");
    settings_.storage.sqlite_file = at("data/comity.db");
    settings_.server.admin_socket = at("run/admin.sock");
    settings_.hosts.push_back({.domain = "a.example",
                               .certificate = at("live/a.example/fullchain.pem"),
                               .private_key = at("live/a.example/privkey.pem")});
  }
  void SetUp() override {
    if (!confinable()) {
      GTEST_SKIP() << "this build has a sanitizer, whose runtime makes calls of its own";
    }
  }
  [[nodiscard]] fs::path at(const std::string& name) const { return folder_.path() / name; }

  /// What `attempt` returns in a process that has given up everything; `killed` where it was.
  int tried(const std::function<int()>& attempt) {
    const auto child = ::fork();
    if (child == 0) {
      hardening h{true};
      h.give_up_files(settings_);
      h.give_up_capabilities();
      h.give_up_calls();
      ::_exit(attempt());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? (WTERMSIG(status) == SIGSYS ? killed : -WTERMSIG(status)) : WEXITSTATUS(status);
  }
  static void need_landlock() {
    if (landlock_version() == 0) {
      GTEST_SKIP() << "this kernel has no Landlock";
    }
  }

  fakes::folder folder_;
  config::settings settings_;
};

TEST_F(Hardening, ExecutesForksTracesSignalsAndListensOnNothing) {
  EXPECT_EQ(tried([] { return error_of(::execl("/bin/true", "true", nullptr)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::fork()); }), killed);
  EXPECT_EQ(tried([] { return error_of(::syscall(SYS_ptrace, 0, 0, 0, 0)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::kill(1, 0)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::syscall(SYS_tgkill, 1, 1, 0)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::setuid(0)); }), killed);
  EXPECT_EQ(tried([] { return error_of(::listen(::socket(AF_INET, SOCK_STREAM, 0), 1)); }), killed);
}

TEST_F(Hardening, RefusesWhatLibrariesTry) {
  EXPECT_EQ(tried([] { return error_of(::socket(AF_NETLINK, SOCK_RAW, 0)); }), EPERM);
  EXPECT_EQ(
      tried([] {
        const sockaddr_in any{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {}, .sin_zero = {}};
        return error_of(::bind(::socket(AF_INET, SOCK_DGRAM, 0), reinterpret_cast<const sockaddr*>(&any), sizeof any));
      }),
      EPERM);
  EXPECT_EQ(tried([] { return error_of(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }), EPERM);
  EXPECT_EQ(tried([this] { return error_of(::mkdir(at("data/folder").c_str(), 0700)); }), EPERM);
  // A call that is younger than we are: whoever tries it has another way.
  EXPECT_EQ(tried([] { return error_of(::syscall(9999)); }), ENOSYS);
}

TEST_F(Hardening, ServesStill) {
  EXPECT_EQ(tried([] {
              int seen = 0;
              std::thread{[&] { seen = 7; }}.join();
              return seen;
            }),
            7);
  for (const int family : {AF_INET, AF_INET6, AF_UNIX}) {
    EXPECT_EQ(tried([&] { return error_of(::socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)); }), 0) << family;
  }
  for (const auto* file : {"conf/comity.toml", "live/a.example/fullchain.pem", "live/a.example/privkey.pem"}) {
    EXPECT_EQ(tried([&] { return opening(at(file), O_RDONLY); }), 0) << file;
  }
  EXPECT_EQ(tried([&] { return opening(at("data/comity.db-wal"), O_RDWR | O_CREAT); }), 0);
  EXPECT_EQ(tried([&] { return error_of(::unlink(at("data/comity.db-wal").c_str())); }), 0);
  EXPECT_EQ(tried([] { return opening("/proc/self/stat", O_RDONLY); }), 0);
  // The file of the configuration may have been named from where the daemon was started.
  EXPECT_EQ(tried([] {
              std::array<char, 4096> folder{};
              return ::getcwd(folder.data(), folder.size()) == nullptr ? errno : 0;
            }),
            0);
}

TEST_F(Hardening, OpensNoFilesButItsOwn) {
  need_landlock();
  for (const auto* file : {"/etc/shadow", "/etc/passwd", "/bin/true"}) {
    EXPECT_EQ(tried([&] { return opening(file, O_RDONLY); }), EACCES) << file;
  }
  EXPECT_EQ(tried([&] { return opening(at("other/file"), O_RDONLY); }), EACCES);
  EXPECT_EQ(tried([&] { return opening(at("conf/comity.toml"), O_WRONLY); }), EACCES);
  EXPECT_EQ(tried([&] { return opening(at("archive/a.example/new.pem"), O_WRONLY | O_CREAT); }), EACCES);
  EXPECT_EQ(tried([&] { return opening(at("run/file"), O_WRONLY | O_CREAT); }), EACCES);
}

TEST_F(Hardening, ReadsWhatIsPutInPlaceLater) {
  need_landlock();
  std::array<int, 2> told{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, told.data()), 0);
  const auto child = ::fork();
  if (child == 0) {  // it is there before the files are
    hardening h{true};
    h.give_up_files(settings_);
    h.give_up_calls();
    char go = 0;
    const bool heard = ::write(told[0], "!", 1) == 1 && ::read(told[0], &go, 1) == 1;
    const int renewed = opening(at("live/a.example/fullchain.pem"), O_RDONLY);
    const int another = opening(at("live/b.example/fullchain.pem"), O_RDONLY);
    ::_exit(heard ? renewed + another : 1);
  }
  char ready = 0;
  ASSERT_EQ(::read(told[1], &ready, 1), 1);
  fs::remove_all(at("live/a.example"));
  for (const auto* host : {"a.example", "b.example"}) {
    fs::create_directories(at("live") / host);
    fs::create_directories(at("archive") / host);
    std::ofstream{at("archive") / host / "cert2.pem"} << "new\n";
    fs::create_symlink(fs::path{"../../archive"} / host / "cert2.pem", at("live") / host / "fullchain.pem");
  }
  ASSERT_EQ(::write(told[1], "!", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  ::close(told[0]);
  ::close(told[1]);
}

TEST_F(Hardening, KnowsWhatItKeepsFromItself) {
  need_landlock();
  EXPECT_EQ(tried([&] { return out_of_reach(at("other/file")) ? 1 : 0; }), 1);
  EXPECT_EQ(tried([&] { return out_of_reach(at("other")) ? 1 : 0; }), 1);
  EXPECT_EQ(tried([&] { return out_of_reach(at("conf/beside")) ? 1 : 0; }), 0);
  EXPECT_EQ(tried([&] { return out_of_reach(at("other/missing")) ? 1 : 0; }), 0);
  EXPECT_FALSE(out_of_reach(at("other/file"))) << "who is not hardened reaches everything";
}

TEST_F(Hardening, LeavesNoCapabilityAndNoCoreDump) {
  const auto child = ::fork();
  if (child == 0) {
    hardening h{true};
    h.give_up_files(settings_);
    h.give_up_capabilities();
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> left{};
    rlimit core{};
    const bool none = ::syscall(SYS_capget, &header, left.data()) == 0 && (left[0].permitted | left[1].permitted) == 0;
    const bool bounded = ::geteuid() != 0 || ::prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0;
    const bool quiet = ::getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
    const bool hidden = ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
    const bool for_good = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
    ::_exit((none ? 1 : 0) | (bounded ? 2 : 0) | (quiet ? 4 : 0) | (hidden ? 8 : 0) | (for_good ? 16 : 0));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 31);
}

TEST_F(Hardening, GivesUpNothingWhereThatIsWanted) {
  hardening unwanted{false};
  unwanted.give_up_files(settings_);
  unwanted.give_up_capabilities();
  unwanted.give_up_calls();
  EXPECT_THAT(unwanted.applied(), IsEmpty());
  EXPECT_THAT(unwanted.lacking(), IsEmpty());
  EXPECT_EQ(opening("/etc/passwd", O_RDONLY), 0);
}

TEST(HardeningReach, IsNoFolderThatIsEverybodys) {
  config::settings s;
  s.file = "/etc/comity.toml";
  s.storage.sqlite_file = "/var/lib/comity/comity.db";
  s.server.admin_socket = "/run/comity/admin.sock";
  s.hosts.push_back({.domain = "a.example", .certificate = "/etc/a.crt", .private_key = "/etc/comity/keys/a.key"});
  s.dns.trust_anchors = {"/usr/share/dns/root.key"};
  const auto r = reach_of(s);
  EXPECT_THAT(r.readable, Contains("/etc/comity.toml"));
  EXPECT_THAT(r.readable, Contains("/etc/a.crt"));
  EXPECT_THAT(r.readable, Contains("/etc/comity"));
  EXPECT_THAT(r.readable, Contains("/usr/share/dns"));
  for (const auto* everybodys : {"/", "/etc", "/usr", "/usr/share", "/var", "/home", "/tmp"}) {
    EXPECT_THAT(r.readable, Not(Contains(everybodys)));
  }
  EXPECT_THAT(r.writable, testing::ElementsAre("/var/lib/comity"));
  EXPECT_THAT(r.sockets, testing::ElementsAre("/run/comity"));
}

}  // namespace
}  // namespace comity::sandbox
