#include "connection/s2s/inbound_stream.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>

#include "connection/accepted_socket.hpp"
#include "connection/negotiation/stream_header.hpp"
#include "connection/s2s/features.hpp"
#include "connection/s2s/federation.hpp"
#include "connection/s2s/s2s_metrics.hpp"
#include "connection/s2s/server_stream.hpp"

namespace comity::connection {

namespace {

/// XEP-0368 §4, RFC 7301: the one protocol a server port speaks.
constexpr std::array<std::string_view, 1> server_alpn{"xmpp-server"};

class inbound_stream final : public server_stream {
public:
  inbound_stream(const s2s_collaborators& collaborators, const std::shared_ptr<const s2s_settings>& settings,
                 accepted_socket socket)
      : server_stream{collaborators,
                      settings,
                      {.loop = collaborators.loop,
                       .log = collaborators.log,
                       .descriptor = socket.descriptor,
                       .address = std::move(socket.address),
                       .route = {scope::s2s, direction::inbound, socket.method},
                       .role = tls_role::accepts,
                       .limits = settings->before_authentication,
                       .send_queue_bytes = settings->send_queue_bytes,
                       .bytes_per_second = settings->bytes_per_second,
                       .tls_timeout = settings->tls_timeout,
                       .opened_at = socket.at,
                       .tls = std::move(socket.tls),
                       .unread = std::move(socket.unread)}},
        permit_{std::move(socket.permit)},
        negotiation_{machine()} {}

  ~inbound_stream() override { withdraw({}); }

  void begin() {
    metrics().attempted(route());
    log(log::level::debug, "s2s.accepted");
    deadline(opened_at() + settings().handshake_timeout);
    open();
  }

  // --- live_connection -----------------------------------------------------------------------------------------------

  [[nodiscard]] connection_info info() const override { return describe_server(); }

  /// On a bidirectional stream, from the home of the pair (XEP-0288). What cannot be sent any more goes back there.
  void send(stanza_ref stanza) override {
    const auto served = offered_.find(flow_of(*stanza));
    if (served == offered_.end()) {
      return with().federation.returned(std::move(stanza));
    }
    ++served->second;
    heard();
    if (!try_stanza(stanza)) {
      overflow_ = std::move(stanza);
      dismiss(stream_condition::resource_constraint, cause::limit, "send queue full");
    }
  }

private:
  // --- server_stream -------------------------------------------------------------------------------------------------

  [[nodiscard]] bool paused() const override { return negotiation_.paused(); }
  [[nodiscard]] std::string_view remote() const override { return peer_; }
  [[nodiscard]] std::string_view local() const override { return negotiation_.facts().local_domain; }

  void begin_tls(connection::wire& wire) override {
    // RFC 6120 §5.4.3.1 (4): without SNI, the host of the stream header chooses the certificate (E09).
    wire.accept_tls(with().server_tls, server_alpn, to_a_labels(negotiation_.facts().local_domain),
                    tls::client_certificate::requested);
  }

  void happen(negotiation_event happened) override {
    events_.happen(std::move(happened), [this](negotiation_event e) {
      if (ended()) {
        return;
      }
      for (auto& a : negotiation_.on(std::move(e))) {
        std::visit([this](auto& act) { this->perform(act); }, a);
      }
    });
  }

  using server_stream::perform;

  void perform(action::authenticated& a) {
    if (peer_.empty()) {
      peer_ = a.user.domainpart();
    }
  }

  void perform(action::established&) {}  // clients'

  void perform(action::flow_authorised& a) {
    if (peer_.empty()) {
      peer_ = a.flow.sender;
    }
    permit_.authenticated();
    with().metrics.verified(direction::inbound, a.by, dns_of(a.flow.sender));
    if (!peer_known()) {
      established(opened_at(), a, negotiation_.facts().peer_limits);
    } else {
      log(log::level::info, "s2s.authorised", log::field{"peer", a.flow.sender}, log::field{"local", a.flow.target},
          log::field{"proof", to_string(a.by)});
    }
    if (negotiation_.facts().bidi) {
      // XEP-0288 §2.1: what we have to say to that domain may go this way (L02).
      const auto ours = reversed(a.flow);
      offered_.emplace(ours, 0);
      with().federation.offer(ours, ref(), negotiation_.facts().peer_limits.max_bytes);
    }
  }

  void over(const action::finish&) override {
    auto unwritten = take_unwritten();
    if (overflow_) {
      unwritten.push_back(std::exchange(overflow_, nullptr));
    }
    withdraw(std::move(unwritten));
  }

  /// The homes of the pairs that this stream served look for another one.
  void withdraw(std::vector<stanza_ref> unwritten) {
    for (const auto& [flow, taken] : std::exchange(offered_, {})) {
      std::vector<stanza_ref> its_own;
      std::ranges::copy_if(unwritten, std::back_inserter(its_own),
                           [&flow](const stanza_ref& s) { return flow_of(*s) == flow; });
      with().federation.withdrawn(flow, id(), taken, std::move(its_own));
    }
  }

  [[nodiscard]] dns::security dns_of(std::string_view domain) {
    const auto* known = prover().known(domain);
    return known != nullptr ? known->dns : dns::security::none;
  }

  [[nodiscard]] negotiator machine() const {
    const auto hosts = [&host = with().host](std::string_view domain) { return host.hosts(domain); };
    const auto allows = [&host = with().host](std::string_view domain) { return host.policy(domain).allow; };
    stream_facts known;
    known.route = route();
    return negotiator{{.content_ns = xml::ns_server,
                       .features = s2s_features({.metrics = metrics(),
                                                 .dialback_secret = with().host.dialback_secret().reveal(),
                                                 .domains = {.hosts = hosts, .allows = allows},
                                                 .limits = limits_of(settings())}),
                       .hosts = hosts,
                       .default_domain = with().host.default_domain(),
                       .new_stream_id = new_stream_id,
                       .allows = allows},
                      std::move(known)};
  }

  ip_limits::permit permit_;
  negotiator negotiation_;
  event_pump<negotiation_event> events_;
  std::string peer_;                            // the first domain that was proven
  std::map<domain_flow, std::size_t> offered_;  // away from us, that it may serve, and how much it was given for them
  stanza_ref overflow_;                         // did not fit any more
};

}  // namespace

void serve_server(const s2s_collaborators& with, std::shared_ptr<const s2s_settings> settings, accepted_socket socket) {
  with.loop.start(std::make_unique<inbound_stream>(with, settings, std::move(socket)));
}

}  // namespace comity::connection
