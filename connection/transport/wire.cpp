#include "connection/transport/wire.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "connection/loop_connections.hpp"

namespace comity::connection {

namespace {

/// What is gathered for one write: a few TLS records.
constexpr std::size_t write_chunk = 64U * 1024U;
constexpr std::uint8_t whitespace_before_tls = 2;
constexpr char tls_handshake_record = 0x16;
/// How much of what nobody wants any more is read in one go.
constexpr unsigned drains_a_turn = 16;

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

wire::socket::~socket() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

wire::wire(loop_connections& loop, std::uint64_t id, int descriptor, std::size_t queue_limit)
    : wire{loop, id, tls::stream{descriptor}, queue_limit} {
}

wire::wire(loop_connections& loop, std::uint64_t id, tls::stream stream, std::size_t queue_limit,
           stream_framing framing)
    : loop_{&loop}, id_{id}, socket_{stream.descriptor()}, tls_{std::move(stream)}, queue_{queue_limit, framing} {
}

wire::~wire() = default;

tls::stream wire::release() {
  watch({});
  socket_.release();
  return std::move(tls_);
}

void wire::watch(poller::interest wanted) {
  loop_->loop().sockets().change(tls_.descriptor(), id_, watched_, wanted);
  watched_ = wanted;
}

void wire::leave_loop() {
  watch({});
  reading_ = writing_ = flush_wanted_ = false;
}

void wire::enter_loop(loop_connections& there) {
  loop_ = &there;
  if (!queue_.empty()) {
    want_flush();
  }
}

void wire::wait_readable() {
  if (!std::exchange(reading_, true)) {
    watch({.readable = true, .writable = watched_.writable});
  }
}

void wire::wait_writable() {
  if (!std::exchange(writing_, true)) {
    watch({.readable = watched_.readable, .writable = true});
  }
}

bool wire::became_readable() {
  const bool asked = std::exchange(reading_, false);
  if (!asked) {  // it stays ready, and would be told of again and again
    watch({.readable = false, .writable = watched_.writable});
  }
  return asked;
}

bool wire::became_writable() {
  const bool asked = std::exchange(writing_, false);
  watch({.readable = watched_.readable, .writable = false});
  return asked;
}

tls::io_result wire::peek(std::span<char> into) {
  const auto n = ::recv(tls_.descriptor(), into.data(), into.size(), MSG_PEEK);
  if (n > 0) {
    return {tls::io_status::done, static_cast<std::size_t>(n)};
  }
  if (n < 0 && would_block(errno)) {
    return {tls::io_status::want_read, 0};
  }
  return {n == 0 ? tls::io_status::closed : tls::io_status::truncated, 0};
}

bool wire::take(std::span<char> scratch, std::size_t count) {
  while (count > 0) {
    const auto n = ::recv(tls_.descriptor(), scratch.data(), std::min(count, scratch.size()), 0);
    if (n <= 0) {
      return false;
    }
    count -= static_cast<std::size_t>(n);
  }
  return true;
}

wire::next_bytes wire::before_tls() {
  std::array<char, 1> first{};
  for (;;) {
    const auto seen = peek(first);
    if (seen.status == tls::io_status::want_read) {
      return next_bytes::none;
    }
    if (seen.status != tls::io_status::done) {
      return next_bytes::gone;
    }
    if (first[0] == tls_handshake_record) {
      return next_bytes::tls;
    }
    const bool white = first[0] == '\r' || first[0] == '\n' || first[0] == ' ';
    if (!white || skipped_ == whitespace_before_tls) {
      return next_bytes::other;
    }
    ++skipped_;
    if (!take(first, 1)) {
      return next_bytes::gone;
    }
  }
}

void wire::accept_tls(const tls::server_context& context, std::span<const std::string_view> alpn,
                      std::string_view default_domain, tls::client_certificate wanted) {
  tls_.accept(context, alpn, default_domain, wanted);
}

void wire::connect_tls(const tls::client_context& context, const tls::connect_options& options) {
  tls_.connect(context, options);
}

tls::io_result wire::handshake() {
  const auto stepped = tls_.handshake();
  if (stepped.status == tls::io_status::want_write) {
    wait_writable();
  }
  return stepped;
}

tls::io_result wire::read(std::span<char> into) {
  const auto got = tls_.read(into);
  if (got.status == tls::io_status::want_write) {
    wait_writable();
  }
  return got;
}

void wire::want_flush() {
  if (!flush_wanted_) {
    loop_->has_output(id_);
    flush_wanted_ = true;
  }
}

wire::flushed wire::flush() {
  while (!queue_.empty()) {
    const auto bytes = queue_.next(loop_->write_buffer(), write_chunk);
    const auto put = tls_.write(bytes);
    queue_.written(bytes, put.status == tls::io_status::done ? put.bytes : 0);
    if (put.status == tls::io_status::done) {
      bytes_sent_ += put.bytes;
      continue;
    }
    if (put.status == tls::io_status::want_write) {
      wait_writable();
      return flushed::some;
    }
    return put.status == tls::io_status::want_read ? flushed::some : flushed::gone;
  }
  queue_.shrink();
  return flushed::all;
}

void wire::say_goodbye() {
  if (said_goodbye_) {
    return;
  }
  if (tls_.encrypted() && tls_.close_notify().status == tls::io_status::want_write) {
    return wait_writable();
  }
  said_goodbye_ = true;
  ::shutdown(tls_.descriptor(), SHUT_WR);
}

bool wire::drained() {
  const auto scratch = loop_->read_buffer();
  for (unsigned turn = 0; turn < drains_a_turn; ++turn) {
    const auto got = read(scratch);
    if (got.status == tls::io_status::want_read || got.status == tls::io_status::want_write) {
      return false;
    }
    if (got.status != tls::io_status::done) {
      return true;
    }
  }
  return false;
}

}  // namespace comity::connection
