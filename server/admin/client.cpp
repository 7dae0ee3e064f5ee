#include "server/admin/client.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace comity::admin {

std::expected<std::unique_ptr<client>, std::string> client::connect(const std::filesystem::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& path = socket.native();
  if (path.size() >= sizeof address.sun_path) {
    return std::unexpected{"the path of the socket is too long: " + path};
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto made = std::unique_ptr<client>{new client{descriptor}};
  if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return made;
  }
  if (errno == ENOENT || errno == ECONNREFUSED) {
    return nullptr;
  }
  return std::unexpected{"cannot speak on " + path + ": " + std::generic_category().message(errno)};
}

client::~client() {
  ::close(descriptor_);
}

std::expected<std::string, std::string> client::ask(const std::string& request,
                                                    const std::function<void(std::string_view value)>& told) {
  constexpr std::string_view before = R"({"progress":)";
  bool heard = false;
  const auto line = request + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const auto n = ::send(descriptor_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n < 0) {
      return std::unexpected{"the daemon closed the connection; only root and its own user may give it orders"};
    }
    sent += static_cast<std::size_t>(n);
  }
  for (;;) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      auto reply = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      if (reply.starts_with(before) && reply.ends_with('}')) {
        heard = true;
        if (told) {
          told(std::string_view{reply}.substr(before.size(), reply.size() - before.size() - 1));
        }
        continue;
      }
      return reply;
    }
    std::array<char, 65536> buffer{};
    const auto n = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
    if (n <= 0) {
      return std::unexpected{heard ? "the daemon went away"
                                   : "the daemon closed the connection; only root and its own user may give it orders"};
    }
    unread_.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace comity::admin
