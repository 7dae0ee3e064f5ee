// How handshakes go that come in pieces, break off, or run while certificates change.
#include <fcntl.h>
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"

namespace comity::tls {
namespace {

constexpr std::array<std::string_view, 1> xmpp_client{"xmpp-client"};

class Handshake : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<fakes::folder>();
    hosts_ = {fakes::write_certificate(directory_->path(), {.domain = "a.example"})};
    others_ = {fakes::write_certificate(directory_->path(), {.domain = "b.example"}), hosts_[0]};
  }
  static void TearDownTestSuite() { directory_.reset(); }
  void SetUp() override { context_.swap(server_context::load(hosts_, protocol_version::tls_1_2).value()); }

  /// What a client says first.
  static std::string client_hello() {
    fakes::tls_client client;
    fakes::tls_dialogue talk;
    client.begin(talk.client_end());
    client.step();
    EXPECT_EQ(io_status::done, talk.read().status);  // in clear: the bytes themselves
    return talk.got;
  }
  /// How a handshake ends whose client says `bytes`, and then goes away where `gone`.
  io_status after(std::string_view bytes, bool gone, tls_failure* why = nullptr) {
    fakes::tls_dialogue talk;
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()), ::send(talk.client_end(), bytes.data(), bytes.size(), 0));
    if (gone) {
      ::shutdown(talk.client_end(), SHUT_WR);
    }
    talk.server.accept(context_, xmpp_client);
    auto r = talk.server.handshake();
    if (r.status == io_status::want_read && gone) {
      r = talk.server.handshake();
    }
    if (why != nullptr) {
      *why = talk.server.failure();
    }
    return r.status;
  }

  static std::unique_ptr<fakes::folder> directory_;
  static std::vector<host_certificate> hosts_, others_;
  server_context context_;
};
std::unique_ptr<fakes::folder> Handshake::directory_;
std::vector<host_certificate> Handshake::hosts_, Handshake::others_;

TEST_F(Handshake, TakesAClientHelloCutAnywhere) {
  const auto hello = client_hello();
  ASSERT_GT(hello.size(), 100U);
  for (std::size_t cut = 0; cut < hello.size(); ++cut) {
    fakes::tls_dialogue talk;
    talk.server.accept(context_, xmpp_client);
    ASSERT_EQ(static_cast<ssize_t>(cut), ::send(talk.client_end(), hello.data(), cut, 0));
    ASSERT_EQ(io_status::want_read, talk.server.handshake().status) << cut;
    std::array<char, 16> answer{};
    ASSERT_EQ(-1, ::recv(talk.client_end(), answer.data(), answer.size(), 0)) << cut;
    ASSERT_GT(::send(talk.client_end(), hello.data() + cut, hello.size() - cut, 0), 0);
    ASSERT_EQ(io_status::want_read, talk.server.handshake().status) << cut;
    ASSERT_EQ(16, ::recv(talk.client_end(), answer.data(), answer.size(), 0)) << cut;
    ASSERT_EQ(0x16, answer[0]) << cut;  // a handshake record: the ServerHello
  }
}

TEST_F(Handshake, ByteByByteIsAsGood) {
  fakes::tls_client client;
  fakes::tls_dialogue far, near;
  near.server.accept(context_, xmpp_client);
  client.begin(far.client_end());
  auto done = io_status::want_read;
  for (int i = 0; i < 10 && done != io_status::done; ++i) {
    client.step();
    std::array<char, 4096> bytes{};
    const auto said = far.server.read(bytes);  // a wire of our own between them
    for (std::size_t k = 0; k < said.bytes && done != io_status::done; ++k) {
      ASSERT_EQ(1, ::send(near.client_end(), &bytes[k], 1, 0));
      done = near.server.handshake().status;
      ASSERT_TRUE(done == io_status::want_read || (done == io_status::done && k + 1 == said.bytes));
    }
    const auto answered = ::recv(near.client_end(), bytes.data(), bytes.size(), 0);
    if (answered > 0) {
      ASSERT_EQ(io_status::done, far.server.write({bytes.data(), static_cast<std::size_t>(answered)}).status);
    }
  }
  EXPECT_EQ(io_status::done, done);
}

