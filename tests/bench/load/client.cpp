#include "bench/load/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace comity::bench {

namespace {

constexpr std::size_t buffer_bytes = 32UL * 1024UL;
std::array<char, buffer_bytes> read_buffer;  // one thread: lent to whoever reads

/// Each address has fewer than the servers allow one to have, and more than enough ports.
constexpr std::size_t connections_an_address = 40;
constexpr std::size_t addresses_a_net = 250;

constexpr std::string_view features_end = "</stream:features>";

}  // namespace

int client::connect_from(const target& to, std::size_t number) {
  const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s < 0) {
    throw std::runtime_error{std::string{"socket: "} + std::strerror(errno)};
  }
  const int on = 1;
  ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (to.send_buffer > 0) {
    ::setsockopt(s, SOL_SOCKET, SO_SNDBUF, &to.send_buffer, sizeof to.send_buffer);
  }
  const auto at = static_cast<std::uint32_t>(number / connections_an_address);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f010001U + (static_cast<std::uint32_t>(at / addresses_a_net) << 8U) +
                               static_cast<std::uint32_t>(at % addresses_a_net));
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(to.port);
  if (::inet_pton(AF_INET, to.host.c_str(), &server.sin_addr) != 1) {
    throw std::runtime_error{to.host + " is no IPv4 address"};
  }
  if (::bind(s, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0 ||
      (::connect(s, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0 && errno != EINPROGRESS)) {
    const int error = errno;
    ::close(s);
    const auto why = std::string{"connect: "} + std::strerror(error);
    if (error == ECONNREFUSED) {
      throw connection_refused{why};
    }
    throw std::runtime_error{why};
  }
  return s;
}

client::client(poller& p, ssl_ctx_st* context, const target& to, std::size_t number, const events& told,
               ssl_session_st* session)
    : poller_{p}, target_{to}, number_{number}, events_{told}, tls_{context, connect_from(to, number), false} {
  static constexpr std::string_view alpn = "\x0bxmpp-client";
  SSL_set_app_data(tls_.ssl(), this);
  SSL_set_tlsext_host_name(tls_.ssl(), to.domain.c_str());
  if (!to.floor) {
    SSL_set_alpn_protos(tls_.ssl(), reinterpret_cast<const unsigned char*>(alpn.data()), alpn.size());
  }
  if (session != nullptr) {
    SSL_set_session(tls_.ssl(), session);
  }
  p.add(tls_.descriptor(), *this, true);
}

client::~client() {
  if (registered_) {
    poller_.remove(tls_.descriptor(), *this);
  }
}

void client::fail(std::string why) {
  if (registered_) {
    poller_.remove(tls_.descriptor(), *this);
    registered_ = false;
  }
  why_ = std::move(why);
  failed_at_ = std::exchange(stage_, stage::failed);
  if (events_.ended) {
    events_.ended(*this);
  }
}

void client::want() {
  const bool waits = tls_.wants_write();
  if (registered_ && waits != std::exchange(waits_, waits)) {
    poller_.change(tls_.descriptor(), *this, waits);
  }
}

void client::ready(bool readable, bool writable) {
  if (stage_ == stage::connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(tls_.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      return fail(std::string{"connect: "} + std::strerror(error));
    }
    stage_ = stage::handshake;
  }
  if (stage_ == stage::handshake) {
    const auto stepped = tls_.handshake();
    if (stepped == tls_socket::status::again) {
      return want();
    }
    if (stepped == tls_socket::status::closed) {
      return fail("the TLS handshake failed");
    }
    stage_ = stage::opening;
    if (events_.secured) {
      events_.secured(*this);
    }
    if (target_.floor) {
      stage_ = stage::online;
      if (events_.online) {
        events_.online(*this);
      }
    } else if (events_.online) {
      open_stream();
    }
  }
  if (writable && !tls_.flush()) {
    return fail("the connection is gone");
  }
  while (readable && registered_) {
    std::size_t count = 0;
    const auto got = tls_.read(read_buffer, count);
    if (got == tls_socket::status::closed) {
      return fail("the server closed: " + incoming_);
    }
    if (got == tls_socket::status::done) {
      incoming_.append(read_buffer.data(), count);
    }
    readable = got == tls_socket::status::done && tls_.more();
  }
  if (!incoming_.empty() && registered_) {
    take_steps();
  }
  want();
}

std::optional<std::string> client::until(std::string_view word) {
  const auto at = incoming_.find(word);
  if (at == std::string::npos) {
    return std::nullopt;
  }
  auto taken = incoming_.substr(0, at + word.size());
  incoming_.erase(0, at + word.size());
  return taken;
}

void client::open_stream() {
  send("<?xml version='1.0'?><stream:stream to='" + target_.domain +
       "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>");
}

void client::authenticate() {
  if (target_.login == mechanism::plain) {
    stage_ = stage::proof;
    return send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
                base64(std::string{'\0'} + user() + '\0' + target_.password) + "</auth>");
  }
  stage_ = stage::challenge;
  scram_ = std::make_unique<scram_client>(user(), target_.password);
  send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-1'>" + scram_->first() + "</auth>");
}

void client::take_steps() {
  switch (stage_) {
    case stage::opening:
      if (until(features_end)) {
        authenticate();
      }
      break;
    case stage::challenge:
      if (const auto told = until("</challenge>")) {
        const auto end = told->rfind('<');
        const auto begin = told->rfind('>', end) + 1;
        stage_ = stage::proof;
        send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" +
             scram_->final(std::string_view{*told}.substr(begin, end - begin)) + "</response>");
      } else if (incoming_.contains("</failure>")) {
        fail(incoming_);
      }
      break;
    case stage::proof:
      if (incoming_.contains("<success") && (until("</success>") || until("/>"))) {
        scram_.reset();
        stage_ = stage::reopening;
        open_stream();
      } else if (incoming_.contains("</failure>")) {
        fail(incoming_);
      }
      break;
    case stage::reopening:
      if (until(features_end)) {
        stage_ = stage::binding;
        send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
      }
      break;
    case stage::binding:
      if (const auto bound = until("</iq>")) {
        const auto begin = bound->find("<jid>");
        const auto end = bound->find("</jid>");
        if (begin == std::string::npos || end == std::string::npos) {
          return fail(*bound);
        }
        jid_ = bound->substr(begin + 5, end - begin - 5);
        stage_ = stage::online;
        if (events_.online) {
          events_.online(*this);
        }
      }
      break;
    case stage::online:
      if (events_.bytes) {
        events_.bytes(*this, incoming_);
      } else {
        incoming_.clear();
      }
      break;
    case stage::connecting:
    case stage::handshake:
    case stage::failed:
      break;
  }
}

void client::send(std::string_view bytes) {
  if (corked_) {
    outgoing_ += bytes;
    return;
  }
  if (registered_) {
    if (!tls_.write(bytes)) {
      return fail("the connection is gone");
    }
    want();
  }
}

void client::uncork() {
  corked_ = false;
  if (!outgoing_.empty()) {
    send(outgoing_);
    outgoing_.clear();
  }
}

void client::close() {
  if (!registered_) {
    return;
  }
  if (stage_ == stage::online && !target_.floor) {
    send("</stream:stream>");
  }
  if (registered_) {
    tls_.close_notify();
    poller_.remove(tls_.descriptor(), *this);
    registered_ = false;
    ::shutdown(tls_.descriptor(), SHUT_WR);
  }
}

}  // namespace comity::bench
