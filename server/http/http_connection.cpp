#include "server/http/http_connection.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/front/front_connection.hpp"
#include "connection/timer_wheel.hpp"
#include "connection/transport/wire.hpp"
#include "server/http/forwarded_for.hpp"
#include "server/http/request_reader.hpp"

namespace comity::http {

namespace {

using connection::accepted_socket;
using connection::timer_wheel;
using connection::wire;
using tls::io_status;

/// How much one connection may do before the others have their turn.
constexpr unsigned steps_a_turn = 16;

class http_connection final : public connection::live_connection, private timer_wheel::entry {
public:
  http_connection(const http_collaborators& with, std::shared_ptr<const site> served, accepted_socket socket)
      : with_{with},
        site_{std::move(served)},
        id_{connection::loop_connections::new_id()},
        wire_{with.loop, id_, socket.tls ? std::move(*socket.tls) : tls::stream{socket.descriptor}, 0},
        client_{std::move(socket)},
        peer_{client_.ip},
        trusted_{peer_ && connection::contains(site_->proxies, *peer_)},
        input_{std::exchange(client_.unread, {})} {
    client_.tls.reset();
    const bool tls = wire_.tls().encrypted();
    from_.secure = tls || client_.introduced;  // HTTP in clear behind a PROXY header was TLS before the proxy
    if (tls) {
      from_.server_name = wire_.tls().facts().sni;
    }
    if (trusted_) {
      client_.permit = {};  // who it counts for, each request says
    }
  }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  void begin() {
    arm(input_.empty() ? site_->limits.idle_time : site_->limits.request_time);
    began_ = timer_wheel::clock::now();
    read();
  }

  // --- live_connection -----------------------------------------------------------------------------------------------

  [[nodiscard]] connection::connection_info info() const override {
    connection::connection_info i;
    i.ref = {with_.loop.loop().index(), id_};
    i.address = client_.address;
    i.domain = from_.server_name;
    i.service = "http";
    if (wire_.tls().encrypted()) {
      auto facts = wire_.tls().facts();
      i.alpn = std::move(facts.alpn);
      i.tls_version = std::move(facts.version);
      i.cipher = std::move(facts.cipher);
    }
    i.age = std::chrono::duration_cast<std::chrono::seconds>(timer_wheel::clock::now() - client_.at);
    i.bytes_received = received_;
    i.bytes_sent = wire_.bytes_sent();
    i.queue_bytes = wire_.queue().bytes();
    return i;
  }
  void send(stanza_ref /*stanza*/) override {}
  /// An answer that is on its way is the last one; else there is nothing to say.
  void dismiss(stream_condition /*condition*/, connection::cause /*why*/, std::string /*text*/) override {
    keep_alive_ = false;
    if (stage_ == stage::reading) {
      over();
    }
  }
  void readable() override {
    if (!wire_.became_readable()) {
      return;
    }
    if (stage_ == stage::lingering) {
      wire_.drained() ? over() : wire_.wait_readable();
      return;
    }
    read();
  }
  void writable() override {
    if (!wire_.became_writable()) {
      return;
    }
    if (stage_ == stage::lingering) {
      return wire_.say_goodbye();
    }
    write();
    read();
  }
  void flush() override { wire_.turn_ended(); }
  void fault(std::string_view what) noexcept override {
    with_.log.write(log::level::error, "http.fault", {{"address", client_.address}, {"detail", what}});
    over();
  }

private:
  enum class stage : std::uint8_t {
    reading,    // a request, or waiting for one
    writing,    // its answer
    lingering,  // our side has ended
    over,
  };

  // --- requests ------------------------------------------------------------------------------------------------------

  void read() {
    for (unsigned step = 0; step < steps_a_turn; ++step) {
      if (stage_ != stage::reading) {
        return;
      }
      if (!input_.empty()) {
        take_input();
        continue;
      }
      const auto buffer = with_.loop.read_buffer();
      const auto got = wire_.read(buffer);
      if (got.status == io_status::want_read || got.status == io_status::want_write) {
        return wire_.wait_readable();
      }
      if (got.status != io_status::done) {
        return over();
      }
      received_ += got.bytes;
      if (reader_.idle()) {
        begin_request();  // slow bytes do not move the deadline
      }
      input_.assign(buffer.data(), got.bytes);
    }
    read_again_later();
  }

  /// There is more, here or inside OpenSSL where the socket does not show it. The others first.
  void read_again_later() {
    if (std::exchange(again_, true)) {
      return;
    }
    with_.loop.loop().at_turn_end([&loop = with_.loop, id = id_] {
      loop.on(id, [](connection::live_connection& c) {
        auto& self = static_cast<http_connection&>(c);
        self.again_ = false;
        self.read();
      });
    });
  }

  void begin_request() {
    began_ = timer_wheel::clock::now();
    arm(site_->limits.request_time);
  }

  void take_input() {
    const auto progress = reader_.feed(input_);
    input_.erase(0, progress.used);
    switch (progress.what) {
      case request_reader::outcome::need_more:
        return;
      case request_reader::outcome::refused:
        keep_alive_ = false;
        return respond(reader_.request(), plain(reader_.refusal()));
      case request_reader::outcome::complete:
        keep_alive_ = reader_.keep_alive() && ++requests_ < site_->limits.requests;
        return respond(reader_.request(), answer(reader_.request()));
    }
  }

