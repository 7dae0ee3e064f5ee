#include "dns/name_server.hpp"

#include <arpa/inet.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

extern char** environ;

namespace comity {
namespace {

pid_t spawn(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (auto& word : command) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  pid_t child = -1;
  if (const int error = posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ); error != 0) {
    throw std::runtime_error(command[0] + " cannot be started: is it installed?");
  }
  return child;
}

/// A port that is free on 127.0.0.1 for UDP and TCP at this moment.
std::uint16_t free_port() {
  for (int i = 0; i < 100; ++i) {
    const int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    const bool found = bind(udp, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                       getsockname(udp, reinterpret_cast<sockaddr*>(&at), &size) == 0 &&
                       bind(tcp, reinterpret_cast<sockaddr*>(&at), size) == 0;
    close(udp);
    close(tcp);
    if (found) {
      return ntohs(at.sin_port);
    }
  }
  throw std::runtime_error("no port is free");
}

bool listens(std::uint16_t port) {
  const int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(port);
  const bool connected = connect(tcp, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  close(tcp);
  return connected;
}

}  // namespace

name_server::name_server() : port_{free_port()} {
  std::string pattern = (std::filesystem::temp_directory_path() / "comity-dns-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    throw std::runtime_error("no temporary directory");
  }
  directory_ = pattern;
  int status = 0;
  waitpid(spawn({COMITY_SOURCE_DIR "/tests/dns/signed_zones.sh", pattern, std::to_string(port_)}), &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw std::runtime_error("the zones cannot be made: is ldnsutils installed?");
  }
  // Ends with the test, even where that crashes.
  child_ = spawn({"setpriv", "--pdeathsig", "TERM", "/usr/sbin/nsd", "-d", "-c", (directory_ / "nsd.conf").string()});
  for (int i = 0; i < 500 && !listens(port_); ++i) {
    if (waitpid(child_, &status, WNOHANG) == child_) {
      child_ = -1;
      throw std::runtime_error("nsd has ended at once");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
}

name_server::~name_server() {
  if (child_ > 0) {
    kill(child_, SIGTERM);
    waitpid(child_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace comity
