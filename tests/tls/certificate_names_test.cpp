// THREATS B8: certificates of every kind, judged as the server's that we reached and as the client's that reached us,
// by authorities, by DANE-TA and by DANE-EE: names count the same everywhere, but for DANE-EE, where none counts.
#include <gmock/gmock.h>

#include "dns/answer.hpp"
#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"
#include "tls/chain.hpp"
#include "tls/dane.hpp"
#include "tls/identity.hpp"

namespace comity::tls {
namespace {

using namespace std::string_literals;
using enum identifier_kind;
using chain_problem::expired, chain_problem::not_end_entity, chain_problem::not_yet_valid, chain_problem::untrusted,
    chain_problem::weak, chain_problem::wrong_purpose;
using fakes::issue;
using fakes::issued;

enum class by : std::uint8_t { intermediate, root, stranger, itself, expired_issuer };

struct row {
  const char* what;
  std::vector<std::string> names;
  identifier_kind matches = identifier_kind::none;
  const char* domain = "a.example";
  const char* unicode = "";
  fakes::certificate_plan plan = fakes::certificate_plan{.domain = "certificate"};
  by issuer = by::intermediate;
  chain_problem server = chain_problem::none;
  chain_problem client = server;  // differs for one purpose alone
};

constexpr auto no_name = identifier_kind::none;
const char* const b_idn = "xn--bcher-kva.example";
const char* const b_unicode = "b\u00FCcher.example";

// clang-format off
const std::vector<row> rows{
    // DNS-ID: G04, G08
    {"dns", {"DNS:a.example"}, dns_id},
    {"dns in upper case", {"DNS:A.EXAMPLE"}, dns_id},
    {"dns among others", {"DNS:b.example", "DNS:c.example", "DNS:a.example"}, dns_id},
    {"dns of another name", {"DNS:b.example"}, no_name},
    {"dns of a parent", {"DNS:example"}, no_name},
    {"dns of a child", {"DNS:x.a.example"}, no_name},
    {"dns with a suffix", {"DNS:a.example.org"}, no_name},
    {"dns with a prefix", {"DNS:aa.example"}, no_name},
    {"dns with a final dot", {"DNS:a.example."}, no_name},
    {"dns with a leading dot", {"DNS:.a.example"}, no_name},
    {"dns with an empty label", {"DNS:a..example"}, no_name},
    {"dns with NUL and more", {"DNS:a.example\0.evil.example"s}, no_name},
    {"dns with NUL before", {"DNS:evil\0a.example"s}, no_name},
    {"dns with @", {"DNS:x@a.example"}, no_name},
    {"dns with /", {"DNS:a.example/x"}, no_name},
    {"dns with a space", {"DNS:a.example "}, no_name},
    {"dns with a newline", {"DNS:a.example\n"}, no_name},
    {"dns with a URI in it", {"DNS:xmpp:a.example"}, no_name},
    {"dns empty", {"DNS:"}, no_name},
    {"dns in A-labels", {"DNS:xn--bcher-kva.example"}, dns_id, b_idn, b_unicode},
    {"dns in A-labels, upper case", {"DNS:XN--BCHER-KVA.EXAMPLE"}, dns_id, b_idn, b_unicode},
    {"dns in Unicode", {"DNS:b\u00FCcher.example"}, no_name, b_idn, b_unicode},
    {"dns of an address", {"DNS:192.0.2.1"}, no_name, "192.0.2.1"},
    // Wildcards: G07
    {"wildcard of the level", {"DNS:*.d.example"}, dns_id, "a.d.example"},
    {"wildcard in upper case", {"DNS:*.D.EXAMPLE"}, dns_id, "a.d.example"},
    {"wildcard two levels up", {"DNS:*.d.example"}, no_name, "a.b.d.example"},
    {"wildcard of the bare domain", {"DNS:*.d.example"}, no_name, "d.example"},
    {"wildcard after letters", {"DNS:f*.d.example"}, no_name, "foo.d.example"},
    {"wildcard before letters", {"DNS:*o.d.example"}, no_name, "foo.d.example"},
    {"wildcard between letters", {"DNS:f*o.d.example"}, no_name, "foo.d.example"},
    {"wildcard in an A-label", {"DNS:xn--*.example.org"}, no_name, "xn--bcher-kva.example.org"},
    {"wildcard for an A-label", {"DNS:*.example.org"}, dns_id, "xn--bcher-kva.example.org"},
    {"wildcard in the second label", {"DNS:foo.*.example"}, no_name, "foo.d.example"},
    {"wildcard at the end", {"DNS:foo.d.*"}, no_name, "foo.d.example"},
    {"two wildcards", {"DNS:*.*.example"}, no_name, "foo.d.example"},
    {"wildcard of a top-level domain", {"DNS:*.example"}, no_name},
    {"wildcard of everything", {"DNS:*"}, no_name},
    {"wildcard and dot", {"DNS:*."}, no_name},
    {"wildcard of an address", {"DNS:*.0.2.1"}, no_name, "192.0.2.1"},
    // SRV-ID: G05, G10
    {"srv", {"SRV:_xmpp-server.a.example"}, srv_id},
    {"srv in upper case", {"SRV:_XMPP-SERVER.A.EXAMPLE"}, srv_id},
    {"srv of clients", {"SRV:_xmpp-client.a.example"}, no_name},
    {"srv of another service", {"SRV:_imap.a.example"}, no_name},
    {"srv of direct TLS", {"SRV:_xmpps-server.a.example"}, no_name},
    {"srv of another name", {"SRV:_xmpp-server.b.example"}, no_name},
    {"srv with a wildcard", {"SRV:_xmpp-server.*.d.example"}, no_name, "a.d.example"},
    {"srv with a protocol", {"SRV:_xmpp-server._tcp.a.example"}, no_name},
    {"srv without service", {"SRV:a.example"}, no_name},
    {"srv with NUL", {"SRV:_xmpp-server.a.example\0x"s}, no_name},
    {"srv of the wrong type", {"SRV-UTF8:_xmpp-server.a.example"}, no_name},
    {"srv in A-labels", {"SRV:_xmpp-server.xn--bcher-kva.example"}, srv_id, b_idn, b_unicode},
    // XmppAddr: G06
    {"xmpp", {"XMPP:a.example"}, xmpp_addr},
    {"xmpp in upper case", {"XMPP:A.Example"}, xmpp_addr},
    {"xmpp in Unicode", {"XMPP:b\u00FCcher.example"}, xmpp_addr, b_idn, b_unicode},
    {"xmpp in A-labels", {"XMPP:xn--bcher-kva.example"}, xmpp_addr, b_idn, b_unicode},
    {"xmpp of a user", {"XMPP:user@a.example"}, no_name},
    {"xmpp full", {"XMPP:user@a.example/x"}, no_name},
    {"xmpp with a resource", {"XMPP:a.example/x"}, no_name},
    {"xmpp with a wildcard", {"XMPP:*.d.example"}, no_name, "a.d.example"},
    {"xmpp with NUL", {"XMPP:a.example\0"s}, no_name},
    {"xmpp of the wrong type", {"XMPP-IA5:a.example"}, no_name},
    // What is no identifier: G09
    {"common name alone", {}, no_name, "a.example", "", {.domain = "a.example"}},
    {"common name beside others", {"DNS:b.example"}, no_name, "a.example", "", {.domain = "a.example"}},
    {"common name in a name", {}, no_name, "a.example", "", {.domain = "x,CN=a.example"}},
    {"e-mail", {"EMAIL:a.example"}, no_name},
    {"URI", {"URI:xmpp:a.example"}, no_name},
    // All at once
    {"everything", {"DNS:a.example", "SRV:_xmpp-server.a.example", "XMPP:a.example"}, srv_id},
    // The right name, the wrong certificate: G01, G13, F04
    {"of the root itself", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c"}, by::root},
    {"expired", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .until = -1}, by::intermediate, expired},
    {"not yet valid", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .from = 3600}, by::intermediate,
     not_yet_valid},
    {"of an expired issuer", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c"}, by::expired_issuer, expired},
    {"of a stranger", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c"}, by::stranger, untrusted},
    {"self-signed", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c"}, by::itself, untrusted},
    {"an authority's", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .authority = true}, by::intermediate,
     not_end_entity},
    {"for code", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .purposes = "codeSigning"},
     by::intermediate, wrong_purpose},
    {"for servers", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .purposes = "serverAuth"}},
    {"for both", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .purposes = "serverAuth,clientAuth"}},
    // RFC 5280 §4.2.1.12 leaves no choice: the one row where the directions differ.
    {"for clients", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .purposes = "clientAuth"},
     by::intermediate, wrong_purpose, chain_problem::none},
    {"signed with SHA-1", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .sha1 = true}, by::intermediate,
     weak},
    {"Ed25519", {"DNS:a.example"}, dns_id, "a.example", "", {.domain = "c", .curve = "ED25519"}},
};
// clang-format on

