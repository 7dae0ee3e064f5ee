// tests/connection/s2s/scripted_peer.hpp: a server that says what a test has it say, rightly or wrongly, to whoever
// connects, and what it was told.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fakes/certificate_builder.hpp"
#include "fakes/quiet_socket.hpp"

namespace comity::connection {

/// One connection under a script. What does not come within some seconds ends the script.
class scripted_line {
public:
  struct over {};  // thrown: the other end has gone, or says nothing

  explicit scripted_line(int descriptor) : descriptor_{descriptor} {
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    // OpenSSL writes by write(): that the other end has gone ends the script, not the test.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  }
  ~scripted_line() {
    ssl_.reset();
    ::close(descriptor_);
  }
  scripted_line(const scripted_line&) = delete;
  scripted_line& operator=(const scripted_line&) = delete;

  void sends(std::string_view text) {
    const auto n = ssl_ ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))
                        : static_cast<int>(::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL));
    if (n != static_cast<int>(text.size())) {
      throw over{};
    }
  }
  /// Reads until `text` has come; gives all that came since the last time, that included.
  std::string expects(std::string_view text) {
    for (;;) {
      if (const auto at = heard_.find(text); at != std::string::npos) {
        auto said = heard_.substr(0, at + text.size());
        heard_.erase(0, said.size());
        return said;
      }
      hears();
    }
  }
  /// Reads until the other end closes; gives all that came.
  std::string until_closed() {
    try {
      for (;;) {
        hears();
      }
    } catch (const over&) {
      return std::exchange(heard_, {});
    }
  }
  void starts_tls(const fakes::issued& certificate) {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free};
    SSL_CTX_use_certificate(context.get(), certificate.certificate());
    SSL_CTX_use_PrivateKey(context.get(), certificate.key());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    ssl_.reset(SSL_new(context.get()));
    fakes::attach_socket(ssl_.get(), descriptor_);
    if (SSL_accept(ssl_.get()) != 1) {
      throw over{};
    }
  }
  /// The same from the side that called, with no certificate of its own.
  void calls_tls(const char* name) {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
    ssl_.reset(SSL_new(context.get()));
    SSL_set_tlsext_host_name(ssl_.get(), name);
    fakes::attach_socket(ssl_.get(), descriptor_);
    if (SSL_connect(ssl_.get()) != 1) {
      throw over{};
    }
  }
  /// Closes with a reset in place of an end.
  void breaks() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    throw over{};
  }

  // What servers say, most of the time.
  void header(const std::string& from = "far.example", const std::string& id = "s1") {
    expects("<stream:stream");
    expects(">");
    sends(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
        "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='near.example' from='" +
        from + "' id='" + id + "'>");
  }
  void features(std::string_view inside) { sends("<stream:features>" + std::string{inside} + "</stream:features>"); }
  /// As far as TLS by STARTTLS.
  void starttls(const fakes::issued& certificate) {
    header();
    features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    expects("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    sends("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    starts_tls(certificate);
  }
  static constexpr std::string_view external =
      "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
  /// As far as an authenticated stream by EXTERNAL.
  void external_login(const fakes::issued& certificate, std::string_view more_features = {},
                      const std::string& from = "far.example") {
    starttls(certificate);
    header(from);
    features(std::string{external} + std::string{more_features});
    expects("</auth>");
    sends("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    header(from, "s2");
    features(more_features);
  }

private:
  void hears() {
    std::array<char, 4096> into{};
    const auto n = ssl_ ? SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()))
                        : static_cast<int>(::recv(descriptor_, into.data(), into.size(), 0));
    if (n <= 0) {
      throw over{};
    }
    heard_.append(into.data(), static_cast<std::size_t>(n));
  }

  int descriptor_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  std::string heard_;
};

/// Listens on loopback and runs the script for each connection, one after the other or all `at_once`.
class scripted_peer {
public:
  using script = std::function<void(scripted_line&)>;

  explicit scripted_peer(script s, bool at_once = false)
      : script_{std::move(s)}, at_once_{at_once}, listening_{::socket(AF_INET, SOCK_STREAM, 0)} {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's own sockets raise it
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    if (::bind(listening_, reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listening_, 16) != 0 ||
        ::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
      throw std::runtime_error{"no listener"};
    }
    port_ = ntohs(at.sin_port);
    thread_ = std::thread{[this] { serve(); }};
  }
  ~scripted_peer() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    for (auto& l : lines_) {
      l.join();
    }
    ::close(listening_);
  }
  scripted_peer(const scripted_peer&) = delete;
  scripted_peer& operator=(const scripted_peer&) = delete;

  [[nodiscard]] std::string port() const { return std::to_string(port_); }
  [[nodiscard]] int connections() const { return connections_; }

private:
  void serve() {
    for (;;) {
      const int descriptor = ::accept(listening_, nullptr, nullptr);
      if (descriptor < 0) {
        return;
      }
      ++connections_;
      if (at_once_) {
        lines_.emplace_back([this, descriptor] { run(descriptor); });
      } else {
        run(descriptor);
      }
    }
  }
  void run(int descriptor) {
    scripted_line line{descriptor};
    try {
      script_(line);
    } catch (const scripted_line::over&) {  // so it is
    }
  }

  script script_;
  bool at_once_;
  int listening_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::vector<std::thread> lines_;  // of the thread that accepts
  std::thread thread_;
};

}  // namespace comity::connection
