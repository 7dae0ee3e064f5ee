#include "server/check/findings.hpp"

#include <gtest/gtest.h>

#include <set>

namespace {

using namespace comity;
using namespace comity::check;
using dns::outcome;
using dns::security;

const std::string key(64, 'a'), next_key(64, 'b');
const auto now = std::chrono::system_clock::time_point{std::chrono::sys_days{std::chrono::year{2026} / 11 / 26}};
constexpr way clients{dns::service::client, false}, direct_clients{dns::service::client, true},
    servers{dns::service::server, false}, direct_servers{dns::service::server, true};

running_host running() {
  return {.domain = "a.example",
          .target = "xmpp.a.example",
          .ports = {{.port = 5222, .address = "[::]:5222", .clients = true, .starttls = true},
                    {.port = 5223, .address = "[::]:5223", .clients = true, .direct_tls = true},
                    {.port = 5269, .address = "[::]:5269", .servers = true, .starttls = true},
                    {.port = 5270, .address = "[::]:5270", .servers = true, .direct_tls = true}},
          .keys = {{.domain = "a.example", .sha256 = key}},
          .issuer = {},
          .urls = {}};
}

dns::answer answer(dns::record_type type, outcome result, security s = security::secure, std::string why = {}) {
  dns::answer a;
  a.type = type;
  a.result = result;
  a.security = s;
  a.why = std::move(why);
  return a;
}

dns::answer address(std::string_view text, std::string name = "xmpp.a.example", security s = security::secure) {
  const auto ip = *dns::address::parse(text);
  auto a = answer(ip.v4() ? dns::record_type::a : dns::record_type::aaaa, outcome::records, s);
  a.canonical_name = std::move(name);
  a.addresses = {ip};
  return a;
}

dns::answer no_address(dns::record_type type, outcome result = outcome::nodata) {
  auto a = answer(type, result);
  a.canonical_name = "xmpp.a.example";
  return a;
}

dns::answer keys(security s = security::secure) {
  auto a = answer(dns::record_type::tlsa, outcome::records, s);
  a.tlsa = {{.usage = 3, .selector = 1, .matching = 1, .data = std::string(32, '\xaa')}};
  return a;
}

published_way leading_to(std::uint16_t port, std::string target = "xmpp.a.example") {
  published_way w;
  w.srv = answer(dns::record_type::srv, outcome::records);
  w.srv.srv = {{.priority = 10, .weight = 0, .port = port, .target = target}};
  w.targets = {{.record = w.srv.srv[0],
                .v4 = address("192.0.2.1", target),
                .v6 = address("2001:db8::1", target),
                .tlsa = keys(),
                .standing = {tlsa_standing::current}}};
  return w;
}

/// What `dns records` prints, published and signed.
published all_right() {
  published p;
  p.ways[index_of(clients)] = leading_to(5222);
  p.ways[index_of(direct_clients)] = leading_to(5223);
  p.ways[index_of(servers)] = leading_to(5269);
  p.ways[index_of(direct_servers)] = leading_to(5270);
  p.v4 = no_address(dns::record_type::a);
  p.v6 = no_address(dns::record_type::aaaa);
  return p;
}

presented_certificate certificate() {
  presented_certificate c;
  c.summary.names = {"DNS:a.example"};
  c.summary.not_before = now - std::chrono::days{30};
  c.summary.not_after = now + std::chrono::days{60};
  c.summary.sha256 = std::string(64, '1');
  c.dane = tls::dane_result::matched;
  return c;
}

probe serving(way as, std::uint16_t port) {
  return {.as = as,
          .host = "xmpp.a.example",
          .port = port,
          .address = "192.0.2.1",
          .end = probe_end::serves,
          .detail = {},
          .certificate = certificate(),
          .instead = {}};
}

std::vector<probe> all_serving() {
  return {serving(clients, 5222), serving(direct_clients, 5223), serving(servers, 5269), serving(direct_servers, 5270)};
}

/// A mistake, and the lines that it comes to: "KIND SEVERITY: TEXT".
struct mistake {
  const char* name;
  void (*make)(running_host&, published&, std::vector<probe>&);
  std::vector<std::string> lines;
};
void PrintTo(const mistake& m, std::ostream* out) {
  *out << m.name;
}

constexpr auto publish = "publish the records that `comityctl dns records a.example` prints";

published_way none() {
  published_way w;
  w.srv = answer(dns::record_type::srv, outcome::nodata);
  return w;
}

std::string publish_line(const std::string& text) {
  return text + "; " + publish;
}

const std::string at_5269 = "xmpp.a.example:5269 (192.0.2.1), where _xmpp-server._tcp.a.example leads, ";
const std::string at_5270 = "xmpp.a.example:5270 (192.0.2.1), where _xmpps-server._tcp.a.example leads, ";

probe& of(std::vector<probe>& probes, way w) {
  return probes.at(index_of(w));
}
published_target& target_of(published& p, way w) {
  return p.ways.at(index_of(w)).targets.at(0);
}
void fail(std::vector<probe>& probes, way w, probe_end end, std::string detail = {}) {
  auto& p = of(probes, w);
  p.end = end;
  p.detail = std::move(detail);
  p.certificate.reset();
}

const std::vector<mistake> mistakes{
    {"nothing at all", [](auto&, auto&, auto&) {}, {}},
    // --- SRV
    {"a service is not published",
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)] = none();
       probes.erase(probes.begin() + 2);
     },
     {publish_line("srv_missing error: _xmpp-server._tcp.a.example has no SRV record, though servers are served by "
                   "STARTTLS on port 5269")}},
    {"direct TLS is not published",
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(direct_servers)] = none();
       probes.pop_back();
     },
     {publish_line("srv_missing warning: _xmpps-server._tcp.a.example has no SRV record, though servers are served by "
                   "direct TLS on port 5270")}},
    {"neither is",
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)] = p.ways[index_of(direct_servers)] = none();
       probes.resize(2);
     },
     {publish_line("srv_missing error: _xmpp-server._tcp.a.example has no SRV record, though servers are served by "
                   "STARTTLS on port 5269"),
      publish_line("srv_missing error: _xmpps-server._tcp.a.example has no SRV record, though servers are served by "
                   "direct TLS on port 5270")}},
    {"neither is, and the domain has an address",  // A10
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)] = p.ways[index_of(direct_servers)] = none();
       p.v4 = address("192.0.2.1", "a.example");
       probes.resize(2);
     },
     {publish_line("srv_missing warning: _xmpp-server._tcp.a.example has no SRV record, so servers find only port 5269 "
                   "of a.example itself"),
      publish_line("srv_missing warning: _xmpps-server._tcp.a.example has no SRV record, though servers are served by "
                   "direct TLS on port 5270")}},
    {"neither is, and the domain's address is of no use",  // A10: 5269 is where nothing is
     [](auto& r, auto& p, auto& probes) {
       p.ways[index_of(servers)] = p.ways[index_of(direct_servers)] = none();
       p.v4 = address("192.0.2.1", "a.example");
       r.ports[2].port = 6269;
       r.ports.pop_back();
       probes.resize(2);
     },
     {publish_line("srv_missing error: _xmpp-server._tcp.a.example has no SRV record, though servers are served by "
                   "STARTTLS on port 6269")}},
    {"what is off is not published",
     [](auto& r, auto& p, auto& probes) {
       p.ways[index_of(direct_servers)] = none();
       r.ports.pop_back();
       probes.pop_back();
     },
     {}},
    {"what is off is said to be off",
     [](auto& r, auto& p, auto& probes) {
       p.ways[index_of(direct_servers)] = none();
       p.ways[index_of(direct_servers)].srv = answer(dns::record_type::srv, outcome::records);
       p.ways[index_of(direct_servers)].srv.srv = {{}};
       r.ports.pop_back();
       probes.pop_back();
     },
     {}},
    {"SRV cannot be looked up",  // A11
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)] = {.srv = answer(dns::record_type::srv, outcome::servfail, security::none, "REFUSED"),
                                    .targets = {}};
       probes.erase(probes.begin() + 2);
     },
     {"srv_unanswered error: _xmpp-server._tcp.a.example SRV cannot be looked up (servfail: REFUSED); see that the "
      "name "
      "servers of the zone answer"}},
    {"a dot for what runs",
     [](auto&, auto& p, auto& probes) {
       auto& w = p.ways[index_of(direct_servers)];
       w.srv.srv = {{}};
       w.targets.clear();
       probes.pop_back();
     },
     {publish_line("srv_dot_though_running error: _xmpps-server._tcp.a.example says by \".\" that the service is off, "
                   "though servers are served by direct TLS on port 5270")}},
    {"a dot beside a record",  // RFC 2782
     [](auto&, auto& p, auto&) { p.ways[index_of(servers)].srv.srv.push_back({}); },
     {"srv_dot_beside_others error: _xmpp-server._tcp.a.example has \".\", which says that the service is off, beside "
      "other records; remove the \".\""}},
    {"a record for what is off, not dialled",
     [](auto& r, auto&, auto& probes) {
       r.ports.pop_back();
       probes.clear();
     },
     {"srv_though_off error: _xmpps-server._tcp.a.example has SRV records, though servers are not served by direct TLS "
      "here; add a listener, or publish \".\""}},
    {"a record for what another serves in front of us", [](auto& r, auto&, auto&) { r.ports.pop_back(); }, {}},
    {"port 0",
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)].srv.srv[0].port = 0;
       p.ways[index_of(servers)].targets.clear();
       probes.erase(probes.begin() + 2);
     },
     {"srv_port_zero error: _xmpp-server._tcp.a.example leads to port 0 of xmpp.a.example; name the port that is "
      "served"}},
    {"the same port twice",
     [](auto&, auto& p, auto&) {
       p.ways[index_of(servers)].srv.srv.push_back(
           {.priority = 5, .weight = 0, .port = 5269, .target = "xmpp.a.example"});
     },
     {"srv_duplicate warning: _xmpp-server._tcp.a.example lists xmpp.a.example:5269 twice (priorities 5 and 10); "
      "remove "
      "one of them"}},
    {"an address as the target",
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)] = leading_to(5269, "192.0.2.1");
       probes.erase(probes.begin() + 2);
     },
     {"srv_target_address error: _xmpp-server._tcp.a.example leads to the address 192.0.2.1; give it a name with an A "
      "or "
      "AAAA record, and name that"}},
    // --- addresses
    {"the target is an alias",  // A15
     [](auto&, auto& p, auto&) { target_of(p, servers).v4.canonical_name = "real.a.example"; },
     {"target_alias error: xmpp.a.example is a CNAME, which SRV records must not lead to; give it A and AAAA records, "
      "or "
      "name real.a.example in the SRV records"}},
    {"the target is an alias of nothing",  // A15
     [](auto&, auto& p, auto&) {
       auto& t = target_of(p, servers);
       t.v4 = no_address(dns::record_type::a, outcome::nxdomain);
       t.v6 = no_address(dns::record_type::aaaa, outcome::nxdomain);
       t.v4.canonical_name = t.v6.canonical_name = "gone.a.example";
     },
     {"target_alias error: xmpp.a.example is a CNAME, which SRV records must not lead to; give it A and AAAA records, "
      "or "
      "name gone.a.example in the SRV records"}},
    {"the target does not exist",
     [](auto&, auto& p, auto&) {
       target_of(p, servers).v4 = no_address(dns::record_type::a, outcome::nxdomain);
       target_of(p, servers).v6 = no_address(dns::record_type::aaaa, outcome::nxdomain);
     },
     {"target_missing error: xmpp.a.example does not exist, though SRV records lead there; give it A and AAAA "
      "records"}},
    {"the target has no address",
     [](auto&, auto& p, auto&) {
       target_of(p, servers).v4 = no_address(dns::record_type::a);
       target_of(p, servers).v6 = no_address(dns::record_type::aaaa);
     },
     {"target_without_address error: xmpp.a.example has no address, though SRV records lead there; give it A and AAAA "
      "records"}},
    {"the target has one family alone",
     [](auto&, auto& p, auto&) { target_of(p, servers).v6 = no_address(dns::record_type::aaaa); },
     {}},
    {"a family cannot be looked up",
     [](auto&, auto& p, auto&) {
       target_of(p, servers).v6 = answer(dns::record_type::aaaa, outcome::timeout, security::none);
     },
     {"target_unanswered error: xmpp.a.example AAAA cannot be looked up (timeout); see that the name servers of its "
      "zone "
      "answer"}},
    // --- DNSSEC
    {"bogus services",  // B02
     [](auto&, auto& p, auto& probes) {
       p.ways[index_of(servers)] = {
           .srv = answer(dns::record_type::srv, outcome::bogus, security::bogus, "signature expired"), .targets = {}};
       probes.erase(probes.begin() + 2);
     },
     {"zone_bogus error: _xmpp-server._tcp.a.example SRV is bogus (signature expired), so nobody who validates gets an "
      "answer; sign the zone anew, and see that the DS record in the parent zone is that of its key"}},
    {"a bogus address",  // B06
     [](auto&, auto& p, auto&) {
       target_of(p, servers).v6 = answer(dns::record_type::aaaa, outcome::bogus, security::bogus, "no key");
       target_of(p, clients).v6 = answer(dns::record_type::aaaa, outcome::bogus, security::bogus, "no signature");
     },
     {"zone_bogus error: xmpp.a.example AAAA is bogus (no signature), so nobody who validates gets an answer; sign the "
      "zone anew, and see that the DS record in the parent zone is that of its key"}},
    {"bogus keys",  // B09
     [](auto&, auto& p, auto&) {
       target_of(p, servers).tlsa = answer(dns::record_type::tlsa, outcome::bogus, security::bogus, "no signature");
     },
     {"zone_bogus error: _5269._tcp.xmpp.a.example TLSA is bogus (no signature), so nobody who validates gets an "
      "answer; "
      "sign the zone anew, and see that the DS record in the parent zone is that of its key"}},
    {"a zone that is not signed",  // B03, B10
     [](auto&, auto& p, auto& probes) {
       for (auto& w : p.ways) {
         w.srv.security = security::insecure;
         for (auto* a : {&w.targets[0].v4, &w.targets[0].v6}) {
           a->security = security::insecure;
         }
         w.targets[0].tlsa = answer(dns::record_type::tlsa, outcome::nodata, security::insecure);
       }
       for (auto& one : probes) {
         one.certificate->dane.reset();
       }
     },
     {"zone_unsigned warning: a.example is not signed, so nobody can tell its records from forged ones, and DANE "
      "cannot "
      "be had; sign the zone, and have its DS record put into the parent zone"}},
    {"keys in a zone that is not signed",  // B10
     [](auto&, auto& p, auto&) { target_of(p, servers).tlsa = keys(security::insecure); },
     {"tlsa_unsigned warning: xmpp.a.example has TLSA records in a zone that is not signed, where nobody may use them; "
      "sign the zone"}},
    {"a target in a zone that is not signed",  // B05
     [](auto&, auto& p, auto&) {
       for (auto& w : p.ways) {
         w.targets[0].v4.security = w.targets[0].v6.security = security::insecure;
         w.targets[0].tlsa = answer(dns::record_type::tlsa, outcome::nodata, security::insecure);
       }
     },
     {"target_unsigned warning: xmpp.a.example is in a zone that is not signed, though a.example is, so DANE cannot be "
      "had there; sign its zone too"}},
    {"no trust anchors here",
     [](auto&, auto& p, auto&) {
       for (auto& w : p.ways) {
         w.srv.security = w.targets[0].v4.security = w.targets[0].v6.security = w.targets[0].tlsa.security =
             security::none;
       }
     },
     {"not_validated warning: nothing is validated here, so DNSSEC and TLSA records cannot be checked; set [dns] "
      "trust_anchors"}},
    // --- TLSA
    {"no keys",
     [](auto&, auto& p, auto&) { target_of(p, servers).tlsa = answer(dns::record_type::tlsa, outcome::nodata); },
     {"tlsa_missing warning: _5269._tcp.xmpp.a.example has no TLSA record, though the zone is signed; publish \"3 1 "
      "1 " +
      key + "\""}},
    {"keys that cannot be looked up",  // B09
     [](auto&, auto& p, auto&) {
       target_of(p, servers).tlsa = answer(dns::record_type::tlsa, outcome::servfail, security::none, "SERVFAIL");
     },
     {"tlsa_unanswered error: _5269._tcp.xmpp.a.example TLSA cannot be looked up (servfail: SERVFAIL), so whoever "
      "honours "
      "DANE does not connect; see that the name servers of the zone answer"}},
    {"keys that nobody can use",  // B16
     [](auto&, auto& p, auto&) { target_of(p, servers).standing = {tlsa_standing::unusable}; },
     {"tlsa_unusable error: _5269._tcp.xmpp.a.example has only TLSA records that nobody can use; publish \"3 1 1 " +
      key + "\""}},
    {"an old key",  // B20
     [](auto&, auto& p, auto& probes) {
       target_of(p, servers).standing = {tlsa_standing::strange};
       of(probes, servers).certificate->dane = tls::dane_result::mismatch;
     },
     {"tlsa_mismatch error: _5269._tcp.xmpp.a.example has TLSA records, none of which is of the certificate that is "
      "presented there, so whoever honours DANE does not connect; publish \"3 1 1 " +
      key + "\""}},
    {"an old key, not dialled",  // B20
     [](auto&, auto& p, auto& probes) {
       target_of(p, servers).standing = {tlsa_standing::strange};
       probes.clear();
     },
     {"tlsa_mismatch error: _5269._tcp.xmpp.a.example has TLSA records, none of which is of the certificate that is "
      "presented there, so whoever honours DANE does not connect; publish \"3 1 1 " +
      key + "\""}},
    {"an old key at one of two addresses",  // B20
     [](auto&, auto&, auto& probes) {
       probes.push_back(serving(servers, 5269));
       probes.back().certificate->dane = tls::dane_result::mismatch;
     },
     {"tlsa_mismatch error: _5269._tcp.xmpp.a.example has TLSA records, none of which is of the certificate that is "
      "presented there, so whoever honours DANE does not connect; publish \"3 1 1 " +
      key + "\""}},
    {"an old key beside the right one",  // B20
     [](auto&, auto& p, auto&) {
       target_of(p, servers).standing = {tlsa_standing::strange, tlsa_standing::current, tlsa_standing::neighbor};
     },
     {"tlsa_stale warning: _5269._tcp.xmpp.a.example has a TLSA record of neither the certificate that is presented "
      "there "
      "nor the key that comes next; remove it, unless it is of a key to come"}},
    {"the next key is not published",  // B20, RFC 7671 §8.1
     [](auto& r, auto& p, auto&) {
       r.keys.push_back({.domain = "a.example", .sha256 = next_key, .next = true});
       for (auto& w : p.ways) {
         w.targets[0].standing.push_back(tlsa_standing::next);
       }
       target_of(p, servers).standing.pop_back();
     },
     {"tlsa_next_missing warning: _5269._tcp.xmpp.a.example has no TLSA record of the key that comes next; publish \"3 "
      "1 "
      "1 " +
      next_key + "\" for two TTLs before that key is used"}},
    // --- ports
    {"nothing listens",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::refused); },
     {"port_closed error: " + at_5269 +
      "refuses connections; see that a listener is open there, or remove the record"}},
    {"nothing answers",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::silent, "no answer"); },
     {"port_silent error: " + at_5269 +
      "does not answer (no answer); see that no firewall drops what goes there, or remove the record"}},
    {"no way there",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::unreachable, "No route to host"); },
     {"port_unreachable error: " + at_5269 +
      "cannot be reached (No route to host); see that the address is right and routed"}},
    {"STARTTLS is published as direct TLS",  // A14
     [](auto&, auto&, auto& probes) {
       fail(probes, direct_servers, probe_end::not_xmpp, "it speaks no TLS");
       of(probes, direct_servers).instead = {servers};
     },
     {"port_other_method error: " + at_5270 +
      "speaks STARTTLS, not direct TLS; publish it under _xmpp-server._tcp.a.example"}},
    {"direct TLS is published as STARTTLS",  // A14
     [](auto&, auto&, auto& probes) {
       fail(probes, servers, probe_end::not_xmpp);
       of(probes, servers).instead = {direct_servers};
     },
     {"port_other_method error: " + at_5269 +
      "speaks direct TLS, not STARTTLS; publish it under _xmpps-server._tcp.a.example"}},
    {"the port of clients is published for servers",
     [](auto&, auto&, auto& probes) {
       fail(probes, servers, probe_end::stream_error, "invalid-namespace");
       of(probes, servers).instead = {clients};
     },
     {"port_other_service error: " + at_5269 +
      "serves clients by STARTTLS, not servers; publish it under _xmpp-client._tcp.a.example"}},
    {"no STARTTLS",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::no_starttls); },
     {"port_without_starttls error: " + at_5269 + "does not offer STARTTLS; set tls = \"starttls\" for the listener"}},
    {"another protocol by ALPN",
     [](auto&, auto&, auto& probes) {
       fail(probes, direct_servers, probe_end::alpn_refused, "alert no application protocol");
     },
     {"port_alpn_refused error: " + at_5270 +
      "knows nothing of the protocol xmpp-server (alert no application protocol); name a port that serves servers, or "
      "route that ALPN name"}},
    {"no protocol by ALPN",
     [](auto&, auto&, auto& probes) { of(probes, direct_servers).alpn_confirmed = false; },
     {"port_alpn_unconfirmed warning: xmpp.a.example:5270 selects no protocol by ALPN, so a port shared by protocols "
      "may "
      "not be reached; see that what ends TLS there knows ALPN"}},
    {"a handshake that fails",
     [](auto&, auto&, auto& probes) { fail(probes, direct_servers, probe_end::tls_failed, "alert internal error"); },
     {"port_tls_failed error: " + at_5270 +
      "fails the TLS handshake (alert internal error); see the log of what ends TLS there"}},
    {"no XMPP",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::not_xmpp, "what it says is no XML stream"); },
     {"port_not_xmpp error: " + at_5269 +
      "does not speak XMPP by STARTTLS (what it says is no XML stream); name a port that does"}},
    {"a server of others",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::host_unknown); },
     {"port_host_unknown error: " + at_5269 +
      "does not know a.example (host-unknown); name a port of a server that does"}},
    {"a stream that ends",
     [](auto&, auto&, auto& probes) { fail(probes, servers, probe_end::stream_error, "policy-violation"); },
     {"port_stream_error error: " + at_5269 + "ends the stream (policy-violation); see its log for why"}},
    {"a stream that ends where the domain's address leads",
     [](auto&, auto&, auto& probes) {
       fail(probes, servers, probe_end::refused);
       of(probes, servers).fallback = true;
     },
     {"port_closed error: xmpp.a.example:5269 (192.0.2.1), where servers come for want of SRV records, refuses "
      "connections; see that a listener is open there, or remove the record"}},
    // --- certificates
    {"expired",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->chain = tls::chain_problem::expired;
       of(probes, servers).certificate->summary.not_after = now;
     },
     {"certificate_expired error: xmpp.a.example:5269 presents a certificate that expired on 2026-11-26; renew it"}},
    {"an authority's is expired",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->chain = tls::chain_problem::expired;
       of(probes, servers).certificate->chain_text = "certificate has expired: CN=R3";
     },
     {"certificate_expired error: xmpp.a.example:5269 presents a chain that is out of date (certificate has expired: "
      "CN=R3); put the authority's present ones into the file"}},
    {"not yet valid",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->chain = tls::chain_problem::not_yet_valid;
       of(probes, servers).certificate->summary.not_before = now + std::chrono::hours{1};
     },
     {"certificate_not_yet_valid error: xmpp.a.example:5269 presents a certificate that is not valid before "
      "2026-11-26; "
      "wait with it, or set the clock right"}},
    {"another name",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->for_domain = false;
       of(probes, servers).certificate->summary.names = {"DNS:b.example", "DNS:c.example"};
     },
     {"certificate_name error: xmpp.a.example:5269 presents a certificate for DNS:b.example, DNS:c.example, not for "
      "a.example; get one for a.example"}},
    {"not trusted",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->chain = tls::chain_problem::untrusted;
       of(probes, servers).certificate->chain_text = "self-signed certificate: CN=a";
     },
     {"certificate_untrusted error: xmpp.a.example:5269 presents a certificate that strangers do not trust "
      "(self-signed "
      "certificate: CN=a); get one of a public authority, and put its intermediate certificates into the file"}},
    {"not fit",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->chain = tls::chain_problem::weak;
       of(probes, servers).certificate->chain_text = "EE certificate key too weak: CN=a";
     },
     {"certificate_unfit error: xmpp.a.example:5269 presents a certificate that is not fit (EE certificate key too "
      "weak: "
      "CN=a); get another one"}},
    {"about to expire",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->summary.not_after = now + std::chrono::days{9};
     },
     {"certificate_expiring warning: xmpp.a.example:5269 presents a certificate that expires on 2026-12-05, in 9 days; "
      "see why it has not been renewed"}},
    {"about to expire tomorrow",
     [](auto&, auto&, auto& probes) {
       of(probes, servers).certificate->summary.not_after = now + std::chrono::hours{47};
     },
     {"certificate_expiring error: xmpp.a.example:5269 presents a certificate that expires on 2026-11-27, in 1 day; "
      "see "
      "why it has not been renewed"}},
    {"another than is loaded",
     [](auto&, auto&, auto& probes) { of(probes, servers).certificate->loaded = false; },
     {"certificate_not_ours warning: xmpp.a.example:5269 presents another certificate (SHA-256 1111111111111111…) than "
      "the one loaded here; see who answers there"}},
    // --- the web server
    {"a host-meta that leads to us",  // XEP-0156
     [](auto& r, auto& p, auto&) {
       r.urls = {"wss://a.example/xmpp-websocket"};
       p.host_meta = {.status = 200,
                      .body = R"({"links":[{"rel":"x"},{"rel":"urn:xmpp:alt-connections:websocket",)"
                              R"("href":"wss:\/\/front.a.example\/ws"}]})",
                      .error = {}};
     },
     {}},
    {"no host-meta",
     [](auto& r, auto& p, auto&) {
       r.urls = {"wss://a.example/xmpp-websocket"};
       p.host_meta = {.status = 404, .body = {}, .error = {}};
     },
     {"host_meta_missing warning: https://a.example/.well-known/host-meta.json cannot be had (status 404), so browsers "
      "do "
      "not find wss://a.example/xmpp-websocket; have it served as `comityctl dns records a.example` prints it"}},
    {"no web server",
     [](auto& r, auto& p, auto&) {
       r.urls = {"wss://a.example/xmpp-websocket"};
       p.host_meta = {.status = 0, .body = {}, .error = "Connection refused"};
     },
     {"host_meta_missing warning: https://a.example/.well-known/host-meta.json cannot be had (Connection refused), so "
      "browsers do not find wss://a.example/xmpp-websocket; have it served as `comityctl dns records a.example` prints "
      "it"}},
    {"a host-meta of something else",
     [](auto& r, auto& p, auto&) {
       r.urls = {"wss://a.example/xmpp-websocket"};
       p.host_meta = {.status = 200, .body = R"({"links":[{"rel":5}]})", .error = {}};
     },
     {"host_meta_without_websocket warning: https://a.example/.well-known/host-meta.json names no WebSocket, so "
      "browsers "
      "do not find wss://a.example/xmpp-websocket; have it served as `comityctl dns records a.example` prints it"}},
    {"the same at two addresses",
     [](auto&, auto&, auto& probes) {
       probes.push_back(serving(servers, 5269));
       probes.back().address = "2001:db8::1";
       for (auto* p : {&of(probes, servers), &probes.back()}) {
         p->certificate->loaded = false;
       }
     },
     {"certificate_not_ours warning: xmpp.a.example:5269 presents another certificate (SHA-256 1111111111111111…) than "
      "the one loaded here; see who answers there"}},
};

