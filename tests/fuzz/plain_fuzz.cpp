// Any octets as the messages of PLAIN (RFC 4616): a password is judged exactly where they have the grammar's form, it
// is the one that was sent, and nobody acts as somebody else (THREATS C1).
//
// Input: a byte (how the verdict is, whether the first message is an initial response), then octets.
#include <string>

#include "connection/sasl/plain.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::connection;
using namespace comity::fuzz;
using kind = sasl_step::kind;

constexpr std::string_view domain = "example.org";

/// Nothing more can come of it.
void is_over(plain_mechanism& m, std::string_view octets) {
  must(m.respond(octets).what == kind::failure);
  must(m.password(true).what == kind::failure);
  must(m.keys({}, true).what == kind::failure);
  must(m.start(octets).what == kind::failure);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  const auto flags = take_byte(input);
  const bool right = (flags & 1U) != 0;
  plain_mechanism machine{{.domain = std::string{domain}, .bindings = {}, .plus_offered = false}};
  sasl_step asked;
  if ((flags & 2U) != 0) {
    const auto challenge = machine.start(std::nullopt);
    must(challenge.what == kind::challenge && challenge.octets.empty());
    asked = machine.respond(input);
  } else {
    asked = machine.start(input);
  }

  // message = [authzid] NUL authcid NUL passwd
  auto rest = input;
  const auto authzid = take_until(rest, '\0');
  const bool first = authzid.size() < input.size();
  const auto authcid = take_until(rest, '\0');
  const bool second = authzid.size() + 1 + authcid.size() < input.size();
  const bool formed = first && second && !authcid.empty() && !rest.empty() && !rest.contains('\0');
  const auto prepared = saslprep(authcid);
  const auto own = jid::make(prepared ? *prepared : std::string{authcid}, domain, {});
  const auto acting = jid::parse(authzid);
  const bool as_itself = authzid.empty() || (own && acting && *own == *acting);
  if (!formed || !as_itself) {
    must(asked.what == kind::failure);
    must(asked.condition == (formed ? sasl_condition::invalid_authzid : sasl_condition::malformed_request));
    is_over(machine, input);
    return 0;
  }
  must(asked.what == kind::check_password && asked.password.reveal() == rest && asked.octets.empty());
  must(asked.username == (prepared ? *prepared : std::string{authcid}));
  const auto done = machine.password(right);
  must(done.what == (right ? kind::success : kind::failure));
  must(right ? done.username == asked.username : done.condition == sasl_condition::not_authorized);
  is_over(machine, input);
  return 0;
}
