// connection/negotiation/dialback.hpp: server dialback (XEP-0220) for whoever is asked: as receiving server it
// authorises flows of stanzas, as authoritative server it judges keys.
//
// A flow is authorised by the peer's certificate where that covers the sender (RFC 7712 §4.4.1), else, where the policy
// takes dialback, by the sender's own server. Several flows may be under way at once, and the stream goes on meanwhile.
// Answers that nobody asked for change nothing (THREATS D1); nor does anything in clear (J13). The initiating entity
// holds one too, for what its peer asks on a bidirectional stream (XEP-0288 §2.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_dialback = "jabber:server:dialback";
inline constexpr std::string_view ns_dialback_feature = "urn:xmpp:features:dialback";

/// What the server says of domains. Both are called with enforced names.
struct domain_rules {
  std::function<bool(std::string_view)> hosts;   // is it one of ours?
  std::function<bool(std::string_view)> allows;  // may that remote domain have streams with us at all?
};

/// Dialback elements as they are written and read, for both sides.
struct dialback_element {
  enum class kind : std::uint8_t { result, verify };
  enum class type : std::uint8_t { request, valid, invalid, error, unknown };
  kind what = kind::result;
  type says = type::request;
  domain_flow flow;                                                    // the flow in question, whoever speaks
  std::string id;                                                      // of a verify
  std::string key;                                                     // of a request
  stanza_condition condition = stanza_condition::undefined_condition;  // of an error
};
/// nullopt where it is no dialback element, or one of its addresses is missing or is no domain: answered by the stream
/// error improper-addressing.
[[nodiscard]] std::optional<dialback_element> read_dialback(const xml::element&);
/// The prefix "db" must be declared on our header (XEP-0220 §2.3).
[[nodiscard]] std::string write(const dialback_element&);

class dialback final : public stream_feature {
public:
  static constexpr unsigned requests_allowed = 32;    // flows looked into on one stream (THREATS D5)
  static constexpr unsigned refusals_told = 2;        // to the operator; those behind them are noise
  static constexpr std::size_t key_size_most = 1024;  // of a key that is kept until its server is asked; ours have 64

  /// `secret` outlives this.
  dialback(std::string_view secret, domain_rules);

  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  [[nodiscard]] step on(answer, const stream_facts&) override;
  [[nodiscard]] bool awaits(const answer&) const override;
  void restarted() override;

private:
  struct request {
    std::string stream_id;
    std::string key;
    bool verifying = false;  // the certificate is no proof: the sender's own server has been asked
  };
  step authorise(const dialback_element&, const stream_facts&);
  step judge_key(const dialback_element&, const stream_facts&);
  step follow(const peer_proof&, const stream_facts&);
  step follow(const key_verdict&, const stream_facts&);
  step refuse(const domain_flow&, stanza_condition, cause, std::string_view what, const stream_facts&);
  step decline(const domain_flow&, stanza_condition, cause, std::string_view what);
  step::consequence refusal(cause, std::string_view what, std::string_view who);

  std::string_view secret_;
  domain_rules domains_;
  std::map<domain_flow, request, domain_flow_less> pending_;
  unsigned requests_ = 0;
  unsigned refusals_ = 0;
};

}  // namespace comity::connection
