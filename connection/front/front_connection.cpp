#include "connection/front/front_connection.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/front/fatal_alert.hpp"
#include "connection/front/forwarder.hpp"
#include "connection/front/proxy_header.hpp"
#include "connection/front/sniffer.hpp"
#include "connection/timer_wheel.hpp"
#include "connection/transport/ip_endpoint.hpp"
#include "connection/transport/tcp_connect.hpp"
#include "connection/transport/wire.hpp"
#include "tls/client_hello.hpp"

namespace comity::connection {

namespace {

using tls::io_status;

/// RFC 9112, RFC 7301 §6: what our own HTTP speaks.
constexpr std::array<std::string_view, 1> http_alpn{"http/1.1"};
constexpr char tls_handshake_record = 0x16;

class front_connection final : public live_connection, private timer_wheel::entry {
public:
  front_connection(const front_collaborators& with, std::shared_ptr<const front_settings> settings,
                   accepted_socket socket)
      : with_{with},
        settings_{std::move(settings)},
        id_{loop_connections::new_id()},
        wire_{with.loop, id_, socket.descriptor, 0},
        client_{std::move(socket)},
        peer_{client_.ip},
        proxied_{peer_ && contains(settings_->proxies, *peer_)},
        stage_{proxied_ ? stage::proxy_header : first_stage()} {}

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  void begin() {
    with_.loop.loop().arm(*this, client_.at + settings_->tls_timeout);
    with_.loop.newcomer(id_);
  }

  // --- live_connection -----------------------------------------------------------------------------------------------

  [[nodiscard]] connection_info info() const override {
    connection_info i;
    i.ref = {with_.loop.loop().index(), id_};
    i.address = client_.address;
    i.domain = hello_.server_name;
    i.service = "front";
    i.age = std::chrono::duration_cast<std::chrono::seconds>(timer_wheel::clock::now() - client_.at);
    return i;
  }
  void send(stanza_ref /*stanza*/) override {}
  void dismiss(stream_condition /*condition*/, cause /*why*/, std::string /*text*/) override { over(); }
  void readable() override {
    if (wire_.became_readable()) {
      with_.loop.newcomer(id_);
    }
  }
  void writable() override {
    if (wire_.became_writable()) {
      with_.loop.newcomer(id_);
    }
  }
  void take_turn() override {
    while (stage_ != stage::over && step()) {
    }
  }
  void flush() override { wire_.turn_ended(); }
  void fault(std::string_view what) noexcept override {
    with_.log.write(log::level::error, "front.fault", {{"address", client_.address}, {"detail", what}});
    over();
  }

private:
  enum class stage : std::uint8_t {
    proxy_header,  // of a proxy that must send one
    first_byte,    // TLS, or a stream in clear
    client_hello,  // looked at, not taken
    handshake,     // TLS spoken here: for HTTP, or to look inside
    inside,        // the first decrypted bytes
    routed,        // all is known: to be handed over
    over,
  };

  [[nodiscard]] stage first_stage() {
    if (settings_->opens_with == front_opening::either) {
      return stage::first_byte;
    }
    if (!settings_->only) {
      return stage::client_hello;
    }
    route_.to = *settings_->only;
    return settings_->opens_with == front_opening::tls && route_.to == destination::http ? stage::handshake
                                                                                         : stage::routed;
  }

  /// True where more can be done at once.
  bool step() {
    switch (stage_) {
      case stage::proxy_header:
        return take_proxy_header();
      case stage::first_byte:
        return tell_by_first_byte();
      case stage::client_hello:
        return look_at_client_hello();
      case stage::handshake:
        return step_handshake();
      case stage::inside:
        return look_inside();
      case stage::routed:
        hand_over();
        return false;
      case stage::over:
        return false;
    }
    return false;
  }

  // --- looking at what stands in the socket --------------------------------------------------------------------------

  /// What is there, left there; nullopt where it is to be waited for, or all is over.
  std::optional<std::string_view> look() {
    const auto buffer = with_.loop.read_buffer();
    const auto seen = wire_.peek(buffer);
    if (seen.status == io_status::done) {
      seen_ = true;
      return std::string_view{buffer.data(), seen.bytes};
    }
    if (seen.status == io_status::want_read) {
      wire_.wait_readable();
    } else {
      gone();
    }
    return std::nullopt;
  }

