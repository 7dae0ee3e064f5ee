#include "server/check/findings.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "server/check/record_findings.hpp"
#include "server/http/well_known.hpp"

namespace comity::check {

namespace {

struct kind_row {
  std::string_view word;
  subject_area area;
};

constexpr std::array<kind_row, finding_kind_count> kinds{{
    {"srv_missing", subject_area::srv},
    {"srv_unanswered", subject_area::srv},
    {"srv_dot_though_running", subject_area::srv},
    {"srv_dot_beside_others", subject_area::srv},
    {"srv_though_off", subject_area::srv},
    {"srv_port_zero", subject_area::srv},
    {"srv_duplicate", subject_area::srv},
    {"srv_target_address", subject_area::srv},
    {"target_alias", subject_area::address},
    {"target_missing", subject_area::address},
    {"target_without_address", subject_area::address},
    {"target_unanswered", subject_area::address},
    {"zone_bogus", subject_area::dnssec},
    {"zone_unsigned", subject_area::dnssec},
    {"target_unsigned", subject_area::dnssec},
    {"not_validated", subject_area::dnssec},
    {"tlsa_missing", subject_area::tlsa},
    {"tlsa_unsigned", subject_area::tlsa},
    {"tlsa_unanswered", subject_area::tlsa},
    {"tlsa_unusable", subject_area::tlsa},
    {"tlsa_mismatch", subject_area::tlsa},
    {"tlsa_stale", subject_area::tlsa},
    {"tlsa_next_missing", subject_area::tlsa},
    {"port_closed", subject_area::port},
    {"port_silent", subject_area::port},
    {"port_unreachable", subject_area::port},
    {"port_other_method", subject_area::port},
    {"port_other_service", subject_area::port},
    {"port_without_starttls", subject_area::port},
    {"port_alpn_refused", subject_area::port},
    {"port_alpn_unconfirmed", subject_area::port},
    {"port_tls_failed", subject_area::port},
    {"port_not_xmpp", subject_area::port},
    {"port_host_unknown", subject_area::port},
    {"port_stream_error", subject_area::port},
    {"certificate_expired", subject_area::certificate},
    {"certificate_not_yet_valid", subject_area::certificate},
    {"certificate_name", subject_area::certificate},
    {"certificate_untrusted", subject_area::certificate},
    {"certificate_unfit", subject_area::certificate},
    {"certificate_expiring", subject_area::certificate},
    {"certificate_not_ours", subject_area::certificate},
    {"host_meta_missing", subject_area::web},
    {"host_meta_without_websocket", subject_area::web},
    {"unfinished", subject_area::check},
}};

std::string day_of(std::chrono::system_clock::time_point t) {
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(t)};
  const auto two = [](unsigned n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  return std::to_string(static_cast<int>(day.year())) + "-" + two(static_cast<unsigned>(day.month())) + "-" +
         two(static_cast<unsigned>(day.day()));
}

std::string days_text(std::chrono::system_clock::duration d) {
  const auto n = std::chrono::floor<std::chrono::days>(d).count();
  return std::to_string(n) + (n == 1 ? " day" : " days");
}

/// Whether the document has a link to a WebSocket, ours or one of what stands in front of us (XEP-0156 §4).
bool leads_to_websocket(const std::string& host_meta) {
  const auto document = nlohmann::json::parse(host_meta, nullptr, false);
  if (!document.is_object() || !document.contains("links") || !document["links"].is_array()) {
    return false;
  }
  return std::ranges::any_of(document["links"], [](const auto& link) {
    return link.is_object() && link.value("rel", nlohmann::json{}) == "urn:xmpp:alt-connections:websocket" &&
           link.contains("href");
  });
}

void judge_web(finding_list& to, const running_host& host, const published& found) {
  if (!found.host_meta) {
    return;
  }
  const auto& got = *found.host_meta;
  const auto url = "https://" + host.domain + std::string{http::host_meta_json_path};
  const auto advice = "; have it served as `comityctl dns records " + host.domain + "` prints it";
  if (got.status != 200) {
    const auto how = got.status == 0 ? got.error : "status " + std::to_string(got.status);
    to.warn(finding_kind::host_meta_missing,
            url + " cannot be had (" + how + "), so browsers do not find " + host.urls.front() + advice);
  } else if (!leads_to_websocket(got.body)) {
    to.warn(finding_kind::host_meta_without_websocket,
            url + " names no WebSocket, so browsers do not find " + host.urls.front() + advice);
  }
}

std::string listed(const std::vector<std::string>& names) {
  std::string all;
  for (const auto& name : names) {
    all += (all.empty() ? "" : ", ") + name;
  }
  return all.empty() ? "no name" : all;
}

/// What one port answered.
class port_judge {
public:
  port_judge(finding_list& to, const running_host& host, std::chrono::system_clock::time_point now)
      : to_{to}, host_{host}, now_{now} {}

