#include "tls/stream.hpp"
#include "fakes/quiet_socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "fakes/certificate_builder.hpp"
#include "tls/context.hpp"

namespace comity::tls {
namespace {

constexpr std::array<std::string_view, 1> xmpp_client{"xmpp-client"};

class TlsStream : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "comity-tls-XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    auto table = server_context::load({fakes::write_certificate(directory_, {.domain = "a.example"}),
                                       fakes::write_certificate(directory_, {.domain = "b.example"})},
                                      protocol_version::tls_1_2);
    ASSERT_TRUE(table);
    context_.swap(*table);
    ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_.data()));
    client_context_ = SSL_CTX_new(TLS_client_method());
    client_ = SSL_new(client_context_);
    fakes::attach_socket(client_, ends_[1]);
    server_ = stream{ends_[0]};
  }
  void TearDown() override {
    server_ = stream{-1};
    SSL_free(client_);
    SSL_CTX_free(client_context_);
    ::close(ends_[0]);
    if (ends_[1] >= 0) {
      ::close(ends_[1]);
    }
    std::filesystem::remove_all(directory_);
  }
  /// Steps both ends until the server has its answer; the client takes one step more, for an alert.
  io_result shake() {
    server_.accept(context_, xmpp_client);
    io_result r{io_status::want_read, 0};
    for (int i = 0; i < 20 && r.status == io_status::want_read; ++i) {
      step_client();
      r = server_.handshake();
    }
    step_client();
    return r;
  }
  void step_client() {
    ERR_clear_error();
    if (SSL_connect(client_) != 1 && ERR_peek_error() != 0) {
      client_error_ = ERR_GET_REASON(ERR_peek_error());
    }
  }
  std::string served() {
    auto* c = SSL_get1_peer_certificate(client_);
    std::array<char, 64> name{};
    X509_NAME_get_text_by_NID(X509_get_subject_name(c), NID_commonName, name.data(), name.size());
    X509_free(c);
    return name.data();
  }
  std::filesystem::path directory_;
  server_context context_;
  std::array<int, 2> ends_{-1, -1};
  SSL_CTX* client_context_ = nullptr;
  SSL* client_ = nullptr;
  stream server_{-1};
  int client_error_ = 0;
};

TEST_F(TlsStream, ServesTheCertificateOfTheNameInAnyCase) {
  SSL_set_tlsext_host_name(client_, "B.Example");
  ASSERT_EQ(io_status::done, shake().status);
  EXPECT_EQ("b.example", served());
}

TEST_F(TlsStream, WithoutNameServesTheFirstHost) {  // D11, D08: no ALPN offered is accepted
  ASSERT_EQ(io_status::done, shake().status);
  EXPECT_EQ("a.example", served());
}

TEST_F(TlsStream, RefusesAnUnknownNameWithAnAlert) {  // D10, RFC 9325 §3.7
  SSL_set_tlsext_host_name(client_, "c.example");
  EXPECT_EQ(io_status::failed, shake().status);
  EXPECT_EQ(tls_failure::kind::unrecognized_name, server_.failure().what);
  EXPECT_EQ(SSL_AD_REASON_OFFSET + SSL_AD_UNRECOGNIZED_NAME, client_error_);
}

TEST_F(TlsStream, RefusesAlpnWithoutOverlapWithAnAlert) {  // D06, RFC 7301 §3.2
  SSL_set_alpn_protos(client_, reinterpret_cast<const unsigned char*>("\x02h2"), 3);
  EXPECT_EQ(io_status::failed, shake().status);
  EXPECT_EQ(tls_failure::kind::no_application_protocol, server_.failure().what);
  EXPECT_EQ(std::vector<std::string>{"h2"}, server_.alpn_offered());
  EXPECT_EQ(SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL, client_error_);
}

TEST_F(TlsStream, ExporterIsEqualOnBothEnds) {  // RFC 9266
  ASSERT_EQ(io_status::done, shake().status);
  std::string theirs(32, '\0');
  SSL_export_keying_material(client_, reinterpret_cast<unsigned char*>(theirs.data()), 32, "EXPORTER-Channel-Binding",
                             24, nullptr, 0, 1);
  EXPECT_EQ(theirs, server_.exporter_binding());
}

TEST_F(TlsStream, EndWithoutCloseNotifyIsTruncation) {  // THREATS B10
  ASSERT_EQ(io_status::done, shake().status);
  ::shutdown(ends_[1], SHUT_WR);
  std::array<char, 16> into{};
  EXPECT_EQ(io_status::truncated, server_.read(into).status);
}

TEST_F(TlsStream, WritingToAGonePeerRaisesNoSignal) {
  ASSERT_EQ(io_status::done, shake().status);
  ::close(ends_[1]);
  ends_[1] = -1;
  EXPECT_EQ(io_status::truncated, server_.write("x").status);
}

TEST_F(TlsStream, PlainBytesAreNotTls) {
  ASSERT_EQ(16, ::send(ends_[1], "<stream:stream >", 16, 0));
  server_.accept(context_, xmpp_client);
  EXPECT_EQ(io_status::failed, server_.handshake().status);
  EXPECT_EQ(tls_failure::kind::not_tls, server_.failure().what);
}

TEST_F(TlsStream, RefusesWeakCertificatesAtLoad) {  // F04
  const auto loads = [&](const fakes::certificate_plan& plan) {
    return server_context::load({fakes::write_certificate(directory_, plan)}, protocol_version::tls_1_2).has_value();
  };
  EXPECT_FALSE(loads({.domain = "w", .rsa_bits = 2047}));
  EXPECT_TRUE(loads({.domain = "w", .rsa_bits = 2048}));
  EXPECT_FALSE(loads({.domain = "w", .sha1 = true}));
  EXPECT_FALSE(loads({.domain = "w", .until = -1}));
}

}  // namespace
}  // namespace comity::tls
