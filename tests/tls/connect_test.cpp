// Connections between servers: what each end asks for, presents and refuses.
#include <cstring>

#include "tls/identity.hpp"
#include "tls/two_servers.hpp"

namespace comity::tls {
namespace {

using ::testing::ElementsAre;

class Connect : public TwoServers {};

TEST_F(Connect, BothEndsKnowWhatTheOtherPresented) {  // E09, G03, L10
  ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_));
  const auto server = talk_.client.facts();
  EXPECT_EQ("TLSv1.3", server.version);
  EXPECT_EQ("TLS_AES_256_GCM_SHA384", server.cipher);
  EXPECT_EQ("xmpp-server", server.alpn);
  EXPECT_FALSE(server.resumed);
  ASSERT_TRUE(server.peer);
  EXPECT_EQ("CN=far.example", server.peer->subject);
  EXPECT_EQ("CN=Intermediate", server.peer->issuer);
  EXPECT_THAT(server.peer->names, ElementsAre("DNS:far.example"));
  EXPECT_EQ(certificates(*far_server_.current())[0].sha256, server.peer->sha256);
  EXPECT_EQ(certificates(*far_server_.current())[0].not_after, server.peer->not_after);
  EXPECT_EQ(certificates(*far_server_.current())[0].not_before, server.peer->not_before);

  const auto client = talk_.server.facts();
  EXPECT_EQ("far.example", client.sni);
  ASSERT_TRUE(client.peer);
  EXPECT_EQ("CN=near.example", client.peer->subject);
  EXPECT_EQ(certificates(*near_server_.current())[0].sha256, client.peer->sha256);
  EXPECT_THAT(identifiers(talk_.server.peer()).dns, ElementsAre("near.example"));
  EXPECT_EQ(fingerprint(served_credentials(*near_server_.current(), "near.example"), hash::sha256),
            fingerprint(talk_.server.peer(), hash::sha256));
}

TEST_F(Connect, PresentsTheCertificateOfTheLocalDomainInForce) {
  auto options = to_far();
  options.local_domain = "Second.Example";
  ASSERT_TRUE(talk_.connect(client_, options, far_server_));
  EXPECT_EQ("CN=second.example", talk_.server.facts().peer->subject);
  near_server_.swap(server_context::load({near_[0]}, protocol_version::tls_1_2).value());
  tls_pair without;
  ASSERT_TRUE(without.connect(client_, options, far_server_));
  EXPECT_FALSE(without.server.peer());
  EXPECT_FALSE(without.server.facts().peer);
}

TEST_F(Connect, IsAskedForNoCertificateUnlessRequested) {
  ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_, client_certificate::not_requested));
  EXPECT_FALSE(talk_.server.peer());
  EXPECT_TRUE(talk_.client.peer());
}

TEST_F(Connect, NamesTheServerItMeans) {  // D01, RFC 6066 §3
  auto options = to_far();
  options.server_name = "other.example";
  ASSERT_TRUE(talk_.connect(client_, options, far_server_));
  EXPECT_EQ("other.example", talk_.server.facts().sni);
  EXPECT_EQ("other.example", talk_.client.facts().sni);
  EXPECT_EQ("CN=other.example", talk_.client.facts().peer->subject);
  EXPECT_TRUE(talk_.client.peer());
}

TEST_F(Connect, SendsNoNameForAnAddress) {  // RFC 6066 §3
  for (const auto* address : {"", "192.0.2.1", "2001:db8::1"}) {
    tls_pair talk;
    auto options = to_far();
    options.server_name = address;
    ASSERT_TRUE(talk.connect(client_, options, far_server_));
    EXPECT_EQ("", talk.server.facts().sni);
    EXPECT_EQ("", talk.client.facts().sni);
    EXPECT_FALSE(talk.client.facts().sni_acknowledged);
  }
}

