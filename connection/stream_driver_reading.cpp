// What a stream does with the bytes of its peer: as they come, at the rate that it may send at, and after our end.
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/stream_driver.hpp"
#include "connection/xml/writer.hpp"

namespace comity::connection {

using tls::io_status;

namespace {

/// How much one connection may read before the others have their turn.
constexpr unsigned reads_a_turn = 16;

}  // namespace

void stream_driver::read_clear() {
  for (unsigned turn = 0; turn < reads_a_turn && stage_ == stage::clear && !paused(); ++turn) {
    const auto buffer = may_read(loop_->read_buffer());
    if (buffer.empty()) {
      return;
    }
    const auto seen = wire_.peek(buffer);
    if (seen.status == io_status::want_read) {
      return;
    }
    if (seen.status != io_status::done) {
      return transport_gone();
    }
    const auto used = feed({buffer.data(), seen.bytes});
    if (!wire_.take(buffer, used)) {
      return transport_gone();
    }
    count_received(used);
    upgrade_if_due();
  }
}

void stream_driver::read_secure() {
  if (!unread_.empty() && !paused()) {
    const auto waiting = std::exchange(unread_, {});
    unread_ = waiting.substr(feed(waiting));
  }
  for (unsigned turn = 0; turn < reads_a_turn && stage_ == stage::secure && !paused(); ++turn) {
    const auto buffer = may_read(loop_->read_buffer());
    if (buffer.empty()) {
      return;
    }
    const auto got = wire_.read(buffer);
    if (got.status == io_status::want_read || got.status == io_status::want_write) {
      return;
    }
    if (got.status != io_status::done) {
      return transport_gone();
    }
    count_received(got.bytes);
    const bool more = wire_.tls().pending();
    const std::string_view bytes{buffer.data(), got.bytes};
    const auto used = feed(bytes);
    if (used < bytes.size() && stage_ == stage::secure) {
      unread_.assign(bytes.substr(used));  // an answer is awaited; the peer's next words wait with it
    }
    if (!more) {
      return;  // a further read would only say so
    }
  }
  if (stage_ == stage::secure && !paused()) {
    read_again_later();
  }
}

/// There is more, perhaps inside OpenSSL where the socket does not show it. The others first.
void stream_driver::read_again_later() {
  if (again_) {
    return;
  }
  if (peer_known()) {
    loop_->loop().at_turn_end([loop = loop_, id = id_] {
      loop->on(id, [](live_connection& c) { static_cast<stream_driver&>(c).take_turn(); });
    });
  } else {
    loop_->newcomer(id_);
  }
  again_ = true;
}

/// As much of the buffer as the peer's rate has room for: none, and no readiness is asked for until there is some. What
/// OpenSSL has decrypted already waits there with the rest.
std::span<char> stream_driver::may_read(std::span<char> buffer) {
  return shaper_ ? buffer.first(std::min<std::uint64_t>(buffer.size(), shaper_->allowance())) : buffer;
}

std::uint64_t stream_driver::shaper::allowance() {
  const auto now = clock::now();
  const auto bytes = bucket_.available(now);
  if (bytes == 0) {
    shaped_.loop_->loop().arm(*this, std::max(bucket_.ready_at(), now));
  } else {
    cancel();
  }
  return bytes;
}

void stream_driver::shaper::expired() {
  shaped_.loop_->on(shaped_.id_, [](live_connection& c) { static_cast<stream_driver&>(c).advance(); });
}

/// The parts on their way in, shown to whoever looks on before anything is made of them.
class stream_driver::watched_parts final : public part_taker {
public:
  watched_parts(stream_driver& to, trace::tap& tap) : to_{to}, tap_{tap} {}

  [[nodiscard]] bool takes_parts() const override { return to_.takes_parts(); }
  void take_header(xml::stream_header&& header) override {
    std::string text{to_.websocket_ ? "<open" : "<stream:stream"};  // RFC 7395 §3.3
    const auto add = [&text](std::string_view name, const std::string& value) {
      if (!value.empty()) {
        text.append(" ").append(name).append("='");
        xml::append_attribute_value(text, value);
        text.append("'");
      }
    };
    add("from", header.from);
    add("to", header.to);
    add("id", header.id);
    add("version", header.version);
    add("xml:lang", header.lang);
    add("xmlns", header.content_ns);
    show(text.append(to_.websocket_ ? "/>" : ">"));
    to_.take_header(std::move(header));
  }
  void take_element(xml::document& document) override {
    std::string text;
    xml::writer{text, xml::ns_client}.copy(document.root());
    show(text);
    to_.take_element(document);
  }
  void take_close() override {
    show(to_.websocket_ ? "<close/>" : "</stream:stream>");
    to_.take_close();
  }
  void take_fault(stream_condition condition, bool too_big) override { to_.take_fault(condition, too_big); }

private:
  void show(std::string_view xml) { tap_.part(to_.info(), trace::way::in, xml); }

  stream_driver& to_;
  trace::tap& tap_;
};

std::size_t stream_driver::feed(std::string_view bytes) {
  if (auto* tap = loop_->tapped()) {
    watched_parts watched{*this, *tap};
    return feed(bytes, watched);
  }
  return feed(bytes, *this);
}

std::size_t stream_driver::feed(std::string_view bytes, part_taker& taker) {
  if (!websocket_) {
    return reader_.feed(bytes, loop_->parser(), loop_->document(), taker);
  }
  const auto used = websocket_->feed(bytes, reader_, loop_->parser(), loop_->document(), taker);
  if (websocket_->owes_pong()) {
    wire_.want_flush();
  }
  if (websocket_->closed() && !ended_) {
    gone();  // RFC 7395 §3.6: without <close/> before it, as a connection that breaks
  }
  if (ended_) {
    websocket_->skip(bytes.substr(used));
    return bytes.size();
  }
  return used;
}

void stream_driver::count_received(std::size_t bytes) {
  bytes_received_ += bytes;
  metrics().bytes_received(route_, bytes);
  if (shaper_) {
    shaper_->took(bytes);
  }
}

bool stream_driver::takes_parts() const {
  return (stage_ == stage::clear || stage_ == stage::secure) && !last_words_ && !paused();
}

/// RFC 6455 §7.1.1: the connection ends once each side has said Close; then, as without WebSocket, once the peer has
/// ended its side of the transport.
void stream_driver::linger() {
  for (unsigned turn = 0; websocket_ && !websocket_->over(); ++turn) {
    if (turn == reads_a_turn) {
      return read_again_later();
    }
    const auto buffer = loop_->read_buffer();
    const auto got = wire_.read(buffer);
    if (got.status == io_status::want_read || got.status == io_status::want_write) {
      return;
    }
    if (got.status != io_status::done) {
      stage_ = stage::over;
      return;
    }
    websocket_->skip({buffer.data(), got.bytes});
    if (websocket_->over() && wire_.queue().empty()) {
      wire_.say_goodbye();
    }
  }
  if (wire_.drained()) {
    stage_ = stage::over;
  }
}

}  // namespace comity::connection
