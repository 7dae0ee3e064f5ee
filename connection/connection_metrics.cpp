#include "connection/connection_metrics.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string>
#include <utility>

#include "connection/family_metrics.hpp"
#include "connection/metric_cells.hpp"

namespace comity::connection {

namespace {

constexpr std::size_t route_count = scope_count * direction_count * method_count;
constexpr std::size_t kind_count = 3;
constexpr std::size_t offer_count = 5;
constexpr std::size_t routed_count = 5;

constexpr std::size_t index_of(route r) noexcept {
  return (index(r.scope) * direction_count + index(r.direction)) * method_count + index(r.method);
}

constexpr std::array<std::string_view, offer_count> offer_names{"xmpp_client", "xmpp_server", "http", "none", "other"};
constexpr std::array<std::string_view, routed_count> routed_names{"c2s", "s2s", "http", "forward", "refused"};
constexpr std::array<std::string_view, kind_count> kind_names{"message", "presence", "iq"};

/// The phases that a connection of that kind goes through.
bool passes(route r, phase p) noexcept {
  switch (p) {
    case phase::dns:
    case phase::tcp:
      return r.direction == direction::outbound;
    case phase::bind:
      return r.scope == scope::c2s;
    case phase::tls:
    case phase::stream:
    case phase::authentication:
      return true;
  }
  return false;
}

/// What refuses a server once its certificate is known, or what DNS says of it is not.
bool unproven(cause c) noexcept {
  using enum cause;
  return c == cert_expired || c == cert_not_yet_valid || c == cert_name_mismatch || c == cert_untrusted ||
         c == cert_missing || c == dane_mismatch || c == dane_unusable || c == posh_mismatch || c == dns_servfail ||
         c == dns_bogus || c == dns_timeout || c == policy;
}

/// What a connection of that kind can die of in each phase: the series that stand at 0 from the start, since Prometheus
/// sees no step in one that comes with it. Any other pair gets its series when it happens.
bool expected(route r, phase p, cause c) noexcept {
  using enum cause;
  const bool calls = r.direction == direction::outbound;
  if (!passes(r, p)) {
    return p == phase::tcp && !calls && c == proxy_header;
  }
  switch (p) {
    case phase::dns:
      return c == dns_nxdomain || c == dns_servfail || c == dns_bogus || c == dns_timeout || c == srv_unavailable ||
             c == no_address;
    case phase::tcp:
      return c == tcp_refused || c == tcp_unreachable || c == tcp_timeout || c == address_forbidden || c == limit ||
             c == shutdown;
    case phase::tls:
      return c == tls_alert || c == tls_timeout || c == alpn_mismatch || c == peer_closed || c == shutdown ||
             c == internal || (calls && (unproven(c) || c == tls_not_offered || c == stream_error));
    case phase::stream:
      return c == host_unknown || c == stream_error || c == stream_timeout || c == tls_timeout || c == policy ||
             c == limit || c == peer_closed || c == shutdown || c == internal ||
             (calls && c == auth_no_common_mechanism);
    case phase::authentication:
      return c == auth_rejected || c == auth_timeout || c == stream_error || c == policy || c == limit ||
             c == peer_closed || c == shutdown || c == internal || (calls && c == auth_no_common_mechanism) ||
             (r.scope == scope::s2s && (c == dialback_invalid || unproven(c)));
    case phase::bind:
      return false;
  }
  return false;
}

bool expected_close(route r, cause c) noexcept {
  using enum cause;
  return c == peer_closed || c == stream_error || c == policy || c == limit || c == shutdown || c == internal ||
         c == (r.scope == scope::c2s ? auth_timeout : stream_timeout);
}

}  // namespace

std::string_view to_string(mechanism m) noexcept {
  static constexpr std::array<std::string_view, mechanism_count> names{
      "PLAIN",         "SCRAM-SHA-1",        "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
      "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "EXTERNAL",         "unknown"};
  return names.at(std::to_underlying(m));
}

struct metrics_cell::counters {
  struct of_route {
    counter open, attempts, established, received_bytes, sent_bytes, overflows;
    std::array<std::array<counter, cause_count>, phase_count> failures;
    std::array<counter, cause_count> closes;
    std::array<histogram, phase_count> phases;
    histogram setup;
    std::array<std::array<counter, 2>, 2> handshakes;  // version, resumed
    std::array<counter, mechanism_count> auth_attempts;
    std::array<std::array<counter, sasl_condition_count>, mechanism_count> auth_failures;
    std::array<counter, kind_count> stanzas_received, stanzas_sent;
    std::array<counter, stream_condition_count> errors_sent, errors_received;
  };
  std::array<of_route, route_count> routes;
  std::array<std::array<counter, rejection_count>, scope_count> rejected;
  std::array<std::array<counter, routed_count>, offer_count> alpn;
  std::array<std::array<counter, stanza_condition_count>, scope_count> stanza_errors;
  histogram lag;

  of_route& at(route r) noexcept { return routes[index_of(r)]; }
};

metrics_cell::metrics_cell() : counters_{std::make_unique<counters>()} {
}
metrics_cell::~metrics_cell() = default;

void metrics_cell::attempted(route r) noexcept {
  counters_->at(r).attempts.add();
}
void metrics_cell::established(route r) noexcept {
  counters_->at(r).established.add();
  counters_->at(r).open.add();
}
void metrics_cell::failed(route r, phase p, cause c) noexcept {
  counters_->at(r).failures[index(p)][index(c)].add();
}
void metrics_cell::closed(route r, cause c) noexcept {
  counters_->at(r).closes[index(c)].add();
  counters_->at(r).open.subtract();
}
void metrics_cell::rejected(scope s, rejection why) noexcept {
  counters_->rejected[index(s)][index(why)].add();
}
void metrics_cell::phase_took(route r, phase p, std::chrono::nanoseconds took) noexcept {
  counters_->at(r).phases[index(p)].observe(took);
}
void metrics_cell::setup_took(route r, std::chrono::nanoseconds took) noexcept {
  counters_->at(r).setup.observe(took);
}
void metrics_cell::tls_handshake(route r, tls_version v, bool resumed) noexcept {
  counters_->at(r).handshakes[index(v)][resumed ? 1 : 0].add();
}
void metrics_cell::alpn(alpn_offer offered, alpn_routed routed) noexcept {
  counters_->alpn[index(offered)][index(routed)].add();
}
void metrics_cell::authentication_attempted(route r, mechanism m) noexcept {
  counters_->at(r).auth_attempts[index(m)].add();
}
void metrics_cell::authentication_failed(route r, mechanism m, sasl_condition c) noexcept {
  counters_->at(r).auth_failures[index(m)][index(c)].add();
}
void metrics_cell::stanza_received(route r, stanza_kind k) noexcept {
  counters_->at(r).stanzas_received[index(k)].add();
}
void metrics_cell::stanza_sent(route r, stanza_kind k) noexcept {
  counters_->at(r).stanzas_sent[index(k)].add();
}
void metrics_cell::bytes_received(route r, std::size_t n) noexcept {
  counters_->at(r).received_bytes.add(n);
}
void metrics_cell::bytes_sent(route r, std::size_t n) noexcept {
  counters_->at(r).sent_bytes.add(n);
}
void metrics_cell::stanza_error_sent(scope s, stanza_condition c) noexcept {
  counters_->stanza_errors[index(s)][index(c)].add();
}
void metrics_cell::stream_error_sent(route r, stream_condition c) noexcept {
  counters_->at(r).errors_sent[index(c)].add();
}
void metrics_cell::stream_error_received(route r, stream_condition c) noexcept {
  counters_->at(r).errors_received[index(c)].add();
}
void metrics_cell::send_queue_overflowed(route r) noexcept {
  counters_->at(r).overflows.add();
}
void metrics_cell::loop_lagged(std::chrono::nanoseconds late) noexcept {
  counters_->lag.observe(late);
}

// --- the scrape ------------------------------------------------------------------------------------------------------

namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

}  // namespace

struct connection_metrics::state final : prometheus::Collectable {
  using of_route = metrics_cell::counters::of_route;

