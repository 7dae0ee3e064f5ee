// Who a server is, decided from evidence: a specification of every combination, with the reason of each row (G03, K04,
// THREATS D3, E5).
#include "connection/s2s/trust.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace comity::connection::trust {

std::ostream& operator<<(std::ostream& out, const verdict& v) {
  struct visitor {
    std::string operator()(const refused& r) const { return "refused " + std::string{to_string(r.why)}; }
    std::string operator()(const trust::accepted& a) const { return "accepted by " + std::string{to_string(a.by)}; }
    std::string operator()(const needs_posh&) const { return "needs POSH"; }
    std::string operator()(const needs_dialback&) const { return "needs dialback"; }
  };
  return out << std::visit(visitor{}, v.is) << ": " << v.reason;
}

namespace {

using enum required_trust;

constexpr std::array required_values{dane, certificate, dialback};
constexpr std::array lookup_values{lookup_security::none, lookup_security::insecure, lookup_security::secure};
constexpr std::array tlsa_values{tlsa_outcome::none,       tlsa_outcome::insecure, tlsa_outcome::matched,
                                 tlsa_outcome::mismatched, tlsa_outcome::unusable, tlsa_outcome::failed};
constexpr std::array chain_values{chain_verdict::missing,       chain_verdict::trusted, chain_verdict::expired,
                                  chain_verdict::not_yet_valid, chain_verdict::revoked, chain_verdict::untrusted};
constexpr std::array name_values{name_match::none, name_match::target, name_match::service};
constexpr std::array posh_values{posh_outcome::not_asked, posh_outcome::none, posh_outcome::matched,
                                 posh_outcome::mismatched};
constexpr std::array dialback_values{dialback_outcome::not_done, dialback_outcome::valid, dialback_outcome::invalid};

void for_every_combination(const std::function<void(const evidence&)>& run) {
  for (const auto required : required_values) {
    for (const bool encrypted : {false, true}) {
      for (const auto service : lookup_values) {
        for (const auto address : lookup_values) {
          for (const auto tlsa : tlsa_values) {
            for (const auto chain : chain_values) {
              for (const auto name : name_values) {
                for (const auto posh : posh_values) {
                  for (const auto dialback : dialback_values) {
                    run({required, encrypted, service, address, tlsa, cause::dns_bogus, chain, name, posh, dialback});
                  }
                }
              }
            }
          }
        }
      }
    }
  }
}

std::string text_of(const evidence& e) {
  const auto number = [](auto v) { return std::to_string(static_cast<int>(v)); };
  return "required=" + std::string{to_string(e.required)} + " tls=" + number(e.encrypted) +
         " service=" + number(e.service) + " address=" + number(e.address) + " tlsa=" + number(e.tlsa) +
         " chain=" + number(e.chain) + " name=" + number(e.name) + " posh=" + number(e.posh) +
         " dialback=" + number(e.dialback);
}

// --- the specification -----------------------------------------------------------------------------------------------

/// What DANE has to say, once the way to its records is looked at.
enum class word : std::uint8_t { silent, unusable, failed, matched, mismatched };

struct way_row {
  lookup_security service, address;
  bool counts;
  const char* why;
};
constexpr way_row ways[] = {
    {lookup_security::none, lookup_security::none, false, "B05: an address literal has no TLSA records"},
    {lookup_security::none, lookup_security::insecure, false, "B05: no signed address, no TLSA"},
    {lookup_security::none, lookup_security::secure, true, "K01: without SRV the domain itself has TLSA records"},
    {lookup_security::insecure, lookup_security::none, false, "B03: the target may be a forger's"},
    {lookup_security::insecure, lookup_security::insecure, false, "B03: the target may be a forger's"},
    {lookup_security::insecure, lookup_security::secure, false, "B03: the target may be a forger's, signed or not"},
    {lookup_security::secure, lookup_security::none, false, "B05: an address literal has no TLSA records"},
    {lookup_security::secure, lookup_security::insecure, false, "B05: no signed address, no TLSA"},
    {lookup_security::secure, lookup_security::secure, true, "B04: signed all the way"},
};

word dane_says(const evidence& e) {
  for (const auto& row : ways) {
    if (row.service == e.service && row.address == e.address) {
      switch (row.counts ? e.tlsa : tlsa_outcome::none) {
        case tlsa_outcome::none:
        case tlsa_outcome::insecure:  // B10: as if there were none
          return word::silent;
        case tlsa_outcome::unusable:
          return word::unusable;
        case tlsa_outcome::failed:
          return word::failed;
        case tlsa_outcome::matched:
          return word::matched;
        case tlsa_outcome::mismatched:
          return word::mismatched;
      }
    }
  }
  ADD_FAILURE() << "no row for " << text_of(e);
  return word::failed;
}

struct name_row {
  lookup_security service;
  name_match name;
  bool counts;
  const char* why;
};
constexpr name_row names[] = {
    {lookup_security::none, name_match::none, false, "G03: not the peer's name"},
    {lookup_security::none, name_match::target, false, "K04: nobody delegated"},
    {lookup_security::none, name_match::service, true, "G03: the peer's own name"},
    {lookup_security::insecure, name_match::none, false, "G03: not the peer's name"},
    {lookup_security::insecure, name_match::target, false, "B11: the delegation may be forged"},
    {lookup_security::insecure, name_match::service, true, "B11: the service domain counts always"},
    {lookup_security::secure, name_match::none, false, "G03: not the peer's name"},
    {lookup_security::secure, name_match::target, true, "B12: the delegation is signed"},
    {lookup_security::secure, name_match::service, true, "B12: the service domain counts always"},
};

bool name_counts(const evidence& e) {
  for (const auto& row : names) {
    if (row.service == e.service && row.name == e.name) {
      return row.counts;
    }
  }
  ADD_FAILURE() << "no row for " << text_of(e);
  return false;
}

/// Every row is met by some combination, and every combination meets exactly one row. An empty list stands for any.
struct row {
  const char* why;
  decltype(verdict::is) outcome;
  std::vector<bool> encrypted;
  std::vector<word> says;
  std::vector<required_trust> required;
  std::vector<chain_verdict> chain;
  std::vector<bool> named;
  std::vector<posh_outcome> posh;
  std::vector<dialback_outcome> dialback;
};

const std::vector<bool> yes{true};
const std::vector<bool> no{false};
const std::vector<word> no_word{word::silent, word::unusable};
const std::vector<required_trust> certificate_or_dialback{certificate, dialback};
const std::vector<chain_verdict> shown{chain_verdict::trusted, chain_verdict::expired, chain_verdict::not_yet_valid,
                                       chain_verdict::revoked, chain_verdict::untrusted};
const std::vector<chain_verdict> untrusted{chain_verdict::untrusted};
const std::vector<chain_verdict> spent{chain_verdict::expired, chain_verdict::not_yet_valid, chain_verdict::revoked};
const std::vector<chain_verdict> trusted{chain_verdict::trusted};
const std::vector<chain_verdict> missing{chain_verdict::missing};
const std::vector<posh_outcome> no_posh{posh_outcome::none, posh_outcome::mismatched};

const std::vector<row>& table() {
  using c = chain_verdict;
  using p = posh_outcome;
  using d = dialback_outcome;
  static const std::vector<row> rows{
      {"E10, J13: nothing is proven in clear", refused{cause::tls_not_offered}, no, {}, {}, {}, {}, {}, {}},
      {"B09: who takes the records away must not win",
       refused{cause::dns_bogus},
       yes,
       {word::failed},
       {},
       {},
       {},
       {},
       {}},
      {"B13, B14: DANE is enough for every policy", accepted{proof::dane}, yes, {word::matched}, {}, shown, {}, {}, {}},
      {"nothing was shown that could match",
       refused{cause::cert_missing},
       yes,
       {word::matched},
       {},
       missing,
       {},
       {},
       {}},
      {"THREATS E5: no retreat from a usable record",
       refused{cause::dane_mismatch},
       yes,
       {word::mismatched},
       {},
       {},
       {},
       {},
       {}},
      {"B16: with DANE mandatory, unusable is refused",
       refused{cause::dane_unusable},
       yes,
       {word::unusable},
       {dane},
       {},
       {},
       {},
       {}},
      {"DANE is mandatory, and there is none", refused{cause::policy}, yes, {word::silent}, {dane}, {}, {}, {}, {}},
      {"G03, G04: PKIX, by the right name",
       accepted{proof::pkix},
       yes,
       no_word,
       certificate_or_dialback,
       trusted,
       yes,
       {},
       {}},
      // K04, K07: POSH pins a certificate, whatever its chain and names; RFC 7711 §6: but for its dates
      {"K07: POSH before anything weaker, names",
       needs_posh{},
       yes,
       no_word,
       certificate_or_dialback,
       trusted,
       no,
       {p::not_asked},
       {}},
      {"K07: POSH before anything weaker, chain",
       needs_posh{},
       yes,
       no_word,
       certificate_or_dialback,
       untrusted,
       {},
       {p::not_asked},
       {}},
      {"K04: a secure delegation by POSH",
       accepted{proof::posh},
       yes,
       no_word,
       certificate_or_dialback,
       trusted,
       no,
       {p::matched},
       {}},
      {"K05: a certificate published by POSH",
       accepted{proof::posh},
       yes,
       no_word,
       certificate_or_dialback,
       untrusted,
       {},
       {p::matched},
       {}},
      // THREATS D3: a certificate is wanted; dialback changes nothing
      {"no certificate at all", refused{cause::cert_missing}, yes, no_word, {certificate}, missing, {}, {}, {}},
      {"K07: POSH names others, names",
       refused{cause::posh_mismatch},
       yes,
       no_word,
       {certificate},
       trusted,
       no,
       {p::mismatched},
       {}},
      {"K07: POSH names others, chain",
       refused{cause::posh_mismatch},
       yes,
       no_word,
       {certificate},
       untrusted,
       {},
       {p::mismatched},
       {}},
      {"G01: expired", refused{cause::cert_expired}, yes, no_word, {certificate}, {c::expired}, {}, {}, {}},
      {"G01: not yet valid",
       refused{cause::cert_not_yet_valid},
       yes,
       no_word,
       {certificate},
       {c::not_yet_valid},
       {},
       {},
       {}},
      {"G02: taken back, whatever POSH says",
       refused{cause::cert_untrusted},
       yes,
       no_word,
       {certificate},
       {c::revoked},
       {},
       {},
       {}},
      {"G01: untrusted",
       refused{cause::cert_untrusted},
       yes,
       no_word,
       {certificate},
       {c::untrusted},
       {},
       {p::none},
       {}},
      {"G03: another's certificate",
       refused{cause::cert_name_mismatch},
       yes,
       no_word,
       {certificate},
       trusted,
       no,
       {p::none},
       {}},
      // dialback, where nothing better is to be had and the policy takes it
      {"J13: dialback may do, no certificate",
       needs_dialback{},
       yes,
       no_word,
       {dialback},
       missing,
       {},
       {},
       {d::not_done}},
      {"J13: dialback may do, names", needs_dialback{}, yes, no_word, {dialback}, trusted, no, no_posh, {d::not_done}},
      {"J13: dialback may do, chain",
       needs_dialback{},
       yes,
       no_word,
       {dialback},
       untrusted,
       {},
       no_posh,
       {d::not_done}},
      {"J13: dialback may do, date", needs_dialback{}, yes, no_word, {dialback}, spent, {}, {}, {d::not_done}},
      {"dialback, date", accepted{proof::dialback}, yes, no_word, {dialback}, spent, {}, {}, {d::valid}},
      {"J04: the key is wrong, date",
       refused{cause::dialback_invalid},
       yes,
       no_word,
       {dialback},
       spent,
       {},
       {},
       {d::invalid}},
      {"dialback, no certificate", accepted{proof::dialback}, yes, no_word, {dialback}, missing, {}, {}, {d::valid}},
      {"dialback, names", accepted{proof::dialback}, yes, no_word, {dialback}, trusted, no, no_posh, {d::valid}},
      {"dialback, chain", accepted{proof::dialback}, yes, no_word, {dialback}, untrusted, {}, no_posh, {d::valid}},
      {"J04: the key is wrong, no certificate",
       refused{cause::dialback_invalid},
       yes,
       no_word,
       {dialback},
       missing,
       {},
       {},
       {d::invalid}},
      {"J04: the key is wrong, names",
       refused{cause::dialback_invalid},
       yes,
       no_word,
       {dialback},
       trusted,
       no,
       no_posh,
       {d::invalid}},
      {"J04: the key is wrong, chain",
       refused{cause::dialback_invalid},
       yes,
       no_word,
       {dialback},
       untrusted,
       {},
       no_posh,
       {d::invalid}},
  };
  return rows;
}

template <typename T>
bool has(const std::vector<T>& set, T value) {
  return set.empty() || std::ranges::find(set, value) != set.end();
}

bool meets(const row& r, const evidence& e) {
  return has(r.encrypted, e.encrypted) && has(r.says, dane_says(e)) && has(r.required, e.required) &&
         has(r.chain, e.chain) && has(r.named, name_counts(e)) && has(r.posh, e.posh) && has(r.dialback, e.dialback);
}

TEST(Trust, DecidesEveryCombinationAsItsRowSays) {
  std::vector<std::size_t> met(table().size());
  std::size_t combinations = 0;
  for_every_combination([&](const evidence& e) {
    ++combinations;
    std::size_t rows = 0;
    for (std::size_t i = 0; i < table().size(); ++i) {
      if (meets(table()[i], e)) {
        ++rows;
        ++met[i];
        const auto decided = decide(e);
        ASSERT_TRUE(decided.is == table()[i].outcome) << text_of(e) << ": " << decided << "; row: " << table()[i].why;
        ASSERT_FALSE(decided.reason.empty());
      }
    }
    ASSERT_EQ(rows, 1U) << text_of(e);
  });
  EXPECT_EQ(combinations, 3U * 2U * 3U * 3U * 6U * 6U * 3U * 4U * 3U);
  for (std::size_t i = 0; i < met.size(); ++i) {
    EXPECT_GT(met[i], 0U) << table()[i].why;
  }
}

// --- what follows from the rows, said outright -----------------------------------------------------------------------

TEST(Trust, SaysHowTheLookupOfTlsaFailed) {  // B02, B09, B21
  for (const auto why : {cause::dns_bogus, cause::dns_servfail, cause::dns_timeout}) {
    evidence e{.required = dialback,
               .encrypted = true,
               .service = lookup_security::secure,
               .address = lookup_security::secure,
               .tlsa = tlsa_outcome::failed,
               .lookup_failure = why,
               .chain = chain_verdict::trusted,
               .name = name_match::service};
    EXPECT_TRUE(decide(e).is == decltype(verdict::is){refused{why}});
  }
}

TEST(Trust, NeverAcceptsMoreUnderAStricterPolicy) {  // THREATS D3
  for_every_combination([](evidence e) {
    if (e.required != dane) {
      return;
    }
    const auto strict = decide(e);
    e.required = certificate;
    const auto usual = decide(e);
    e.required = dialback;
    const auto weak = decide(e);
    ASSERT_TRUE(!strict.accepted() || strict.by() == proof::dane) << text_of(e);
    ASSERT_TRUE(!strict.accepted() || usual.is == strict.is) << text_of(e);
    ASSERT_TRUE(!usual.accepted() || weak.is == usual.is) << text_of(e);
    ASSERT_NE(usual.by(), proof::dialback) << text_of(e);
  });
}

TEST(Trust, AsksForPoshAndForDialbackOnce) {
  for_every_combination([](evidence e) {
    const auto first = decide(e);
    if (std::holds_alternative<needs_posh>(first.is)) {
      for (const auto said : {posh_outcome::none, posh_outcome::matched, posh_outcome::mismatched}) {
        e.posh = said;
        ASSERT_FALSE(std::holds_alternative<needs_posh>(decide(e).is)) << text_of(e);
        ASSERT_EQ(decide(e).by() == proof::posh, said == posh_outcome::matched) << text_of(e);
      }
    } else if (std::holds_alternative<needs_dialback>(first.is)) {
      // The machines finish such a verdict on their own, by what the domain's own server says.
      e.dialback = dialback_outcome::valid;
      ASSERT_TRUE(decide(e).is == decltype(verdict::is){accepted{proof::dialback}}) << text_of(e);
      e.dialback = dialback_outcome::invalid;
      ASSERT_TRUE(decide(e).is == decltype(verdict::is){refused{cause::dialback_invalid}}) << text_of(e);
    }
  });
}

TEST(Trust, RefusesWhereNothingIsKnown) {  // STYLE: trust starts with none
  EXPECT_FALSE(decide({}).accepted());
  EXPECT_EQ(verdict{}.by(), proof::none);
  EXPECT_FALSE(verdict{}.accepted());
}

}  // namespace
}  // namespace comity::connection::trust
