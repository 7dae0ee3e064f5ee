// The policy of RFC 9325 seen from an OpenSSL client that would do anything.
#include <gmock/gmock.h>

#include <algorithm>

#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"

namespace comity::tls {
namespace {

using ::testing::HasSubstr;

constexpr int alert(int number) {
  return SSL_AD_REASON_OFFSET + number;
}

class TlsPolicy : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<fakes::folder>();
    hosts_ = {fakes::write_certificate(directory_->path(), {.domain = "a.example", .by_authority = true}),
              fakes::write_certificate(directory_->path(), {.domain = "b.example", .rsa_bits = 2048})};
  }
  static void TearDownTestSuite() { directory_.reset(); }
  void SetUp() override { context_.swap(server_context::load(hosts_, protocol_version::tls_1_2).value()); }

  static std::unique_ptr<fakes::folder> directory_;
  static std::vector<host_certificate> hosts_;
  server_context context_;
  fakes::tls_client client_;
  fakes::tls_dialogue talk_;
};
std::unique_ptr<fakes::folder> TlsPolicy::directory_;
std::vector<host_certificate> TlsPolicy::hosts_;

// ---- names ----

TEST_F(TlsPolicy, WithoutNameServesTheDefaultDomain) {  // D11, E09
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, nullptr, "b.example").status);
  EXPECT_EQ("b.example", client_.chain().at(0));
}

TEST_F(TlsPolicy, WithAnUnknownDefaultDomainServesTheFirstHost) {  // D11
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, nullptr, "none.example").status);
  EXPECT_EQ("a.example", client_.chain().at(0));
}

TEST_F(TlsPolicy, ANameWinsOverTheDefaultDomain) {
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, "a.example", "b.example").status);
  EXPECT_EQ("a.example", client_.chain().at(0));
  EXPECT_EQ("a.example", talk_.server.facts().sni);
}

TEST_F(TlsPolicy, ServesTheIntermediateToo) {
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, "a.example").status);
  EXPECT_EQ((std::vector<std::string>{"a.example", "Intermediate"}), client_.chain());
}

TEST_F(TlsPolicy, AStrangersNameIsPrintableInTheFailure) {  // D10
  EXPECT_EQ(io_status::failed, talk_.connect(context_, client_, "x\n\x1b[2J.example").status);
  EXPECT_EQ("no host of that name: x??[2J.example", talk_.server.failure().text);
  EXPECT_EQ(alert(SSL_AD_UNRECOGNIZED_NAME), client_.error());
}

// ---- application protocols ----

TEST_F(TlsPolicy, SelectsXmppClientWhereverItStandsInTheOffer) {  // D06, RFC 7301 §3.2
  std::vector<std::string> offer{"\x0bxmpp-client", "\x0bxmpp-server", "\x02h2", "\x08http/1.1"};
  std::ranges::sort(offer);
  do {
    std::string wire;
    for (const auto& name : offer) {
      wire += name;
    }
    fakes::tls_dialogue talk;
    SSL_CTX_set_alpn_protos(client_.context(), reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned>(wire.size()));
    ASSERT_EQ(io_status::done, talk.connect(context_, client_).status);
    EXPECT_EQ("xmpp-client", talk.server.facts().alpn);
    EXPECT_EQ(4U, talk.server.alpn_offered().size());
  } while (std::ranges::next_permutation(offer).found);
}

TEST_F(TlsPolicy, KeepsTheFirstEightOffersAlone) {
  std::string wire;
  for (char c = 'a'; c < 'a' + 20; ++c) {
    wire += std::string{'\x01', c};
  }
  SSL_CTX_set_alpn_protos(client_.context(), reinterpret_cast<const unsigned char*>(wire.data()),
                          static_cast<unsigned>(wire.size()));
  EXPECT_EQ(io_status::failed, talk_.connect(context_, client_).status);
  EXPECT_EQ((std::vector<std::string>{"a", "b", "c", "d", "e", "f", "g", "h"}), talk_.server.alpn_offered());
}

