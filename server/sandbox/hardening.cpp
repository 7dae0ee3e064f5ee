#include "server/sandbox/hardening.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/certificates/watch_points.hpp"
#include "server/config/certificate_files.hpp"
#include "server/descriptor.hpp"
#include "server/sandbox/call_filter.hpp"
#include "server/sandbox/common_calls.hpp"
#include "server/sandbox/privileges.hpp"

namespace comity::sandbox {
namespace {

namespace fs = std::filesystem;

/// /etc, /home, /usr and their like are everybody's; what is two folders deep is somebody's.
bool is_everybodys(const fs::path& folder) {
  return std::ranges::distance(folder.relative_path()) < 2;
}

/// The folder, so that the file may be replaced; the file alone where the folder is everybody's.
void add_with_folder(std::vector<fs::path>& to, const fs::path& file) {
  to.push_back(is_everybodys(file.parent_path()) ? file : file.parent_path());
}

/// What libraries read: the authorities of the system, how OpenSSL is set up here, and for a name that is forwarded to
/// all that getaddrinfo(3) asks.
constexpr std::array system_files{"/etc/ssl/certs",
                                  "/etc/ssl/cert.pem",
                                  "/etc/ssl/openssl.cnf",
                                  "/etc/pki/tls/certs",
                                  "/etc/pki/ca-trust",
                                  "/usr/share/ca-certificates",
                                  "/usr/local/share/ca-certificates",
                                  "/etc/gai.conf",
                                  "/etc/host.conf",
                                  "/etc/hosts",
                                  "/etc/ld.so.cache",
                                  "/etc/nsswitch.conf",
                                  "/etc/resolv.conf",
                                  "/run/systemd/resolve",
                                  "/usr/lib",
                                  "/etc/localtime",
                                  "/usr/share/zoneinfo",
                                  "/dev/null",
                                  "/dev/urandom",
                                  "/proc/self",
                                  "/proc/stat",
                                  "/sys/devices/system/cpu"};

/// The daemon's system calls, and those that end the process, since it is not the daemon any more who makes them. What
/// is in neither is refused.
std::vector<call_rule> daemon_calls() {
  auto all = common_calls();
  const auto allow = [&all](std::initializer_list<long> calls) {
    for (const auto call : calls) {
      all.push_back({.call = static_cast<int>(call)});
    }
  };
  // Connections: accepted, and opened. Ours are to any port, since a SRV record may name any.
  for (const auto family : {AF_INET, AF_INET6, AF_UNIX}) {
    for (const auto type : {SOCK_STREAM, SOCK_DGRAM}) {
      all.push_back({.call = SYS_socket,
                     .then = verdict::allow,
                     .when = {is(0, static_cast<std::uint32_t>(family)),
                              argument{.index = 1, .mask = socket_type, .value = static_cast<std::uint32_t>(type)}}});
    }
  }
  all.push_back({.call = SYS_socketpair, .then = verdict::allow, .when = {is(0, AF_UNIX)}});
  allow({SYS_accept4, SYS_accept, SYS_connect, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt,
         SYS_shutdown, SYS_sendmmsg});
  // Files: which of them is for Landlock to say.
  allow({SYS_openat, SYS_newfstatat, SYS_statx, SYS_lseek, SYS_pread64, SYS_pwrite64, SYS_fsync, SYS_fdatasync,
         SYS_ftruncate, SYS_fallocate, SYS_unlinkat, SYS_getdents64, SYS_readlinkat, SYS_faccessat, SYS_faccessat2,
         SYS_getcwd});
  allow({SYS_inotify_init1, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_getgroups});
  all.push_back({.call = SYS_prlimit64, .then = verdict::allow, .when = {is(0, 0)}});  // its own
  // What libraries try and do without: sockets of other kinds (getaddrinfo(3) asks netlink), a port of one's own, the
  // owner of a file (SQLite, where the user is root), terminals.
  for (const auto call : {SYS_socket, SYS_bind, SYS_fchown, SYS_ioctl, SYS_prctl}) {
    all.push_back({.call = static_cast<int>(call), .then = verdict::refuse});
  }
  // What nothing of it does but whoever has got into it. A call that is in no list here may be a library's that nobody
  // has seen making it: that one fails, and the daemon serves on.
  for (const auto call : {SYS_listen, SYS_setuid, SYS_setreuid, SYS_setresuid, SYS_setgid, SYS_setregid, SYS_setresgid,
                          SYS_setgroups, SYS_capset}) {
    all.push_back({.call = static_cast<int>(call), .then = verdict::kill});
  }
#if defined(SYS_open)  // older architectures have these
  allow({SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_unlink, SYS_readlink});
#endif
  return all;
}

}  // namespace

reach reach_of(const config::settings& s) {
  reach all{.readable = {system_files.begin(), system_files.end()},
            .writable = {s.storage.sqlite_file.parent_path()},
            .sockets = {s.server.admin_socket.parent_path()},
            .tcp_ports = std::nullopt};
  add_with_folder(all.readable, fs::absolute(s.file));
  for (const auto& [folder, names] : server::points_of(config::trusted_files(s))) {
    if (!is_everybodys(folder)) {
      all.readable.push_back(folder);
      continue;
    }
    for (const auto& name : names) {
      std::error_code failed;
      if (!is_everybodys(folder / name) || !fs::is_directory(folder / name, failed)) {
        all.readable.push_back(folder / name);
      }
    }
  }
  if (!s.tls.certificate_directory.empty()) {
    all.readable.push_back(s.tls.certificate_directory);
  }
  for (const auto& file : s.dns.trust_anchors) {
    add_with_folder(all.readable, file);
  }
  if (!s.dns.root_hints.empty()) {
    add_with_folder(all.readable, s.dns.root_hints);
  }
  return all;
}

bool out_of_reach(const fs::path& path) {
  // access(2) asks for permissions alone.
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) != 0) {
    return false;
  }
  const descriptor opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  return opened.number() < 0 && errno == EACCES;
}

void hardening::note(std::string what, const std::expected<void, std::string>& done) {
  if (done) {
    applied_.push_back(std::move(what));
  } else {
    lacking_.push_back(std::move(what) + " (" + done.error() + ")");
  }
}

void hardening::give_up_files(const config::settings& s) {
  if (!wanted_) {
    return;
  }
  const auto done = [](bool good) {
    return good ? std::expected<void, std::string>{} : std::unexpected{std::generic_category().message(errno)};
  };
  constexpr rlimit none{.rlim_cur = 0, .rlim_max = 0};
  note("no core dumps", done(::setrlimit(RLIMIT_CORE, &none) == 0));
  note("no new privileges", done(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0));
  // Where that fails, so does what gives up the last one, and says it.
  [[maybe_unused]] const auto kept = keep_capabilities(std::uint64_t{1} << CAP_NET_BIND_SERVICE);
  if (!confinable()) {
    lacking_.emplace_back("hidden memory, Landlock, seccomp (not in this build)");
    return;
  }
  hide_memory();
  note("hidden memory", done(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0));
  const int version = landlock_version();
  note(version == 0 ? "Landlock" : "Landlock " + std::to_string(version),
       version == 0 ? std::unexpected{std::string{"the kernel has none"}} : confine_to(reach_of(s)));
}

void hardening::give_up_capabilities() {
  if (wanted_) {
    note("no capabilities", keep_capabilities(0));
  }
}

void hardening::give_up_calls() {
  if (wanted_ && confinable()) {
    note("seccomp", confine_calls(daemon_calls(), verdict::refuse));
  }
}

}  // namespace comity::sandbox
