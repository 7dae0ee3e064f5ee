// Any text as an address, and as each part of one: what is enforced stays as it is (RFC 7622, THREATS D9).
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "connection/jid.hpp"

namespace {

using namespace comity;

void settled(const std::expected<jid, jid_error>& j) {
  if (!j) {
    return;
  }
  const auto again = jid::parse(j->text());
  if (!again || *again != *j || again->localpart() != j->localpart() || again->domainpart() != j->domainpart() ||
      again->resourcepart() != j->resourcepart() || j->localpart().size() > 1023 || j->domainpart().size() > 1023 ||
      j->resourcepart().size() > 1023 || j->domainpart().empty()) {
    std::abort();
  }
  // What DNS is asked for means the same domain.
  const auto labels = to_a_labels(j->domainpart());
  const auto back = enforce_domainpart(labels);
  if (!back || *back != j->domainpart()) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  settled(jid::parse(input));
  settled(jid::make(input, "a", ""));
  settled(jid::make("", input, ""));
  settled(jid::make("", "a", input));
  for (const auto prepare : {enforce_opaque_string, saslprep}) {
    if (const auto once = prepare(input)) {
      const auto twice = prepare(*once);
      if (prepare == enforce_opaque_string && (!twice || *twice != *once)) {
        std::abort();
      }
    }
  }
  return 0;
}
