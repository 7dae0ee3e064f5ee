// THREATS B7: what hostile peers present ends the handshake with an alert, before anything is computed with it; what is
// within the limits is judged in bounded time.
#include <gmock/gmock.h>
#include <openssl/ssl.h>
#include <time.h>

#include "dns/answer.hpp"
#include "fakes/quiet_socket.hpp"
#include "tls/dane.hpp"
#include "tls/two_servers.hpp"

namespace comity::tls {
namespace {

using fakes::issue;
using fakes::issued;
using ::testing::HasSubstr;
using kind = tls_failure::kind;

/// Judged from both ends: as what a client presents, and as what a server does.
class PeerLimits : public TwoServers, public ::testing::WithParamInterface<peer_role> {
protected:
  /// The certificates of an OpenSSL end that presents anything, and how our end takes it.
  tls_failure present(const issued& leaf, const std::vector<issued>& issuers) {
    wire w;
    const bool from_server = GetParam() == peer_role::server;
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{
        SSL_CTX_new(from_server ? TLS_server_method() : TLS_client_method()), &SSL_CTX_free};
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_mode(context.get(), SSL_MODE_NO_AUTO_CHAIN);
    EXPECT_EQ(1, SSL_CTX_use_certificate(context.get(), leaf.certificate()));
    EXPECT_EQ(1, SSL_CTX_use_PrivateKey(context.get(), leaf.key()));
    for (const auto& c : issuers) {
      EXPECT_EQ(1, SSL_CTX_add1_chain_cert(context.get(), c.certificate()));
    }
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context.get()), &SSL_free};
    fakes::attach_socket(ssl.get(), w.ends[1]);
    stream ours{w.ends[0]};
    if (from_server) {
      SSL_set_accept_state(ssl.get());
      ours.connect(client_, to_far());
    } else {
      SSL_set_connect_state(ssl.get());
      ours.accept(near_server_, tls_pair::xmpp_server, {}, client_certificate::requested);
    }
    io_result says{io_status::want_read, 0};
    for (int i = 0; i < 40 && (says.status == io_status::want_read || says.status == io_status::want_write); ++i) {
      SSL_do_handshake(ssl.get());
      says = ours.handshake();
    }
    if (says.status != io_status::done) {
      EXPECT_EQ(io_status::failed, says.status);
      ERR_clear_error();
      char byte = 0;
      SSL_do_handshake(ssl.get());
      SSL_read(ssl.get(), &byte, 1);
      alert_ = ERR_GET_REASON(ERR_peek_last_error()) - SSL_AD_REASON_OFFSET;
    }
    return ours.failure();
  }
  kind presented_with(const issued& issuer) { return present(leaf_, {issuer}).what; }

  issued root_ = issue({.domain = "Root", .authority = true});
  issued leaf_ = issue({.domain = "far.example"}, &root_);
  int alert_ = 0;
};

TEST_P(PeerLimits, SoManyIssuers) {
  for (const std::size_t count : {certificate_limits::issuers - 1, certificate_limits::issuers}) {
    EXPECT_EQ(kind::none, present(leaf_, std::vector<issued>(count, root_)).what) << count;
  }
  const auto failure = present(leaf_, std::vector<issued>(certificate_limits::issuers + 1, root_));
  EXPECT_EQ(kind::certificate_limits, failure.what);
  EXPECT_EQ("the peer presents a chain of 6 issuers", failure.text);
  EXPECT_EQ(SSL_AD_BAD_CERTIFICATE, alert_);
  EXPECT_EQ(kind::certificate_limits, present(leaf_, std::vector<issued>(100, root_)).what);
}

TEST_P(PeerLimits, SoManyNames) {
  const auto named = [&](std::size_t count) {
    return issue({.domain = "far.example", .names = std::vector<std::string>(count, "DNS:x.example")}, &root_);
  };
  for (const std::size_t count : {certificate_limits::names - 1, certificate_limits::names}) {
    EXPECT_EQ(kind::none, present(named(count), {root_}).what);
    EXPECT_EQ(kind::none, presented_with(named(count)));
  }
  const auto failure = present(named(certificate_limits::names + 1), {root_});
  EXPECT_EQ(kind::certificate_limits, failure.what);
  EXPECT_EQ("the peer presents 257 names", failure.text);
  EXPECT_EQ(SSL_AD_BAD_CERTIFICATE, alert_);
  EXPECT_EQ(kind::certificate_limits, presented_with(named(certificate_limits::names + 1)));
}