// ---- versions and suites ----

TEST_F(TlsPolicy, RefusesVersionsBeforeTls12) {  // F01
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    fakes::tls_dialogue talk;
    SSL_CTX_set_min_proto_version(client_.context(), version);
    SSL_CTX_set_max_proto_version(client_.context(), version);
    SSL_CTX_set_cipher_list(client_.context(), "ALL:@SECLEVEL=0");
    EXPECT_EQ(io_status::failed, talk.connect(context_, client_).status);
    EXPECT_EQ(tls_failure::kind::protocol_version, talk.server.failure().what);
    EXPECT_EQ(alert(SSL_AD_PROTOCOL_VERSION), client_.error());
  }
}

TEST_F(TlsPolicy, PrefersTls13AndServesTls12) {  // F01
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  EXPECT_EQ("TLSv1.3", talk_.server.facts().version);
  fakes::tls_dialogue older;
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  ASSERT_EQ(io_status::done, older.connect(context_, client_).status);
  EXPECT_EQ("TLSv1.2", older.server.facts().version);
}

TEST_F(TlsPolicy, WhereTls13IsTheLeastRefusesTls12) {
  context_.swap(server_context::load(hosts_, protocol_version::tls_1_3).value());
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  EXPECT_EQ(io_status::failed, talk_.connect(context_, client_).status);
  EXPECT_EQ(tls_failure::kind::protocol_version, talk_.server.failure().what);
}

TEST_F(TlsPolicy, RefusesAFallback) {  // F02, RFC 7507
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  SSL_CTX_set_mode(client_.context(), SSL_MODE_SEND_FALLBACK_SCSV);
  EXPECT_EQ(io_status::failed, talk_.connect(context_, client_).status);
  EXPECT_EQ(alert(SSL_AD_INAPPROPRIATE_FALLBACK), client_.error());
}

TEST_F(TlsPolicy, RefusesSuitesWithoutForwardSecrecyOrAuthenticatedEncryption) {  // F03
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  for (const auto* suite : {"AES128-GCM-SHA256", "AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384",
                            "DHE-RSA-AES256-GCM-SHA384", "NULL-SHA256", "ADH-AES128-SHA256", "AECDH-AES128-SHA"}) {
    for (const auto* host : {"a.example", "b.example"}) {
      fakes::tls_dialogue talk;
      ASSERT_EQ(1, SSL_CTX_set_cipher_list(client_.context(), suite)) << suite;
      EXPECT_EQ(io_status::failed, talk.connect(context_, client_, host).status) << suite;
      EXPECT_EQ(tls_failure::kind::no_shared_cipher, talk.server.failure().what) << suite;
      EXPECT_EQ(alert(SSL_AD_HANDSHAKE_FAILURE), client_.error()) << suite;
    }
  }
}

TEST_F(TlsPolicy, Tls12HasExtendedMasterSecretAndSecureRenegotiationAndNoCompression) {  // F05
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  SSL_CTX_clear_options(client_.context(), SSL_OP_NO_COMPRESSION);
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  EXPECT_EQ(1, SSL_get_extms_support(client_.ssl()));
  EXPECT_EQ(1, SSL_get_secure_renegotiation_support(client_.ssl()));
  EXPECT_EQ(nullptr, SSL_get_current_compression(client_.ssl()));
}

TEST_F(TlsPolicy, WhoRenegotiatesIsCutOff) {  // F05, RFC 6120 §5.3.5; THREATS B4
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  ASSERT_EQ(1, SSL_renegotiate(client_.ssl()));
  (void)SSL_do_handshake(client_.ssl());
  EXPECT_EQ(io_status::failed, talk_.read().status);
  EXPECT_EQ("the peer wants to renegotiate", talk_.server.failure().text);
}

