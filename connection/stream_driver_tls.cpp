// How a stream gets under TLS: by STARTTLS, or from its first byte on (RFC 6120 §5, XEP-0368).
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/front/alpn_router.hpp"
#include "connection/stream_driver.hpp"

namespace comity::connection {

using tls::io_status;

void stream_driver::upgrade(std::string last_words) {
  last_words_ = std::move(last_words);
}

/// RFC 6120 §5.4.2.3: <proceed/>, and TLS with the very next byte. Refused where something else stands there already;
/// where we connect, nothing may stand there at all before our ClientHello (E03, THREATS B2).
void stream_driver::upgrade_if_due() {
  if (!last_words_ || ended_) {
    return;
  }
  const auto last_words = *std::exchange(last_words_, std::nullopt);
  const auto next = wire_.before_tls();
  if (next == wire::next_bytes::other || (role_ == tls_role::connects && next == wire::next_bytes::tls)) {
    return tls_refused();
  }
  tls_by_ = begin_phase(phase::stream) + tls_timeout_;
  arm();
  if (role_ == tls_role::connects) {
    return start_handshake();
  }
  show_sent(last_words);
  wire_.queue().push(last_words);
  stage_ = stage::prelude;
  write();
  if (stage_ == stage::prelude) {
    expect_client_hello();
  }
}

void stream_driver::expect_client_hello() {
  if (!wire_.queue().empty()) {
    return;  // <proceed/> is not out yet
  }
  switch (wire_.before_tls()) {
    case wire::next_bytes::none:
      return;
    case wire::next_bytes::tls:
      start_handshake();
      return step_handshake();
    case wire::next_bytes::other:
      return tls_failed({.what = tls::tls_failure::kind::not_tls, .text = "no TLS after <proceed/>"});
    case wire::next_bytes::gone:
      return transport_gone();
  }
}

void stream_driver::start_handshake() {
  begin_tls(wire_);
  stage_ = stage::handshake;
  if (role_ == tls_role::connects) {
    step_handshake();
  }  // else the peer speaks first: its turn comes as a newcomer's
}

void stream_driver::step_handshake() {
  const auto stepped = wire_.handshake();
  switch (stepped.status) {
    case io_status::want_read:
    case io_status::want_write:
      return;
    case io_status::closed:
    case io_status::truncated:
      return transport_gone();
    case io_status::failed: {
      const auto& failure = wire_.tls().failure();
      count_alpn(failure.what == tls::tls_failure::kind::no_application_protocol);
      return tls_failed(failure);
    }
    case io_status::done:
      return handshake_done();
  }
}

void stream_driver::handshake_done() {
  const auto facts = wire_.tls().facts();
  metrics().tls_handshake(route_, facts.version == "TLSv1.2" ? tls_version::tls_1_2 : tls_version::tls_1_3,
                          facts.resumed);
  count_alpn(false);
  begin_phase(phase::tls);
  tls_by_.reset();
  arm();
  stage_ = stage::secure;
  tls_done();
  read_secure();
}

/// comity_alpn_total counts what direct-TLS peers offered (XEP-0368); STARTTLS has no such choice.
void stream_driver::count_alpn(bool no_overlap) {
  if (role_ == tls_role::accepts && route_.method == method::direct_tls) {
    const auto served = route_.scope == scope::c2s ? alpn_routed::c2s : alpn_routed::s2s;
    metrics().alpn(class_of(wire_.tls().alpn_offered()), no_overlap ? alpn_routed::refused : served);
  }
}

}  // namespace comity::connection
