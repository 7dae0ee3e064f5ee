#include "server/admin/explain_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>

#include "connection/s2s/peer_evidence.hpp"
#include "server/admin/explain_words.hpp"
#include "server/modules/timestamp.hpp"
#include "tls/crypto.hpp"
#include "tls/dane.hpp"

namespace comity::admin {

namespace {

namespace explained = connection::explained;
using json = nlohmann::json;

std::string_view method_of(bool direct_tls) {
  return to_string(direct_tls ? connection::method::direct_tls : connection::method::starttls);
}

template <typename Duration>
double milliseconds(Duration took) {
  return std::chrono::duration<double, std::milli>(took).count();
}

template <typename Enum>
json name_or_null(const std::optional<Enum>& value) {
  return value ? json(to_string(*value)) : json(nullptr);
}

json of(const tls::certificate_summary& c) {
  return {{"subject", c.subject},
          {"issuer", c.issuer},
          {"names", c.names},
          {"not_before", server::utc_stamp(c.not_before)},
          {"not_after", server::utc_stamp(c.not_after)},
          {"sha256", c.sha256}};
}

json of(const connection::trust::evidence& e) {
  return {{"required", to_string(e.required)}, {"chain", word_of(e.chain)}, {"name", word_of(e.name)},
          {"tlsa", word_of(e.tlsa)},           {"posh", word_of(e.posh)},   {"dialback", word_of(e.dialback)}};
}

json of(const connection::attempt_record& a) {
  json j{{"number", a.number},
         {"began", server::utc_stamp(a.began)},
         {"milliseconds", milliseconds(a.took)},
         {"target", a.target},
         {"address", a.address},
         {"method", to_string(a.method)},
         {"phase", to_string(a.phase)},
         {"cause", name_or_null(a.cause)},
         {"detail", a.detail},
         {"sni", a.sni},
         {"alpn", a.alpn},
         {"tls", a.tls},
         {"proof", a.proof},
         {"stream_error", a.stream_error}};
  if (!a.stream_error.empty()) {
    j["stream_error_by"] = a.stream_error_ours ? "us" : "peer";
  }
  if (a.more) {
    auto& phases = j["phases"] = json::array();
    for (const auto& p : a.more->phases) {
      phases.push_back({{"phase", to_string(p.phase)}, {"milliseconds", milliseconds(p.took)}});
    }
    j["resumed"] = a.more->resumed;
    j["certificate"] = a.more->certificate ? of(*a.more->certificate) : json(nullptr);
    j["trust"] = a.more->judged ? of(*a.more->judged) : json(nullptr);
    j["reason"] = a.more->reason;
    j["examined"] = a.more->examined;
    j["features"] = a.more->features;
  }
  return j;
}

/// Fills the object, one step after the other.
class filler {
public:
  void operator()(const explained::asked& a) {
    report_["domain"] = a.flow.target;
    report_["from"] = a.flow.sender;
    report_["dry_run"] = a.dry_run;
    report_["method"] = name_or_null(a.only);
    auto endpoint = json(nullptr);
    if (const auto& fixed = a.policy.endpoint) {
      endpoint = {{"host", fixed->host}, {"port", fixed->port}, {"method", to_string(fixed->method)}};
    }
    report_["policy"] = {
        {"trust", to_string(a.policy.trust)}, {"allow", a.policy.allow}, {"endpoint", std::move(endpoint)}};
    report_["now"] = {{"connected", a.connected},
                      {"stanzas_waiting", a.waiting},
                      {"failed_searches", a.failed_searches},
                      {"back_off_seconds", a.not_before ? json(a.not_before->count()) : json(nullptr)}};
    for (const auto& h : a.history) {
      report_["before"].push_back(of(h));
    }
  }

