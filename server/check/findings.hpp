// server/check/findings.hpp: what is wrong with what a host has published, in sentences. Pure: what the DNS said, what
// runs and what the ports answered in, findings out (A15, B20).
//
// A finding is an error where a stranger fails because of it, or some strangers do; a warning where it is about to
// fail, or gives away what could be had.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dns/answer.hpp"
#include "server/check/running.hpp"
#include "tls/chain.hpp"
#include "tls/dane.hpp"

namespace comity::check {

enum class severity : std::uint8_t { warning, error };
[[nodiscard]] std::string_view to_string(severity) noexcept;

/// What a finding is about.
enum class subject_area : std::uint8_t { srv, address, dnssec, tlsa, port, certificate, web, check };
inline constexpr std::size_t subject_area_count = 8;
[[nodiscard]] std::string_view to_string(subject_area) noexcept;

enum class finding_kind : std::uint8_t {
  srv_missing,
  srv_unanswered,
  srv_dot_though_running,
  srv_dot_beside_others,
  srv_though_off,
  srv_port_zero,
  srv_duplicate,
  srv_target_address,
  target_alias,
  target_missing,
  target_without_address,
  target_unanswered,
  zone_bogus,
  zone_unsigned,
  target_unsigned,
  not_validated,
  tlsa_missing,
  tlsa_unsigned,
  tlsa_unanswered,
  tlsa_unusable,
  tlsa_mismatch,
  tlsa_stale,
  tlsa_next_missing,
  port_closed,
  port_silent,
  port_unreachable,
  port_other_method,
  port_other_service,
  port_without_starttls,
  port_alpn_refused,
  port_alpn_unconfirmed,
  port_tls_failed,
  port_not_xmpp,
  port_host_unknown,
  port_stream_error,
  certificate_expired,
  certificate_not_yet_valid,
  certificate_name,
  certificate_untrusted,
  certificate_unfit,
  certificate_expiring,
  certificate_not_ours,
  host_meta_missing,
  host_meta_without_websocket,
  unfinished,
};
inline constexpr std::size_t finding_kind_count = 45;
/// "srv_missing": stable, for programs.
[[nodiscard]] std::string_view to_string(finding_kind) noexcept;
[[nodiscard]] subject_area area_of(finding_kind) noexcept;

struct finding {
  check::severity severity = severity::error;
  finding_kind kind = finding_kind::unfinished;
  std::string text;  // one line: "what is wrong; what to do"
  friend bool operator==(const finding&, const finding&) = default;
};

// --- what the DNS said -----------------------------------------------------------------------------------------------

/// Whose a published TLSA record is.
enum class tlsa_standing : std::uint8_t {
  current,   // it matches what is loaded for this host, or what was presented at the target
  next,      // it names this host's next key
  neighbor,  // it names a key of another host here
  unusable,  // nobody can match by it
  strange,   // it names something else
};

struct published_target {
  dns::srv_record record;
  dns::answer v4, v6, tlsa;
  std::vector<tlsa_standing> standing;  // of each of tlsa.tlsa
};

struct published_way {
  dns::answer srv;
  std::vector<published_target> targets;  // of records that lead somewhere, in the order of the answer
};

/// What the domain's web server answers for the document that leads browsers to us (XEP-0156).
struct web_answer {
  unsigned status = 0;  // 0: none, `error` says why
  std::string body;
  std::string error;
};

struct published {
  std::array<published_way, way_count> ways;  // in the order of all_ways
  dns::answer v4, v6;                         // of the domain itself
  std::optional<web_answer> host_meta;        // /.well-known/host-meta.json, where it was asked for
};

/// Where a way leads without any SRV record of its service (A10): to the domain itself, by STARTTLS.
[[nodiscard]] std::optional<std::uint16_t> fallback_port(way) noexcept;
/// Whether strangers come by that, given what is published.
[[nodiscard]] bool falls_back(const published&, way) noexcept;

// --- what the ports answered -----------------------------------------------------------------------------------------

enum class probe_end : std::uint8_t {
  serves,
  refused,
  silent,
  unreachable,
  no_starttls,   // a stream without it
  alpn_refused,  // TLS without the protocol that we asked for
  tls_failed,
  not_xmpp,  // whatever it is, it is no XMPP stream, or not one that begins like this
  host_unknown,
  stream_error,
};

/// What was presented, and what a stranger makes of it.
struct presented_certificate {
  tls::certificate_summary summary;
  tls::chain_problem chain = tls::chain_problem::none;
  std::string chain_text;
  bool for_domain = true;
  bool loaded = true;  // it is the one that this server has for the host
  /// By the TLSA records of the target, where they count.
  std::optional<tls::dane_result> dane;
};

struct probe {
  way as;
  std::string host;
  std::uint16_t port = 0;
  std::string address;
  bool fallback = false;  // no SRV record leads here
  probe_end end = probe_end::silent;
  std::string detail;          // for people: the alert, the system's words, the stream error
  bool alpn_confirmed = true;  // of direct TLS: the server has selected the protocol
  std::optional<presented_certificate> certificate;
  std::vector<way> instead;  // what the port does speak, where not this
};

/// By when a certificate should have been renewed: a quarter of its life before its end, at most three weeks.
[[nodiscard]] std::chrono::system_clock::time_point renewal_due(const tls::certificate_summary&) noexcept;

/// All that is wrong, errors and warnings as they are found, none twice. `probes` may be empty: then records are judged
/// by what runs alone.
[[nodiscard]] std::vector<finding> judge(const running_host&, const published&, std::span<const probe> probes,
                                         std::chrono::system_clock::time_point now);

}  // namespace comity::check
