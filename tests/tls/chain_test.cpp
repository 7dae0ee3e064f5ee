#include "tls/chain.hpp"

#include <gmock/gmock.h>
#include <openssl/x509.h>

#include <algorithm>

#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using fakes::issue;
using fakes::issued;
using fakes::presented;
using enum chain_problem;

constexpr long day = 86400;
constexpr long year = 365 * day;

class Chain : public ::testing::Test {
protected:
  std::shared_ptr<const trust_store> trusting(const std::vector<issued>& authorities, const std::string& lists = {}) {
    const auto roots = fakes::write(folder_.path(), "ca.pem", fakes::pem(authorities));
    const auto revocations = lists.empty() ? std::filesystem::path{} : fakes::write(folder_.path(), "crl.pem", lists);
    return trust_store::load({roots, revocations}).value();
  }
  chain_verdict judge(const peer_credentials& peer, const judged_as& as = {}) { return judge_chain(peer, *trust_, as); }
  issued leaf(fakes::certificate_plan plan = {.domain = "a.example"}) { return issue(plan, &intermediate_); }
  chain_problem problem_of(const issued& c, peer_role role = peer_role::server) {
    return judge(presented(c, {intermediate_}), {.role = role}).problem;
  }

  fakes::folder folder_;
  issued root_ = issue({.domain = "Root", .until = 20 * year, .authority = true});
  issued intermediate_ = issue({.domain = "Intermediate", .until = 10 * year, .authority = true}, &root_);
  std::shared_ptr<const trust_store> trust_ = trusting({root_});
};

TEST_F(Chain, StandsOnAnAuthorityOfTheStore) {  // G01
  const auto c = leaf();
  const auto verdict = judge(presented(c, {intermediate_}));
  EXPECT_TRUE(verdict.ok()) << verdict.text;
  EXPECT_EQ("", verdict.text);
  EXPECT_THAT(verdict.chain, ElementsAre("CN=a.example", "CN=Intermediate", "CN=Root"));
  EXPECT_EQ(time_of(X509_get0_notAfter(c.certificate())), verdict.expires);
}

TEST_F(Chain, MayBringItsRootAndOthersInAnyOrder) {
  const auto other = issue({.domain = "Other", .authority = true});
  EXPECT_TRUE(judge(presented(leaf(), {other, root_, intermediate_})).ok());
}

TEST_F(Chain, WithoutItsIntermediateStandsOnNothing) {
  const auto verdict = judge(presented(leaf()));
  EXPECT_EQ(untrusted, verdict.problem);
  EXPECT_THAT(verdict.text, HasSubstr("CN=a.example"));
  EXPECT_THAT(verdict.chain, ElementsAre("CN=a.example"));
  EXPECT_FALSE(verdict.expires);
}

TEST_F(Chain, OfAnUnknownAuthorityIsUntrusted) {
  const auto stranger = issue({.domain = "Root", .authority = true});  // the name alone is the root's
  EXPECT_EQ(untrusted, judge(presented(issue({.domain = "a.example"}, &stranger), {stranger})).problem);
  EXPECT_EQ(untrusted, judge(presented(issue({.domain = "a.example"}))).problem);
}

TEST_F(Chain, WithNothingIsMissing) {
  const auto verdict = judge({});
  EXPECT_EQ(missing, verdict.problem);
  EXPECT_NE("", verdict.text);
}

TEST_F(Chain, WithAChangedBitIsUntrusted) {  // G01: signatures count
  const auto good = leaf().der();
  for (const std::size_t from_end : {1U, 20U, 100U, 200U}) {
    auto bad = good;
    bad[bad.size() - from_end] = static_cast<char>(bad[bad.size() - from_end] ^ 1);
    const auto parsed = from_der(bad);
    if (sk_X509_num(parsed.get()) == 1) {
      const auto peer = hold(sk_X509_value(parsed.get(), 0), from_der(intermediate_.der()).get());
      EXPECT_EQ(untrusted, judge(peer).problem) << from_end;
    }
  }
}

TEST_F(Chain, AnAuthoritysOwnCertificateIsNobodysElse) {  // G01, RFC 6120 §13.7.1.1
  const auto verdict =
      judge(presented(leaf({.domain = "a.example", .names = {{"DNS:a.example"}}, .authority = true}), {intermediate_}));
  EXPECT_EQ(not_end_entity, verdict.problem);
  EXPECT_EQ("the certificate is an authority's: CN=a.example", verdict.text);
  EXPECT_EQ(not_end_entity, judge(presented(root_)).problem);
}

TEST_F(Chain, ASelfSignedCertificateInTheStoreIsTrusted) {
  const auto own = issue({.domain = "a.example"});
  trust_ = trusting({own});
  EXPECT_TRUE(judge(presented(own)).ok());
}

TEST_F(Chain, AnIssuerThatIsNoAuthorityVouchesForNobody) {  // G01
  const auto middle = leaf({.domain = "b.example"});
  EXPECT_EQ(untrusted, judge(presented(issue({.domain = "a.example"}, &middle), {middle, intermediate_})).problem);
}

