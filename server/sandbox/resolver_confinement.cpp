#include "server/sandbox/resolver_confinement.hpp"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <charconv>
#include <string_view>

#include "server/sandbox/call_filter.hpp"
#include "server/sandbox/common_calls.hpp"
#include "server/sandbox/landlock.hpp"
#include "server/sandbox/privileges.hpp"

namespace comity::sandbox {
namespace {

constexpr std::uint16_t dns_port = 53;

/// Its system calls; what is not among them is refused.
std::vector<call_rule> resolver_calls() {
  auto all = common_calls();
  const auto add = [&all](std::initializer_list<call_rule> more) { all.insert(all.end(), more); };
  // To name servers, and to nobody on this machine but by an address.
  for (const auto family : {AF_INET, AF_INET6}) {
    for (const auto type : {SOCK_STREAM, SOCK_DGRAM}) {
      add({{.call = SYS_socket,
            .then = verdict::allow,
            .when = {is(0, static_cast<std::uint32_t>(family)),
                     argument{.index = 1, .mask = socket_type, .value = static_cast<std::uint32_t>(type)}}}});
    }
  }
  add({{SYS_bind}, {SYS_connect}, {SYS_getsockname}, {SYS_getsockopt}, {SYS_setsockopt}, {SYS_shutdown}});
  return all;
}

/// 53, and those that the operator names: "192.0.2.1@5353".
std::vector<std::uint16_t> ports_of(const dns::settings& s) {
  std::vector<std::uint16_t> ports{dns_port};
  const auto add = [&](const std::vector<std::string>& servers) {
    for (const std::string_view server : servers) {
      const auto at = server.find('@');
      std::uint16_t port = 0;
      if (at != std::string_view::npos &&
          std::from_chars(server.data() + at + 1, server.data() + server.size(), port).ec == std::errc{}) {
        ports.push_back(port);
      }
    }
  };
  add(s.servers);
  for (const auto& [zone, servers] : s.stubs) {
    add(servers);
  }
  return ports;
}

}  // namespace

std::expected<std::string, std::string> confine_resolver(const dns::settings& s) {
  hide_memory();
  auto user = give_up_privileges();
  if (!user) {
    return user;
  }
  auto done = user->empty() ? std::string{"no capabilities"} : *std::move(user) + " without capabilities";
  if (!confinable()) {
    return done + "; not confined in this build";
  }
  // A name server's answers do not take all of the machine's memory.
  constexpr rlimit memory{.rlim_cur = 512UL << 20, .rlim_max = 512UL << 20};
  constexpr rlimit none{.rlim_cur = 0, .rlim_max = 0};
  (void)::setrlimit(RLIMIT_DATA, &memory);
  (void)::setrlimit(RLIMIT_CORE, &none);
  if (const int version = landlock_version(); version != 0) {
    if (auto confined = confine_to({.readable = {}, .writable = {}, .sockets = {}, .tcp_ports = ports_of(s)});
        !confined) {
      return std::unexpected{std::move(confined.error())};
    }
    done += ", Landlock " + std::to_string(version);
  }
  if (auto applied = confine_calls(resolver_calls(), verdict::refuse); !applied) {
    return std::unexpected{std::move(applied.error())};
  }
  return done + ", seccomp";
}

}  // namespace comity::sandbox