class Mistakes : public ::testing::TestWithParam<mistake> {};

TEST_P(Mistakes, AreFound) {  // A15, B20
  auto host = running();
  auto found = all_right();
  auto probes = all_serving();
  GetParam().make(host, found, probes);
  std::vector<std::string> lines;
  for (const auto& f : judge(host, found, probes, now)) {
    lines.push_back(std::string{to_string(f.kind)} + " " + std::string{to_string(f.severity)} + ": " + f.text);
  }
  EXPECT_EQ(lines, GetParam().lines);
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, ::testing::ValuesIn(mistakes), [](const auto& info) {
  std::string name;
  for (const char c : std::string_view{info.param.name}) {
    name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
});

TEST(Mistakes, CoverEveryKindOfFinding) {
  std::set<std::string, std::less<>> made{"unfinished"};  // the inspection's own
  for (const auto& m : mistakes) {
    for (const auto& line : m.lines) {
      made.insert(line.substr(0, line.find(' ')));
    }
  }
  for (std::size_t i = 0; i < finding_kind_count; ++i) {
    const std::string word{to_string(static_cast<finding_kind>(i))};
    EXPECT_TRUE(made.contains(word)) << word;
    EXPECT_FALSE(to_string(area_of(static_cast<finding_kind>(i))).empty());
  }
  EXPECT_EQ(made.size(), finding_kind_count);
}

TEST(RenewalDue, IsAQuarterOfTheLifeButThreeWeeksAtMost) {
  tls::certificate_summary c;
  c.not_before = now;
  const auto before_end = [&](std::chrono::days life) {
    c.not_after = now + life;
    return std::chrono::duration_cast<std::chrono::hours>(c.not_after - renewal_due(c)).count();
  };
  EXPECT_EQ(before_end(std::chrono::days{8}), 2 * 24);
  EXPECT_EQ(before_end(std::chrono::days{84}), 21 * 24);
  EXPECT_EQ(before_end(std::chrono::days{88}), 21 * 24);
  EXPECT_EQ(before_end(std::chrono::days{3650}), 21 * 24);
}

}  // namespace