  state(std::size_t count, const std::vector<route>& routes) : cells(count) {
    for (auto& c : cells) {
      c = std::make_unique<metrics_cell>();
    }
    allow(routes);
  }

  void allow(const std::vector<route>& routes) {
    const std::lock_guard hold{lock};
    for (const auto r : routes) {
      if (std::ranges::find(allowed, index_of(r), index_of) == allowed.end()) {
        allowed.push_back(r);
      }
    }
  }

  [[nodiscard]] const of_route& route_at(std::size_t cell, route r) const {
    return cells[cell]->counters_->routes[index_of(r)];
  }

  /// The sum over all loops of what `pick` takes from a route's counters.
  template <typename Pick>
  [[nodiscard]] std::uint64_t sum(route r, Pick pick) const {
    std::uint64_t n = 0;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      n += pick(route_at(c, r)).value();
    }
    return n;
  }
  /// The same over all methods of a scope and direction.
  template <typename Pick>
  [[nodiscard]] std::uint64_t sum_methods(route pair, Pick pick) const {
    std::uint64_t n = 0;
    for (std::size_t m = 0; m < method_count; ++m) {
      n += sum({pair.scope, pair.direction, static_cast<method>(m)}, pick);
    }
    return n;
  }
  template <typename Pick>
  [[nodiscard]] std::uint64_t sum(Pick pick) const {
    std::uint64_t n = 0;
    for (const auto& c : cells) {
      n += pick(*c->counters_).value();
    }
    return n;
  }