TEST_P(PeerLimits, SoManyBytes) {
  // Of Ed25519, whose signatures are all of one size; RFC 8446 §4.4.2 has nine bytes around a lone certificate.
  const auto signer = issue({.domain = "Root", .curve = "ED25519", .authority = true});
  const auto sized = [&](std::size_t size) {
    std::size_t filler = size - 300;
    while (true) {
      auto c = issue({.domain = "far.example", .names = {{"DNS:far.example", "URI:" + std::string(filler, 'x')}}},
                     &signer, EVP_PKEY_dup(leaf_.key()));
      if (c.der().size() == size) {
        return c;
      }
      filler += size - c.der().size();
    }
  };
  constexpr std::size_t around = 9;
  EXPECT_EQ(kind::none, present(sized(certificate_limits::bytes - around - 1), {}).what);
  EXPECT_EQ(kind::none, present(sized(certificate_limits::bytes - around), {}).what);
  EXPECT_EQ(kind::certificate_limits, present(sized(certificate_limits::bytes - around + 1), {}).what);
  EXPECT_EQ(SSL_AD_ILLEGAL_PARAMETER, alert_);
  EXPECT_EQ(kind::certificate_limits, present(leaf_, std::vector<issued>(5, sized(20'000))).what);
}

TEST_P(PeerLimits, KeysOfSuchSizes) {
  const auto rsa = [&](int bits) { return issue({.domain = "far.example", .rsa_bits = bits}, &root_); };
  EXPECT_EQ(kind::none, present(rsa(2048), {root_}).what);
  const auto failure = present(rsa(2047), {root_});
  EXPECT_EQ(kind::certificate_limits, failure.what);
  EXPECT_EQ("the peer presents an RSA key of 2047 bits", failure.text);
  const auto keyed = [&](EVP_PKEY* key) { return issue({.domain = "x", .authority = true}, &root_, key); };
  EXPECT_EQ(kind::none, presented_with(keyed(fakes::public_rsa(8192))));
  EXPECT_EQ(kind::certificate_limits, presented_with(keyed(fakes::public_rsa(8193))));
  EXPECT_EQ(kind::certificate_limits, presented_with(keyed(fakes::public_rsa(16384))));
  EXPECT_EQ(kind::none, presented_with(keyed(fakes::public_rsa(2048, certificate_limits::largest_exponent))));
  EXPECT_EQ(kind::certificate_limits,
            presented_with(keyed(fakes::public_rsa(2048, certificate_limits::largest_exponent + 1))));
}

TEST_P(PeerLimits, NoCurveOfItsOwn) {  // CVE-2022-0778
  const auto own = issue({.domain = "x", .authority = true}, &root_, fakes::explicit_curve());
  const auto failure = present(leaf_, {own});
  EXPECT_EQ(kind::certificate_limits, failure.what);
  EXPECT_EQ("the peer presents a curve given by its parameters", failure.text);
}

INSTANTIATE_TEST_SUITE_P(Ends, PeerLimits, ::testing::Values(peer_role::server, peer_role::client), [](const auto& p) {
  return std::string{p.param == peer_role::server ? "Outbound" : "Inbound"};
});

// ---- time ----

double cpu_milliseconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
}

#if defined(__has_feature) && (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
constexpr double allowed = 2000;  // what is measured there is the sanitizer
#else
constexpr double allowed = 50;
#endif

class JudgingTime : public ::testing::Test {
protected:
  /// The RSA signature of a certificate in place of its own, right in size alone.
  static void sign_by_nobody(const issued& c, int bits) {
    const ASN1_BIT_STRING* signature = nullptr;
    X509_get0_signature(&signature, nullptr, c.certificate());
    const std::string any(static_cast<std::size_t>(bits / 8), '\x11');
    ASN1_STRING_set(const_cast<ASN1_BIT_STRING*>(signature), any.data(), static_cast<int>(any.size()));
  }
  double judged(const issued& leaf, const std::vector<issued>& issuers, const std::vector<dns::tlsa_record>& records,
                dane_result expected) {
    const std::array names{reference_identity::service_domain("a.example")};
    const auto peer = fakes::presented(leaf, issuers);
    const double start = cpu_milliseconds();
    EXPECT_FALSE(judge_chain(peer, *trust_, {}).ok());
    EXPECT_EQ(expected, judge_dane(peer, records, names, *trust_, {}).result);
    (void)summary(peer);
    return cpu_milliseconds() - start;
  }
  static dns::tlsa_record full(int selector, const issued& c) {
    return {2, static_cast<std::uint8_t>(selector), 0, selector == 0 ? c.der() : c.key_der()};
  }

  fakes::folder folder_;
  issued root_ = issue({.domain = "Root", .authority = true});
  std::shared_ptr<const trust_store> trust_ =
      trust_store::load({fakes::write(folder_.path(), "ca.pem", fakes::pem({root_})), {}}).value();
};

TEST_F(JudgingTime, OfTheLargestKeysIsBounded) {
  const auto signer = issue({.domain = "Signer", .rsa_bits = 2048, .authority = true});
  const auto large = [&](const std::string& name) {
    const auto c = issue({.domain = name, .authority = true}, &signer,
                         fakes::public_rsa(certificate_limits::largest_rsa, certificate_limits::largest_exponent));
    sign_by_nobody(c, certificate_limits::largest_rsa);
    return c;
  };
  const auto issuer = large("Signer");
  const auto leaf = issue({.domain = "a.example"}, &signer);
  sign_by_nobody(leaf, certificate_limits::largest_rsa);
  std::vector<dns::tlsa_record> keys;
  for (std::size_t i = 0; i < tlsa_records_looked_at; ++i) {
    keys.push_back(full(1, large("Key")));
  }
  const std::vector<issued> chain(certificate_limits::issuers, issuer);
  EXPECT_GT(allowed, judged(leaf, chain, keys, dane_result::mismatch));
}

TEST_F(JudgingTime, OfManyNamesAndConstraintsIsBounded) {  // RFC 5280 §4.2.1.10 compares each with each
  std::string constraints = "permitted;DNS:a.example";
  for (int i = 0; i < 2500; ++i) {
    constraints += ",permitted;DNS:" + std::to_string(i);
  }
  const auto anchor = issue({.domain = "Anchor", .authority = true});
  const auto bound = issue({.domain = "Bound", .authority = true, .constraints = constraints}, &anchor);
  std::vector<std::string> names(certificate_limits::names, "DNS:" + std::string(60, 'x') + ".a.example");
  names[0] = "DNS:a.example";
  const auto leaf = issue({.domain = "c", .names = names}, &bound);
  ASSERT_GT(certificate_limits::bytes, leaf.der().size() + bound.der().size());
  EXPECT_GT(allowed, judged(leaf, {bound}, {full(0, anchor)}, dane_result::matched));
}

}  // namespace
}  // namespace comity::tls
