// Any bytes as a packet of the resolver process, and as one to it: what is taken is written back to the same bytes, so
// nothing is read twice or not at all, and an answer that is taken is one that a resolver gives (THREATS E4, E6).
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <variant>

#include "dns/child_messages.hpp"

namespace {

using namespace comity::dns;

void hold(bool sound) {
  if (!sound) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span packet{data, size};
  const std::string bytes{packet.begin(), packet.end()};
  if (const auto report = child::read_report(packet)) {
    hold(std::visit([](const auto& m) { return child::encode(m); }, *report) == bytes);
    if (const auto* a = std::get_if<child::answered>(&*report)) {
      const auto records = a->what.srv.size() + a->what.addresses.size() + a->what.tlsa.size();
      hold((a->what.result == outcome::records) == (records != 0));
      hold((a->what.result == outcome::bogus) == (a->what.security == security::bogus));
    }
  }
  if (const auto order = child::read_order(packet); order && std::holds_alternative<child::question>(*order)) {
    hold(child::encode(std::get<child::question>(*order)) == bytes);
  }
  return 0;
}