  std::vector<MetricFamily> Collect() const override;
  void collect_connections(std::vector<MetricFamily>&, const std::vector<route>&) const;
  void collect_failures(std::vector<MetricFamily>&, const std::vector<route>&) const;
  void collect_authentication(std::vector<MetricFamily>&, const std::vector<route>&) const;
  void collect_traffic(std::vector<MetricFamily>&, const std::vector<route>&) const;
  void collect_times(std::vector<MetricFamily>&, const std::vector<route>&) const;

  std::vector<std::unique_ptr<metrics_cell>> cells;
  mutable std::mutex lock;
  std::vector<route> allowed;
};

namespace {

metric_labels of(route r) {
  return {{"scope", to_string(r.scope)}, {"direction", to_string(r.direction)}, {"method", to_string(r.method)}};
}

metric_labels with(metric_labels l, std::initializer_list<std::pair<const char*, std::string_view>> more) {
  l.insert(l.end(), more.begin(), more.end());
  return l;
}

/// The scopes (or scope and direction) among the routes, each once.
std::vector<route> distinct(const std::vector<route>& routes, bool direction_too) {
  std::vector<route> out;
  for (const auto r : routes) {
    const bool seen = std::ranges::any_of(
        out, [&](route o) { return o.scope == r.scope && (!direction_too || o.direction == r.direction); });
    if (!seen) {
      out.push_back(r);
    }
  }
  return out;
}

}  // namespace

void connection_metrics::state::collect_connections(std::vector<MetricFamily>& out,
                                                    const std::vector<route>& routes) const {
  metric_family open{"comity_connections", "Connections open and established.", MetricType::Gauge};
  metric_family attempts{"comity_connection_attempts_total", "Sockets accepted and addresses tried.",
                         MetricType::Counter};
  metric_family established{"comity_connections_established_total", "Streams authenticated.", MetricType::Counter};
  metric_family closes{"comity_connection_closes_total", "Established streams that ended, by cause.",
                       MetricType::Counter};
  for (const auto r : routes) {
    open.add(of(r), sum(r, [](const of_route& c) -> auto& { return c.open; }));
    attempts.add(of(r), sum(r, [](const of_route& c) -> auto& { return c.attempts; }));
    established.add(of(r), sum(r, [](const of_route& c) -> auto& { return c.established; }));
    for (std::size_t i = 0; i < cause_count; ++i) {
      const auto why = static_cast<cause>(i);
      const auto n = sum(r, [i](const of_route& c) -> auto& { return c.closes[i]; });
      if (n != 0 || expected_close(r, why)) {
        closes.add(with(of(r), {{"cause", to_string(why)}}), n);
      }
    }
  }
  metric_family rejected{"comity_connections_rejected_total", "Sockets refused before a stream, by cause.",
                         MetricType::Counter};
  for (const auto r : distinct(routes, false)) {
    for (std::size_t i = 0; i < rejection_count; ++i) {
      rejected.add({{"scope", to_string(r.scope)}, {"cause", to_string(static_cast<rejection>(i))}},
                   sum([&](const metrics_cell::counters& c) -> auto& { return c.rejected[index(r.scope)][i]; }));
    }
  }
  for (auto* f : {&open, &attempts, &established, &closes, &rejected}) {
    out.push_back(f->take());
  }
}