class CertificateNames : public ::testing::Test {
protected:
  CertificateNames() {
    for (const auto& r : rows) {
      auto plan = r.plan;
      plan.names = r.names;
      const auto* issuer = r.issuer == by::intermediate     ? &intermediate_
                           : r.issuer == by::root           ? &root_
                           : r.issuer == by::expired_issuer ? &expired_
                           : r.issuer == by::stranger       ? &stranger_
                                                            : nullptr;
      const auto leaf = issue(plan, issuer);
      leaves_.push_back(leaf);
      peers_.push_back(fakes::presented(leaf, {r.issuer == by::expired_issuer ? expired_ : intermediate_, root_}));
    }
  }
  template <class Judge>
  void each(const Judge& judge) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (const auto role : {peer_role::server, peer_role::client}) {
        SCOPED_TRACE(std::string{rows[i].what} + (role == peer_role::server ? ", out" : ", in"));
        const std::array name{reference_identity::service_domain(rows[i].domain, rows[i].unicode)};
        judge(rows[i], i, judged_as{.role = role}, name, role == peer_role::server ? rows[i].server : rows[i].client);
      }
    }
  }

  issued root_ = issue({.domain = "Root", .authority = true});
  issued intermediate_ = issue({.domain = "Intermediate", .authority = true}, &root_);
  issued expired_ = issue({.domain = "Expired", .from = -7200, .until = -3600, .authority = true}, &root_);
  issued stranger_ = issue({.domain = "Stranger", .authority = true});
  std::vector<issued> leaves_;
  std::vector<peer_credentials> peers_;
  fakes::folder folder_;
  std::shared_ptr<const trust_store> trust_ =
      trust_store::load({fakes::write(folder_.path(), "ca.pem", fakes::pem({root_})), {}}).value();
};