TEST_F(Connect, WithoutANameTheStreamsOwnDomainIsServed) {  // E09, RFC 6120 §5.4.3.1 (4)
  auto options = to_far();
  options.server_name = {};
  talk_.server.accept(far_server_, {}, "other.example", client_certificate::requested);
  talk_.client.connect(client_, options);
  ASSERT_FALSE(talk_.shake()) << "an offer of ALPN that meets none";
  tls_pair talk;
  options.alpn = {};
  talk.server.accept(far_server_, {}, "other.example", client_certificate::requested);
  talk.client.connect(client_, options);
  ASSERT_TRUE(talk.shake());
  EXPECT_EQ("CN=other.example", talk.client.facts().peer->subject);
  EXPECT_EQ("CN=near.example", talk.server.facts().peer->subject);
}

// RFC 7671 §3: whoever goes by TLSA records names the target of our SRV record.
TEST_F(Connect, UnderAStrangersNameTheStreamsOwnDomainIsServed) {
  auto options = to_far();
  options.server_name = "target.example";
  options.alpn = {};
  talk_.server.accept(far_server_, {}, "other.example", client_certificate::requested);
  talk_.client.connect(client_, options);
  ASSERT_TRUE(talk_.shake());
  EXPECT_EQ("CN=other.example", talk_.client.facts().peer->subject);
  EXPECT_EQ("target.example", talk_.server.facts().sni);
  EXPECT_FALSE(talk_.client.facts().sni_acknowledged);
}

TEST_F(Connect, UnderAStrangersNameWhoAsksForOurProtocolGetsTheFirstHost) {
  auto options = to_far();
  options.server_name = "target.example";
  ASSERT_TRUE(talk_.connect(client_, options, far_server_));
  EXPECT_EQ("CN=far.example", talk_.client.facts().peer->subject);
  EXPECT_EQ("xmpp-server", talk_.client.facts().alpn);
}

TEST_F(Connect, AStrangersNameAloneIsRefused) {  // D10, RFC 9325 §3.7
  static constexpr std::array<std::string_view, 1> h2{"h2"};
  auto options = to_far();
  options.server_name = "target.example";
  for (const auto offer : {std::span<const std::string_view>{}, std::span<const std::string_view>{h2}}) {
    tls_pair talk;
    options.alpn = offer;
    EXPECT_FALSE(talk.connect(client_, options, far_server_));
    EXPECT_EQ(tls_failure::kind::unrecognized_name, talk.server.failure().what);
  }
  options.alpn = tls_pair::xmpp_server;
  tls_pair client_of_ours;
  EXPECT_FALSE(client_of_ours.connect(client_, options, far_server_, client_certificate::not_requested));
  EXPECT_EQ(tls_failure::kind::unrecognized_name, client_of_ours.server.failure().what);
}

TEST_F(Connect, KnowsWhetherTheServerAcknowledgedTheName) {  // D10, RFC 9325 §3.7
  for (const bool acknowledges : {false, true}) {
    rogue server;
    wire w;
    if (acknowledges) {
      SSL_CTX_set_tlsext_servername_callback(
          server.context.get(), +[](SSL*, int*, void*) { return SSL_TLSEXT_ERR_OK; });
    }
    stream client{w.ends[0]};
    client.connect(client_, to_far());
    ASSERT_EQ(io_status::done, server.meet(client, w.ends[1]).status);
    EXPECT_EQ(acknowledges, client.facts().sni_acknowledged);
  }
}

TEST_F(Connect, CarriesBytesBothWaysAndEndsInOrder) {  // F09
  ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_));
  std::array<char, 64> into{};
  EXPECT_EQ(5U, talk_.client.write("hello").bytes);
  EXPECT_EQ(5U, talk_.server.read(into).bytes);
  EXPECT_EQ(5U, talk_.server.write("world").bytes);
  EXPECT_EQ(5U, talk_.client.read(into).bytes);
  EXPECT_EQ(io_status::done, talk_.client.close_notify().status);
  EXPECT_EQ(io_status::closed, talk_.server.read(into).status);
  EXPECT_EQ(io_status::done, talk_.server.close_notify().status);
  EXPECT_EQ(io_status::closed, talk_.client.read(into).status);
}

TEST_F(Connect, BindingsAreEqualOnBothEnds) {  // L04
  ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_));
  EXPECT_EQ(32U, talk_.client.exporter_binding().size());
  EXPECT_EQ(talk_.server.exporter_binding(), talk_.client.exporter_binding());
  EXPECT_EQ(32U, talk_.client.end_point_binding().size());
  EXPECT_EQ(talk_.server.end_point_binding(), talk_.client.end_point_binding());
}

