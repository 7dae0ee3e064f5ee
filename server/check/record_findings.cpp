#include "server/check/record_findings.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace comity::check {

namespace {

bool has_records(const dns::answer& a) noexcept {
  return a.result == dns::outcome::records;
}

/// The DNS said that there are none.
bool empty(const dns::answer& a) noexcept {
  return dns::answered(a.result) && !has_records(a);
}

bool leads_somewhere(const dns::answer& srv) noexcept {
  return has_records(srv) && std::ranges::any_of(srv.srv, [](const auto& r) { return !r.target.empty(); });
}

std::string why(const dns::answer& a) {
  return std::string{to_string(a.result)} + (a.why.empty() ? "" : ": " + a.why);
}

std::string ports_text(const std::vector<open_port>& ports) {
  std::string text = ports.size() == 1 ? "port " : "ports ";
  for (std::size_t i = 0; i < ports.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == ports.size() ? " and " : ", ") + std::to_string(ports[i].port);
  }
  return text;
}

bool is_address(std::string_view target) {
  return dns::address::parse(target).has_value();
}

class record_judge {
public:
  record_judge(finding_list& to, const running_host& host, const published& found, std::span<const probe> probes)
      : to_{to}, host_{host}, found_{found}, probes_{probes} {}

  void judge() {
    zone();
    for (const auto w : all_ways) {
      service(w);
    }
    for (const auto w : all_ways) {
      const auto& at = found_.ways.at(index_of(w));
      for (const auto& t : at.targets) {
        target(t, at.srv);
      }
    }
  }

private:
  // --- the domain's zone ---------------------------------------------------------------------------------------------

  void zone() {
    for (const auto& w : found_.ways) {
      if (!dns::answered(w.srv.result)) {
        continue;
      }
      if (w.srv.security == dns::security::insecure) {
        to_.warn(finding_kind::zone_unsigned,
                 host_.domain +
                     " is not signed, so nobody can tell its records from forged ones, and DANE cannot be had; "
                     "sign the zone, and have its DS record put into the parent zone");
      } else if (w.srv.security == dns::security::none) {
        to_.warn(finding_kind::not_validated,
                 "nothing is validated here, so DNSSEC and TLSA records cannot be checked; set [dns] trust_anchors");
      }
    }
  }

  /// Once for each name and type: asked again, it may be another name server whose answer is no good.
  void bogus(const std::string& name, std::string_view type, const dns::answer& a) {
    if (!bogus_.emplace(name, type).second) {
      return;
    }
    to_.fail(finding_kind::zone_bogus,
             name + " " + std::string{type} + " is bogus (" + a.why +
                 "), so nobody who validates gets an answer; sign the zone anew, and see that "
                 "the DS record in the parent zone is that of its key");
  }

  // --- SRV -----------------------------------------------------------------------------------------------------------

  void service(way w) {
    const auto& at = found_.ways.at(index_of(w));
    const auto name = srv_name(w, host_.domain);
    if (at.srv.result == dns::outcome::bogus) {
      return bogus(name, "SRV", at.srv);
    }
    if (!dns::answered(at.srv.result)) {
      return to_.fail(finding_kind::srv_unanswered, name + " SRV cannot be looked up (" + why(at.srv) +
                                                        "); see that the name servers of the zone answer");
    }
    if (!has_records(at.srv)) {
      return missing(w, name);
    }
    dots(w, name, at.srv);
    off(w, name, at.srv);
    std::map<std::pair<std::string, std::uint16_t>, std::uint16_t> listed;
    for (const auto& r : at.srv.srv) {
      if (!r.target.empty()) {
        record(name, r, listed);
      }
    }
  }

  void missing(way w, const std::string& name) {
    const auto offered = host_.reached_by(w);
    if (offered.empty()) {
      return;
    }
    const auto service = std::string{who(w.service)} + " are served by " + std::string{method_name(w.direct_tls)} +
                         " on " + ports_text(offered);
    const auto advice = "; publish the records that `comityctl dns records " + host_.domain + "` prints";
    const way other{w.service, !w.direct_tls};
    const way starttls{w.service, false};
    if (!w.direct_tls && falls_back(found_, w) && holds(offered, *fallback_port(w), &open_port::port)) {
      return to_.warn(finding_kind::srv_missing, name + " has no SRV record, so " + std::string{who(w.service)} +
                                                     " find only port " + std::to_string(*fallback_port(w)) + " of " +
                                                     host_.domain + " itself" + advice);
    }
    // Whoever knows of direct TLS asks for both, and comes by the other way: XEP-0368 is not everybody's.
    const bool found_otherwise =
        w.direct_tls && (leads_somewhere(found_.ways.at(index_of(other)).srv) || falls_back(found_, starttls));
    to_.add(found_otherwise ? severity::warning : severity::error, finding_kind::srv_missing,
            name + " has no SRV record, though " + service + advice);
  }