  void operator()(const dns::traced_query& q) {
    auto records = json::array();
    for (const auto& r : q.got.srv) {
      records.push_back({{"priority", r.priority},
                         {"weight", r.weight},
                         {"port", r.port},
                         {"target", r.target.empty() ? "." : r.target}});
    }
    for (const auto& a : q.got.addresses) {
      records.push_back(a.text());
    }
    for (const auto& r : q.got.tlsa) {
      records.push_back(
          {{"usage", r.usage}, {"selector", r.selector}, {"matching", r.matching}, {"data", tls::hex(r.data)}});
    }
    report_["queries"].push_back({{"type", to_string(q.asked.type)},
                                  {"name", q.asked.name},
                                  {"result", to_string(q.got.result)},
                                  {"security", to_string(q.got.security)},
                                  {"why", q.got.why},
                                  {"ttl", q.got.ttl.count()},
                                  {"milliseconds", milliseconds(q.took)},
                                  {"canonical_name", q.got.canonical_name},
                                  {"malformed", q.got.malformed},
                                  {"records", std::move(records)}});
  }

  void operator()(const explained::planned& p) {
    for (const auto& group : p.plan.groups) {
      for (const auto& t : group) {
        report_["endpoints"].push_back({{"order", report_["endpoints"].size() + 1},
                                        {"host", t.host},
                                        {"port", t.port},
                                        {"method", method_of(t.direct_tls)},
                                        {"source", to_string(t.source)},
                                        {"priority", t.priority},
                                        {"weight", t.weight},
                                        {"security", to_string(t.delegation)}});
      }
    }
    for (const auto& d : p.plan.dropped) {
      report_["dropped"].push_back({{"host", d.record.target.empty() ? "." : d.record.target},
                                    {"port", d.record.port},
                                    {"method", method_of(d.direct_tls)},
                                    {"priority", d.record.priority},
                                    {"weight", d.record.weight},
                                    {"why", to_string(d.why)}});
    }
  }

  void operator()(const explained::located& l) {
    auto addresses = json::array();
    for (const auto* family : {&l.known.v6, &l.known.v4}) {
      for (const auto& a : *family) {
        addresses.push_back(a.text());
      }
    }
    auto records = json::array();
    for (std::size_t i = 0; i < std::min(l.known.tlsa.size(), tls::tlsa_records_looked_at); ++i) {
      const auto& r = l.known.tlsa[i];
      const auto why = why_unusable(r);
      records.push_back({{"usage", r.usage},
                         {"selector", r.selector},
                         {"matching", r.matching},
                         {"data", tls::hex(r.data)},
                         {"usable", why.empty()},
                         {"why", why}});
    }
    const bool none = l.known.tlsa_outcome == dns::tlsa_outcome::none;
    const bool failed = l.known.fault != dns::lookup_fault::none;
    report_["located"].push_back(
        {{"host", l.target.host},
         {"port", l.target.port},
         {"method", method_of(l.target.direct_tls)},
         {"addresses", std::move(addresses)},
         {"security", to_string(l.known.security)},
         {"cause", failed ? json(to_string(connection::cause_of(l.known.fault))) : json(nullptr)},
         {"why", l.known.why},
         {"tlsa",
          {{"outcome", to_string(l.known.tlsa_outcome)},
           {"not_asked", none && !failed ? why_not_asked(l.target, l.known) : ""},
           {"base", l.known.tlsa_base},
           {"records", std::move(records)}}}});
  }

  void operator()(const explained::trying& /*t*/) {}  // what became of it says as much

  void operator()(const explained::tried& t) {
    auto j = of(t.attempt);
    j["called_off"] = t.called_off;
    report_["attempts"].push_back(std::move(j));
  }

  void operator()(const explained::outcome& o) {
    report_["outcome"] = {{"reached", o.winner.has_value()},
                          {"cause", name_or_null(o.cause)},
                          {"phase", o.cause ? json(to_string(o.phase)) : json(nullptr)},
                          {"text", o.text},
                          {"attempts", o.attempts},
                          {"milliseconds", milliseconds(o.took)}};
  }

  [[nodiscard]] json take() { return std::move(report_); }

private:
  json report_{{"before", json::array()},  {"queries", json::array()}, {"endpoints", json::array()},
               {"dropped", json::array()}, {"located", json::array()}, {"attempts", json::array()}};
};

}  // namespace

std::string explain_json_of(std::span<const connection::explained_step> steps) {
  filler fill;
  for (const auto& s : steps) {
    std::visit(fill, s);
  }
  return fill.take().dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace comity::admin