TEST_F(Handshake, BrokenOffAnywhereIsTruncated) {  // THREATS B10
  const auto hello = client_hello();
  for (std::size_t cut = 0; cut <= hello.size(); ++cut) {
    ASSERT_EQ(io_status::truncated, after(hello.substr(0, cut), true)) << cut;
  }
}

TEST_F(Handshake, WhatIsNoTlsIsToldSo) {
  using namespace std::string_literals;
  for (const auto& bytes :
       {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"s, "POST / HTTP/1.1\r\n\r\n"s, "CONNECT a:5222 HTTP/1.1\r\n\r\n"s,
        "<?xml version='1.0'?><stream:stream to='a.example'>"s, "SSH-2.0-OpenSSH_9.2\r\n"s, std::string(64, '\0'),
        std::string(64, '\xff'), "\r\n\r\n\r\n\r\n"s}) {
    tls_failure why;
    EXPECT_EQ(io_status::failed, after(bytes, false, &why)) << bytes;
    EXPECT_EQ(tls_failure::kind::not_tls, why.what) << bytes << ": " << why.text;
  }
}

TEST_F(Handshake, AClientThatRefusesTheCertificateIsQuoted) {
  fakes::tls_client client;
  fakes::tls_dialogue talk;
  SSL_CTX_set_verify(client.context(), SSL_VERIFY_PEER, nullptr);
  EXPECT_EQ(io_status::failed, talk.connect(context_, client).status);
  EXPECT_EQ(tls_failure::kind::peer_alert, talk.server.failure().what);
  EXPECT_NE("", talk.server.failure().text);
}

TEST_F(Handshake, IntoAFullSocketWaitsForRoom) {
  fakes::tls_dialogue talk;
  fakes::tls_client client;
  client.begin(talk.client_end());
  client.step();
  const std::string filler(4096, 'x');
  std::size_t before = 0;
  for (auto r = talk.server.write(filler); r.status == io_status::done; r = talk.server.write(filler)) {
    before += r.bytes;
  }
  talk.server.accept(context_, xmpp_client);
  EXPECT_EQ(io_status::want_write, talk.server.handshake().status);
  std::string drained(before, '\0');
  for (std::size_t got = 0; got < before;) {
    const auto n = ::recv(talk.client_end(), drained.data() + got, before - got, 0);
    ASSERT_GT(n, 0);
    got += static_cast<std::size_t>(n);
  }
  EXPECT_EQ(io_status::want_read, talk.server.handshake().status);
  EXPECT_EQ(io_status::done, talk.shake(client).status);
}

TEST_F(Handshake, GoesOnWithTheCertificatesItBeganWith) {  // THREATS X11
  fakes::tls_client client;
  fakes::tls_dialogue talk;
  talk.server.accept(context_, xmpp_client);
  context_.swap(server_context::load(others_, protocol_version::tls_1_2).value());
  client.begin(talk.client_end());
  ASSERT_EQ(io_status::done, talk.shake(client).status);
  EXPECT_EQ("a.example", client.chain().at(0));
  fakes::tls_dialogue next;
  ASSERT_EQ(io_status::done, next.connect(context_, client).status);
  EXPECT_EQ("b.example", client.chain().at(0));
}

TEST_F(Handshake, NoneFailsWhileCertificatesAreSwapped) {  // THREATS X11
  const auto first = context_.current();
  const auto second = server_context::load(others_, protocol_version::tls_1_2).value();
  std::atomic<bool> over{false};
  std::thread swapping{[&] {
    while (!over) {
      context_.swap(second);
      context_.swap(first);
    }
  }};
  std::atomic<int> done{0};
  const auto connecting = [&] {
    for (int i = 0; i < 60; ++i) {
      fakes::tls_client client;
      fakes::tls_dialogue talk;
      done += talk.connect(context_, client, "a.example").status == io_status::done ? 1 : 0;
    }
  };
  std::thread other{connecting};
  connecting();
  other.join();
  over = true;
  swapping.join();
  EXPECT_EQ(120, done);
}

// ---- bytes and ends ----

class Established : public Handshake {
protected:
  void SetUp() override {
    Handshake::SetUp();
    ASSERT_EQ(io_status::done, talk_.connect(context_, client_).status);
  }
  fakes::tls_client client_;
  fakes::tls_dialogue talk_;
};

