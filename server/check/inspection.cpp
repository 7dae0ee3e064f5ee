#include "server/check/inspection.hpp"

#include <algorithm>
#include <asio.hpp>
#include <deque>
#include <set>
#include <tuple>
#include <utility>

#include "server/check/port_probe.hpp"
#include "server/http/well_known.hpp"
#include "tls/crypto.hpp"
#include "tls/dane.hpp"
#include "tls/identity.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::check {

namespace {

/// Whether whoever honours DANE looks at the records of that target (B03 to B05, B10).
bool dane_counts(const published_way& from, const published_target& t) {
  const auto secure = [](const dns::answer& a) {
    return a.result == dns::outcome::records && a.security == dns::security::secure;
  };
  return secure(from.srv) && (secure(t.v4) || secure(t.v6)) && secure(t.tlsa);
}

}  // namespace

struct inspection::state : std::enable_shared_from_this<inspection::state> {
  /// One address of an advertised port.
  struct call {
    check::probe probe;
    dns::address address;
    published_target* target = nullptr;  // none: the domain itself
    bool dane = false;
    bool known = false;      // how it ends, but perhaps not what else it speaks
    std::deque<way> others;  // still to be tried
    std::unique_ptr<port_probe> dial;
  };

  state(collaborators w, inspected_host h, completion d, const inspection_limits& most)
      : with{std::move(w)}, host{std::move(h)}, done{std::move(d)}, limits{most}, deadline{with.loop.context()} {}

  void begin() {
    deadline.expires_after(limits.whole);
    deadline.async_wait([weak = weak_from_this()](std::error_code aborted) {
      if (const auto self = weak.lock(); self && !aborted) {
        self->finish(true);
      }
    });
    for (const auto w : all_ways) {
      ask(srv_name(w, host.running.domain), dns::record_type::srv, [this, w](const dns::answer& a) {
        auto& at = found.ways.at(index_of(w));
        at.srv = a;
        take_targets(at);
      });
    }
    ask(host.running.domain, dns::record_type::a, [this](const dns::answer& a) { found.v4 = a; });
    ask(host.running.domain, dns::record_type::aaaa, [this](const dns::answer& a) { found.v6 = a; });
  }

  // --- the DNS -------------------------------------------------------------------------------------------------------

  template <typename Take>
  void ask(std::string name, dns::record_type type, Take take) {
    ++questions;
    tickets.push_back(with.dns.lookup(
        std::move(name), type,
        [&loop = with.loop](std::move_only_function<void()> work) { loop.post(std::move(work)); },
        [this, take = std::move(take)](const dns::answer& a) mutable {
          const auto self = shared_from_this();
          take(a);
          if (--questions == 0) {
            answered();
          }
        }));
  }

  void take_targets(published_way& at) {
    std::set<std::pair<std::string, std::uint16_t>> seen;
    for (const auto& r : at.srv.srv) {
      if (r.target.empty() || r.port == 0 || seen.size() >= limits.targets || !seen.insert({r.target, r.port}).second) {
        continue;
      }
      at.targets.push_back({.record = r, .v4 = {}, .v6 = {}, .tlsa = {}, .standing = {}});
    }
    for (std::size_t i = 0; i < at.targets.size(); ++i) {
      const auto r = at.targets[i].record;
      ask(r.target, dns::record_type::a, [&at, i](const dns::answer& a) { at.targets[i].v4 = a; });
      ask(r.target, dns::record_type::aaaa, [&at, i](const dns::answer& a) { at.targets[i].v6 = a; });
      ask("_" + std::to_string(r.port) + "._tcp." + r.target, dns::record_type::tlsa,
          [this, &at, i](const dns::answer& a) {
            at.targets[i].tlsa = a;
            for (const auto& record : a.tlsa) {
              at.targets[i].standing.push_back(standing_of(record, at.targets[i].record.target));
            }
          });
    }
  }

  [[nodiscard]] std::vector<tls::reference_identity> names(const std::string& target) const {
    std::vector all{tls::reference_identity::service_domain(host.running.domain, host.unicode)};
    if (!target.empty()) {
      all.push_back(tls::reference_identity::target_host(target));
    }
    return all;
  }

