#include "server/admin/explain_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "connection/s2s/peer_evidence.hpp"
#include "server/admin/explain_lines.hpp"
#include "server/admin/explain_words.hpp"
#include "server/modules/timestamp.hpp"
#include "server/printable.hpp"
#include "tls/dane.hpp"

namespace comity::admin {

namespace {

using namespace std::chrono_literals;
namespace explained = connection::explained;
using connection::attempt_record;

constexpr std::size_t records_most = 20;  // of one answer that are shown
constexpr std::size_t names_most = 1024;  // bytes of the names in a certificate
constexpr std::size_t why_most = 1024;    // bytes of a reason; a validator's are long

std::string joined(const std::vector<std::string>& all, std::string_view between = ", ") {
  std::string out;
  for (const auto& each : all) {
    out.append(out.empty() ? "" : between).append(printable(each));
  }
  return out;
}

std::string cut(const std::string& text, std::size_t most) {
  return text.size() <= most ? text : std::string{kept(text, most)}.append(ellipsis);
}

std::string milliseconds(std::chrono::milliseconds took) {
  return fmt::format("{} ms", took.count());
}

/// Of what is short.
std::string milliseconds(std::chrono::nanoseconds took) {
  const auto ms = std::chrono::duration<double, std::milli>(took).count();
  return ms < 100     ? fmt::format("{:.1f} ms", ms)
         : ms < 10000 ? fmt::format("{:.0f} ms", ms)
                      : fmt::format("{:.1f} s", ms / 1000);
}

std::string counted(std::size_t n, std::string_view what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

std::string cause_in_phase(const attempt_record& a) {
  return fmt::format("{} in {}", to_string(*a.cause), to_string(a.phase));
}

// --- what is asked for -----------------------------------------------------------------------------------------------

std::string_view least(connection::required_trust t) {
  switch (t) {
    case connection::required_trust::dane:
      return "a DANE match is required";
    case connection::required_trust::certificate:
      return "a certificate by DANE, PKIX or POSH is required";
    case connection::required_trust::dialback:
      return "a certificate is wanted, dialback is enough";
  }
  std::unreachable();
}

std::string old_attempt(const attempt_record& a) {
  const auto where = a.address.empty()
                         ? printable(a.target)
                         : fmt::format("{} {} to {}", a.address, to_string(a.method), printable(a.target));
  const auto how = a.cause ? cause_in_phase(a) : std::string{"reached"};
  return fmt::format("{} {}: {} after {}{}{}", server::utc_stamp(a.began), where, how, milliseconds(a.took),
                     a.detail.empty() ? "" : ", ", printable(a.detail));
}

void tell(explain_lines& out, const explained::asked& a) {
  std::string what = fmt::format("{} from {}", printable(a.flow.target), printable(a.flow.sender));
  if (a.dry_run) {
    what += ", nothing is dialled";
  }
  if (a.only) {
    what.append(", by ").append(to_string(*a.only)).append(" alone");
  }
  out.add("asked", what);
  std::string policy{least(a.policy.trust)};
  if (a.policy.endpoint) {
    policy += fmt::format("; always at {} port {} by {} ([[s2s.peer]] endpoint)", printable(a.policy.endpoint->host),
                          a.policy.endpoint->port, to_string(a.policy.endpoint->method));
  }
  if (!a.policy.allow) {
    policy = "nothing may go there or come from there ([[s2s.peer]] allow = false)";
  }
  out.add("policy", policy, a.policy.allow ? tone::plain : tone::bad);
  std::string now = a.connected ? "a stream carries stanzas" : "no stream";
  if (a.waiting != 0) {
    now += fmt::format("; {} for it", a.waiting == 1 ? "1 stanza waits" : fmt::format("{} stanzas wait", a.waiting));
  }
  if (a.failed_searches != 0) {
    now += fmt::format("; {} failed in a row",
                       a.failed_searches == 1 ? "1 search" : fmt::format("{} searches", a.failed_searches));
  }
  if (a.not_before) {
    now += fmt::format("; backing off, the next one not before {} s from now", a.not_before->count());
  }
  out.add("now", now, a.not_before ? tone::doubtful : tone::plain);
  for (const auto& h : a.history) {
    out.add("before", old_attempt(h), h.cause ? tone::bad : tone::good);
  }
}

// --- the DNS ---------------------------------------------------------------------------------------------------------

tone tone_of(const dns::answer& a) {
  return !answered(a.result)                     ? tone::bad
         : a.security == dns::security::insecure ? tone::doubtful
         : a.security == dns::security::secure   ? tone::good
                                                 : tone::plain;
}

void tell(explain_lines& out, const dns::traced_query& q) {
  std::string text = fmt::format("{} {}: ", to_string(q.asked.type), printable(q.asked.name));
  const auto records = q.got.srv.size() + q.got.addresses.size() + q.got.tlsa.size();
  text += q.got.result == dns::outcome::records ? counted(records, "record") : std::string{to_string(q.got.result)};
  if (q.got.security != dns::security::none && q.got.result != dns::outcome::bogus) {
    text.append(", ").append(to_string(q.got.security));
  }
  if (answered(q.got.result)) {
    text += fmt::format(", TTL {} s", q.got.ttl.count());
  }
  text.append(", ").append(milliseconds(q.took));
  if (!q.got.why.empty()) {
    text.append(": ").append(printable(q.got.why, why_most));
  }
  out.add("query", text, tone_of(q.got));
  if (!q.got.canonical_name.empty() && q.got.result == dns::outcome::records && q.got.canonical_name != q.asked.name) {
    out.add("", "alias of " + printable(q.got.canonical_name));
  }
  std::vector<std::string> shown;
  shown.reserve(records);
  for (const auto& r : q.got.srv) {
    shown.push_back(
        fmt::format("{} {} {} {}", r.priority, r.weight, r.port, r.target.empty() ? "." : printable(r.target)));
  }
  for (const auto& a : q.got.addresses) {
    shown.push_back(a.text());
  }
  for (const auto& r : q.got.tlsa) {
    shown.push_back(text_of(r));
  }
  for (std::size_t i = 0; i < std::min(shown.size(), records_most); ++i) {
    out.add("", shown[i]);
  }
  if (shown.size() > records_most) {
    out.add("", fmt::format("and {} more", shown.size() - records_most));
  }
  if (q.got.malformed != 0) {
    out.add("", counted(q.got.malformed, "malformed record") + " left out");
  }
}

std::string endpoint(std::string_view host, std::uint16_t port, bool direct_tls) {
  return fmt::format("{} port {} by {}", printable(host), port,
                     to_string(direct_tls ? connection::method::direct_tls : connection::method::starttls));
}

std::string why_there(const dns::target& t) {
  switch (t.source) {
    case dns::endpoint_source::srv_xmpp:
    case dns::endpoint_source::srv_xmpps:
      return fmt::format("{}, priority {}, weight {}, {}",
                         t.source == dns::endpoint_source::srv_xmpp ? "_xmpp-server" : "_xmpps-server", t.priority,
                         t.weight, to_string(t.delegation));
    case dns::endpoint_source::fallback:
      return "fallback, there are no SRV records";
    case dns::endpoint_source::override:
      return "override, from the configuration";
  }
  std::unreachable();
}

std::string why_dropped(const dns::dropped_record& d) {
  switch (d.why) {
    case dns::drop_reason::root_target:
      return "its target is \".\" beside real ones";
    case dns::drop_reason::no_port:
      return "its port is 0";
    case dns::drop_reason::repeated:
      return "the same endpoint stands above";
    case dns::drop_reason::over_limit:
      return fmt::format("beyond the first {}", dns::targets_limit);
    case dns::drop_reason::other_method:
      return "--method asks for the other";
  }
  std::unreachable();
}

void tell(explain_lines& out, const explained::planned& p) {
  if (p.plan.fault != dns::lookup_fault::none) {
    out.add("order", fmt::format("no endpoint: {}", to_string(connection::cause_of(p.plan.fault))), tone::bad);
  }
  std::size_t number = 0;
  for (const auto& group : p.plan.groups) {
    for (const auto& t : group) {
      out.add(fmt::format("order {}", ++number), endpoint(t.host, t.port, t.direct_tls) + ": " + why_there(t));
    }
  }
  for (std::size_t i = 0; i < std::min(p.plan.dropped.size(), records_most); ++i) {
    const auto& d = p.plan.dropped[i];
    out.add("dropped", endpoint(d.record.target.empty() ? "." : d.record.target, d.record.port, d.direct_tls) + ": " +
                           why_dropped(d));
  }
  if (p.plan.dropped.size() > records_most) {
    out.add("dropped", fmt::format("and {} more", p.plan.dropped.size() - records_most));
  }
}

std::string about_tlsa(const explained::located& l) {
  switch (l.known.tlsa_outcome) {
    case dns::tlsa_outcome::none: {
      const auto why = why_not_asked(l.target, l.known);
      return why.empty() ? std::string{"no TLSA records"} : fmt::format("TLSA not asked for, {}", why);
    }
    case dns::tlsa_outcome::insecure:
      return "TLSA records without a signature, which count for nothing";
    case dns::tlsa_outcome::secure:
      return fmt::format("{} at {}", counted(l.known.tlsa.size(), "signed TLSA record"), printable(l.known.tlsa_base));
    case dns::tlsa_outcome::failed:
      return "TLSA not known";
  }
  std::unreachable();
}

void tell(explain_lines& out, const explained::located& l) {
  auto text = endpoint(l.target.host, l.target.port, l.target.direct_tls);
  if (l.known.fault != dns::lookup_fault::none) {
    const auto why = l.known.why.empty() ? std::string{} : ", " + printable(l.known.why, why_most);
    return out.add("endpoint", fmt::format("{}: {}{}", text, to_string(connection::cause_of(l.known.fault)), why),
                   tone::bad);
  }
  text += ": addresses " + std::string{l.known.security == dns::security::none ? "given" : to_string(l.known.security)};
  out.add("endpoint", text + "; " + about_tlsa(l));
  const auto looked_at = std::min(l.known.tlsa.size(), tls::tlsa_records_looked_at);
  for (std::size_t i = 0; i < looked_at; ++i) {
    const auto why = why_unusable(l.known.tlsa[i]);
    out.add("  TLSA", text_of(l.known.tlsa[i]) + (why.empty() ? ": usable" : ": not usable, " + why),
            why.empty() ? tone::good : tone::doubtful);
  }
  if (l.known.tlsa.size() > looked_at) {
    out.add("  TLSA", fmt::format("{} more, which are not looked at", l.known.tlsa.size() - looked_at));
  }
}

// --- attempts --------------------------------------------------------------------------------------------------------

void tell(explain_lines& out, const explained::trying& t) {
  out.add(fmt::format("attempt {}", t.number),
          fmt::format("connecting to {} ({}) by {}{}", t.address, printable(t.target), to_string(t.method),
                      t.failed_lately ? ", late, since it failed lately" : ""));
}

std::string validity(const tls::certificate_summary& c, std::chrono::system_clock::time_point now) {
  const auto days = [](auto span) {
    return counted(static_cast<std::size_t>(std::chrono::floor<std::chrono::days>(span).count()), "day");
  };
  return fmt::format("{} to {}, {}", server::utc_stamp(c.not_before), server::utc_stamp(c.not_after),
                     now > c.not_after    ? "expired " + days(now - c.not_after) + " ago"
                     : now < c.not_before ? "not valid for another " + days(c.not_before - now)
                                          : days(c.not_after - now) + " left");
}

std::string_view whose(connection::trust::name_match m) {
  switch (m) {
    case connection::trust::name_match::none:
      return "no name of the domain";
    case connection::trust::name_match::target:
      return "the name of the SRV target";
    case connection::trust::name_match::service:
      return "the domain's name";
  }
  std::unreachable();
}

std::string decision(const attempt_record& a, const connection::trust::evidence& e) {
  std::string text = fmt::format("chain {}, {}, TLSA {}", word_of(e.chain), whose(e.name), word_of(e.tlsa));
  if (e.posh != connection::trust::posh_outcome::not_asked) {
    text += fmt::format(", POSH {}", word_of(e.posh));
  }
  text += a.proof.empty() ? ": not proven, " : fmt::format(": proven by {}, ", a.proof);
  return text + a.more->reason;
}

void tell_details(explain_lines& out, const attempt_record& a, std::chrono::system_clock::time_point now) {
  const auto& more = *a.more;
  std::string times;
  for (const auto& p : more.phases) {
    times += fmt::format("{}{} {}", times.empty() ? "" : ", ", to_string(p.phase), milliseconds(p.took));
  }
  out.add_any("  times", times);
  if (!a.tls.empty()) {
    out.add("  TLS",
            fmt::format("{}, server name {}, {}{}", a.tls, a.sni.empty() ? "not sent" : printable(a.sni),
                        a.alpn.empty() ? "no ALPN" : "ALPN " + printable(a.alpn), more.resumed ? ", resumed" : ""));
  }
  if (more.certificate) {
    const auto& c = *more.certificate;
    out.add("  certificate", fmt::format("{}, issued by {}", printable(c.subject), printable(c.issuer)));
    out.add("  names", c.names.empty() ? "none" : cut(joined(c.names), names_most));
    out.add("  valid", validity(c, now), now > c.not_after || now < c.not_before ? tone::bad : tone::plain);
  }
  if (more.judged) {
    out.add("  trust", decision(a, *more.judged), a.proof.empty() ? tone::bad : tone::good);
    out.add_any("", printable(more.examined, why_most));
  }
  out.add_any("  offered", joined(more.features));
  if (!a.stream_error.empty()) {
    out.add("  stream error", fmt::format("{}, said by {}", a.stream_error, a.stream_error_ours ? "us" : "the peer"),
            tone::bad);
  }
}

void tell(explain_lines& out, const explained::tried& t, std::chrono::system_clock::time_point now) {
  const auto& a = t.attempt;
  const auto what = fmt::format("attempt {}", a.number);
  if (t.called_off) {
    out.add(what,
            fmt::format("called off in {} after {}: another one was faster", to_string(a.phase), milliseconds(a.took)));
  } else if (a.cause) {
    out.add(what,
            fmt::format("failed after {}: {}{}{}", milliseconds(a.took), cause_in_phase(a),
                        a.detail.empty() ? "" : ", ", printable(a.detail)),
            tone::bad);
  } else {
    out.add(what, fmt::format("reached after {}", milliseconds(a.took)), tone::good);
  }
  if (a.more) {
    tell_details(out, a, now);
  }
}

}  // namespace

std::string outcome_line(const explained::outcome& o, const connection::domain_flow& flow, bool dry_run) {
  const auto who = printable(flow.target);
  const auto cost = fmt::format("({}, {})", counted(o.attempts, "attempt"), milliseconds(o.took));
  if (o.cause) {
    return fmt::format("{} is not reached: {} in {} {}", who, to_string(*o.cause), to_string(o.phase), cost);
  }
  if (dry_run || !o.winner) {
    return fmt::format("{} can be dialled; nothing was ({})", who, milliseconds(o.took));
  }
  return fmt::format("{} is reached: {} by {}, proven by {} {}", who, o.winner->address, to_string(o.winner->method),
                     o.winner->proof, cost);
}

std::string explain_text::add(const connection::explained_step& step) {
  explain_lines out{style_};
  if (const auto* asked = std::get_if<explained::asked>(&step)) {
    flow_ = asked->flow;
    dry_run_ = asked->dry_run;
    tell(out, *asked);
  } else if (const auto* tried = std::get_if<explained::tried>(&step)) {
    tell(out, *tried, now_);
  } else if (const auto* outcome = std::get_if<explained::outcome>(&step)) {
    if (outcome->cause) {
      out.add_any("why", printable(outcome->text, why_most));
      out.add("what to do", fmt::format("comityctl cause {}", to_string(*outcome->cause)));
    }
    out.add_whole("outcome", outcome_line(*outcome, flow_, dry_run_), outcome->cause ? tone::bad : tone::good);
  } else if (const auto* query = std::get_if<dns::traced_query>(&step)) {
    tell(out, *query);
  } else if (const auto* planned = std::get_if<explained::planned>(&step)) {
    tell(out, *planned);
  } else if (const auto* located = std::get_if<explained::located>(&step)) {
    tell(out, *located);
  } else if (const auto* trying = std::get_if<explained::trying>(&step)) {
    tell(out, *trying);
  }
  return out.take();
}

std::string explain_text_of(std::span<const connection::explained_step> steps, text_style style,
                            std::chrono::system_clock::time_point now) {
  explain_text text{style, now};
  std::string all;
  for (const auto& s : steps) {
    all += text.add(s);
  }
  return all;
}

}  // namespace comity::admin
