#include "server/check/port_probe.hpp"

#include <array>
#include <asio.hpp>
#include <expected>
#include <optional>
#include <utility>

#include "connection/transport/tcp_connect.hpp"
#include "server/check/probe_dialogue.hpp"
#include "tls/stream.hpp"

namespace comity::check {

namespace {

std::string_view alpn_of(dns::service s) {
  return s == dns::service::client ? "xmpp-client" : "xmpp-server";
}

port_probe::outcome outcome_of(const connection::tcp_connect::failure& f) {
  const auto end = f.cause == connection::cause::tcp_refused   ? probe_end::refused
                   : f.cause == connection::cause::tcp_timeout ? probe_end::silent
                                                               : probe_end::unreachable;
  return {.end = end, .detail = f.text};
}

port_probe::outcome outcome_of(const tls::tls_failure& f) {
  using kind = tls::tls_failure::kind;
  const auto end = f.what == kind::no_application_protocol ? probe_end::alpn_refused
                   : f.what == kind::not_tls               ? probe_end::not_xmpp
                                                           : probe_end::tls_failed;
  return {.end = end, .detail = f.what == kind::not_tls ? "it speaks no TLS" : f.text};
}

}  // namespace

struct port_probe::state : std::enable_shared_from_this<port_probe::state> {
  state(connection::loop& l, const tls::client_context& t, question q, completion d)
      : loop{l},
        tls{t},
        asked{std::move(q)},
        done{std::move(d)},
        deadline{l.context()},
        socket{l.context()},
        dialogue{asked.as, asked.domain} {}

  void begin() {
    deadline.expires_after(asked.time);
    deadline.async_wait([self = shared_from_this()](std::error_code aborted) {
      if (!aborted) {
        self->result.detail = self->result.connected ? "it says nothing more" : "no answer";
        self->end(std::move(self->result));
      }
    });
    tcp = std::make_unique<connection::tcp_connect>(loop, asked.address, asked.port,
                                                    [this](std::expected<int, connection::tcp_connect::failure> got) {
                                                      const auto self = shared_from_this();
                                                      got ? take(*got) : end(outcome_of(got.error()));
                                                    });
  }

  void take(int descriptor) {
    result.connected = true;
    socket.assign(descriptor);
    stream.emplace(descriptor);
    if (asked.as.direct_tls) {
      begin_tls();
    } else {
      output = dialogue.header();
      run();
    }
  }

  void begin_tls() {
    const std::span<const std::string_view> offered =
        asked.as.direct_tls ? std::span<const std::string_view>{protocols} : std::span<const std::string_view>{};
    // RFC 6120 §5.4.3.1, XEP-0368 §2: the name is that of the service, not of the host.
    stream->connect(tls, {.server_name = asked.domain, .alpn = offered, .local_domain = {}, .resume = nullptr});
    securing = true;
    run();
  }

  /// Does what can be done at once, and waits for the rest.
  void run() {
    while (done) {
      const auto did = securing ? shake_hands() : !output.empty() ? write() : read();
      if (!did) {
        return;
      }
    }
  }

  /// False where it waits, or is over.
  bool shake_hands() {
    const auto r = stream->handshake();
    if (r.status == tls::io_status::done) {
      securing = false;
      result.peer = stream->peer();
      result.alpn_confirmed = stream->facts().alpn == alpn_of(asked.as.service);
      dialogue.secured();
      output = dialogue.header();
      return true;
    }
    if (r.status == tls::io_status::failed) {
      auto failed = outcome_of(stream->failure());
      failed.connected = true;
      end(std::move(failed));
      return false;
    }
    return wait_or_end(r, probe_end::tls_failed, "it closes the connection in the handshake");
  }

  bool write() {
    const auto r = stream->write(output);
    if (r.status == tls::io_status::done) {
      output.erase(0, r.bytes);
      return true;
    }
    return wait_or_end(r, probe_end::not_xmpp, "it closes the connection");
  }

  bool read() {
    std::array<char, 4096> bytes{};
    const auto r = stream->read(bytes);
    if (r.status != tls::io_status::done) {
      return wait_or_end(r, probe_end::not_xmpp, "it closes the connection");
    }
    auto next = dialogue.on({bytes.data(), r.bytes});
    switch (next.what) {
      case probe_dialogue::step::kind::more:
        return true;
      case probe_dialogue::step::kind::send:
        output = std::move(next.bytes);
        return true;
      case probe_dialogue::step::kind::begin_tls:
        begin_tls();
        return false;  // it has gone on by itself
      case probe_dialogue::step::kind::done:
        result.end = next.end;
        result.detail = std::move(next.detail);
        end(std::move(result));
        return false;
    }
    return false;
  }

  bool wait_or_end(const tls::io_result& r, probe_end otherwise, std::string_view why) {
    if (r.status == tls::io_status::want_read || r.status == tls::io_status::want_write) {
      socket.async_wait(r.status == tls::io_status::want_read ? asio::posix::stream_descriptor::wait_read
                                                              : asio::posix::stream_descriptor::wait_write,
                        [self = shared_from_this()](std::error_code aborted) {
                          if (!aborted) {
                            self->run();
                          }
                        });
      return false;
    }
    result.end = otherwise;
    result.detail = why;
    end(std::move(result));
    return false;
  }

  void end(outcome o) {
    if (!done) {
      return;
    }
    o.peer = o.peer ? o.peer : result.peer;
    auto tell = std::exchange(done, nullptr);
    call_off();
    tell(std::move(o));
  }

  /// Closes politely where it can be done at once: nobody is to count a failure for our curiosity.
  void call_off() {
    done = nullptr;
    deadline.cancel();
    if (stream && !securing) {
      const std::string_view closing = "</stream:stream>";
      if (stream->write(closing).status == tls::io_status::done && stream->encrypted()) {
        (void)stream->close_notify();
      }
    }
    stream.reset();
    std::error_code ignored;
    socket.close(ignored);
  }

  connection::loop& loop;
  const tls::client_context& tls;
  question asked;
  completion done;
  asio::steady_timer deadline;
  std::unique_ptr<connection::tcp_connect> tcp;
  asio::posix::stream_descriptor socket;                                 // closes it
  std::array<std::string_view, 1> protocols{alpn_of(asked.as.service)};  // what the stream offers, and refers to
  std::optional<tls::stream> stream;                                     // goes before the socket
  probe_dialogue dialogue;
  std::string output;
  outcome result;
  bool securing = false;
};

port_probe::port_probe(connection::loop& loop, const tls::client_context& tls, question asked, completion done)
    : state_{std::make_shared<state>(loop, tls, std::move(asked), std::move(done))} {
  state_->begin();
}

port_probe::~port_probe() {
  state_->tcp.reset();
  state_->call_off();
}

}  // namespace comity::check
