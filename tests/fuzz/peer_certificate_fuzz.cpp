// What a stranger presents, and what its zone says of it: certificates and TLSA records of any bytes, judged in every
// way. Names that match are the peer's, a match by records is by one of them, and texts are one line (THREATS B7, B8).
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "dns/answer.hpp"
#include "tls/dane.hpp"
#include "tls/identity.hpp"
#include "tls/x509_values.hpp"

namespace {

using namespace comity::tls;

void one_line(std::string_view text) {
  if (!std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e; })) {
    std::abort();
  }
}

void expect(bool true_of_all) {
  if (!true_of_all) {
    std::abort();
  }
}

/// What OpenSSL has to say of an input goes with it. Else one frees what another has allocated, and libFuzzer searches
/// all memory for a leak after each that has more of it.
struct errors_gone {
  errors_gone() = default;
  errors_gone(const errors_gone&) = delete;
  errors_gone& operator=(const errors_gone&) = delete;
  ~errors_gone() { ERR_clear_error(); }
};

const trust_store& store() {
  static const auto loaded = trust_store::load({}).value();
  return *loaded;
}

}  // namespace

/// Three octets of a TLSA record, then its data's length in two, the data, and certificates in DER, leaf first.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t head = 5;
  if (size < head) {
    return 0;
  }
  const errors_gone at_the_end;
  std::string_view in{reinterpret_cast<const char*>(data), size};
  comity::dns::tlsa_record record{data[0], data[1], data[2], {}};
  const std::size_t length = static_cast<std::size_t>(data[3]) << 8U | data[4];
  in.remove_prefix(head);
  record.data = in.substr(0, length);
  in.remove_prefix(record.data.size());

  const std::array names{reference_identity::service_domain("a.example", "\u00E4.example"),
                         reference_identity::target_host("x.hosting.example")};
  const auto certificates = from_der(in);
  peer_credentials peer;
  if (sk_X509_num(certificates.get()) > 0) {
    auto* leaf = sk_X509_value(certificates.get(), 0);
    if (!excess_of(leaf, true).empty()) {
      return 0;
    }
    peer = hold(leaf, certificates.get());
    const auto s = summary(peer);
    one_line(s.subject);
    one_line(s.issuer);
    std::ranges::for_each(s.names, [](std::string_view name) { one_line(name); });
    expect(s.sha256.size() == 64 && fingerprint(peer, hash::sha512).size() == 64);
    const auto match = match_identity(identifiers(peer), names);
    expect(!match || !match.presented.empty());
  }
  const bool of_use = usable(record);
  for (const auto role : {peer_role::server, peer_role::client}) {
    const judged_as as{.role = role};
    const auto chain = judge_chain(peer, store(), as);
    expect(!chain.ok());  // nobody whom the system trusts would have signed this
    one_line(chain.text);
    const auto dane = judge_dane(peer, std::array{record}, names, store(), as);
    one_line(dane.text);
    expect(!dane.ok() || (peer && of_use && dane.usage == record.usage && (record.usage == 3 || dane.name)));
    expect((dane.result == dane_result::unusable) == !of_use);
  }
  return 0;
}
