#include "connection/front/forwarder.hpp"

#include <sys/socket.h>

#include <array>
#include <asio.hpp>
#include <cerrno>
#include <memory>
#include <span>
#include <utility>

#include "connection/front/fatal_alert.hpp"
#include "connection/timer_wheel.hpp"
#include "connection/transport/tcp_connect.hpp"

namespace comity::connection {

namespace {

/// How much one side may say before the others have their turn.
constexpr unsigned reads_a_turn = 16;

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

class forwarder final : public live_connection, private timer_wheel::entry {
public:
  forwarder(loop_connections& loop, log::sink& log, forwarding f)
      : loop_{loop},
        log_{log},
        id_{loop_connections::new_id()},
        at_{f.client.at},
        address_{std::move(f.client.address)},
        permit_{std::move(f.client.permit)},
        to_{std::move(f.to)},
        hello_{std::move(f.hello)},
        resolver_{loop.loop().context()},
        client_{loop.loop().context(), f.client.descriptor},
        backend_{loop.loop().context()},
        ways_{way{client_, backend_, std::move(f.introduction)}, way{backend_, client_, {}}} {
    permit_.authenticated();  // whether it authenticates is between the two
  }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  void begin(std::chrono::milliseconds timeout) {
    loop_.loop().arm(*this, timer_wheel::clock::now() + timeout);
    if (const auto literal = dns::address::parse(to_.host)) {
      addresses_.push_back(*literal);
      return connect_next({});
    }
    resolver_.async_resolve(to_.host, "", asio::ip::resolver_base::numeric_service,
                            [&loop = loop_, id = id_](std::error_code error, const auto& found) {
                              loop.on(id,
                                      [&](live_connection& c) { static_cast<forwarder&>(c).resolved(error, found); });
                            });
  }

  // --- live_connection -----------------------------------------------------------------------------------------------

  [[nodiscard]] connection_info info() const override {
    connection_info i;
    i.ref = {loop_.loop().index(), id_};
    i.address = address_;
    i.domain = hello_.server_name;
    i.service = "forward";
    i.alpn = hello_.alpn.empty() ? std::string{} : hello_.alpn.front();
    i.age = std::chrono::duration_cast<std::chrono::seconds>(timer_wheel::clock::now() - at_);
    i.bytes_received = ways_[0].bytes;
    i.bytes_sent = ways_[1].bytes;
    i.queue_bytes = ways_[0].pending.size() + ways_[1].pending.size();
    return i;
  }
  void send(stanza_ref /*stanza*/) override {}
  void dismiss(stream_condition /*condition*/, cause why, std::string /*text*/) override { end(to_string(why)); }
  void readable() override {}  // its sockets call pump() themselves
  void writable() override {}
  void flush() override {}
  void fault(std::string_view what) noexcept override {
    log_.write(log::level::error, "front.fault", {{"address", address_}, {"detail", what}});
    end("fault");
  }

private:
  using descriptor = asio::posix::basic_stream_descriptor<asio::io_context::executor_type>;
  struct side {
    side(asio::io_context& context) : socket{context} {}
    side(asio::io_context& context, int open) : socket{context, open} {}
    descriptor socket;
    bool reading = false;  // a wait is under way
    bool writing = false;
  };
  struct way {
    side& from;
    side& to;
    std::string pending;  // read, and not yet taken by the other side
    bool ended = false;   // the one side has said all
    bool passed = false;  // and the other was told
    std::uint64_t bytes = 0;
  };

  // --- reaching the backend ------------------------------------------------------------------------------------------

  void resolved(std::error_code error, const asio::ip::tcp::resolver::results_type& found) {
    for (const auto& entry : found) {
      const auto address = entry.endpoint().address();
      if (const auto parsed = dns::address::parse(address.to_string())) {
        addresses_.push_back(*parsed);
      }
    }
    connect_next(error.message());
  }

  void connect_next(std::string failure) {
    if (addresses_.empty()) {
      return unreachable(failure);
    }
    const auto next = addresses_.front();
    addresses_.erase(addresses_.begin());
    connecting_ = std::make_unique<tcp_connect>(
        loop_.loop(), next, to_.port, [this](std::expected<int, tcp_connect::failure> connected) {
          if (!connected) {
            return connect_next(std::move(connected.error().text));  // replaces what calls this
          }
          timer_wheel::entry::cancel();
          backend_.socket.assign(*connected);
          pump();
        });
  }