  void judge(const probe& p) {
    if (p.end == probe_end::serves) {
      if (p.as.direct_tls && !p.alpn_confirmed) {
        // XEP-0368 §2: a server that does not know ALPN is served all the same.
        to_.warn(finding_kind::port_alpn_unconfirmed,
                 endpoint(p) +
                     " selects no protocol by ALPN, so a port shared by protocols may not be reached; see that " +
                     "what ends TLS there knows ALPN");
      }
    } else {
      failed(p);
    }
    if (p.certificate) {
      certificate(p, *p.certificate);
    }
  }

private:
  static std::string endpoint(const probe& p) { return p.host + ":" + std::to_string(p.port); }
  /// With the address, and what led there.
  [[nodiscard]] std::string place(const probe& p) const {
    return endpoint(p) + " (" + p.address + "), where " +
           (p.fallback ? std::string{who(p.as.service)} + " come for want of SRV records,"
                       : srv_name(p.as, host_.domain) + " leads,");
  }

  void failed(const probe& p) {
    if (!p.instead.empty()) {
      return other(p);
    }
    const auto detail = p.detail.empty() ? std::string{} : " (" + p.detail + ")";
    const std::string wanted{method_name(p.as.direct_tls)};
    switch (p.end) {
      case probe_end::serves:
        return;
      case probe_end::refused:
        return to_.fail(finding_kind::port_closed, place(p) +
                                                       " refuses connections; see that a listener is open there, "
                                                       "or remove the record");
      case probe_end::silent:
        return to_.fail(finding_kind::port_silent,
                        place(p) + " does not answer" + detail +
                            "; see that no firewall drops what goes there, or remove the record");
      case probe_end::unreachable:
        return to_.fail(finding_kind::port_unreachable,
                        place(p) + " cannot be reached" + detail + "; see that the address is right and routed");
      case probe_end::no_starttls:
        return to_.fail(finding_kind::port_without_starttls,
                        place(p) + " does not offer STARTTLS; set tls = \"starttls\" for the listener");
      case probe_end::alpn_refused:
        return to_.fail(finding_kind::port_alpn_refused,
                        place(p) + " knows nothing of the protocol " + std::string{alpn_of(p.as.service)} + detail +
                            "; name a port that serves " + std::string{who(p.as.service)} +
                            ", or route that ALPN name");
      case probe_end::tls_failed:
        return to_.fail(finding_kind::port_tls_failed,
                        place(p) + " fails the TLS handshake" + detail + "; see the log of what ends TLS there");
      case probe_end::not_xmpp:
        return to_.fail(finding_kind::port_not_xmpp,
                        place(p) + " does not speak XMPP by " + wanted + detail + "; name a port that does");
      case probe_end::host_unknown:
        return to_.fail(finding_kind::port_host_unknown, place(p) + " does not know " + host_.domain +
                                                             " (host-unknown); name a port of a server that does");
      case probe_end::stream_error:
        return to_.fail(finding_kind::port_stream_error,
                        place(p) + " ends the stream" + detail + "; see its log for why");
    }
  }

  /// It is a port of XMPP, but of another kind than it is published as.
  void other(const probe& p) {
    const auto same_service = std::ranges::find(p.instead, p.as.service, &way::service);
    const auto is = same_service != p.instead.end() ? *same_service : p.instead.front();
    const auto where = "publish it under " + srv_name(is, host_.domain);
    if (is.service == p.as.service) {
      return to_.fail(finding_kind::port_other_method, place(p) + " speaks " + std::string{method_name(is.direct_tls)} +
                                                           ", not " + std::string{method_name(p.as.direct_tls)} + "; " +
                                                           where);
    }
    to_.fail(finding_kind::port_other_service, place(p) + " serves " + std::string{who(is.service)} + " by " +
                                                   std::string{method_name(is.direct_tls)} + ", not " +
                                                   std::string{who(p.as.service)} + "; " + where);
  }

