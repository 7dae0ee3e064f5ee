// connection/negotiation/sasl.hpp: the SASL feature, receiving side (RFC 6120 §6), with XEP-0440.
//
// What is accepted is what is advertised: both come from offered_mechanisms(). Failures cost: the sixth time that a
// credential was judged and refused ends the stream (RFC 6120 §6.4.5). A refusal before that, such as of a channel
// binding that is not to be had, tells a guesser nothing; clients that go through all mechanisms collect several of
// them, and they have a limit of their own.
#pragma once

#include <functional>
#include <memory>
#include <variant>

#include "connection/negotiation/stream_feature.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
inline constexpr std::string_view ns_sasl_channel_binding = "urn:xmpp:sasl-cb:0";

class sasl final : public stream_feature {
public:
  static constexpr unsigned failures_allowed = 5;   // of credentials that were judged
  static constexpr unsigned refusals_allowed = 12;  // of any kind

  /// `metrics` finds the cell of the loop that the stream is on at the time, which counts attempts and failures by
  /// mechanism.
  explicit sasl(std::function<metrics_cell&()> metrics) noexcept;
  ~sasl() override;

  [[nodiscard]] bool offered(const stream_facts&) const override;
  void advertise(xml::writer&, const stream_facts&) const override;
  [[nodiscard]] bool claims(const xml::element&) const override;
  [[nodiscard]] step on(const xml::element&, const stream_facts&) override;
  [[nodiscard]] step on(answer, const stream_facts&) override;

private:
  struct idle {};
  struct exchanging {  // a challenge is out, the response is awaited
    std::unique_ptr<sasl_mechanism> machine;
    mechanism by;
  };
  struct asking {  // keys or a verdict are awaited
    std::unique_ptr<sasl_mechanism> machine;
    mechanism by;
    bool password = false;
  };
  step begin(const xml::element&, const stream_facts&);
  step follow(std::unique_ptr<sasl_mechanism>, mechanism, sasl_step, const stream_facts&);
  step refuse(mechanism, sasl_condition, const stream_facts&);

  std::function<metrics_cell&()> metrics_;
  std::variant<idle, exchanging, asking> state_;
  unsigned failures_ = 0;
  unsigned refusals_ = 0;
  bool judging_ = false;  // keys or a verdict came in this exchange: what is refused now is a credential
  std::string claimed_;   // the user of the exchange, once it is known
};

}  // namespace comity::connection