  void dots(way w, const std::string& name, const dns::answer& srv) {
    const auto count = std::ranges::count_if(srv.srv, [](const auto& r) { return r.target.empty(); });
    if (count == 0) {
      return;
    }
    if (leads_somewhere(srv)) {  // RFC 2782: "." is the only record of a service that is not available
      return to_.fail(finding_kind::srv_dot_beside_others,
                      name + " has \".\", which says that the service is off, beside other records; remove the \".\"");
    }
    if (const auto offered = host_.reached_by(w); !offered.empty()) {
      to_.fail(finding_kind::srv_dot_though_running,
               name + " says by \".\" that the service is off, though " + std::string{who(w.service)} +
                   " are served by " + std::string{method_name(w.direct_tls)} + " on " + ports_text(offered) +
                   "; publish the records that `comityctl dns records " + host_.domain + "` prints");
    }
  }

  /// No port of ours offers what is published. Where the ports were dialled, what they said counts instead: somebody
  /// in front of us may serve it.
  void off(way w, const std::string& name, const dns::answer& srv) {
    const bool dialled = holds(probes_, w, &probe::as);
    const bool served = std::ranges::any_of(host_.ports, [w](const auto& p) { return p.serves(w); });
    if (leads_somewhere(srv) && !dialled && !served) {
      to_.fail(finding_kind::srv_though_off, name + " has SRV records, though " + std::string{who(w.service)} +
                                                 " are not served by " + std::string{method_name(w.direct_tls)} +
                                                 " here; add a listener, or publish \".\"");
    }
  }

  void record(const std::string& name, const dns::srv_record& r,
              std::map<std::pair<std::string, std::uint16_t>, std::uint16_t>& listed) {
    if (is_address(r.target)) {  // RFC 2782: the target is a domain name
      to_.fail(finding_kind::srv_target_address,
               name + " leads to the address " + r.target + "; give it a name with an A or AAAA record, and name that");
    }
    if (r.port == 0) {
      to_.fail(finding_kind::srv_port_zero,
               name + " leads to port 0 of " + r.target + "; name the port that is served");
    }
    const auto [first, added] = listed.try_emplace({r.target, r.port}, r.priority);
    if (!added) {
      to_.warn(finding_kind::srv_duplicate,
               name + " lists " + r.target + ":" + std::to_string(r.port) + " twice (priorities " +
                   std::to_string(std::min(first->second, r.priority)) + " and " +
                   std::to_string(std::max(first->second, r.priority)) + "); remove one of them");
    }
  }

  // --- targets -------------------------------------------------------------------------------------------------------

  void target(const published_target& t, const dns::answer& srv) {
    const auto& host = t.record.target;
    if (is_address(host)) {
      return;
    }
    for (const auto* a : {&t.v4, &t.v6}) {
      if (a->result == dns::outcome::bogus) {
        return bogus(host, to_string(a->type), *a);
      }
    }
    if (alias(t)) {
      return;
    }
    if (t.v4.result == dns::outcome::nxdomain || t.v6.result == dns::outcome::nxdomain) {
      return to_.fail(finding_kind::target_missing,
                      host + " does not exist, though SRV records lead there; give it A and AAAA records");
    }
    for (const auto* a : {&t.v4, &t.v6}) {
      if (!dns::answered(a->result)) {
        to_.fail(finding_kind::target_unanswered, host + " " + std::string{to_string(a->type)} +
                                                      " cannot be looked up (" + why(*a) +
                                                      "); see that the name servers of its zone answer");
      }
    }
    if (empty(t.v4) && empty(t.v6)) {
      return to_.fail(finding_kind::target_without_address,
                      host + " has no address, though SRV records lead there; give it A and AAAA records");
    }
    if (!has_records(t.v4) && !has_records(t.v6)) {
      return;
    }
    const bool signed_address = (has_records(t.v4) && t.v4.security == dns::security::secure) ||
                                (has_records(t.v6) && t.v6.security == dns::security::secure);
    if (srv.security == dns::security::secure && !signed_address) {
      to_.warn(finding_kind::target_unsigned, host + " is in a zone that is not signed, though " + host_.domain +
                                                  " is, so DANE cannot be had there; sign its zone too");
    }
    keys(t, srv.security == dns::security::secure && signed_address);
  }

  /// A15, RFC 2782: the target must not be an alias.
  bool alias(const published_target& t) {
    const auto& host = t.record.target;
    for (const auto* a : {&t.v4, &t.v6}) {
      if (dns::answered(a->result) && !a->canonical_name.empty() && a->canonical_name != host) {
        to_.fail(finding_kind::target_alias, host +
                                                 " is a CNAME, which SRV records must not lead to; give it A and AAAA "
                                                 "records, or name " +
                                                 a->canonical_name + " in the SRV records");
        return true;
      }
    }
    return false;
  }

