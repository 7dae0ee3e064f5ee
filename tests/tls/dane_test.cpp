// TLSA records against what peers present: each row is held against OpenSSL's own DANE in a real handshake too.
#include "tls/dane.hpp"

#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <chrono>

#include "dns/answer.hpp"
#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"
#include "tls/path_check.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {
namespace {

using namespace std::string_literals;
using fakes::issue;
using fakes::issued;
using records = std::vector<dns::tlsa_record>;
using enum dane_result;

/// The names of a secure delegation: the service domain, and the target it is delegated to (B12).
const std::array names{reference_identity::service_domain("a.example"),
                       reference_identity::target_host("x.hosting.example")};

dns::tlsa_record record(int usage, int selector, int matching, const issued& of) {
  const auto all = selector == 0 ? of.der() : of.key_der();
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(matching),
          matching == 0   ? all
          : matching == 1 ? digest(hash::sha256, all)
                          : digest(hash::sha512, all)};
}
dns::tlsa_record record(int usage, int selector, int matching, std::string data) {
  return {static_cast<std::uint8_t>(usage), static_cast<std::uint8_t>(selector), static_cast<std::uint8_t>(matching),
          std::move(data)};
}

/// A server as OpenSSL has it, met by a client of OpenSSL's that knows the records: whether the client is content.
bool openssl_accepts(const issued& leaf, const std::vector<issued>& issuers, const records& all, X509_STORE* trust) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> there{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free};
  SSL_CTX_set_security_level(there.get(), 0);
  EXPECT_EQ(1, SSL_CTX_use_certificate(there.get(), leaf.certificate()));
  EXPECT_EQ(1, SSL_CTX_use_PrivateKey(there.get(), leaf.key()));
  for (const auto& c : issuers) {
    EXPECT_EQ(1, SSL_CTX_add1_chain_cert(there.get(), c.certificate()));
  }
  SSL_CTX_set_mode(there.get(), SSL_MODE_NO_AUTO_CHAIN);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> here{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
  SSL_CTX_set_security_level(here.get(), 2);
  SSL_CTX_set1_cert_store(here.get(), trust);
  SSL_CTX_set_verify(here.get(), SSL_VERIFY_PEER, nullptr);
  EXPECT_EQ(1, SSL_CTX_dane_enable(here.get()));

  const std::unique_ptr<SSL, decltype(&SSL_free)> server{SSL_new(there.get()), &SSL_free};
  const std::unique_ptr<SSL, decltype(&SSL_free)> client{SSL_new(here.get()), &SSL_free};
  EXPECT_EQ(1, SSL_dane_enable(client.get(), "a.example"));
  EXPECT_EQ(1, SSL_add1_host(client.get(), "x.hosting.example"));
  SSL_dane_set_flags(client.get(), DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  SSL_set_hostflags(client.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  int usable_records = 0;
  for (const auto& r : all) {
    usable_records += SSL_dane_tlsa_add(client.get(), r.usage, r.selector, r.matching,
                                        reinterpret_cast<const unsigned char*>(r.data.data()), r.data.size()) > 0;
  }
  BIO *one = nullptr, *other = nullptr;
  BIO_new_bio_pair(&one, 0, &other, 0);
  SSL_set_bio(client.get(), one, one);
  SSL_set_bio(server.get(), other, other);
  int done = 0;
  for (int i = 0; i < 10 && done != 1; ++i) {
    done = SSL_connect(client.get());
    SSL_accept(server.get());
  }
  ERR_clear_error();
  return done == 1 && usable_records > 0 && SSL_get_verify_result(client.get()) == X509_V_OK &&
         SSL_get0_dane_authority(client.get(), nullptr, nullptr) >= 0;
}

class Dane : public ::testing::Test {
protected:
  /// Judged as a server and as a client, with one verdict; and as OpenSSL's own DANE does.
  dane_verdict judge(const issued& leaf, const std::vector<issued>& issuers, const records& all) {
    const auto peer = fakes::presented(leaf, issuers);
    auto out = judge_dane(peer, all, names, *trust_, {.role = peer_role::server});
    const auto in = judge_dane(peer, all, names, *trust_, {.role = peer_role::client});
    EXPECT_EQ(out.result, in.result) << out.text << " / " << in.text;
    EXPECT_EQ(out.problem, in.problem);
    EXPECT_EQ(out.usage, in.usage);
    EXPECT_EQ(openssl_accepts(leaf, issuers, all, trust_->inside().store.get()), out.ok()) << out.text;
    return out;
  }
  dane_verdict judge(const records& all) { return judge(leaf_, {intermediate_}, all); }
  issued leaf(fakes::certificate_plan plan) { return issue(plan, &intermediate_); }
  std::shared_ptr<const trust_store> trusting(const issued& root) {
    return trust_store::load({fakes::write(folder_.path(), "ca.pem", fakes::pem({root})), {}}).value();
  }

  fakes::folder folder_;
  issued root_ = issue({.domain = "Root", .authority = true});
  issued intermediate_ = issue({.domain = "Intermediate", .authority = true}, &root_);
  issued leaf_ = issue({.domain = "a.example"}, &intermediate_);
  issued stranger_ = issue({.domain = "Stranger", .authority = true});  // alone in the store, but where said otherwise
  std::shared_ptr<const trust_store> trust_ = trusting(stranger_);
};

// ---- DANE-EE ----

TEST_F(Dane, EeMatchesTheCertificateOrItsKeyByEveryMatchingType) {  // B13, B17, RFC 6698 §2.1
  for (const int selector : {0, 1}) {
    for (const int matching : {0, 1, 2}) {
      SCOPED_TRACE(std::to_string(selector) + ' ' + std::to_string(matching));
      const auto verdict = judge({record(3, selector, matching, leaf_)});
      EXPECT_EQ(matched, verdict.result);
      EXPECT_EQ(3, verdict.usage);
      EXPECT_EQ("3 " + std::to_string(selector) + ' ' + std::to_string(matching), verdict.text);
      EXPECT_EQ(mismatch, judge({record(3, selector, matching, stranger_)}).result);
      EXPECT_EQ(mismatch, judge({record(3, selector, matching, intermediate_)}).result) << "an issuer is no end entity";
      EXPECT_EQ(record(3, selector, matching, leaf_).data,
                association_data(fakes::presented(leaf_), static_cast<std::uint8_t>(selector),
                                 static_cast<std::uint8_t>(matching)));
    }
  }
}

TEST_F(Dane, EeKnowsNoNamesDatesAuthoritiesOrPurposes) {  // B13, RFC 7671 §5.1, RFC 7673 §4.2
  for (const auto& c :
       {leaf({.domain = "wrong.example"}), leaf({.domain = "a.example", .until = -1}),
        leaf({.domain = "a.example", .from = 3600}), issue({.domain = "self.example"}),
        leaf({.domain = "a.example", .authority = true}), leaf({.domain = "a.example", .purposes = "codeSigning"})}) {
    EXPECT_EQ(matched, judge(c, {}, {record(3, 1, 1, c)}).result);
    EXPECT_EQ(matched, judge(c, {}, {record(3, 0, 2, c)}).result);
  }
}

TEST_F(Dane, EeMatchesOneOfSeveralAsInARollover) {  // B20, RFC 7671 §8
  EXPECT_EQ(matched, judge({record(3, 1, 1, stranger_), record(3, 1, 1, leaf_)}).result);
  EXPECT_EQ(matched, judge({record(3, 1, 1, leaf_), record(3, 1, 1, stranger_)}).result);
  EXPECT_EQ(mismatch, judge({record(3, 1, 1, stranger_), record(3, 1, 1, root_)}).result);
}

TEST_F(Dane, OfOurOwnIsCheckedAsAPeerWould) {  // B20: what is served against what is published
  const auto host = fakes::write_certificate(folder_.path(), "a.example", leaf_, {intermediate_});
  const auto table = server_context::load({host}, protocol_version::tls_1_2).value();
  const auto served = served_credentials(*table, "A.Example");
  ASSERT_TRUE(served);
  EXPECT_EQ(matched, judge_dane(served, std::array{record(3, 1, 1, leaf_)}, names, *trust_, {}).result);
  EXPECT_EQ(matched, judge_dane(served, std::array{record(2, 0, 1, intermediate_)}, names, *trust_, {}).result);
  EXPECT_EQ(mismatch, judge_dane(served, std::array{record(3, 1, 1, stranger_)}, names, *trust_, {}).result);
  EXPECT_FALSE(served_credentials(*table, "b.example"));
}

// ---- DANE-TA ----

TEST_F(Dane, TaIsOfThePresentedChain) {  // B15, RFC 7671 §5.2
  for (const int selector : {0, 1}) {
    for (const int matching : {0, 1, 2}) {
      SCOPED_TRACE(std::to_string(selector) + ' ' + std::to_string(matching));
      const auto verdict = judge({record(2, selector, matching, intermediate_)});
      EXPECT_EQ(matched, verdict.result);
      EXPECT_EQ(2, verdict.usage);
      EXPECT_EQ("a.example", verdict.name.presented);
      ASSERT_TRUE(verdict.expires);
      EXPECT_EQ(matched, judge(leaf_, {intermediate_, root_}, {record(2, selector, matching, root_)}).result);
      EXPECT_EQ(mismatch, judge({record(2, selector, matching, stranger_)}).result);
      EXPECT_EQ(mismatch, judge({record(2, selector, matching, leaf_)}).result) << "a leaf is no trust anchor";
    }
  }
}

TEST_F(Dane, TaByDigestHasToBePresented) {  // RFC 7671 §5.2.1
  EXPECT_EQ(mismatch, judge({record(2, 0, 1, root_)}).result);
  EXPECT_EQ(mismatch, judge({record(2, 1, 1, root_)}).result);
  EXPECT_EQ(mismatch, judge(leaf_, {}, {record(2, 0, 1, intermediate_)}).result);
}

TEST_F(Dane, TaInFullNeedNotBePresented) {  // B15: "2 0 0" and "2 1 0"
  EXPECT_EQ(matched, judge({record(2, 0, 0, root_)}).result);
  EXPECT_EQ(matched, judge({record(2, 1, 0, root_)}).result);
  EXPECT_EQ(matched, judge(leaf_, {}, {record(2, 0, 0, intermediate_)}).result);
  EXPECT_EQ(matched, judge(leaf_, {}, {record(2, 1, 0, intermediate_)}).result);
  EXPECT_EQ(mismatch, judge(leaf_, {}, {record(2, 0, 0, root_)}).result) << "the path between is missing";
  EXPECT_EQ(mismatch, judge(leaf_, {}, {record(2, 1, 0, root_)}).result);
}

TEST_F(Dane, TaVouchesForTheServiceDomainOrTheTarget) {  // B12, B14, RFC 7673 §4.1
  const records ta{record(2, 0, 1, intermediate_)};
  for (const auto* name : {"a.example", "A.Example", "x.hosting.example", "*.hosting.example"}) {
    EXPECT_EQ(matched, judge(leaf({.domain = name}), {intermediate_}, ta).result) << name;
  }
  for (const auto* name : {"b.example", "y.hosting.example", "*.example", "hosting.example"}) {
    const auto verdict = judge(leaf({.domain = name}), {intermediate_}, ta);
    EXPECT_EQ(name_mismatch, verdict.result) << name;
    EXPECT_EQ("2 0 1 matches, but the certificate is for another name", verdict.text);
    EXPECT_FALSE(verdict.usage);
  }
}

TEST_F(Dane, TaVouchesForSrvIdsAndXmppAddrsToo) {  // G05, G06: which OpenSSL's own does not know
  const std::array ta{record(2, 0, 1, intermediate_)};
  for (const auto* name : {"SRV:_xmpp-server.a.example", "XMPP:a.example"}) {
    const auto peer = fakes::presented(leaf({.domain = "x", .names = {{name}}}), {intermediate_});
    EXPECT_EQ(matched, judge_dane(peer, ta, names, *trust_, {}).result) << name;
  }
  for (const auto* name : {"SRV:_xmpp-server.x.hosting.example", "XMPP:x.hosting.example"}) {
    const auto peer = fakes::presented(leaf({.domain = "x", .names = {{name}}}), {intermediate_});
    EXPECT_EQ(name_mismatch, judge_dane(peer, ta, names, *trust_, {}).result) << name;
  }
}

TEST_F(Dane, TaNeedsAGoodPath) {  // RFC 7671 §5.2: dates, purposes, signatures and constraints of all below the anchor
  const records ta{record(2, 0, 1, intermediate_)};
  const auto problem = [&](const issued& c, const std::vector<issued>& issuers, const records& all) {
    const auto verdict = judge(c, issuers, all);
    EXPECT_EQ(certificate_wrong, verdict.result) << verdict.text;
    return verdict.problem;
  };
  EXPECT_EQ(chain_problem::expired, problem(leaf({.domain = "a.example", .until = -1}), {intermediate_}, ta));
  EXPECT_EQ(chain_problem::not_yet_valid, problem(leaf({.domain = "a.example", .from = 3600}), {intermediate_}, ta));
  EXPECT_EQ(chain_problem::wrong_purpose,
            problem(leaf({.domain = "a.example", .purposes = "codeSigning"}), {intermediate_}, ta));
  const auto old = issue({.domain = "Old", .from = -7200, .until = -1, .authority = true}, &root_);
  EXPECT_EQ(chain_problem::expired,
            problem(issue({.domain = "a.example"}, &old), {old, root_}, {record(2, 0, 1, root_)}));
  const auto bound = issue({.domain = "Bound", .authority = true, .constraints = "permitted;DNS:b.example"}, &root_);
  EXPECT_EQ(chain_problem::untrusted,
            problem(issue({.domain = "a.example"}, &bound), {bound, root_}, {record(2, 0, 1, root_)}));
}

TEST_F(Dane, TaItselfKnowsNoDate) {  // RFC 5280 §6.1: an anchor is a name and a key
  const auto old = issue({.domain = "Old", .from = -7200, .until = -1, .authority = true}, &root_);
  const auto c = issue({.domain = "a.example"}, &old);
  const auto verdict = judge(c, {old}, {record(2, 0, 1, old)});
  EXPECT_EQ(matched, verdict.result);
  EXPECT_EQ(time_of(X509_get0_notAfter(c.certificate())), verdict.expires);
}

TEST_F(Dane, TaDoesNotMakeAnAuthorityAnEndEntity) {  // G01
  const auto verdict = judge_dane(
      fakes::presented(leaf({.domain = "a.example", .names = {{"DNS:a.example"}}, .authority = true}), {intermediate_}),
      std::array{record(2, 0, 1, intermediate_)}, names, *trust_, {});
  EXPECT_EQ(certificate_wrong, verdict.result);
  EXPECT_EQ(chain_problem::not_end_entity, verdict.problem);
}

TEST_F(Dane, TaIsNotTheStore) {
  trust_ = trusting(root_);
  EXPECT_EQ(mismatch, judge({record(2, 0, 1, stranger_)}).result);
  EXPECT_EQ(mismatch, judge({record(3, 1, 1, stranger_)}).result);
}

TEST_F(Dane, TaWithAForgedSignatureIsNone) {
  const auto forger = issue({.domain = "Intermediate", .authority = true}, &root_);
  const auto forged = issue({.domain = "a.example"}, &forger);  // in the name of the other
  EXPECT_NE(matched, judge(forged, {intermediate_}, {record(2, 0, 1, intermediate_)}).result);
  EXPECT_NE(matched, judge(forged, {intermediate_}, {record(2, 1, 0, intermediate_)}).result);
  EXPECT_NE(matched, judge(forged, {}, {record(2, 1, 0, intermediate_)}).result);
}

// ---- PKIX-TA and PKIX-EE ----

TEST_F(Dane, PkixEeNeedsTheStoreAndTheName) {  // B14, RFC 6698 §2.1.1
  EXPECT_EQ(certificate_wrong, judge({record(1, 1, 1, leaf_)}).result);
  EXPECT_EQ(chain_problem::untrusted, judge({record(1, 1, 1, leaf_)}).problem);
  trust_ = trusting(root_);
  for (const int selector : {0, 1}) {
    for (const int matching : {0, 1, 2}) {
      const auto verdict = judge({record(1, selector, matching, leaf_)});
      EXPECT_EQ(matched, verdict.result);
      EXPECT_EQ(1, verdict.usage);
      EXPECT_TRUE(verdict.expires);
      EXPECT_EQ(mismatch, judge({record(1, selector, matching, stranger_)}).result);
      EXPECT_EQ(mismatch, judge({record(1, selector, matching, intermediate_)}).result);
    }
  }
  const auto wrong = leaf({.domain = "b.example"});
  EXPECT_EQ(name_mismatch, judge(wrong, {intermediate_}, {record(1, 1, 1, wrong)}).result);
  const auto old = leaf({.domain = "a.example", .until = -1});
  EXPECT_EQ(chain_problem::expired, judge(old, {intermediate_}, {record(1, 1, 1, old)}).problem);
}

TEST_F(Dane, PkixTaNeedsTheStoreAndAnAuthorityOfThePath) {  // B14, RFC 6698 §2.1.1
  EXPECT_EQ(certificate_wrong, judge({record(0, 0, 1, intermediate_)}).result);
  trust_ = trusting(root_);
  for (const int selector : {0, 1}) {
    for (const int matching : {0, 1, 2}) {
      SCOPED_TRACE(std::to_string(selector) + ' ' + std::to_string(matching));
      EXPECT_EQ(matched, judge({record(0, selector, matching, intermediate_)}).result);
      EXPECT_EQ(matched, judge({record(0, selector, matching, root_)}).result) << "of the store, not presented";
      EXPECT_EQ(mismatch, judge({record(0, selector, matching, stranger_)}).result);
      EXPECT_EQ(mismatch, judge({record(0, selector, matching, leaf_)}).result);
    }
  }
  EXPECT_EQ(name_mismatch, judge(leaf({.domain = "b.example"}), {intermediate_}, {record(0, 0, 1, root_)}).result);
}

// ---- several, and unusable ones ----

TEST_F(Dane, AnyUsageThatMatchesWillDo) {
  EXPECT_EQ(2, judge({record(3, 1, 1, stranger_), record(2, 0, 1, intermediate_)}).usage);
  EXPECT_EQ(3, judge({record(2, 0, 1, stranger_), record(3, 1, 1, leaf_)}).usage);
  EXPECT_EQ(3, judge({record(1, 1, 1, leaf_), record(3, 1, 1, leaf_)}).usage) << "though PKIX does not hold";
  EXPECT_EQ(2, judge({record(0, 0, 1, root_), record(2, 0, 1, intermediate_)}).usage);
  trust_ = trusting(root_);
  EXPECT_EQ(matched, judge({record(3, 1, 1, stranger_), record(0, 0, 1, root_)}).result);
  EXPECT_EQ(matched, judge({record(2, 0, 1, stranger_), record(1, 1, 1, leaf_)}).result);
}

TEST_F(Dane, OfDigestsOnlyTheStrongestCounts) {  // B17, RFC 7671 §9
  EXPECT_EQ(mismatch, judge({record(3, 1, 2, stranger_), record(3, 1, 1, leaf_)}).result);
  EXPECT_EQ(matched, judge({record(3, 1, 2, leaf_), record(3, 1, 1, stranger_)}).result);
  EXPECT_EQ(mismatch, judge({record(2, 0, 1, intermediate_), record(2, 0, 2, stranger_)}).result);
  // Each usage and selector is on its own, and what is in full always counts.
  EXPECT_EQ(matched, judge({record(3, 0, 2, stranger_), record(3, 1, 1, leaf_)}).result);
  EXPECT_EQ(matched, judge({record(2, 1, 2, stranger_), record(3, 1, 1, leaf_)}).result);
  EXPECT_EQ(matched, judge({record(3, 1, 2, stranger_), record(3, 1, 0, leaf_)}).result);
  // A strong one of no use is not the strongest.
  EXPECT_EQ(matched, judge({record(3, 1, 2, std::string(63, 'x')), record(3, 1, 1, leaf_)}).result);
}

TEST_F(Dane, WhatIsUnusableIsAsIfItWereNotThere) {  // B16, RFC 7671 §10.3
  const auto sum = digest(hash::sha256, leaf_.key_der());
  for (const auto& useless :
       {record(4, 1, 1, sum), record(255, 1, 1, sum), record(3, 2, 1, sum), record(3, 255, 1, sum),
        record(3, 1, 3, sum), record(3, 1, 255, sum), record(3, 1, 1, sum.substr(1)), record(3, 1, 1, sum + 'x'),
        record(3, 1, 2, sum), record(3, 1, 1, ""), record(3, 1, 0, ""), record(3, 0, 0, "no certificate"),
        record(2, 1, 0, "no key"), record(2, 0, 0, root_.der() + "more"), record(3, 1, 0, leaf_.key_der() + "more"),
        record(2, 0, 0, root_.key_der()), record(2, 1, 0, root_.der())}) {
    SCOPED_TRACE(std::to_string(useless.usage) + ' ' + std::to_string(useless.selector) + ' ' +
                 std::to_string(useless.matching) + " with " + std::to_string(useless.data.size()));
    EXPECT_FALSE(usable(useless));
    EXPECT_EQ(unusable, judge({useless}).result);
    EXPECT_EQ(unusable, judge({useless, useless}).result);
    EXPECT_EQ(matched, judge({useless, record(3, 1, 1, leaf_)}).result);
    EXPECT_EQ(mismatch, judge({useless, record(3, 1, 1, stranger_)}).result);
  }
  EXPECT_TRUE(usable(record(3, 1, 1, leaf_)));
  EXPECT_TRUE(usable(record(2, 0, 0, root_)));
}

TEST_F(Dane, RecordsWithHostileKeysAreUnusable) {  // THREATS B7
  const auto keyed = [&](EVP_PKEY* key) { return issue({.domain = "x", .authority = true}, &root_, key); };
  EXPECT_TRUE(usable(record(2, 1, 0, keyed(fakes::public_rsa(8192)))));
  for (const int selector : {0, 1}) {
    EXPECT_FALSE(usable(record(2, selector, 0, keyed(fakes::public_rsa(8200)))));
    EXPECT_FALSE(usable(record(2, selector, 0, keyed(fakes::public_rsa(16384)))));
    EXPECT_FALSE(usable(record(2, selector, 0, keyed(fakes::public_rsa(2048, 33)))));
    EXPECT_FALSE(usable(record(2, selector, 0, keyed(fakes::explicit_curve()))));
  }
}

TEST_F(Dane, SoManyRecordsAreLookedAtAndNoMore) {  // THREATS B7: at L-1, L, L+1
  for (const std::size_t before : {tlsa_records_looked_at - 2, tlsa_records_looked_at - 1, tlsa_records_looked_at}) {
    records all(before, record(3, 1, 1, stranger_));
    all.push_back(record(3, 1, 1, leaf_));
    const auto verdict = judge_dane(fakes::presented(leaf_), all, names, *trust_, {});
    EXPECT_EQ(before < tlsa_records_looked_at ? matched : mismatch, verdict.result) << before;
  }
}

TEST_F(Dane, WithoutRecordsOrCertificateThereIsNothingToMatch) {
  EXPECT_EQ(no_records, judge_dane(fakes::presented(leaf_), {}, names, *trust_, {}).result);
  EXPECT_EQ(missing, judge_dane({}, std::array{record(3, 1, 1, leaf_)}, names, *trust_, {}).result);
  EXPECT_EQ(unusable, judge_dane({}, std::array{record(9, 1, 1, leaf_)}, names, *trust_, {}).result);
}

TEST_F(Dane, AnInboundPeerMayHaveACertificateForClientsAlone) {  // G13
  const auto c = leaf({.domain = "a.example", .purposes = "clientAuth"});
  const std::array ta{record(2, 0, 1, intermediate_)};
  const auto peer = fakes::presented(c, {intermediate_});
  EXPECT_EQ(matched, judge_dane(peer, ta, names, *trust_, {.role = peer_role::client}).result);
  EXPECT_EQ(chain_problem::wrong_purpose, judge_dane(peer, ta, names, *trust_, {.role = peer_role::server}).problem);
}

TEST_F(Dane, IsJudgedAtTheTimeGiven) {
  const std::array ta{record(2, 0, 1, intermediate_)};
  const auto peer = fakes::presented(leaf_, {intermediate_});
  const auto good = judge_dane(peer, ta, names, *trust_, {});
  ASSERT_TRUE(good.expires);
  // Later than both ends, which are a second apart where the two were made in different seconds.
  const auto later = *good.expires + std::chrono::minutes{1};
  EXPECT_EQ(chain_problem::expired, judge_dane(peer, ta, names, *trust_, {.now = later}).problem);
}

}  // namespace
}  // namespace comity::tls