TEST_F(TlsPolicy, SomeKeyUpdatesAreServedAFloodIsCutOff) {  // THREATS B4
  for (const int updates : {63, 64, 65, 1000}) {
    fakes::tls_dialogue talk;
    fakes::tls_client client;
    ASSERT_EQ(io_status::done, talk.connect(context_, client).status);
    auto last = io_status::want_read;
    int served = 0;
    for (; served < updates && last == io_status::want_read; ++served) {
      ASSERT_EQ(1, SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED));
      ASSERT_EQ(1, SSL_do_handshake(client.ssl()));
      last = talk.read().status;
      last = last == io_status::want_read ? talk.read().status : last;  // a read handles one step at a time
      (void)client.read();
    }
    EXPECT_EQ(std::min(updates, 65), served);
    if (updates <= 64) {
      ASSERT_EQ(5, client.write("hello"));
      while (last == io_status::want_read) {
        last = talk.read().status;
      }
      EXPECT_EQ("hello", talk.got);
    } else {
      EXPECT_EQ(io_status::failed, last);
      EXPECT_EQ("too many key updates or tickets", talk.server.failure().text);
    }
  }
}

TEST_F(TlsPolicy, AFloodThatWaitsInTheSocketIsSeenBeforeItIsAllTaken) {  // THREATS B4
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  for (int i = 0; i < 70; ++i) {
    ASSERT_EQ(1, SSL_key_update(client_.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED));
    ASSERT_EQ(1, SSL_do_handshake(client_.ssl()));
  }
  ASSERT_EQ(5, client_.write("hello"));
  auto r = talk_.read();
  int reads = 1;
  for (; r.status == io_status::want_read && reads < 100; ++reads) {
    r = talk_.read();
  }
  EXPECT_EQ(io_status::failed, r.status);
  EXPECT_EQ("", talk_.got);
}

TEST_F(TlsPolicy, NoTicketAllowsEarlyData) {  // F08
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  ASSERT_NE(nullptr, client_.session());
  EXPECT_EQ(0U, SSL_SESSION_get_max_early_data(client_.session()));
}

// ---- resumption ----

class TlsResumption : public TlsPolicy, public ::testing::WithParamInterface<int> {
protected:
  void SetUp() override {
    TlsPolicy::SetUp();
    SSL_CTX_set_max_proto_version(client_.context(), GetParam());
  }
  /// Whether a second connection with the session of the first resumes it.
  bool resumes(const server_context& with, const char* name) {
    fakes::tls_dialogue again;
    static constexpr std::array<std::string_view, 1> xmpp_client{"xmpp-client"};
    again.server.accept(with, xmpp_client);
    auto* session = client_.session();
    SSL_SESSION_up_ref(session);
    client_.begin(again.client_end(), name);
    SSL_set_session(client_.ssl(), session);
    SSL_SESSION_free(session);
    EXPECT_EQ(io_status::done, again.shake(client_).status);
    EXPECT_EQ(SSL_session_reused(client_.ssl()) == 1, again.server.facts().resumed);
    EXPECT_EQ(name, again.server.facts().sni);
    return again.server.facts().resumed;
  }
};

TEST_P(TlsResumption, WorksAcrossASwapOfCertificates) {  // F06, F07
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, "a.example").status);
  ASSERT_NE(nullptr, client_.session());
  EXPECT_FALSE(talk_.server.facts().resumed);
  EXPECT_TRUE(resumes(context_, "a.example"));
  context_.swap(server_context::load(hosts_, protocol_version::tls_1_2).value());
  EXPECT_TRUE(resumes(context_, "a.example"));
}

TEST_P(TlsResumption, IsForTheHostItWasMadeAt) {  // F07
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, "a.example").status);
  ASSERT_NE(nullptr, client_.session());
  EXPECT_FALSE(resumes(context_, "b.example"));
  EXPECT_EQ("b.example", client_.chain().at(0));
}

TEST_P(TlsResumption, NeedsTheKeysOfTheServerThatGaveTheTicket) {  // F06
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_, "a.example").status);
  ASSERT_NE(nullptr, client_.session());
  server_context other;
  other.swap(server_context::load(hosts_, protocol_version::tls_1_2).value());
  EXPECT_FALSE(resumes(other, "a.example"));
}

