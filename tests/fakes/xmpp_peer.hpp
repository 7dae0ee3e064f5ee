// tests/fakes/xmpp_peer.hpp: a client that says what the test wants, on the far end of a stream that runs on a thread
// of its own. It waits for ten seconds where nothing comes, which no test that passes needs.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "fakes/tls_dialogue.hpp"

namespace comity::fakes {

class xmpp_peer {
public:
  explicit xmpp_peer(int descriptor) : descriptor_{descriptor} {
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }
  ~xmpp_peer() { hang_up(); }
  xmpp_peer(const xmpp_peer&) = delete;
  xmpp_peer& operator=(const xmpp_peer&) = delete;

  [[nodiscard]] tls_client& tls() { return tls_; }
  /// As client, after whatever was said in clear; false where the handshake failed. `alpn` is one protocol's name.
  bool start_tls(const char* name = nullptr, std::string_view alpn = {}) {
    tls_.begin(descriptor_, name);
    if (!alpn.empty()) {
      const auto list = static_cast<char>(alpn.size()) + std::string{alpn};
      SSL_set_alpn_protos(tls_.ssl(), reinterpret_cast<const unsigned char*>(list.data()),
                          static_cast<unsigned>(list.size()));
    }
    tls_.step();
    encrypted_ = SSL_is_init_finished(tls_.ssl()) == 1;
    return encrypted_;
  }

  void say(std::string_view bytes) {
    if (encrypted_) {
      tls_.write(bytes);
      return;
    }
    while (!bytes.empty()) {
      const auto n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) {
        return;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  /// Up to and with `mark`; all there is where the other side ended before.
  std::string hear(std::string_view mark) {
    while (got_.find(mark) == std::string::npos && take()) {
    }
    const auto at = got_.find(mark);
    const auto end = at == std::string::npos ? got_.size() : at + mark.size();
    auto heard = got_.substr(0, end);
    got_.erase(0, end);
    return heard;
  }
  /// Whatever comes next; "" where the other side ended.
  std::string hear_some() {
    if (got_.empty()) {
      take();
    }
    return std::exchange(got_, {});
  }
  /// All until the other side ends.
  std::string hear_out() {
    while (take()) {
    }
    return std::exchange(got_, {});
  }
  /// The same, saying the piece again every other millisecond.
  std::string hear_out_saying(std::string_view piece) {
    for (pollfd there{.fd = descriptor_, .events = POLLIN, .revents = 0};;) {
      say(piece);
      if (::poll(&there, 1, 2) > 0 && !take()) {
        return std::exchange(got_, {});
      }
    }
  }
  /// The other side said close_notify.
  [[nodiscard]] bool told_the_end_of_tls() { return (SSL_get_shutdown(tls_.ssl()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  /// The transport has ended, in order or not, and nothing more was said on it. After hear_out().
  [[nodiscard]] bool transport_ended() const {
    std::array<char, 1> byte{};
    const auto n = ::recv(descriptor_, byte.data(), byte.size(), 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }
  void hang_up() {
    if (descriptor_ >= 0) {
      ::close(std::exchange(descriptor_, -1));
    }
  }

private:
  bool take() {
    std::string more;
    if (encrypted_) {
      more = tls_.read();
    } else {
      more.resize(65536);
      const auto n = ::recv(descriptor_, more.data(), more.size(), 0);
      more.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    }
    got_ += more;
    return !more.empty();
  }

  int descriptor_;
  tls_client tls_;
  bool encrypted_ = false;
  std::string got_;
};

}  // namespace comity::fakes