  void unreachable(std::string_view why) {
    log_.write(log::level::warn, "front.unreachable",
               {{"address", address_}, {"backend", backend_text()}, {"detail", why}});
    send_fatal_alert(client_.socket.native_handle(), tls_alert::internal_error, loop_.read_buffer());
    over();
  }
  void expired() override { unreachable("timeout"); }

  [[nodiscard]] std::string backend_text() const { return to_.host + ":" + std::to_string(to_.port); }

  // --- passing bytes -------------------------------------------------------------------------------------------------

  void pump() {
    for (auto& w : ways_) {
      if (!carry(w)) {
        return end("reset");
      }
    }
    if (ways_[0].passed && ways_[1].passed) {
      end("");
    }
  }

  /// All that can be done now in one direction; false where a side has failed.
  bool carry(way& w) {
    for (unsigned turn = 0; turn < reads_a_turn; ++turn) {
      if (!w.pending.empty()) {
        const auto sent = put(w, w.pending);
        if (!sent) {
          return false;
        }
        w.pending.erase(0, *sent);
        if (!w.pending.empty()) {
          wait(w.to, w.to.writing, descriptor::wait_write);
          return true;  // and the other side is not read meanwhile
        }
      }
      if (w.ended) {
        if (!std::exchange(w.passed, true)) {
          (void)::shutdown(w.to.socket.native_handle(), SHUT_WR);
        }
        return true;
      }
      const auto buffer = loop_.read_buffer();
      const auto got = ::recv(w.from.socket.native_handle(), buffer.data(), buffer.size(), 0);
      if (got < 0 && would_block(errno)) {
        break;
      }
      if (got < 0) {
        return false;
      }
      w.ended = got == 0;
      const std::string_view bytes{buffer.data(), static_cast<std::size_t>(got)};
      const auto sent = bytes.empty() ? 0 : put(w, bytes);
      if (!sent) {
        return false;
      }
      w.pending.assign(bytes.substr(*sent));
    }
    wait(w.from, w.from.reading, descriptor::wait_read);
    return true;
  }

  /// How much the other side took; nullopt where it has failed.
  static std::optional<std::size_t> put(way& w, std::string_view bytes) {
    const auto sent = ::send(w.to.socket.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) {
      return would_block(errno) ? std::optional<std::size_t>{0} : std::nullopt;
    }
    w.bytes += static_cast<std::size_t>(sent);
    return static_cast<std::size_t>(sent);
  }

  void wait(side& s, bool& waiting, descriptor::wait_type for_what) {
    if (std::exchange(waiting, true)) {
      return;
    }
    // A connection that has gone meanwhile is not found; then `waiting` is gone too.
    s.socket.async_wait(for_what, [&loop = loop_, id = id_, &waiting](std::error_code) {
      loop.on(id, [&waiting](live_connection& c) {
        waiting = false;
        static_cast<forwarder&>(c).pump();
      });
    });
  }

  void end(std::string_view why) noexcept {
    if (!std::exchange(over_, true)) {
      log_.write(log::level::debug, "front.forwarded",
                 {{"address", address_},
                  {"backend", backend_text()},
                  {"name", hello_.server_name},
                  {"received", static_cast<std::int64_t>(ways_[0].bytes)},
                  {"sent", static_cast<std::int64_t>(ways_[1].bytes)},
                  {"cause", why}});
    }
    over();
  }
  void over() noexcept {
    over_ = true;
    timer_wheel::entry::cancel();
    loop_.remove(id_);
  }

  loop_connections& loop_;
  log::sink& log_;
  std::uint64_t id_;
  std::chrono::steady_clock::time_point at_;
  std::string address_;
  ip_limits::permit permit_;
  front_route to_;
  tls::client_hello hello_;
  asio::ip::tcp::resolver resolver_;
  std::vector<dns::address> addresses_;  // of the backend, to be tried
  std::unique_ptr<tcp_connect> connecting_;
  side client_, backend_;
  std::array<way, 2> ways_;  // the client's words first
  bool over_ = false;
};

}  // namespace

void forward(loop_connections& loop, log::sink& log, forwarding f) {
  const auto timeout = f.timeout;
  loop.start(std::make_unique<forwarder>(loop, log, std::move(f)), timeout);
}

}  // namespace comity::connection