void connection_metrics::state::collect_failures(std::vector<MetricFamily>& out,
                                                 const std::vector<route>& routes) const {
  metric_family failures{"comity_connection_failures_total", "Connections whose set-up failed, by phase and cause.",
                         MetricType::Counter};
  metric_family handshakes{"comity_tls_handshakes_total", "TLS handshakes completed.", MetricType::Counter};
  for (const auto r : routes) {
    for (std::size_t p = 0; p < phase_count; ++p) {
      for (std::size_t i = 0; i < cause_count; ++i) {
        const auto n = sum(r, [=](const of_route& c) -> auto& { return c.failures[p][i]; });
        if (n != 0 || expected(r, static_cast<phase>(p), static_cast<cause>(i))) {
          failures.add(
              with(of(r), {{"phase", to_string(static_cast<phase>(p))}, {"cause", to_string(static_cast<cause>(i))}}),
              n);
        }
      }
    }
    for (std::size_t v = 0; v < 2; ++v) {
      for (std::size_t resumed = 0; resumed < 2; ++resumed) {
        handshakes.add(with(of(r), {{"version", v == 0 ? "1.2" : "1.3"}, {"resumed", resumed != 0 ? "true" : "false"}}),
                       sum(r, [=](const of_route& c) -> auto& { return c.handshakes[v][resumed]; }));
      }
    }
  }
  metric_family alpn{"comity_alpn_total", "ClientHellos on direct-TLS ports, by what they offered and where they went.",
                     MetricType::Counter};
  for (std::size_t o = 0; o < offer_count; ++o) {
    for (std::size_t t = 0; t < routed_count; ++t) {
      alpn.add({{"offered", offer_names[o]}, {"routed", routed_names[t]}},
               sum([=](const metrics_cell::counters& c) -> auto& { return c.alpn[o][t]; }));
    }
  }
  for (auto* f : {&failures, &handshakes, &alpn}) {
    out.push_back(f->take());
  }
}

void connection_metrics::state::collect_authentication(std::vector<MetricFamily>& out,
                                                       const std::vector<route>& routes) const {
  metric_family attempts{"comity_auth_attempts_total", "Authentication exchanges begun, by mechanism.",
                         MetricType::Counter};
  metric_family failures{"comity_auth_failures_total", "Authentication exchanges refused, by mechanism and condition.",
                         MetricType::Counter};
  for (const auto pair : distinct(routes, true)) {
    for (std::size_t m = 0; m < mechanism_count; ++m) {
      const metric_labels l{{"scope", to_string(pair.scope)},
                            {"direction", to_string(pair.direction)},
                            {"mechanism", to_string(static_cast<mechanism>(m))}};
      attempts.add(l, sum_methods(pair, [=](const of_route& c) -> auto& { return c.auth_attempts[m]; }));
      for (std::size_t i = 0; i < sasl_condition_count; ++i) {
        const auto condition = static_cast<sasl_condition>(i);
        const auto n = sum_methods(pair, [=](const of_route& c) -> auto& { return c.auth_failures[m][i]; });
        if (n != 0 || condition == sasl_condition::not_authorized) {
          failures.add(with(l, {{"cause", to_string(condition)}}), n);
        }
      }
    }
  }
  out.push_back(attempts.take());
  out.push_back(failures.take());
}