// ---- application protocols ----

TEST_F(Connect, OffersItsProtocols) {  // D02
  static constexpr std::array<std::string_view, 2> offer{"xmpp-server", "h2"};
  auto options = to_far();
  options.alpn = offer;
  ASSERT_TRUE(talk_.connect(client_, options, far_server_));
  EXPECT_THAT(talk_.server.alpn_offered(), ElementsAre("xmpp-server", "h2"));
  EXPECT_THAT(talk_.client.alpn_offered(), ElementsAre());
}

TEST_F(Connect, OffersNoneOnStarttls) {
  auto options = to_far();
  options.alpn = {};
  ASSERT_TRUE(talk_.connect(client_, options, far_server_));
  EXPECT_THAT(talk_.server.alpn_offered(), ElementsAre());
  EXPECT_EQ("", talk_.client.facts().alpn);
}

TEST_F(Connect, AServerThatSelectsNothingIsAccepted) {  // D08
  rogue server;
  wire w;
  stream client{w.ends[0]};
  client.connect(client_, to_far());
  EXPECT_EQ(io_status::done, server.meet(client, w.ends[1]).status);
  EXPECT_EQ("", client.facts().alpn);
}

TEST_F(Connect, AServerThatSelectsWhatWasNotOfferedIsNot) {  // D09, RFC 9325 §3.8
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    rogue server;
    wire w;
    SSL_CTX_set_max_proto_version(server.context.get(), version);
    SSL_CTX_set_alpn_select_cb(
        server.context.get(),
        +[](SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned, void*) {
          *out = reinterpret_cast<const unsigned char*>("h\n");
          *size = 2;
          return SSL_TLSEXT_ERR_OK;
        },
        nullptr);
    stream client{w.ends[0]};
    client.connect(client_, to_far());
    EXPECT_EQ(io_status::failed, server.meet(client, w.ends[1]).status);
    EXPECT_EQ(tls_failure::kind::no_application_protocol, client.failure().what) << client.failure().text;
    EXPECT_EQ("the server selects what was not offered: h?", client.failure().text);
    EXPECT_FALSE(client.encrypted());
    EXPECT_FALSE(client.peer());
    EXPECT_EQ(io_status::done, client.close_notify().status);
  }
}

TEST_F(Connect, ARefusalOfAllProtocolsIsTold) {  // D06, D09
  static constexpr std::array<std::string_view, 1> h2{"h2"};
  auto options = to_far();
  options.alpn = h2;
  EXPECT_FALSE(talk_.connect(client_, options, far_server_));
  EXPECT_EQ(tls_failure::kind::no_application_protocol, talk_.client.failure().what);
  EXPECT_EQ("alert: no application protocol", talk_.client.failure().text);
}

// ---- failures ----

TEST_F(Connect, TheServersAlertIsQuoted) {
  auto options = to_far();
  options.server_name = "none.example";
  options.alpn = {};
  EXPECT_FALSE(talk_.connect(client_, options, far_server_));
  EXPECT_EQ(io_status::failed, talk_.client_says.status);
  EXPECT_EQ(tls_failure::kind::peer_alert, talk_.client.failure().what);
  EXPECT_EQ("alert: unrecognized name", talk_.client.failure().text);
}

TEST_F(Connect, NeverTriesLowerVersionsAgain) {  // F01, F02, RFC 9325 §3.1.3
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    rogue server;
    wire w;
    SSL_CTX_set_min_proto_version(server.context.get(), version);
    SSL_CTX_set_max_proto_version(server.context.get(), version);
    SSL_CTX_set_cipher_list(server.context.get(), "ALL:@SECLEVEL=0");
    stream client{w.ends[0]};
    client.connect(client_, to_far());
    EXPECT_EQ(io_status::failed, server.meet(client, w.ends[1]).status);
    EXPECT_EQ(tls_failure::kind::peer_alert, client.failure().what);
    EXPECT_EQ("alert: protocol version", client.failure().text);
    EXPECT_NE(io_status::want_read, client.handshake().status);
    std::array<char, 4096> more{};
    EXPECT_EQ(-1, ::recv(w.ends[1], more.data(), more.size(), MSG_PEEK | MSG_DONTWAIT)) << "nothing follows";
  }
}