TEST_F(CertificateNames, AreMatchedTheSameInBothDirections) {  // G03-G10, THREATS B8
  ASSERT_LE(60U, rows.size());
  each([&](const row& r, std::size_t i, const judged_as&, const auto& name, chain_problem) {
    EXPECT_EQ(r.matches, match_identity(identifiers(peers_[i]), name).kind);
  });
}

TEST_F(CertificateNames, DoNotMendAChain) {  // G01, D03, THREATS B8
  each([&](const row&, std::size_t i, const judged_as& as, const auto&, chain_problem problem) {
    const auto verdict = judge_chain(peers_[i], *trust_, as);
    EXPECT_EQ(problem, verdict.problem) << verdict.text;
  });
}

TEST_F(CertificateNames, CountUnderDaneTa) {  // B14, B15, THREATS B8 (DANE on)
  const dns::tlsa_record record{2, 0, 1, digest(hash::sha256, root_.der())};
  each([&](const row& r, std::size_t i, const judged_as& as, const auto& name, chain_problem problem) {
    const auto verdict = judge_dane(peers_[i], std::span{&record, 1}, name, *trust_, as);
    if (problem == untrusted) {
      EXPECT_EQ(dane_result::mismatch, verdict.result);
    } else if (problem != chain_problem::none) {
      EXPECT_EQ(dane_result::certificate_wrong, verdict.result);
      EXPECT_EQ(problem, verdict.problem);
    } else {
      EXPECT_EQ(r.matches == no_name ? dane_result::name_mismatch : dane_result::matched, verdict.result);
      EXPECT_EQ(r.matches, verdict.name.kind);
    }
  });
}

TEST_F(CertificateNames, CountForNothingUnderDaneEe) {  // B13, THREATS B8 (DANE on)
  each([&](const row&, std::size_t i, const judged_as& as, const auto& name, chain_problem) {
    const dns::tlsa_record right{3, 1, 1, digest(hash::sha256, leaves_[i].key_der())};
    const auto verdict = judge_dane(peers_[i], std::span{&right, 1}, name, *trust_, as);
    EXPECT_EQ(dane_result::matched, verdict.result) << verdict.text;
    EXPECT_EQ(3, verdict.usage);
    EXPECT_FALSE(verdict.name);
    EXPECT_FALSE(verdict.expires);
    const dns::tlsa_record wrong{3, 1, 1, digest(hash::sha256, root_.key_der())};
    EXPECT_EQ(dane_result::mismatch, judge_dane(peers_[i], std::span{&wrong, 1}, name, *trust_, as).result);
  });
}

}  // namespace
}  // namespace comity::tls
