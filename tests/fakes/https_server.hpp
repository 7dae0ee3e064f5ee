// tests/fakes/https_server.hpp: an HTTPS server on loopback that answers what a test tells it to, one connection at a
// time, on a thread of its own.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fakes/quiet_socket.hpp"
#include "tls/context.hpp"

namespace comity::fakes {

class https_server {
public:
  /// Presents that certificate. Answers are raw: status line, fields and body.
  explicit https_server(const tls::host_certificate& presented)
      : context_{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free}, listening_{::socket(AF_INET, SOCK_STREAM, 0)} {
    SSL_CTX_use_certificate_chain_file(context_.get(), presented.certificate_file.c_str());
    SSL_CTX_use_PrivateKey_file(context_.get(), presented.private_key_file.c_str(), SSL_FILETYPE_PEM);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ::bind(listening_, reinterpret_cast<const sockaddr*>(&at), size);
    ::listen(listening_, 16);
    ::getsockname(listening_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    thread_ = std::thread{[this] { serve(); }};
  }
  ~https_server() {
    ::shutdown(listening_, SHUT_RDWR);
    thread_.join();
    ::close(listening_);
  }
  https_server(const https_server&) = delete;
  https_server& operator=(const https_server&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  void answer(const std::string& path, std::string raw) {
    const std::lock_guard hold{lock_};
    answers_[path] = std::move(raw);
  }
  /// Requests that came, whole heads.
  [[nodiscard]] std::vector<std::string> requests() const {
    const std::lock_guard hold{lock_};
    return requests_;
  }
  static std::string ok(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }

private:
  void serve() {
    for (;;) {
      const int one = ::accept(listening_, nullptr, nullptr);
      if (one < 0) {
        return;
      }
      const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context_.get()), &SSL_free};
      attach_socket(ssl.get(), one);
      if (SSL_accept(ssl.get()) == 1) {
        std::string head;
        std::array<char, 4096> buffer{};
        int got = 0;
        while (head.find("\r\n\r\n") == std::string::npos &&
               (got = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()))) > 0) {
          head.append(buffer.data(), static_cast<std::size_t>(got));
        }
        if (got > 0) {  // else the client has gone without a word
          const auto said = answer_to(head);
          SSL_write(ssl.get(), said.data(), static_cast<int>(said.size()));
        }
        SSL_shutdown(ssl.get());
      }
      ::close(one);
    }
  }
  std::string answer_to(const std::string& head) {
    const std::lock_guard hold{lock_};
    requests_.push_back(head);
    const auto begin = head.find(' ') + 1;
    const auto found = answers_.find(head.substr(begin, head.find(' ', begin) - begin));
    return found == answers_.end() ? "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" : found->second;
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  int listening_;
  std::uint16_t port_ = 0;
  mutable std::mutex lock_;
  std::map<std::string, std::string> answers_;
  std::vector<std::string> requests_;
  std::thread thread_;
};

}  // namespace comity::fakes