  [[nodiscard]] tlsa_standing standing_of(const dns::tlsa_record& r, const std::string& target) const {
    if (!tls::usable(r)) {
      return tlsa_standing::unusable;
    }
    const std::span one{&r, 1};
    if (host.served && tls::judge_dane(host.served, one, names(target), *with.authorities, {}).ok()) {
      return tlsa_standing::current;
    }
    if (r.usage == 3 && r.selector == 1 && r.matching == 1) {
      const auto hex = tls::hex(r.data);
      for (const auto& key : *host.all_keys) {
        if (key.sha256 == hex) {
          return key.domain != host.running.domain ? tlsa_standing::neighbor
                 : key.next                        ? tlsa_standing::next
                                                   : tlsa_standing::current;
        }
      }
    }
    return tlsa_standing::strange;
  }

  void answered() {
    if (!host.dial) {
      return finish(false);
    }
    fetch();
    for (const auto w : all_ways) {
      auto& at = found.ways.at(index_of(w));
      for (auto& t : at.targets) {
        list(w, t.record.target, t.record.port, t.v4, t.v6, &t, dane_counts(at, t));
      }
      if (falls_back(found, w) && !host.running.reached_by(w).empty()) {
        list(w, host.running.domain, *fallback_port(w), found.v4, found.v6, nullptr, false);
      }
    }
    go_on();
  }

  // --- the domain's web server ---------------------------------------------------------------------------------------

  void fetch() {
    if (!with.web || host.running.urls.empty()) {
      return;
    }
    auto at = found.v4.addresses;
    at.insert(at.end(), found.v6.addresses.begin(), found.v6.addresses.end());
    if (at.empty()) {
      found.host_meta = web_answer{.status = 0, .body = {}, .error = host.running.domain + " has no address"};
      return;
    }
    fetching = true;
    with.web("https://" + host.running.domain + std::string{http::host_meta_json_path}, std::move(at),
             [weak = weak_from_this(), &loop = with.loop](web_answer got) {
               loop.post([weak, got = std::move(got)]() mutable {
                 if (const auto self = weak.lock(); self && self->done) {
                   self->found.host_meta = std::move(got);
                   self->fetching = false;
                   self->go_on();
                 }
               });
             });
  }

  // --- the ports -----------------------------------------------------------------------------------------------------

  void list(way as, const std::string& name, std::uint16_t port, const dns::answer& v4, const dns::answer& v6,
            published_target* target, bool dane) {
    for (const auto* a : {&v4, &v6}) {
      for (std::size_t i = 0; i < std::min(a->addresses.size(), limits.addresses); ++i) {
        auto c = std::make_unique<call>(call{.probe = {.as = as,
                                                       .host = name,
                                                       .port = port,
                                                       .address = a->addresses[i].text(),
                                                       .fallback = target == nullptr,
                                                       .detail = {},
                                                       .certificate = {},
                                                       .instead = {}},
                                             .address = a->addresses[i],
                                             .target = target,
                                             .dane = dane,
                                             .known = false,
                                             .others = {},
                                             .dial = nullptr});
        waiting.push_back(std::move(c));
      }
    }
  }

  void go_on() {
    while (!waiting.empty() && under_way.size() < limits.at_once) {
      auto c = std::move(waiting.front());
      waiting.pop_front();
      auto& started = *c;
      under_way.push_back(std::move(c));
      dial(started, started.probe.as, limits.dial);
    }
    if (under_way.empty() && !fetching) {
      finish(false);
    }
  }

  void dial(call& c, way as, std::chrono::milliseconds time) {
    c.dial = std::make_unique<port_probe>(
        with.loop, with.tls,
        port_probe::question{
            .as = as, .domain = host.running.domain, .address = c.address, .port = c.probe.port, .time = time},
        [this, &c, as](port_probe::outcome o) {
          const auto self = shared_from_this();
          take(c, as, std::move(o));
        });
  }

