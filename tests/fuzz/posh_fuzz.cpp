// Any text as a POSH document (RFC 7711 §3), from whatever web server a domain names: it is worth nothing, or it says
// what can be acted on: fingerprints of the right lengths or one reference, for a time that has an end.
#include <string>
#include <variant>

#include "connection/s2s/posh.hpp"
#include "tests/fuzz/oracle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace comity;
  using namespace comity::fuzz;
  namespace posh = connection::posh;
  const auto input = text(data, size);
  const auto read = posh::read(input);
  if (!read) {
    must(!read.error().empty());
    return 0;
  }
  must(size <= posh::document_bytes);
  if (const auto* elsewhere = std::get_if<posh::reference>(&*read)) {
    must(elsewhere->expires.count() > 0 && elsewhere->expires <= posh::expires_most);
    must(!elsewhere->url.empty());
    return 0;
  }
  const auto& prints = std::get<posh::fingerprints>(*read);
  must(prints.expires.count() > 0 && prints.expires <= posh::expires_most);
  must(prints.all.size() <= posh::fingerprints_most);  // none: of hashes that we do not know
  for (const auto& f : prints.all) {
    must(!f.sha256.empty() || !f.sha512.empty());
    must(f.sha256.empty() || f.sha256.size() == 32);
    must(f.sha512.empty() || f.sha512.size() == 64);
    must(posh::names(prints, {f.sha256.empty() ? std::string(32, 'x') : f.sha256,
                              f.sha512.empty() ? std::string(64, 'x') : f.sha512}));
    // One octet beside it is another certificate.
    auto other = f;
    for (auto* hash : {&other.sha256, &other.sha512}) {
      if (hash->empty()) {
        hash->assign(hash == &other.sha256 ? 32 : 64, 'x');
      }
      hash->back() = static_cast<char>(hash->back() ^ 1);
    }
    const auto is = [&](const posh::fingerprint& g) {
      return g.sha512.empty() ? g.sha256 == other.sha256 : g.sha512 == other.sha512;
    };
    must(posh::names(prints, other) == std::ranges::any_of(prints.all, is));
  }
  return 0;
}