  /// Waits until `bytes` are there in all: what was looked at stays, so without a mark the socket would be readable
  /// again and again. Gives false, for step().
  bool wait_for(std::size_t bytes) {
    low_water(static_cast<int>(bytes));
    pollfd state{.fd = wire_.tls().descriptor(), .events = POLLRDHUP, .revents = 0};
    if (::poll(&state, 1, 0) > 0) {
      gone();  // nothing will follow
    } else {
      wire_.wait_readable();
    }
    return false;
  }
  void low_water(int bytes) const noexcept {
    (void)::setsockopt(wire_.tls().descriptor(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
  }

  bool take_proxy_header() {
    using status = proxy_header_reading::status;
    const auto bytes = look();
    if (!bytes) {
      return false;
    }
    const auto header = read_proxy_header(*bytes);
    switch (header.is) {
      case status::needs_more:
        return wait_for(header.size);
      case status::absent:
        return fail(phase::tcp, cause::proxy_header, "no PROXY header from an address that must send one");
      case status::malformed:
        return fail(phase::tcp, cause::proxy_header, "malformed PROXY header");
      case status::complete:
        break;
    }
    if (!wire_.take(with_.loop.read_buffer(), header.size)) {
      return gone();
    }
    low_water(1);
    client_.introduced = true;
    seen_ = !header.local;  // a health check that ends here is no fault
    introduced_ = header.client;
    if (header.client) {
      client_.ip = header.client->ip;
      client_.address = endpoint_text(header.client->ip, header.client->port);
    }
    auto permit = with_.limits.admit(ip_limits::key_of(*client_.ip));
    if (!permit) {
      with_.loop.metrics().rejected(presumed().scope, permit.error());
      with_.log.write(log::level::debug, "front.rejected",
                      {{"address", client_.address}, {"cause", to_string(permit.error())}});
      return over();
    }
    client_.permit = std::move(*permit);
    stage_ = first_stage();
    return true;
  }

  bool tell_by_first_byte() {
    const auto bytes = look();
    if (!bytes) {
      return false;
    }
    const bool clear = bytes->front() != tls_handshake_record;
    client_.method = clear ? method::starttls : method::direct_tls;
    route_.to = *settings_->only;
    stage_ = stage::routed;
    return true;
  }

  bool look_at_client_hello() {
    using status = tls::client_hello_reading::status;
    const auto bytes = look();
    if (!bytes) {
      return false;
    }
    auto read = tls::read_client_hello(*bytes);
    switch (read.is) {
      case status::needs_more:
        return wait_for(read.needed);
      case status::no_client_hello:
        return fail(phase::tls, cause::tls_alert, "no ClientHello");
      case status::too_long:
        return fail(phase::tls, cause::limit, "ClientHello too long");
      case status::complete:
        break;
    }
    low_water(1);
    hello_ = std::move(read.hello);
    route_ = route_of(hello_, settings_->routes);
    switch (route_.to) {
      case destination::c2s:
      case destination::s2s:
        stage_ = stage::routed;
        return with_.takers.of(route_.to) ? true : refuse();
      case destination::http:
        stage_ = stage::handshake;
        return with_.takers.http ? true : refuse();
      case destination::sniff:
        stage_ = stage::handshake;
        return true;
      case destination::forward:
        stage_ = stage::routed;
        return true;
      case destination::refuse:
        break;
    }
    return refuse();
  }

  // --- TLS spoken here -----------------------------------------------------------------------------------------------

  bool step_handshake() {
    if (!std::exchange(begun_, true)) {
      const bool http = route_.to == destination::http;
      wire_.accept_tls(with_.tls,
                       http ? std::span<const std::string_view>{http_alpn} : std::span<const std::string_view>{}, {});
    }
    switch (wire_.handshake().status) {
      case io_status::want_read:
        wire_.wait_readable();
        return false;
      case io_status::want_write:
        return false;
      case io_status::closed:
      case io_status::truncated:
        return gone();
      case io_status::failed: {
        const auto& failure = wire_.tls().failure();
        const bool no_overlap = failure.what == tls::tls_failure::kind::no_application_protocol;
        count(alpn_routed::refused);
        return fail(phase::tls, no_overlap ? cause::alpn_mismatch : cause::tls_alert, failure.text);
      }
      case io_status::done:
        break;
    }
    if (route_.to == destination::http) {
      stage_ = stage::routed;
      return true;
    }
    stage_ = stage::inside;
    with_.loop.loop().arm(*this, client_.at + settings_->handshake_timeout);
    return true;
  }

  bool look_inside() {
    const auto buffer = with_.loop.read_buffer();
    const auto got = wire_.read(buffer);
    if (got.status == io_status::want_read || got.status == io_status::want_write) {
      wire_.wait_readable();
      return false;
    }
    if (got.status != io_status::done) {
      count(alpn_routed::refused);
      return gone();
    }
    client_.unread.append(buffer.data(), got.bytes);
    switch (sniff(client_.unread, settings_->before_authentication, with_.loop.parser())) {
      case sniffed::needs_more:
        return true;
      case sniffed::c2s:
        route_.to = destination::c2s;
        break;
      case sniffed::s2s:
        route_.to = destination::s2s;
        break;
      case sniffed::http:
        route_.to = destination::http;
        break;
      case sniffed::other:
        route_.to = destination::refuse;
        break;
    }
    if (route_.to == destination::refuse || !with_.takers.of(route_.to)) {
      count(alpn_routed::refused);
      return fail(phase::stream, cause::policy, "nothing that is served here, inside TLS without ALPN");
    }
    stage_ = stage::routed;
    return true;
  }

  // --- the ends ------------------------------------------------------------------------------------------------------

  void hand_over() {
    const bool clear_http = route_.to == destination::http && settings_->opens_with == front_opening::clear;
    if (clear_http && !may_speak_clear_http()) {
      fail(phase::tls, cause::policy, "HTTP without TLS from an address that is no trusted proxy");
      return;
    }
    auto stream = wire_.release();
    const bool secure = stream.encrypted();
    over();
    if (secure) {
      client_.tls = std::move(stream);
    }
    if (route_.to == destination::forward) {
      count(alpn_routed::forward);
      std::string introduction;
      const auto ours = local_end(client_.descriptor);
      const auto from = remote_end(client_.descriptor);
      if (settings_->introduces && ours && from) {
        introduction = proxy_header(introduced_.value_or(*from), *ours);
      }
      return forward(with_.loop, with_.log,
                     {.client = std::move(client_),
                      .to = std::move(route_),
                      .introduction = std::move(introduction),
                      .hello = std::move(hello_),
                      .timeout = settings_->tls_timeout});
    }
    if (route_.to == destination::http && secure) {
      count(alpn_routed::http);  // streams count their own
    }
    with_.takers.of(route_.to)(with_.loop, std::move(client_));
  }

  [[nodiscard]] bool may_speak_clear_http() const {
    static const std::vector<address_block> loopback{*address_block::parse("127.0.0.0/8"),
                                                     *address_block::parse("::1")};
    return proxied_ || (peer_ && (contains(loopback, *peer_) || contains(settings_->clear_http, *peer_)));
  }

  /// RFC 7301 §3.2 (D06).
  bool refuse() {
    count(alpn_routed::refused);
    send_fatal_alert(wire_.tls().descriptor(), tls_alert::no_application_protocol, with_.loop.read_buffer());
    return fail(phase::tls, cause::alpn_mismatch, hello_.alpn.empty() ? "no ALPN" : "no ALPN that is served here");
  }

  /// comity_alpn_total counts TLS clients by what they offered, once each.
  void count(alpn_routed routed) const {
    const auto offered = settings_->only ? wire_.tls().alpn_offered() : hello_.alpn;
    with_.loop.metrics().alpn(class_of(offered), routed);
  }

  /// How it counts where it ends before it is known: as the port says, or as a client.
  [[nodiscard]] connection::route presumed() const {
    const bool server = route_.to == destination::s2s || settings_->only == destination::s2s;
    return {server ? scope::s2s : scope::c2s, direction::inbound, client_.method};
  }

  /// The client has ended it.
  bool gone() {
    if (proxied_ && !seen_) {
      return over();  // a health check, which says LOCAL or nothing at all
    }
    const bool header = stage_ == stage::proxy_header;
    return fail(header ? phase::tcp : phase::tls, cause::peer_closed, wire_.tls().failure().text);
  }

  bool fail(phase when, cause why, std::string_view text) {
    if (settings_->only != destination::http && route_.to != destination::http) {
      with_.loop.metrics().attempted(presumed());
      with_.loop.metrics().failed(presumed(), when, why);
    }
    with_.log.write(
        log::level::info, "front.failed",
        {{"address", client_.address}, {"phase", to_string(when)}, {"cause", to_string(why)}, {"detail", text}});
    return over();
  }

  /// Gives false, for step().
  bool over() noexcept {
    stage_ = stage::over;
    timer_wheel::entry::cancel();
    with_.loop.remove(id_);
    return false;
  }

  void expired() override {
    const bool header = stage_ == stage::proxy_header;
    const bool inside = stage_ == stage::inside;
    fail(header   ? phase::tcp
         : inside ? phase::stream
                  : phase::tls,
         header   ? cause::proxy_header
         : inside ? cause::stream_timeout
                  : cause::tls_timeout,
         "");
  }

  front_collaborators with_;
  std::shared_ptr<const front_settings> settings_;
  std::uint64_t id_;
  connection::wire wire_;
  accepted_socket client_;
  std::optional<dns::address> peer_;       // the other end of the socket: the client, or its proxy
  std::optional<ip_endpoint> introduced_;  // the client, as its proxy says
  bool proxied_;                           // a PROXY header is due, or was read
  bool seen_ = false;                      // a byte of the client itself
  bool begun_ = false;                     // TLS
  tls::client_hello hello_;
  front_route route_;
  stage stage_;
};

}  // namespace

bool contains(const std::vector<address_block>& blocks, const dns::address& address) noexcept {
  return std::ranges::any_of(blocks, [&](const address_block& b) { return b.contains(address.bytes()); });
}

const front_takers::taker& front_takers::of(destination d) const noexcept {
  return d == destination::c2s ? c2s : d == destination::s2s ? s2s : http;
}

void serve_front(const front_collaborators& with, std::shared_ptr<const front_settings> settings,
                 accepted_socket socket) {
  with.loop.start(std::make_unique<front_connection>(with, std::move(settings), std::move(socket)));
}

}  // namespace comity::connection
