// tests/fakes/socket_peer.hpp: the far end of a connection, spoken on while the near end's io_context runs on the same
// thread. Whatever is waited for gets ten seconds, which no test that passes needs.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <asio.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace comity::fakes {

/// Runs the context until `done()`; false where it never was.
template <typename Condition>
bool run_until(asio::io_context& context, Condition done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    context.restart();
    context.run_one_for(std::chrono::milliseconds{5});
  }
  return true;
}

class socket_peer {
public:
  /// Connects to that port of the loopback address; the connection waits in the backlog until the context runs.
  socket_peer(asio::io_context& context, std::uint16_t port) : context_{&context} {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(AF_INET, to);
  }
  socket_peer(asio::io_context& context, const std::filesystem::path& path) : context_{&context} {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.c_str(), path.native().size() + 1);
    connect(AF_UNIX, to);
  }
  ~socket_peer() { close(); }
  socket_peer(socket_peer&& other) noexcept
      : context_{other.context_}, descriptor_{std::exchange(other.descriptor_, -1)}, got_{std::move(other.got_)} {}
  socket_peer& operator=(socket_peer&&) = delete;

  [[nodiscard]] int descriptor() const { return descriptor_; }
  void close() {
    if (descriptor_ >= 0) {
      ::close(std::exchange(descriptor_, -1));
    }
  }
  void shut_down() const { ::shutdown(descriptor_, SHUT_WR); }

  /// All of it, as far as the other side takes it.
  void say(std::string_view bytes) {
    run_until(*context_, [&] {
      const auto n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) {
        return true;
      }
      bytes.remove_prefix(n < 0 ? 0 : static_cast<std::size_t>(n));
      return bytes.empty();
    });
  }
  /// What has come up to and with `mark`; all of it where the other side closed before.
  std::string hear(std::string_view mark) {
    EXPECT_TRUE(run_until(*context_, [&] { return !take() || got_.find(mark) != std::string::npos; })) << mark;
    const auto at = got_.find(mark);
    const auto end = at == std::string::npos ? got_.size() : at + mark.size();
    auto heard = got_.substr(0, end);
    got_.erase(0, end);
    return heard;
  }
  /// `size` bytes, or fewer where the other side closed before.
  std::string hear(std::size_t size) {
    EXPECT_TRUE(run_until(*context_, [&] { return !take() || got_.size() >= size; })) << size;
    auto heard = got_.substr(0, size);
    got_.erase(0, size);
    return heard;
  }
  /// Everything until the other side closes.
  std::string hear_out() {
    EXPECT_TRUE(run_until(*context_, [&] { return !take(); }));
    return std::exchange(got_, {});
  }
  /// Whether the other side has closed by now; runs nothing.
  [[nodiscard]] bool ended() { return !take(); }

private:
  template <typename Address>
  void connect(int family, const Address& to) {
    descriptor_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, ::connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof to)) << errno;
  }
  /// Takes what is there; false at the end.
  bool take() {
    std::array<char, 65536> buffer{};
    for (;;) {
      const auto n = ::recv(descriptor_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n > 0) {
        got_.append(buffer.data(), static_cast<std::size_t>(n));
        continue;
      }
      return n < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }

  asio::io_context* context_;
  int descriptor_ = -1;
  std::string got_;
};

/// No descriptor is left while it lives.
class no_descriptors {
public:
  no_descriptors() {
    // What fails for want of one is named by this, and UBSan looks at a class it has not seen by way of a pipe.
    static_cast<void>(std::generic_category().message(EMFILE));
    for (;;) {
      const int one = ::dup(STDERR_FILENO);
      if (one < 0) {
        break;
      }
      held_.push_back(one);
    }
  }
  ~no_descriptors() { give_back(held_.size()); }
  no_descriptors(const no_descriptors&) = delete;
  no_descriptors& operator=(const no_descriptors&) = delete;

  void give_back(std::size_t count) {
    for (; count > 0 && !held_.empty(); --count) {
      ::close(held_.back());
      held_.pop_back();
    }
  }

private:
  std::vector<int> held_;
};

}  // namespace comity::fakes