// ---- time ----

TEST_F(Chain, IsJudgedAtTheTimeGiven) {
  const auto c = leaf({.domain = "a.example", .from = -day, .until = day});
  const auto begin = time_of(X509_get0_notBefore(c.certificate()));
  const auto end = time_of(X509_get0_notAfter(c.certificate()));
  trust_ = trusting(
      {issue({.domain = "Root", .from = -year, .until = year, .authority = true}, nullptr, EVP_PKEY_dup(root_.key()))});
  const auto before = issue({.domain = "Intermediate", .from = -year, .until = year, .authority = true}, &root_,
                            EVP_PKEY_dup(intermediate_.key()));
  const auto wide = presented(c, {before});
  EXPECT_EQ(not_yet_valid, judge(wide, {.now = begin - 1s}).problem);
  EXPECT_EQ(none, judge(wide, {.now = begin}).problem);
  EXPECT_EQ(none, judge(wide, {.now = end - 1s}).problem);
  const auto late = judge(wide, {.now = end});  // OpenSSL is a second early
  EXPECT_EQ(expired, late.problem);
  EXPECT_EQ("certificate has expired: CN=a.example", late.text);
}

TEST_F(Chain, ExpiresWithItsFirstCertificate) {  // G12, RFC 6120 §13.7.2.3
  const auto soon = issue({.domain = "Intermediate", .until = day, .authority = true}, &root_);
  const auto c = issue({.domain = "a.example", .until = year}, &soon);
  const auto peer = presented(c, {soon});
  const auto verdict = judge(peer);
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(time_of(X509_get0_notAfter(soon.certificate())), verdict.expires);
  const auto late = judge(peer, {.now = *verdict.expires + 1s});
  EXPECT_EQ(expired, late.problem);
  EXPECT_THAT(late.text, HasSubstr("CN=Intermediate"));
}

TEST_F(Chain, MayExpireInTheYear9999) {
  const auto forever = issue({.domain = "a.example", .until = 7900 * year}, &intermediate_);
  trust_ = trusting(
      {issue({.domain = "Root", .until = 7900 * year, .authority = true}, nullptr, EVP_PKEY_dup(root_.key()))});
  const auto old = issue({.domain = "Intermediate", .until = 7900 * year, .authority = true}, &root_,
                         EVP_PKEY_dup(intermediate_.key()));
  const auto verdict = judge(presented(forever, {old}));
  ASSERT_TRUE(verdict.ok()) << verdict.text;
  EXPECT_LT(std::chrono::system_clock::now() + std::chrono::years{200}, *verdict.expires);
  EXPECT_LT(std::chrono::system_clock::now() + std::chrono::years{200}, summary(presented(forever)).not_after);
}

// ---- purposes and strength ----

TEST_F(Chain, ServesThePurposeOfItsRole) {  // G13
  const auto for_purposes = [&](std::string purposes) {
    return leaf({.domain = "a.example", .purposes = std::move(purposes)});
  };
  for (const auto* both : {"", "serverAuth", "serverAuth,clientAuth", "anyExtendedKeyUsage,serverAuth"}) {
    EXPECT_EQ(none, problem_of(for_purposes(both))) << both;
    EXPECT_EQ(none, problem_of(for_purposes(both), peer_role::client)) << both;
  }
  // RFC 5280 §4.2.1.12: a certificate for clients alone is none for a server.
  EXPECT_EQ(wrong_purpose, problem_of(for_purposes("clientAuth")));
  EXPECT_EQ(none, problem_of(for_purposes("clientAuth"), peer_role::client));
  for (const auto* neither : {"codeSigning", "emailProtection", "timeStamping", "OCSPSigning"}) {
    EXPECT_EQ(wrong_purpose, problem_of(for_purposes(neither))) << neither;
    EXPECT_EQ(wrong_purpose, problem_of(for_purposes(neither), peer_role::client)) << neither;
  }
}

TEST_F(Chain, OfWeakKeysOrSignaturesIsWeak) {  // F04, RFC 9325 §4.5
  EXPECT_EQ(weak, problem_of(leaf({.domain = "a.example", .rsa_bits = 1024})));
  EXPECT_EQ(none, problem_of(leaf({.domain = "a.example", .rsa_bits = 2048})));
  EXPECT_EQ(weak, problem_of(leaf({.domain = "a.example", .sha1 = true})));
  EXPECT_EQ(none, problem_of(leaf({.domain = "a.example", .curve = "P-384"})));
  EXPECT_EQ(none, problem_of(leaf({.domain = "a.example", .curve = "ED25519"})));
  const auto small = issue({.domain = "Small", .rsa_bits = 1024, .authority = true}, &root_);
  EXPECT_EQ(weak, judge(presented(issue({.domain = "a.example"}, &small), {small})).problem);
}

