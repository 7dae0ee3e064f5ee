// Any elements to SASL EXTERNAL between servers (RFC 6120 §6, XEP-0178 §3; THREATS B8, C3, C4): whoever gets through is
// the domain that its certificate was accepted for, has TLS, and named nobody else; each element has one answer, and
// attempts are few.
//
// Input: a byte of facts (TLS, judgement, peer's domain), then elements, one a line.
#include <array>
#include <optional>
#include <string>
#include <variant>

#include "connection/negotiation/external.hpp"
#include "connection/negotiation/sasl.hpp"
#include "connection/xml/parser.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::connection;
using namespace comity::fuzz;

constexpr std::array<std::string_view, 4> peers{"", "peer.example", "xn--bcher-kva.example", "b\u00fccher.example"};

stream_facts facts_of(std::uint8_t bits) {
  stream_facts f;
  f.route = {scope::s2s, direction::inbound, method::starttls};
  f.local_domain = "example.org";
  f.encrypted = (bits & 1U) != 0;
  // What a stream's `from` has become by then: the negotiator enforces it (RFC 7622 §3.2.1: A-labels become U-labels).
  const auto peer = jid::parse(peers.at((bits >> 1U) & 3U));
  f.peer_domain = peer ? peer->text() : std::string{};
  if ((bits & 8U) != 0) {
    f.judgment = trust::verdict{trust::accepted{proof::pkix}, "accepted"};
  } else if ((bits & 16U) != 0) {
    f.judgment = trust::verdict{trust::refused{cause::cert_untrusted}, "refused"};
  } else if ((bits & 32U) != 0) {
    f.judgment = trust::verdict{trust::needs_dialback{}, "dialback"};
  }
  return f;
}

/// The identity that an element names, by the words of RFC 6120 §6.4.2; nullopt: none can be read.
std::optional<std::string> identity_in(const xml::element& e) {
  const auto content = e.text();
  return content == "=" ? std::string{} : tls::base64_decode(content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static metrics_cell metrics;
  static xml::parser parser;
  static const xml::stream_context context{.content_ns = std::string{xml::ns_server}, .namespaces = {}};
  auto input = text(data, size);
  const auto facts = facts_of(take_byte(input));
  external feature{metrics};
  const bool entitled = facts.encrypted && !facts.peer_domain.empty() && facts.judgment && facts.judgment->accepted();
  must(feature.offered(facts) == entitled);

  bool challenged = false;
  unsigned refusals = 0;
  while (!input.empty()) {
    xml::document d;
    xml::document said;
    if (!parser.element(take_until(input, '\n'), context, d) || !feature.claims(d.root())) {
      continue;
    }
    const auto e = d.root();
    const bool begins = e.name() == "auth" && !challenged && e.attribute("mechanism") == "EXTERNAL";
    const bool goes_on = e.name() == "response" && challenged;
    const auto identity = begins || goes_on ? identity_in(e) : std::nullopt;
    auto s = feature.on(e, facts);
    must(parser.element(s.send, context, said).has_value() && said.root().ns() == ns_sasl);
    const auto answer = said.root().name();
    challenged = std::holds_alternative<step::exchange>(s.then);
    if (const auto* in = std::get_if<step::authenticated>(&s.then)) {
      must(entitled && identity && answer == "success" && in->by == mechanism::external);
      must(in->user.text() == facts.peer_domain);
      const auto named = jid::parse(*identity);
      must(identity->empty() || (named && named->text() == facts.peer_domain));
      return 0;
    }
    if (challenged) {
      must(entitled && begins && answer == "challenge");
    } else {
      must(answer == "failure");
      must(!(entitled && identity && (identity->empty() || *identity == facts.peer_domain) &&
             (goes_on || !e.text().empty())));
      ++refusals;
      must(std::holds_alternative<step::end>(s.then) == (refusals > external::refusals_allowed));
      if (refusals > external::refusals_allowed) {
        return 0;
      }
      must(std::holds_alternative<step::refused>(s.then));
    }
  }
  return 0;
}