  void take(call& c, way as, port_probe::outcome o) {
    if (as == c.probe.as) {
      first(c, std::move(o));
    } else if (o.end == probe_end::serves) {
      c.probe.instead.push_back(as);
    }
    // What else it is matters once something is there, and until it is known.
    if (c.probe.instead.empty() && !c.others.empty()) {
      const auto next = c.others.front();
      c.others.pop_front();
      return dial(c, next, limits.retry);
    }
    probes.push_back(std::move(c.probe));
    std::erase_if(under_way, [&c](const auto& u) { return u.get() == &c; });
    go_on();
  }

  void first(call& c, port_probe::outcome o) {
    c.known = true;
    c.probe.end = o.end;
    c.probe.detail = std::move(o.detail);
    c.probe.alpn_confirmed = o.alpn_confirmed;
    if (o.peer) {
      c.probe.certificate = presented(c, o.peer);
    }
    if (o.connected && o.end != probe_end::serves && o.end != probe_end::host_unknown) {
      const auto as = c.probe.as;
      const auto other = as.service == dns::service::client ? dns::service::server : dns::service::client;
      c.others = {{as.service, !as.direct_tls}, {other, as.direct_tls}, {other, !as.direct_tls}};
    }
  }

  [[nodiscard]] presented_certificate presented(const call& c, const tls::peer_credentials& peer) const {
    const auto chain = tls::judge_chain(peer, *with.authorities, {});
    const auto service =
        c.probe.as.service == dns::service::client ? tls::xmpp_service::client : tls::xmpp_service::server;
    const std::array domain{tls::reference_identity::service_domain(host.running.domain, host.unicode, service)};
    presented_certificate p;
    p.summary = tls::summary(peer);
    p.chain = chain.problem;
    p.chain_text = chain.text;
    p.for_domain = static_cast<bool>(tls::match_identity(tls::identifiers(peer), domain));
    p.loaded = host.served && tls::summary(host.served).sha256 == p.summary.sha256;
    if (c.dane) {
      const auto references = names(c.target->record.target);
      const auto& records = c.target->tlsa.tlsa;
      p.dane = tls::judge_dane(peer, records, references, *with.authorities, {}).result;
      for (std::size_t i = 0; i < records.size(); ++i) {
        auto& standing = c.target->standing[i];
        if (standing == tlsa_standing::strange &&
            tls::judge_dane(peer, std::span{&records[i], 1}, references, *with.authorities, {}).ok()) {
          standing = tlsa_standing::current;
        }
      }
    }
    return p;
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  void finish(bool late) {
    if (!done) {
      return;
    }
    auto tell = std::exchange(done, nullptr);
    for (const auto& c : under_way) {
      if (c->known) {
        probes.push_back(std::move(c->probe));
      }
    }
    call_off();
    std::vector<finding> all;
    if (late && questions != 0) {
      // Half of what is published would be taken for all of it.
      all.push_back({.severity = severity::error,
                     .kind = finding_kind::unfinished,
                     .text = "the DNS has not answered in time; see that the name servers of " + host.running.domain +
                             " answer, and [dns]"});
    } else {
      all = judge(host.running, found, probes, std::chrono::system_clock::now());
      if (late) {
        all.push_back({.severity = severity::error,
                       .kind = finding_kind::unfinished,
                       .text = "not every port could be dialled in time; ask again"});
      }
    }
    with.loop.post([tell = std::move(tell), all = std::move(all)]() mutable { tell(std::move(all)); });
  }

  void call_off() {
    done = nullptr;
    deadline.cancel();
    tickets.clear();
    waiting.clear();
    under_way.clear();
  }

  collaborators with;
  inspected_host host;
  completion done;
  inspection_limits limits;
  asio::steady_timer deadline;
  published found;
  std::vector<dns::ticket> tickets;
  std::size_t questions = 0;
  bool fetching = false;
  std::deque<std::unique_ptr<call>> waiting;
  std::vector<std::unique_ptr<call>> under_way;
  std::vector<check::probe> probes;
};

inspection::inspection(collaborators with, inspected_host host, completion done, const inspection_limits& limits)
    : state_{std::make_shared<state>(std::move(with), std::move(host), std::move(done), limits)} {
}

inspection::~inspection() {
  state_->call_off();
}

void inspection::begin() {
  state_->begin();
}

}  // namespace comity::check