TEST_F(Chain, AnAuthorityIsHeldToItsConstraints) {  // RFC 5280 §4.2.1.10
  const auto bound = issue({.domain = "Bound", .authority = true, .constraints = "permitted;DNS:b.example"}, &root_);
  EXPECT_TRUE(judge(presented(issue({.domain = "x.b.example"}, &bound), {bound})).ok());
  EXPECT_EQ(untrusted, judge(presented(issue({.domain = "a.example"}, &bound), {bound})).problem);
}

TEST_F(Chain, HasSoManyIssuersAndNoMore) {  // THREATS B7: at L-1, L, L+1
  std::vector<issued> issuers;
  const issued* by = &root_;
  issuers.reserve(8);
  for (int i = 0; i < 6; ++i) {
    issuers.push_back(issue({.domain = "Issuer " + std::to_string(i), .authority = true}, by));
    by = &issuers.back();
  }
  for (const std::size_t count : {4U, 5U, 6U}) {
    const std::vector<issued> some{issuers.begin(), issuers.begin() + static_cast<std::ptrdiff_t>(count)};
    EXPECT_EQ(count <= certificate_limits::issuers,
              judge(presented(issue({.domain = "a.example"}, &some.back()), some)).ok())
        << count;
  }
}

// ---- revocation ----

TEST_F(Chain, OfATakenBackCertificateIsRevoked) {  // G02
  const auto good = leaf(), bad = leaf();
  const auto lists = fakes::revocation_list(intermediate_, {bad}) + fakes::revocation_list(root_, {});
  trust_ = trusting({root_}, lists);
  EXPECT_EQ(none, problem_of(good));
  EXPECT_EQ(revoked, problem_of(bad));
  EXPECT_EQ(revoked, problem_of(bad, peer_role::client));
  trust_ = trusting({root_});  // switched off
  EXPECT_EQ(none, problem_of(bad));
}

TEST_F(Chain, OfATakenBackIssuerIsRevoked) {  // G02
  trust_ = trusting({root_}, fakes::revocation_list(root_, {intermediate_}));
  const auto verdict = judge(presented(leaf(), {intermediate_}));
  EXPECT_EQ(revoked, verdict.problem);
  EXPECT_EQ("certificate revoked: CN=Intermediate", verdict.text);
}

TEST_F(Chain, AnAuthorityWithoutAListIsNotAskedAbout) {  // G02
  const auto other = issue({.domain = "Other", .authority = true});
  trust_ = trusting({root_, other}, fakes::revocation_list(other, {}));
  EXPECT_EQ(none, problem_of(leaf()));
}

TEST_F(Chain, AListOutOfForceIsNotEnough) {  // G02
  trust_ = trusting({root_}, fakes::revocation_list(intermediate_, {}, -2 * day, -day));
  EXPECT_EQ(revocation_unknown, problem_of(leaf()));
  const auto stranger = issue({.domain = "Intermediate", .authority = true});  // signs in its name
  trust_ = trusting({root_}, fakes::revocation_list(stranger, {}));
  EXPECT_EQ(revocation_unknown, problem_of(leaf()));
}

// ---- the store ----

TEST_F(Chain, AStoreNeedsWhatItIsToldToHold) {
  const auto none_there = trust_store::load({folder_.path() / "none.pem", {}});
  ASSERT_FALSE(none_there);
  EXPECT_FALSE(none_there.error().in_revocations);
  EXPECT_THAT(none_there.error().what, HasSubstr("cannot be read: No such file or directory"));

  const auto text = fakes::write(folder_.path(), "text.pem", "no certificate\n");
  const auto empty = trust_store::load({text, {}});
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().what, HasSubstr("holds no certificate"));

  auto damaged = fakes::pem({root_, intermediate_});
  damaged[damaged.size() - 60] = '!';
  const auto half = trust_store::load({fakes::write(folder_.path(), "half.pem", damaged), {}});
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().what, HasSubstr("is damaged"));

  const auto ca = fakes::write(folder_.path(), "ca.pem", fakes::pem({root_}));
  const auto no_list = trust_store::load({ca, ca});
  ASSERT_FALSE(no_list);
  EXPECT_TRUE(no_list.error().in_revocations);
  EXPECT_THAT(no_list.error().what, HasSubstr("holds no certificate revocation list"));
}

TEST_F(Chain, TheSystemsRootsAreAStore) {
  const auto system = trust_store::load({});
  ASSERT_TRUE(system);
  EXPECT_EQ(untrusted, judge_chain(presented(leaf(), {intermediate_, root_}), **system, {}).problem);
}

TEST_F(Chain, TextsAreOneLineWithoutControlCharacters) {
  const auto verdict = judge(presented(issue({.domain = "a\n\x1b[2J\xc3\xbc" + std::string(400, 'x')})));
  EXPECT_TRUE(std::ranges::all_of(verdict.text, [](char c) { return c >= 0x20 && c <= 0x7e; })) << verdict.text;
  EXPECT_TRUE(std::ranges::all_of(verdict.chain.at(0), [](char c) { return c >= 0x20 && c <= 0x7e; }));
  EXPECT_LT(verdict.text.size(), 400U);
}

}  // namespace
}  // namespace comity::tls