TEST_F(Connect, ItsOwnMinimumHolds) {  // F01
  load(near_, far_, protocol_version::tls_1_3);
  rogue server;
  wire w;
  SSL_CTX_set_max_proto_version(server.context.get(), TLS1_2_VERSION);
  stream client{w.ends[0]};
  client.connect(client_, to_far());
  EXPECT_EQ(io_status::failed, server.meet(client, w.ends[1]).status);
  ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_));
}

TEST_F(Connect, RefusesWeakSuitesOfTls12) {  // F03
  for (const auto* suite : {"ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-NULL-SHA"}) {
    rogue server;
    wire w;
    SSL_CTX_set_max_proto_version(server.context.get(), TLS1_2_VERSION);
    ASSERT_EQ(1, SSL_CTX_set_cipher_list(server.context.get(), suite)) << suite;
    stream client{w.ends[0]};
    client.connect(client_, to_far());
    EXPECT_EQ(io_status::failed, server.meet(client, w.ends[1]).status) << suite;
  }
}

TEST_F(Connect, WhatIsNoTlsIsToldSo) {
  for (const auto* answer : {"HTTP/1.1 400 Bad Request\r\n\r\n", "<?xml version='1.0'?><stream:stream>",
                             "220 mail.example ESMTP\r\n", "SSH-2.0-OpenSSH_9.2\r\n"}) {
    wire w;
    stream client{w.ends[0]};
    client.connect(client_, to_far());
    EXPECT_EQ(io_status::want_read, client.handshake().status);
    ASSERT_LT(0, ::send(w.ends[1], answer, std::strlen(answer), 0));
    EXPECT_EQ(io_status::failed, client.handshake().status);
    EXPECT_EQ(tls_failure::kind::not_tls, client.failure().what) << answer << client.failure().text;
  }
}

TEST_F(Connect, AnEndInsideTheHandshakeIsTruncation) {  // THREATS B10
  wire w;
  stream client{w.ends[0]};
  client.connect(client_, to_far());
  EXPECT_EQ(io_status::want_read, client.handshake().status);
  ::shutdown(w.ends[1], SHUT_WR);
  EXPECT_EQ(io_status::truncated, client.handshake().status);
}

TEST_F(Connect, AServerThatRenegotiatesIsCutOff) {  // F05, RFC 6120 §5.3.5, THREATS B4
  rogue server;
  wire w;
  SSL_CTX_set_max_proto_version(server.context.get(), TLS1_2_VERSION);
  stream client{w.ends[0]};
  client.connect(client_, to_far());
  ASSERT_EQ(io_status::done, server.meet(client, w.ends[1]).status);
  ASSERT_EQ(1, SSL_renegotiate(server.ssl.get()));
  SSL_do_handshake(server.ssl.get());
  std::array<char, 64> into{};
  EXPECT_EQ(io_status::failed, client.read(into).status);
  EXPECT_EQ("the peer wants to renegotiate", client.failure().text);
}

TEST_F(Connect, AFloodOfTicketsIsCutOff) {  // THREATS B4, B6
  for (const int count : {64, 65}) {
    rogue server;
    wire w;
    stream client{w.ends[0]};
    SSL_CTX_set_num_tickets(server.context.get(), 0);
    client.connect(client_, to_far());
    ASSERT_EQ(io_status::done, server.meet(client, w.ends[1]).status);
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(1, SSL_new_session_ticket(server.ssl.get()));
    }
    ASSERT_EQ(1, SSL_write(server.ssl.get(), "x", 1));
    io_result r{io_status::want_read, 0};
    std::array<char, 64> into{};
    for (int i = 0; i < 100 && r.status == io_status::want_read; ++i) {
      r = client.read(into);
    }
    EXPECT_EQ(count > 64 ? io_status::failed : io_status::done, r.status) << client.failure().text;
  }
}

}  // namespace
}  // namespace comity::tls