  void certificate(const probe& p, const presented_certificate& c) {
    dates(p, c);
    if (!c.for_domain) {
      to_.fail(finding_kind::certificate_name, endpoint(p) + " presents a certificate for " + listed(c.summary.names) +
                                                   ", not for " + host_.domain + "; get one for " + host_.domain);
    }
    switch (c.chain) {
      case tls::chain_problem::none:
      case tls::chain_problem::expired:
      case tls::chain_problem::not_yet_valid:
        break;
      case tls::chain_problem::untrusted:
        to_.fail(finding_kind::certificate_untrusted,
                 endpoint(p) + " presents a certificate that strangers do not trust (" + c.chain_text +
                     "); get one of a public authority, and put its intermediate certificates into the file");
        break;
      case tls::chain_problem::missing:
      case tls::chain_problem::not_end_entity:
      case tls::chain_problem::wrong_purpose:
      case tls::chain_problem::weak:
      case tls::chain_problem::revoked:
      case tls::chain_problem::revocation_unknown:
        to_.fail(finding_kind::certificate_unfit,
                 endpoint(p) + " presents a certificate that is not fit (" + c.chain_text + "); get another one");
        break;
    }
    if (!c.loaded) {
      to_.warn(finding_kind::certificate_not_ours, endpoint(p) + " presents another certificate (SHA-256 " +
                                                       c.summary.sha256.substr(0, 16) +
                                                       "…) than the one loaded here; see who answers there");
    }
  }

  void dates(const probe& p, const presented_certificate& c) {
    if (c.summary.not_after <= now_) {
      return to_.fail(finding_kind::certificate_expired, endpoint(p) + " presents a certificate that expired on " +
                                                             day_of(c.summary.not_after) + "; renew it");
    }
    if (c.summary.not_before > now_) {
      return to_.fail(finding_kind::certificate_not_yet_valid,
                      endpoint(p) + " presents a certificate that is not valid before " + day_of(c.summary.not_before) +
                          "; wait with it, or set the clock right");
    }
    if (c.chain == tls::chain_problem::expired || c.chain == tls::chain_problem::not_yet_valid) {
      return to_.fail(finding_kind::certificate_expired, endpoint(p) + " presents a chain that is out of date (" +
                                                             c.chain_text +
                                                             "); put the authority's present ones into " + "the file");
    }
    if (renewal_due(c.summary) <= now_) {
      const auto left = c.summary.not_after - now_;
      to_.add(left < std::chrono::days{2} ? severity::error : severity::warning, finding_kind::certificate_expiring,
              endpoint(p) + " presents a certificate that expires on " + day_of(c.summary.not_after) + ", in " +
                  days_text(left) + "; see why it has not been renewed");
    }
  }

  static std::string_view alpn_of(dns::service s) { return s == dns::service::client ? "xmpp-client" : "xmpp-server"; }

  finding_list& to_;
  const running_host& host_;
  std::chrono::system_clock::time_point now_;
};

}  // namespace

std::string_view to_string(severity s) noexcept {
  return s == severity::error ? "error" : "warning";
}

std::string_view to_string(subject_area a) noexcept {
  static constexpr std::array<std::string_view, subject_area_count> words{"srv",  "address",     "dnssec", "tlsa",
                                                                          "port", "certificate", "web",    "check"};
  return words.at(static_cast<std::size_t>(a));
}

std::string_view to_string(finding_kind k) noexcept {
  return kinds.at(static_cast<std::size_t>(k)).word;
}

subject_area area_of(finding_kind k) noexcept {
  return kinds.at(static_cast<std::size_t>(k)).area;
}

std::chrono::system_clock::time_point renewal_due(const tls::certificate_summary& c) noexcept {
  using namespace std::chrono;
  const auto life = c.not_after - c.not_before;
  return c.not_after - std::min<system_clock::duration>(life / 4, days{21});
}

std::vector<finding> judge(const running_host& host, const published& found, std::span<const probe> probes,
                           std::chrono::system_clock::time_point now) {
  finding_list all;
  judge_records(all, host, found, probes);
  port_judge ports{all, host, now};
  for (const auto& p : probes) {
    ports.judge(p);
  }
  judge_web(all, host, found);
  return all.take();
}

}  // namespace comity::check