TEST_F(Established, CarriesBytesBothWays) {
  EXPECT_EQ(io_status::want_read, talk_.read().status);
  EXPECT_EQ(5, client_.write("hello"));
  EXPECT_EQ(io_status::done, talk_.read().status);
  EXPECT_EQ("hello", talk_.got);
  EXPECT_EQ(5U, talk_.server.write("world").bytes);
  EXPECT_EQ("world", client_.read());
}

TEST_F(Established, SaysWhatWaitsInsideOpenssl) {
  EXPECT_EQ(5, client_.write("hello"));
  std::array<char, 2> two{};
  EXPECT_EQ(2U, talk_.server.read(two).bytes);
  EXPECT_TRUE(talk_.server.pending());
  EXPECT_EQ(io_status::done, talk_.read().status);
  EXPECT_EQ("llo", talk_.got);
  EXPECT_FALSE(talk_.server.pending());
}

TEST_F(Established, WritesWhatFitsAndGoesOnAfterwardsWithMore) {
  const std::string all(3'000'000, 'm');
  std::string_view left{all};
  std::size_t received = 0;
  bool waited = false;
  while (!left.empty()) {
    const auto r = talk_.server.write(left);
    if (r.status == io_status::want_write) {
      waited = true;
      for (auto got = client_.read(); !got.empty(); got = client_.read()) {
        EXPECT_EQ(std::string::npos, got.find_first_not_of('m'));
        received += got.size();
      }
      continue;
    }
    ASSERT_EQ(io_status::done, r.status);
    ASSERT_GT(r.bytes, 0U);
    left.remove_prefix(r.bytes);
  }
  for (auto got = client_.read(); !got.empty(); got = client_.read()) {
    received += got.size();
  }
  EXPECT_TRUE(waited);
  EXPECT_EQ(all.size(), received);
}

TEST_F(Established, CloseNotifyIsSentOnceAndTheirsIsAnEnd) {  // F09, RFC 6120 §4.4
  EXPECT_EQ(io_status::done, talk_.server.close_notify().status);
  EXPECT_EQ(io_status::done, talk_.server.close_notify().status);
  EXPECT_EQ("", client_.read());
  EXPECT_EQ(SSL_RECEIVED_SHUTDOWN, SSL_get_shutdown(client_.ssl()));
  EXPECT_EQ(0, client_.error());
  EXPECT_EQ(io_status::want_read, talk_.read().status);  // awaited
  EXPECT_EQ(1, SSL_shutdown(client_.ssl()));
  EXPECT_EQ(io_status::closed, talk_.read().status);
  EXPECT_EQ(io_status::closed, talk_.read().status);
}

TEST_F(Established, WhatCameBeforeTheEndIsRead) {
  EXPECT_EQ(5, client_.write("hello"));
  EXPECT_EQ(0, SSL_shutdown(client_.ssl()));
  talk_.hang_up();
  EXPECT_EQ(io_status::done, talk_.read().status);
  EXPECT_EQ("hello", talk_.got);
  EXPECT_EQ(io_status::closed, talk_.read().status);
}

TEST_F(Established, AnEndInsideARecordIsTruncation) {  // THREATS B10
  EXPECT_EQ(3, ::send(talk_.client_end(), "\x17\x03\x03", 3, 0));
  EXPECT_EQ(io_status::want_read, talk_.read().status);
  talk_.hang_up();
  EXPECT_EQ(io_status::truncated, talk_.read().status);
}

TEST_F(Established, AForgedRecordFails) {
  const std::string forged = std::string{"\x17\x03\x03\x00\x20", 5} + std::string(32, 'f');
  EXPECT_EQ(37, ::send(talk_.client_end(), forged.data(), forged.size(), 0));
  EXPECT_EQ(io_status::failed, talk_.read().status);
  EXPECT_EQ(tls_failure::kind::other, talk_.server.failure().what);
  EXPECT_EQ(io_status::done, talk_.server.close_notify().status);  // there is nothing to say any more
}

TEST_F(Established, CanBeMoved) {
  stream moved{std::move(talk_.server)};
  EXPECT_EQ(5, client_.write("hello"));
  std::array<char, 16> into{};
  EXPECT_EQ(5U, moved.read(into).bytes);
  EXPECT_EQ("TLSv1.3", moved.facts().version);
}

}  // namespace
}  // namespace comity::tls
