// server/admin/client.hpp: the operator's side of the admin socket, blocking: for the operator's tool.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace comity::admin {

class client {
public:
  /// nullptr where nobody answers on that socket; the error where somebody is there and we may not speak.
  [[nodiscard]] static std::expected<std::unique_ptr<client>, std::string> connect(const std::filesystem::path& socket);
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// One request line, one reply line. What the daemon tells before it goes to `told`, the JSON value alone. The error:
  /// the daemon went away.
  [[nodiscard]] std::expected<std::string, std::string> ask(
      const std::string& request, const std::function<void(std::string_view value)>& told = {});

private:
  explicit client(int descriptor) noexcept : descriptor_{descriptor} {}
  int descriptor_;
  std::string unread_;
};

}  // namespace comity::admin