INSTANTIATE_TEST_SUITE_P(Versions, TlsResumption, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

// ---- bindings ----

TEST_F(TlsPolicy, ExporterBindingIsEqualOnBothEnds) {  // L04, RFC 9266 §4
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    fakes::tls_dialogue talk;
    SSL_CTX_set_max_proto_version(client_.context(), version);
    EXPECT_EQ("", talk.server.exporter_binding());
    ASSERT_EQ(io_status::done, talk.connect(context_, client_).status);
    std::string theirs(32, '\0');
    ASSERT_EQ(1, SSL_export_keying_material(client_.ssl(), reinterpret_cast<unsigned char*>(theirs.data()), 32,
                                            "EXPORTER-Channel-Binding", 24, nullptr, 0, 1));
    EXPECT_EQ(theirs, talk.server.exporter_binding());
  }
}

TEST_F(TlsPolicy, WithoutExtendedMasterSecretThereIsNoExporterBinding) {  // RFC 9266 §4.2
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  SSL_CTX_set_options(client_.context(), SSL_OP_NO_EXTENDED_MASTER_SECRET);
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  EXPECT_EQ("", talk_.server.exporter_binding());
  EXPECT_EQ(32U, talk_.server.end_point_binding().size());
}

TEST_F(TlsPolicy, UniqueBindingIsTheFirstFinishedOfTheHandshake) {  // L04, RFC 5929 §3.1
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  EXPECT_EQ("", talk_.server.unique_binding());
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  std::string first(12, '\0');
  ASSERT_EQ(first.size(), SSL_get_finished(client_.ssl(), first.data(), first.size()));
  EXPECT_EQ(first, talk_.server.unique_binding());

  fakes::tls_dialogue again;
  auto* const session = client_.session();
  ASSERT_NE(nullptr, session);
  again.server.accept(context_, {}, {});
  client_.begin(again.client_end());
  SSL_set_session(client_.ssl(), session);
  ASSERT_EQ(io_status::done, again.shake(client_).status);
  ASSERT_TRUE(again.server.facts().resumed);
  ASSERT_EQ(first.size(), SSL_get_peer_finished(client_.ssl(), first.data(), first.size()));
  EXPECT_EQ(first, again.server.unique_binding());
}

TEST_F(TlsPolicy, UniqueBindingIsNeitherOfTls13NorWithoutExtendedMasterSecret) {  // RFC 9266 §3, RFC 7627 §1
  ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  ASSERT_EQ("TLSv1.3", talk_.server.facts().version);
  EXPECT_EQ("", talk_.server.unique_binding());

  fakes::tls_dialogue older;
  SSL_CTX_set_max_proto_version(client_.context(), TLS1_2_VERSION);
  SSL_CTX_set_options(client_.context(), SSL_OP_NO_EXTENDED_MASTER_SECRET);
  ASSERT_EQ(io_status::done, older.connect(context_, client_).status);
  EXPECT_EQ("", older.server.unique_binding());
}

TEST_F(TlsPolicy, EndPointBindingIsTheHashOfTheCertificateServed) {  // L04, RFC 5929 §4.1
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto* host : {"a.example", "b.example"}) {
      fakes::tls_dialogue talk;
      SSL_CTX_set_max_proto_version(client_.context(), version);
      EXPECT_EQ("", talk.server.end_point_binding());
      ASSERT_EQ(io_status::done, talk.connect(context_, client_, host).status);
      auto* served = SSL_get1_peer_certificate(client_.ssl());
      std::string sum(32, '\0');
      X509_digest(served, EVP_sha256(), reinterpret_cast<unsigned char*>(sum.data()), nullptr);
      X509_free(served);
      EXPECT_EQ(sum, talk.server.end_point_binding());
    }
  }
}

}  // namespace
}  // namespace comity::tls