  // --- TLSA ----------------------------------------------------------------------------------------------------------

  /// `counts`: whoever honours DANE comes to look at the records (B03, B05).
  void keys(const published_target& t, bool counts) {
    const auto name = "_" + std::to_string(t.record.port) + "._tcp." + t.record.target;
    if (t.tlsa.result == dns::outcome::bogus) {
      return bogus(name, "TLSA", t.tlsa);
    }
    if (!dns::answered(t.tlsa.result)) {  // B09
      if (counts) {
        to_.fail(finding_kind::tlsa_unanswered, name + " TLSA cannot be looked up (" + why(t.tlsa) +
                                                    "), so whoever honours DANE does not connect; see that the name "
                                                    "servers of the zone answer");
      }
      return;
    }
    if (!has_records(t.tlsa)) {
      if (counts) {
        to_.warn(finding_kind::tlsa_missing,
                 name + " has no TLSA record, though the zone is signed; publish " + wanted());
      }
      return;
    }
    if (t.tlsa.security == dns::security::insecure) {  // B10
      return to_.warn(
          finding_kind::tlsa_unsigned,
          t.record.target + " has TLSA records in a zone that is not signed, where nobody may use them; sign the zone");
    }
    if (t.tlsa.security == dns::security::secure) {
      signed_keys(t, name);
    }
  }

  void signed_keys(const published_target& t, const std::string& name) {
    const auto any = [&](tlsa_standing s) { return holds(t.standing, s); };
    if (std::ranges::all_of(t.standing, [](auto s) { return s == tlsa_standing::unusable; })) {  // B16
      return to_.fail(finding_kind::tlsa_unusable,
                      name + " has only TLSA records that nobody can use; publish " + wanted());
    }
    const auto matches = presented_matches(t, any(tlsa_standing::current));
    if (!matches) {
      return;  // who is there has presented nothing
    }
    if (!*matches) {
      return to_.fail(finding_kind::tlsa_mismatch, name +
                                                       " has TLSA records, none of which is of the certificate that is "
                                                       "presented there, so whoever honours DANE does not connect; "
                                                       "publish " +
                                                       wanted());
    }
    if (any(tlsa_standing::strange)) {
      to_.warn(finding_kind::tlsa_stale,
               name +
                   " has a TLSA record of neither the certificate that is presented there nor "
                   "the key that comes next; remove it, unless it is of a key to come");
    }
    if (!any(tlsa_standing::next) && holds(host_.keys, true, &own_key::next)) {
      const auto next = std::ranges::find(host_.keys, true, &own_key::next);
      to_.warn(finding_kind::tlsa_next_missing, name +
                                                    " has no TLSA record of the key that comes next; publish \"3 1 1 " +
                                                    next->sha256 + "\" for two TTLs before that key is used");
    }
  }

  /// What was presented there counts, and where nobody has dialled, what would be; nullopt where nothing was presented.
  [[nodiscard]] std::optional<bool> presented_matches(const published_target& t, bool loaded_matches) const {
    std::optional<bool> all;
    bool dialled = false;
    for (const auto& p : probes_) {
      if (p.host != t.record.target || p.port != t.record.port) {
        continue;
      }
      dialled = true;
      if (p.certificate && p.certificate->dane) {
        all = all.value_or(true) && *p.certificate->dane == tls::dane_result::matched;
      }
    }
    return dialled ? all : loaded_matches;
  }

  [[nodiscard]] std::string wanted() const {
    const auto own = std::ranges::find(host_.keys, false, &own_key::next);
    return own == host_.keys.end() ? "that of its key" : "\"3 1 1 " + own->sha256 + "\"";
  }

  finding_list& to_;
  const running_host& host_;
  const published& found_;
  std::span<const probe> probes_;
  std::set<std::pair<std::string, std::string>> bogus_;  // that was told of: (name, type)
};

}  // namespace

std::optional<std::uint16_t> fallback_port(way w) noexcept {
  if (w.direct_tls) {
    return std::nullopt;
  }
  return static_cast<std::uint16_t>(w.service == dns::service::client ? 5222 : 5269);
}

bool falls_back(const published& found, way w) noexcept {
  // A10: without any record in either set; and not where a lookup has failed (A11).
  return !w.direct_tls && empty(found.ways.at(index_of(w)).srv) &&
         empty(found.ways.at(index_of({w.service, true})).srv) && (has_records(found.v4) || has_records(found.v6));
}

void judge_records(finding_list& to, const running_host& host, const published& found, std::span<const probe> probes) {
  record_judge{to, host, found, probes}.judge();
}

}  // namespace comity::check
