// `comityctl s2s explain`: a table of reports, each as people and as programs read it; and what the command refuses.
#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kept.hpp"
#include "server/admin/explain_command.hpp"
#include "server/admin/explain_json.hpp"
#include "server/admin/explain_text.hpp"

namespace comity::admin {
namespace {

using namespace std::chrono_literals;
namespace explained = connection::explained;
namespace trust = connection::trust;
using connection::attempt_record;
using connection::cause;
using connection::explained_step;
using connection::method;
using connection::phase;
using dns::security;
using json = nlohmann::json;
using steps = std::vector<explained_step>;
using ::testing::HasSubstr;
using ::testing::Not;

const std::filesystem::path kept_reports = std::filesystem::path{COMITY_SOURCE_DIR} / "tests/server/explained";

const auto now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 26} + 12h;
const connection::domain_flow flow{"a.org", "b.org"};

explained::asked asked() {
  explained::asked a{.flow = flow};
  a.policy.trust = connection::required_trust::certificate;
  return a;
}

dns::traced_query query(std::string name, dns::record_type type, dns::answer got) {
  got.type = type;
  got.ttl = 3600s;
  return {.asked = {.name = std::move(name), .type = type}, .got = std::move(got), .took = 1500us};
}
dns::answer nothing(dns::outcome result, security s, std::string why = {}) {
  dns::answer a;
  a.result = result;
  a.security = s;
  a.why = std::move(why);
  return a;
}
dns::traced_query srv(bool direct_tls, security s, std::vector<dns::srv_record> records) {
  auto a = nothing(records.empty() ? dns::outcome::nodata : dns::outcome::records, s);
  a.srv = std::move(records);
  return query(direct_tls ? "_xmpps-server._tcp.b.org" : "_xmpp-server._tcp.b.org", dns::record_type::srv, a);
}
dns::traced_query address(const std::string& name, const char* text, security s, std::string canonical = {}) {
  auto a = nothing(dns::outcome::records, s);
  a.addresses.push_back(*dns::address::parse(text));
  a.canonical_name = std::move(canonical);
  return query(name, a.addresses[0].v4() ? dns::record_type::a : dns::record_type::aaaa, a);
}

dns::target target(std::string host, bool direct_tls, std::uint16_t priority, security s) {
  return {.host = std::move(host),
          .port = static_cast<std::uint16_t>(direct_tls ? 5270 : 5269),
          .direct_tls = direct_tls,
          .priority = priority,
          .weight = 5,
          .source = direct_tls ? dns::endpoint_source::srv_xmpps : dns::endpoint_source::srv_xmpp,
          .delegation = s};
}
explained::located located(dns::target t, const char* at, security s) {
  explained::located l{.target = std::move(t), .known = {}};
  l.known.v4.push_back(*dns::address::parse(at));
  l.known.security = s;
  return l;
}

tls::certificate_summary certificate(std::chrono::days from, std::chrono::days to) {
  return {.subject = "CN=b.org",
          .issuer = "CN=An Authority,O=Trust Services",
          .names = {"DNS:b.org", "SRV:_xmpp-server.b.org", "XMPP:b.org"},
          .not_before = now + from,
          .not_after = now + to,
          .sha256 = std::string(64, 'a')};
}

attempt_record attempt(std::uint32_t number, const dns::target& t, std::string at) {
  attempt_record a;
  a.number = number;
  a.began = now;
  a.took = 42ms;
  a.target = t.host;
  a.address = std::move(at) + ":" + std::to_string(t.port);
  a.method = t.direct_tls ? method::direct_tls : method::starttls;
  a.sni = "b.org";
  a.alpn = t.direct_tls ? "xmpp-server" : "";
  a.tls = "TLSv1.3 TLS_AES_256_GCM_SHA384";
  a.phase = phase::tls;
  auto& m = a.more.emplace();
  m.phases = {{phase::tcp, 10100us}, {phase::tls, 31900us}};
  m.features = {"mechanism EXTERNAL", "dialback", "bidi"};
  return a;
}
explained::trying trying(const attempt_record& a) {
  return {.number = a.number, .target = a.target, .address = a.address, .method = a.method};
}
attempt_record judged(attempt_record a, const trust::evidence& e, std::string reason, std::string examined = {}) {
  a.more->judged = e;
  a.more->reason = std::move(reason);
  a.more->examined = std::move(examined);
  return a;
}
trust::evidence evidence(trust::chain_verdict chain, trust::name_match name, trust::tlsa_outcome tlsa) {
  return {.required = connection::required_trust::certificate,
          .encrypted = true,
          .tlsa = tlsa,
          .chain = chain,
          .name = name};
}
attempt_record failed(attempt_record a, cause why, std::string detail) {
  a.cause = why;
  a.detail = std::move(detail);
  return a;
}

explained::planned planned(security s, std::vector<std::vector<dns::target>> groups,
                           std::vector<dns::dropped_record> dropped = {}) {
  explained::planned p;
  p.plan.security = s;
  p.plan.groups = std::move(groups);
  p.plan.dropped = std::move(dropped);
  return p;
}
explained::planned no_plan(dns::lookup_fault fault, std::string why) {
  explained::planned p;
  p.plan.fault = fault;
  p.plan.why = std::move(why);
  return p;
}

// --- the reports -----------------------------------------------------------------------------------------------------

/// The first target's certificate has expired, the second proves itself by PKIX; a third was slower.
steps expired_then_reached() {
  const auto first = target("bad.b.org", false, 5, security::secure);
  const auto second = target("xmpp.b.org", true, 10, security::secure);
  auto before = failed(attempt(1, first, "192.0.2.1"), cause::tcp_refused, "Connection refused");
  before.phase = phase::tcp;
  auto history = asked();
  history.waiting = 3;
  history.failed_searches = 2;
  history.not_before = 42s;
  history.history = {before};

  auto bad =
      failed(judged(attempt(1, first, "192.0.2.1"),
                    evidence(trust::chain_verdict::expired, trust::name_match::service, trust::tlsa_outcome::none),
                    "the certificate has expired", "certificate has expired: CN=b.org"),
             cause::cert_expired, "the certificate has expired");
  bad.more->certificate = certificate(-std::chrono::days{100}, -std::chrono::days{10});
  bad.more->phases = {{phase::tcp, 9800us}, {phase::stream, 20s}, {phase::tls, 250ms}};
  auto good = judged(attempt(2, second, "192.0.2.2"),
                     evidence(trust::chain_verdict::trusted, trust::name_match::service, trust::tlsa_outcome::none),
                     "a trusted authority vouches for the certificate");
  good.phase = phase::authentication;
  good.proof = "pkix";
  good.more->resumed = true;
  good.more->certificate = certificate(-std::chrono::days{10}, std::chrono::days{80});
  auto slow = attempt(3, second, "192.0.2.3");
  slow.phase = phase::tcp;
  slow.more.reset();
  auto late = trying(slow);
  late.failed_lately = true;

  auto winner = good;
  winner.more.reset();
  return {history,
          srv(false, security::secure, {{5, 5, 5269, "bad.b.org"}, {7, 0, 0, "off.b.org"}}),
          srv(true, security::secure, {{10, 5, 5270, "xmpp.b.org"}}),
          planned(security::secure, {{first}, {second}},
                  {{{7, 0, 0, "off.b.org"}, false, dns::drop_reason::no_port},
                   {{9, 0, 5269, ""}, false, dns::drop_reason::root_target},
                   {{9, 0, 5269, "bad.b.org"}, false, dns::drop_reason::repeated},
                   {{99, 0, 5269, "ninth.b.org"}, false, dns::drop_reason::over_limit}}),
          address("bad.b.org", "192.0.2.1", security::secure),
          query("_5269._tcp.bad.b.org", dns::record_type::tlsa, nothing(dns::outcome::nxdomain, security::secure)),
          located(first, "192.0.2.1", security::secure),
          trying(bad),
          explained::tried{.attempt = bad},
          address("xmpp.b.org", "192.0.2.2", security::insecure, "real.example.net"),
          located(second, "192.0.2.2", security::insecure),
          trying(good),
          late,
          explained::tried{.attempt = slow, .called_off = true},
          explained::tried{.attempt = good},
          explained::outcome{.attempts = 2, .took = 431ms, .winner = winner}};
}

/// Somebody forges the SRV records.
steps bogus_srv() {
  const std::string why =
      "validation failure <_xmpp-server._tcp.b.org. SRV IN>: signature crypto failed from 192.0.2.53";
  return {asked(),
          query("_xmpp-server._tcp.b.org", dns::record_type::srv, nothing(dns::outcome::bogus, security::bogus, why)),
          query("_xmpps-server._tcp.b.org", dns::record_type::srv, nothing(dns::outcome::timeout, security::none)),
          no_plan(dns::lookup_fault::bogus, why),
          explained::outcome{.cause = cause::dns_bogus, .phase = phase::dns, .text = why, .took = 12ms}};
}

/// TLSA records of every kind: good ones, and each reason why one is not usable (B16).
steps tlsa_of_every_kind() {
  const auto t = target("xmpp.b.org", false, 0, security::secure);
  auto l = located(t, "192.0.2.2", security::secure);
  l.known.tlsa_outcome = dns::tlsa_outcome::secure;
  l.known.tlsa_base = "xmpp.b.org";
  l.known.tlsa = {{3, 1, 1, std::string(32, '\x5a')}, {2, 0, 2, std::string(64, '\x5a')},
                  {9, 1, 1, std::string(32, 'a')},    {3, 2, 1, std::string(32, 'a')},
                  {3, 1, 7, std::string(32, 'a')},    {3, 1, 1, std::string(31, 'a')},
                  {3, 0, 0, std::string(100, 'a')}};
  auto records = nothing(dns::outcome::records, security::secure);
  records.tlsa = l.known.tlsa;
  records.malformed = 1;
  auto a =
      failed(judged(attempt(1, t, "192.0.2.2"),
                    evidence(trust::chain_verdict::trusted, trust::name_match::none, trust::tlsa_outcome::mismatched),
                    "no TLSA record matches the certificate", "no TLSA record names the certificate or its issuer"),
             cause::dane_mismatch, "no TLSA record matches the certificate");
  return {asked(),
          query("_5269._tcp.xmpp.b.org", dns::record_type::tlsa, records),
          l,
          trying(a),
          explained::tried{.attempt = a},
          explained::outcome{.cause = cause::dane_mismatch, .phase = phase::tls, .attempts = 1, .took = 50ms}};
}

/// The peer knows no such host, and dialback fails; the endpoint is the operator's.
steps stream_error_at_the_override() {
  auto a = asked();
  a.policy.trust = connection::required_trust::dialback;
  a.policy.endpoint = connection::fixed_endpoint{.host = "10.0.0.1", .port = 5269, .method = method::starttls};
  a.only = method::starttls;
  a.connected = true;
  auto t = target("10.0.0.1", false, 0, security::none);
  t.source = dns::endpoint_source::override;
  auto e = evidence(trust::chain_verdict::untrusted, trust::name_match::none, trust::tlsa_outcome::none);
  e.posh = trust::posh_outcome::none;
  auto tried = failed(judged(attempt(1, t, "10.0.0.1"), e, "the certificate proves nothing, dialback may"),
                      cause::host_unknown, "no b.org here");
  tried.phase = phase::stream;
  tried.stream_error = "host-unknown";
  return {
      a,
      planned(security::none, {{t}}),
      located(t, "10.0.0.1", security::none),
      trying(tried),
      explained::tried{.attempt = tried},
      explained::outcome{
          .cause = cause::host_unknown, .phase = phase::stream, .text = "no b.org here", .attempts = 1, .took = 9ms}};
}

/// No SRV records, unsigned addresses, nothing dialled.
steps dry_run_of_a_fallback() {
  auto a = asked();
  a.dry_run = true;
  dns::target t{.host = "b.org", .port = 5269, .source = dns::endpoint_source::fallback};
  return {a,
          srv(false, security::insecure, {}),
          srv(true, security::insecure, {}),
          planned(security::insecure, {{t}}),
          address("b.org", "2001:db8::1", security::insecure),
          located(t, "192.0.2.1", security::insecure),
          explained::outcome{.took = 3ms}};
}

steps forbidden_by_policy() {
  auto a = asked();
  a.policy.allow = false;
  return {a, explained::outcome{.cause = cause::policy, .phase = phase::dns, .text = "not allowed"}};
}

/// Names, certificates and words of somebody who wants more than to be read (THREATS G7).
steps hostile() {
  const std::string escape = "\x1b]0;pwned\x07\x1b[2J\r\n";
  const auto name = escape + "\xc2\x9b" + "31m.\xe2\x80\xae" + std::string(3000, 'x') + ".b.org";
  const auto t = target(name, false, 0, security::insecure);
  auto a = failed(attempt(1, t, "192.0.2.1"), cause::stream_error, escape + "\xff\xfe" + std::string(2000, 'y'));
  a.alpn = escape;
  a.more->certificate = certificate(std::chrono::days{1}, std::chrono::days{2});
  a.more->certificate->subject = "CN=" + escape;
  a.more->certificate->names = std::vector<std::string>(300, "DNS:" + std::string(240, 'n') + escape);
  a.more->features = {escape, "mechanism " + escape};
  auto many = nothing(dns::outcome::records, security::insecure);
  many.srv = std::vector<dns::srv_record>(25, {0, 0, 5269, name});
  auto plan = planned(security::insecure, {{t}});
  plan.plan.dropped = std::vector<dns::dropped_record>(25, {{0, 0, 5269, name}, false, dns::drop_reason::repeated});
  auto l = located(t, "192.0.2.1", security::insecure);
  l.known.tlsa_outcome = dns::tlsa_outcome::secure;
  l.known.tlsa_base = name;
  l.known.tlsa = std::vector<dns::tlsa_record>(40, {3, 1, 1, std::string(32, 'a')});
  return {asked(),
          query("_xmpp-server._tcp.b.org", dns::record_type::srv, many),
          plan,
          l,
          trying(a),
          explained::tried{.attempt = a},
          explained::outcome{.cause = cause::stream_error, .phase = phase::stream, .text = escape, .attempts = 1}};
}

struct report {
  const char* name;
  steps (*make)();
};

class Reports : public ::testing::TestWithParam<report> {};

INSTANTIATE_TEST_SUITE_P(All, Reports,
                         ::testing::Values(report{"expired-then-reached", expired_then_reached},
                                           report{"bogus-srv", bogus_srv},
                                           report{"tlsa-of-every-kind", tlsa_of_every_kind},
                                           report{"stream-error-at-the-override", stream_error_at_the_override},
                                           report{"dry-run-of-a-fallback", dry_run_of_a_fallback},
                                           report{"forbidden-by-policy", forbidden_by_policy},
                                           report{"hostile", hostile}),
                         [](const auto& each) {
                           std::string name = each.param.name;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST_P(Reports, AreReadByPeople) {
  const auto text = explain_text_of(GetParam().make(), {}, now);
  expect_kept(kept_reports / (std::string{GetParam().name} + ".txt"), text);
  std::istringstream in{text};
  std::string last;
  for (std::string line; std::getline(in, line); last = line) {
    // No byte that a terminal would obey, and no line that it would break (THREATS G7).
    EXPECT_TRUE(std::ranges::none_of(line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
    const auto columns =
        std::ranges::count_if(line, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; });
    EXPECT_LE(columns, 100) << line;
  }
  EXPECT_THAT(last, ::testing::StartsWith("outcome        b.org "));
}

TEST_P(Reports, AreReadByPrograms) {
  const auto all = GetParam().make();
  const auto text = explain_json_of(all);
  const auto j = json::parse(text);  // which is UTF-8 whatever the peer sent
  if (std::string{GetParam().name} != "hostile") {
    expect_kept(kept_reports / (std::string{GetParam().name} + ".json"), j.dump(2) + "\n");
  }
  const auto& end = std::get<explained::outcome>(all.back());
  EXPECT_EQ(j.at("outcome").at("cause"), end.cause ? json(to_string(*end.cause)) : json(nullptr));
  EXPECT_EQ(j.at("outcome").at("reached"), end.winner.has_value());
}

TEST_P(Reports, HaveColoursInTheirFirstColumnAlone) {
  const auto plain = explain_text_of(GetParam().make(), {}, now);
  auto coloured = explain_text_of(GetParam().make(), {.coloured = true}, now);
  EXPECT_THAT(coloured, HasSubstr("\x1b[3"));
  for (const std::string code : {"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"}) {
    for (auto at = coloured.find(code); at != std::string::npos; at = coloured.find(code)) {
      coloured.erase(at, code.size());
    }
  }
  EXPECT_EQ(coloured, plain);
}

TEST(ExplainText, BreaksLinesAtTheWidth) {
  for (const std::size_t width : {40U, 60U, 100U, 200U}) {
    std::istringstream in{explain_text_of(hostile(), {.width = width}, now)};
    for (std::string line; std::getline(in, line);) {
      if (!line.starts_with("outcome")) {
        EXPECT_LE(line.size(), width + 2) << line;  // an ellipsis has three bytes
      }
    }
  }
}

// --- the command -----------------------------------------------------------------------------------------------------

struct told_values final : progress {
  fate tell(std::string value) override {
    values.push_back(json::parse(value));
    return fate::taken;
  }
  void when_gone(std::move_only_function<void()>) override {}
  std::vector<json> values;
};

class ExplainCommand : public ::testing::Test {
protected:
  json ask(const json& args, bool s2s = true) {
    explain_command::collaborators with{.explain = {},
                                        .hosts = [](std::string_view d) { return d == "a.org" || d == "c.org"; },
                                        .default_domain = [] { return "a.org"; }};
    if (s2s) {
      with.explain = [this](connection::explain_request what, auto told) {
        wanted_ = std::move(what);
        for (auto& s : report_) {
          told(s);
        }
      };
    }
    json answer;
    explain_command{std::move(with)}(args, told_, [&answer](const std::string& text) { answer = json::parse(text); });
    return answer;
  }
  steps report_ = bogus_srv();
  std::optional<connection::explain_request> wanted_;
  std::shared_ptr<told_values> told_ = std::make_shared<told_values>();
};

TEST_F(ExplainCommand, AnswersPeopleStepByStep) {
  const auto answer = ask({{"domain", "B.org"}, {"text", {{"width", 80}}}});
  EXPECT_EQ(wanted_->flow, flow);
  EXPECT_FALSE(wanted_->dry_run || wanted_->only);
  ASSERT_EQ(told_->values.size(), report_.size());
  EXPECT_THAT(told_->values.front().get<std::string>(), HasSubstr("asked          b.org from a.org\n"));
  EXPECT_EQ(answer.at("result").at("reached"), false);
  EXPECT_EQ(answer.at("result").at("outcome"), "b.org is not reached: dns_bogus in dns (0 attempts, 12 ms)");
}

TEST_F(ExplainCommand, AnswersProgramsAtOnce) {
  const auto answer = ask({{"domain", "b.org"}, {"from", "c.org"}, {"method", "direct_tls"}, {"dry_run", true}});
  EXPECT_EQ(wanted_->flow.sender, "c.org");
  EXPECT_EQ(wanted_->only, method::direct_tls);
  EXPECT_TRUE(wanted_->dry_run);
  EXPECT_TRUE(told_->values.empty());
  EXPECT_EQ(answer.at("result").at("outcome").at("cause"), "dns_bogus");
}

TEST_F(ExplainCommand, SaysWhatItCannotBeAskedAndWhatWouldBeRight) {
  const auto error = [](const json& answer) { return answer.value("error", "none: " + answer.dump()); };
  EXPECT_EQ(error(ask({{"domain", "a..org"}})), "'a..org' is no domain; use one such as example.org");
  EXPECT_EQ(error(ask(json::object())), "'' is no domain; use one such as example.org");
  EXPECT_EQ(error(ask({{"domain", "C.org"}})), "'c.org' is served here; name a domain of another server");
  EXPECT_EQ(error(ask({{"domain", "b.org"}, {"from", "d.org"}})),
            "'d.org' is not served here; use a domain of a [[host]] in the configuration");
  EXPECT_EQ(error(ask({{"domain", "b.org"}, {"method", "quic"}})), "'quic' is no method; use starttls or direct_tls");
  EXPECT_EQ(error(ask({{"domain", "b.org"}}, false)),
            "there are no other servers: [s2s] enabled is false in the configuration");
  EXPECT_FALSE(wanted_);
  ask({{"domain", "b.org"}, {"dry_run", "yes"}, {"text", {{"width", "wide"}, {"coloured", 1}}}});  // of a wrong type
  EXPECT_FALSE(wanted_->dry_run);
}

}  // namespace
}  // namespace comity::admin