void connection_metrics::state::collect_traffic(std::vector<MetricFamily>& out,
                                                const std::vector<route>& routes) const {
  metric_family received{"comity_stanzas_received_total", "Stanzas received.", MetricType::Counter};
  metric_family sent{"comity_stanzas_sent_total", "Stanzas sent.", MetricType::Counter};
  metric_family received_bytes{"comity_received_bytes_total", "Bytes of XML received.", MetricType::Counter};
  metric_family sent_bytes{"comity_sent_bytes_total", "Bytes of XML sent.", MetricType::Counter};
  metric_family overflows{"comity_send_queue_overflows_total", "Connections closed because their peer read too slowly.",
                          MetricType::Counter};
  for (const auto r : routes) {
    for (std::size_t k = 0; k < kind_count; ++k) {
      received.add(with(of(r), {{"stanza", kind_names[k]}}),
                   sum(r, [=](const of_route& c) -> auto& { return c.stanzas_received[k]; }));
      sent.add(with(of(r), {{"stanza", kind_names[k]}}),
               sum(r, [=](const of_route& c) -> auto& { return c.stanzas_sent[k]; }));
    }
    received_bytes.add(of(r), sum(r, [](const of_route& c) -> auto& { return c.received_bytes; }));
    sent_bytes.add(of(r), sum(r, [](const of_route& c) -> auto& { return c.sent_bytes; }));
    overflows.add(of(r), sum(r, [](const of_route& c) -> auto& { return c.overflows; }));
  }
  metric_family stanza_errors{"comity_stanza_errors_sent_total", "Stanza errors made here, by condition.",
                              MetricType::Counter};
  for (const auto r : distinct(routes, false)) {
    for (std::size_t i = 0; i < stanza_condition_count; ++i) {
      stanza_errors.add(
          {{"scope", to_string(r.scope)}, {"condition", to_string(static_cast<stanza_condition>(i))}},
          sum([&](const metrics_cell::counters& c) -> auto& { return c.stanza_errors[index(r.scope)][i]; }));
    }
  }
  metric_family errors_sent{"comity_stream_errors_sent_total", "Stream errors sent, by condition.",
                            MetricType::Counter};
  metric_family errors_received{"comity_stream_errors_received_total", "Stream errors received, by condition.",
                                MetricType::Counter};
  for (const auto pair : distinct(routes, true)) {
    for (std::size_t i = 0; i < stream_condition_count; ++i) {
      const metric_labels l{{"scope", to_string(pair.scope)},
                            {"direction", to_string(pair.direction)},
                            {"condition", to_string(static_cast<stream_condition>(i))}};
      errors_sent.add(l, sum_methods(pair, [=](const of_route& c) -> auto& { return c.errors_sent[i]; }));
      errors_received.add(l, sum_methods(pair, [=](const of_route& c) -> auto& { return c.errors_received[i]; }));
    }
  }
  for (auto* f :
       {&received, &sent, &received_bytes, &sent_bytes, &overflows, &stanza_errors, &errors_sent, &errors_received}) {
    out.push_back(f->take());
  }
}

void connection_metrics::state::collect_times(std::vector<MetricFamily>& out, const std::vector<route>& routes) const {
  metric_family phases{"comity_connection_phase_seconds", "How long each phase of a connection's set-up took.",
                       MetricType::Histogram};
  metric_family setup{"comity_connection_setup_seconds", "From accept, or the first SYN, to an authenticated stream.",
                      MetricType::Histogram};
  for (const auto r : routes) {
    for (std::size_t i = 0; i < phase_count; ++i) {
      const auto p = static_cast<phase>(i);
      if (passes(r, p)) {
        phases.add(with(of(r), {{"phase", to_string(p)}}), cells.size(),
                   [&](std::size_t c) -> auto& { return route_at(c, r).phases[index(p)]; });
      }
    }
    setup.add(of(r), cells.size(), [&](std::size_t c) -> auto& { return route_at(c, r).setup; });
  }
  metric_family lag{"comity_event_loop_lag_seconds", "How late the event loops are.", MetricType::Histogram};
  lag.add({}, cells.size(), [&](std::size_t c) -> auto& { return cells[c]->counters_->lag; });
  for (auto* f : {&phases, &setup, &lag}) {
    out.push_back(f->take());
  }
}

std::vector<MetricFamily> connection_metrics::state::Collect() const {
  std::vector<route> routes;
  {
    const std::lock_guard hold{lock};
    routes = allowed;
  }
  std::vector<MetricFamily> out;
  collect_connections(out, routes);
  collect_failures(out, routes);
  collect_authentication(out, routes);
  collect_traffic(out, routes);
  collect_times(out, routes);
  return out;
}

connection_metrics::connection_metrics(std::size_t cells, std::vector<route> allowed)
    : state_{std::make_shared<state>(cells, allowed)} {
}

connection_metrics::~connection_metrics() = default;

metrics_cell& connection_metrics::cell(std::size_t loop) noexcept {
  return *state_->cells[loop];
}

void connection_metrics::allow(const std::vector<route>& allowed) {
  state_->allow(allowed);
}

std::shared_ptr<prometheus::Collectable> connection_metrics::collectable() const {
  return state_;
}

}  // namespace comity::connection