  response answer(request asked) {
    if (trusted_ && !admit_client(asked)) {
      return plain(429);
    }
    asked.from = from_;
    asked.from.address = client_.address;
    if (trusted_) {
      // Whoever ends TLS before us says what it was; who says nothing ends it always, or would not be trusted.
      const auto* scheme = asked.first("x-forwarded-proto");
      asked.from.secure = scheme == nullptr || same_token(*scheme, "https") || same_token(*scheme, "wss");
    }
    // RFC 9110 §10.1.1: no body is awaited, so nothing is to be said before the answer.
    if (const auto expected = asked.elements("expect");
        std::ranges::any_of(expected, [](auto each) { return !same_token(each, "100-continue"); })) {
      return plain(417);
    }
    if (asked.method != "GET" && asked.method != "HEAD") {
      return plain(405);
    }
    const auto found = site_->paths.find(asked.path);
    return found == site_->paths.end() ? plain(404) : found->second(asked);
  }

  /// The client that the proxy names, from now on until it names another.
  bool admit_client(const request& asked) {
    const auto client = forwarded_client(asked.elements("x-forwarded-for"), *peer_, site_->proxies);
    const auto key = connection::ip_limits::key_of(client);
    if (counted_ != key) {
      client_.permit = {};
      counted_.reset();
      auto permit = with_.limits.admit(key);
      if (!permit) {
        with_.loop.metrics().rejected(connection::scope::c2s, permit.error());
        with_.log.write(log::level::debug, "http.rejected",
                        {{"address", client.text()}, {"cause", to_string(permit.error())}});
        return false;
      }
      client_.permit = std::move(*permit);
      counted_ = key;
    }
    if (client != client_.ip) {
      client_.ip = client;
      client_.address = client.text();
    }
    return true;
  }

  // --- answers -------------------------------------------------------------------------------------------------------

  void respond(const request& asked, const response& r) {
    upgrading_ = r.status == 101;
    with_.log.write(log::level::debug, "http.request",
                    {{"address", client_.address},
                     {"request", asked.method + " " + asked.target},
                     {"status", static_cast<std::int64_t>(r.status)}});
    wire_.queue().push(serialise(r, keep_alive_, asked.method == "HEAD", std::chrono::system_clock::now()));
    stage_ = stage::writing;
    write();
  }

  void write() {
    if (stage_ != stage::writing) {
      return;
    }
    switch (wire_.flush()) {
      case wire::flushed::some:
        return;
      case wire::flushed::gone:
        return over();
      case wire::flushed::all:
        break;
    }
    if (upgrading_) {
      return hand_over();
    }
    if (!keep_alive_) {
      return finish();
    }
    stage_ = stage::reading;
    if (input_.empty()) {
      arm(site_->limits.idle_time);
    } else {
      begin_request();  // what is pipelined behind it has no more time than others
    }
  }

  /// RFC 9112 §9.6: our side ends, and the peer's words are read on until it closes too, lest a reset takes our answer
  /// from it.
  void finish() {
    stage_ = stage::lingering;
    input_.clear();
    arm(site_->limits.linger_time);
    wire_.say_goodbye();
    wire_.drained() ? over() : wire_.wait_readable();
  }

  void hand_over() {
    auto stream = wire_.release();
    over();
    if (stream.encrypted()) {
      client_.tls = std::move(stream);
    } else {
      client_.decrypted_by_proxy = true;  // or there had been no 101
    }
    client_.unread = std::move(input_);
    client_.method = connection::method::websocket;
    if (requests_ > 1) {
      client_.at = began_;  // what came before it was no part of the stream
    }
    site_->upgraded(with_.loop, std::move(client_));
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  void arm(std::chrono::milliseconds time) { with_.loop.loop().arm(*this, timer_wheel::clock::now() + time); }

  /// RFC 9110 §15.5.9: who has begun a request is told.
  void expired() override {
    if (stage_ != stage::reading || reader_.idle()) {
      return over();
    }
    keep_alive_ = false;
    arm(site_->limits.linger_time);
    respond({}, plain(408));
  }

  void over() noexcept {
    stage_ = stage::over;
    timer_wheel::entry::cancel();
    with_.loop.remove(id_);
  }

  http_collaborators with_;
  std::shared_ptr<const site> site_;
  std::uint64_t id_;
  wire wire_;
  accepted_socket client_;
  std::optional<dns::address> peer_;                   // the other end: the client, or a proxy
  bool trusted_;                                       // it is one of the site's proxies
  std::optional<connection::ip_limits::key> counted_;  // of a client behind it: whom the permit counts for
  requester from_;
  request_reader reader_;
  std::string input_;  // read, but not looked at
  timer_wheel::clock::time_point began_;
  std::uint64_t received_ = 0;
  std::uint32_t requests_ = 0;
  bool keep_alive_ = true;
  bool again_ = false;  // read_again_later() was called, and it is not yet later
  bool upgrading_ = false;
  stage stage_ = stage::reading;
};

}  // namespace

void serve_http(const http_collaborators& with, std::shared_ptr<const site> served, accepted_socket socket) {
  with.loop.start(std::make_unique<http_connection>(with, std::move(served), std::move(socket)));
}

}  // namespace comity::http
