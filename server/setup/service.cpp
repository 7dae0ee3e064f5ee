#include "server/setup/service.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <vector>

extern "C" char** environ;

namespace comity::setup {

namespace {

constexpr const char* unit = "comityd.service";

bool exists(const std::filesystem::path& path) {
  std::error_code fault;
  return std::filesystem::exists(path, fault);
}

std::expected<void, std::string> systemctl(const char* verb) {
  std::array<std::string, 3> words{"systemctl", verb, unit};
  std::array<char*, 4> arguments{words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t child = 0;
  if (const int error = ::posix_spawnp(&child, "systemctl", nullptr, nullptr, arguments.data(), environ); error != 0) {
    return std::unexpected{"cannot run systemctl: " + std::generic_category().message(error)};
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return std::unexpected{"systemctl was lost sight of"};
    }
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return std::unexpected{"systemctl " + std::string{verb} + " " + unit + " failed; journalctl -u " + unit +
                           " says why"};
  }
  return {};
}

}  // namespace

bool service_at_hand() {
  constexpr std::array folders{"/etc/systemd/system/", "/usr/lib/systemd/system/", "/lib/systemd/system/"};
  return ::geteuid() == 0 && exists("/run/systemd/system") &&
         std::ranges::any_of(folders, [](const char* folder) { return exists(std::string{folder} + unit); });
}

std::expected<void, std::string> start_service(bool anew) {
  if (auto enabled = systemctl("enable"); !enabled) {
    return enabled;
  }
  return systemctl(anew ? "restart" : "start");
}

}  // namespace comity::setup
