// What is served by HTTP beside the streams: of which host, over what, and to whom; on real sockets.
#include "server/web_service.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <condition_variable>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "connection/connection_metrics.hpp"
#include "connection/listener.hpp"
#include "connection/s2s/posh.hpp"
#include "connection/transport/wire.hpp"
#include "fakes/certificate_builder.hpp"
#include "fakes/recording_log.hpp"
#include "fakes/xmpp_peer.hpp"
#include "server/config/config.hpp"
#include "tls/crypto.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using connection::accepted_socket;
using connection::address_block;
using fakes::xmpp_peer;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

constexpr std::array<std::string_view, 1> http_alpn{"http/1.1"};
const std::string upgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n";

/// Speaks TLS for what came in, and hands it on; as the front does.
class doorman final : public connection::live_connection {
public:
  doorman(connection::loop_connections& loop, const tls::server_context& context, accepted_socket socket,
          std::function<void(accepted_socket)> next)
      : loop_{loop},
        id_{loop.new_id()},
        wire_{loop, id_, socket.descriptor, 0},
        socket_{std::move(socket)},
        next_{std::move(next)} {
    wire_.accept_tls(context, http_alpn, {});
  }
  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] connection::connection_info info() const override { return {}; }
  void send(stanza_ref /*s*/) override {}
  void dismiss(stream_condition /*c*/, connection::cause /*w*/, std::string /*t*/) override {}
  void readable() override {
    if (wire_.became_readable()) {
      step();
    }
  }
  void writable() override {
    if (wire_.became_writable()) {
      step();
    }
  }
  void flush() override {}
  void fault(std::string_view what) noexcept override { ADD_FAILURE() << what; }
  void step() {
    if (wire_.handshake().status == tls::io_status::want_read) {
      return wire_.wait_readable();
    }
    auto stream = wire_.release();
    loop_.remove(id_);
    socket_.tls = std::move(stream);
    next_(std::move(socket_));
  }

private:
  connection::loop_connections& loop_;
  std::uint64_t id_;
  connection::wire wire_;
  accepted_socket socket_;
  std::function<void(accepted_socket)> next_;
};

class WebService : public testing::Test {
protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<fakes::folder>();
    certificates_ = {fakes::write_certificate(folder_->path(), {.domain = "a.example"}),
                     fakes::write_certificate(folder_->path(), {.domain = "b.example"})};
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override {
    context_.swap(tls::server_context::load(certificates_, tls::protocol_version::tls_1_2).value());
    settings_.hosts.resize(2);
    settings_.hosts[0].domain = "a.example";
    settings_.hosts[1].domain = "b.example";
    settings_.s2s.enabled = true;
    settings_.limits.handshake_timeout = 30s;
    settings_.http.websocket_origins = {"*"};
  }
  void TearDown() override {
    if (running_.joinable()) {
      loop_.stop();
      running_.join();
    }
    all_.clear();
    for (auto& t : taken_) {
      t.tls.reset();
      ::close(t.descriptor);
    }
  }

  void open() {
    service_ = std::make_unique<web_service>(web_service::collaborators{limits_, context_, log_},
                                             [this](auto&, accepted_socket s) {
                                               const std::lock_guard hold{lock_};
                                               taken_.push_back(std::move(s));
                                               came_.notify_all();
                                             });
    service_->configure(settings_, settings_.listeners);
    std::vector<address_block> proxies;
    for (const auto& text : settings_.http.trusted_proxies) {
      proxies.push_back(*address_block::parse(text));
    }
    auto opened = connection::listener::open(
        {loop_, limits_, log_}, "127.0.0.1", 0,
        {connection::scope::c2s, connection::direction::inbound, connection::method::direct_tls},
        [this](accepted_socket s) {
          s.introduced = introduced_;
          s.unread = std::exchange(unread_, {});
          if (!tls_) {
            return service_->serve(all_, std::move(s));
          }
          auto made = std::make_unique<doorman>(all_, context_, std::move(s), [this](accepted_socket secured) {
            service_->serve(all_, std::move(secured));
          });
          auto& door = *made;
          all_.add(door.id(), std::move(made));
          door.step();
        },
        proxies);
    ASSERT_TRUE(opened) << opened.error();
    listener_ = std::move(*opened);
    listener_->start();
    running_ = std::thread{[this] { loop_.run(); }};
  }
  std::unique_ptr<xmpp_peer> connect(const char* name = "a.example") {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(listener_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::connect(client, reinterpret_cast<const sockaddr*>(&to), sizeof to));
    auto peer = std::make_unique<xmpp_peer>(client);
    if (tls_) {
      EXPECT_TRUE(peer->start_tls(name, http_alpn[0]));
    }
    return peer;
  }
  static std::string get(const std::string& path, const std::string& host = "a.example",
                         const std::string& fields = {}) {
    return "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n";
  }
  /// All of the answer to that alone.
  std::string told(const std::string& said, const char* name = "a.example") {
    const auto peer = connect(name);
    peer->say(said);
    return peer->hear_out();
  }
  std::string got(const std::string& path, const std::string& host = "a.example", const std::string& fields = {}) {
    return told(get(path, host, fields + "Connection: close\r\n"), nullptr);
  }
  static std::string body(const std::string& answer) { return answer.substr(answer.find("\r\n\r\n") + 4); }
  accepted_socket& handed_over() {
    std::unique_lock hold{lock_};
    if (!came_.wait_for(hold, 10s, [&] { return !taken_.empty(); })) {
      throw std::runtime_error{"nothing was handed over"};
    }
    return taken_.back();
  }
  double rejected() {
    std::istringstream text{prometheus::TextSerializer{}.Serialize(metrics_.collectable()->Collect())};
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with("comity_connections_rejected_total{") && line.contains("per_ip_limit") &&
          line.contains("c2s")) {
        return std::stod(line.substr(line.rfind(' ') + 1));
      }
    }
    return -1;
  }

  static inline std::unique_ptr<fakes::folder> folder_;
  static inline std::vector<tls::host_certificate> certificates_;
  connection::connection_metrics metrics_{
      1, {{connection::scope::c2s, connection::direction::inbound, connection::method::websocket}}};
  connection::loop loop_{0, metrics_.cell(0)};
  connection::loop_connections all_{loop_};
  connection::ip_limits limits_{1000, 1000};
  tls::server_context context_;
  fakes::recording_log log_;
  config::settings settings_;
  bool tls_ = true;
  bool introduced_ = false;
  std::string unread_;
  std::unique_ptr<web_service> service_;
  std::unique_ptr<connection::listener> listener_;
  std::thread running_;
  std::mutex lock_;
  std::condition_variable came_;
  std::vector<accepted_socket> taken_;
};

TEST_F(WebService, SaysWhereWebsocketIsToAnyPage) {  // XEP-0156 §4, §6
  open();
  const auto xml = got("/.well-known/host-meta");
  EXPECT_THAT(xml, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Type: application/xrd+xml\r\n"),
                         HasSubstr("Access-Control-Allow-Origin: *\r\n"),
                         HasSubstr("href=\"wss://a.example/xmpp-websocket\"")));
  const auto json = got("/.well-known/host-meta.json", "b.example:5443");
  EXPECT_THAT(json,
              AllOf(HasSubstr("Content-Type: application/json\r\n"), HasSubstr("Access-Control-Allow-Origin: *\r\n")));
  EXPECT_EQ("wss://b.example:5443/xmpp-websocket", nlohmann::json::parse(body(json))["links"][0]["href"]);
  EXPECT_THAT(got("/.well-known/posh/xmpp-client.json"), Not(HasSubstr("Access-Control")));
}

TEST_F(WebService, TellsOfThePortsThatAreOpenToAll) {
  const auto all = config::load_text(
      "[[host]]\ndomain = \"a.example\"\ncertificate = \"c\"\nprivate_key = \"k\"\n"
      "[[listen]]\naddress = \"[::]:443\"\nprotocol = \"auto\"\ntls = \"direct\"\n"
      "[[listen]]\naddress = \"[::]:5443\"\nprotocol = \"http\"\ntls = \"direct\"\n"
      "[[listen]]\naddress = \"[::]:5444\"\nprotocol = \"http\"\ntls = \"direct\"\nproxy_protocol = [\"192.0.2.1\"]\n"
      "[[listen]]\naddress = \"127.0.0.1:5445\"\nprotocol = \"http\"\ntls = \"direct\"\n"
      "[[listen]]\naddress = \"[::]:5446\"\nprotocol = \"auto\"\ntls = \"direct\"\nalpn = { \"http/1.1\" = \"refuse\" "
      "}\n"
      "[[listen]]\naddress = \"[::]:5447\"\nprotocol = \"http\"\ntls = \"none\"\n"
      "[[listen]]\naddress = \"[::]:5223\"\nprotocol = \"c2s\"\ntls = \"direct\"\n",
      "/etc/comity.toml");
  ASSERT_TRUE(all);
  settings_.listeners = all->listeners;
  open();
  const auto json = nlohmann::json::parse(body(got("/.well-known/host-meta.json", "a.example:444")));
  std::vector<std::string> urls;
  for (const auto& link : json["links"]) {
    urls.push_back(link["href"]);
  }
  EXPECT_THAT(urls, testing::ElementsAre("wss://a.example:444/xmpp-websocket", "wss://a.example/xmpp-websocket",
                                         "wss://a.example:5443/xmpp-websocket"));
}

TEST_F(WebService, GivesTheFingerprintsOfTheCertificateInForce) {  // RFC 7711 §3
  namespace posh = connection::posh;
  open();
  const auto named = [&](const std::string& host, const std::string& path) {
    const auto answer = got("/.well-known/posh/" + path, host);
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("Content-Type: application/json\r\n")));
    return std::get<posh::fingerprints>(posh::read(body(answer)).value()).all.at(0);
  };
  const auto before = named("a.example", "xmpp-server.json");
  EXPECT_EQ(tls::hex(before.sha256), tls::certificates(*context_.current())[0].sha256);
  EXPECT_EQ(before, named("A.EXAMPLE.", "xmpp-client.json"));
  EXPECT_NE(before, named("b.example", "xmpp-server.json"));

  fakes::folder other;
  const auto renewed = fakes::write_certificate(other.path(), {.domain = "a.example"});
  context_.swap(tls::server_context::load({renewed, certificates_[1]}, tls::protocol_version::tls_1_2).value());
  EXPECT_NE(before, named("a.example", "xmpp-server.json"));
}

TEST_F(WebService, KnowsNoServersWhereThereAreNone) {
  settings_.s2s.enabled = false;
  open();
  EXPECT_THAT(got("/.well-known/posh/xmpp-server.json"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(got("/.well-known/posh/xmpp-client.json"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(WebService, SpeaksForNoHostButThoseServed) {  // RFC 9110 §15.5.20, THREATS B9
  open();
  for (const auto* path :
       {"/.well-known/host-meta", "/.well-known/host-meta.json", "/.well-known/posh/xmpp-client.json"}) {
    EXPECT_THAT(got(path, "c.example"), StartsWith("HTTP/1.1 421 Misdirected Request\r\n"));
    EXPECT_THAT(got(path, ""), StartsWith("HTTP/1.1 421 "));
    EXPECT_THAT(told(get(path, "b.example", "Connection: close\r\n"), "a.example"), StartsWith("HTTP/1.1 421 "));
    EXPECT_THAT(told(get(path, "b.example", "Connection: close\r\n"), "b.example"), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(
        told("GET https://b.example" + std::string{path} + " HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"),
        StartsWith("HTTP/1.1 421 "));
    EXPECT_THAT(told("GET " + std::string{path} + " HTTP/1.0\r\n\r\n", nullptr), StartsWith("HTTP/1.1 421 "));
  }
}

TEST_F(WebService, AnswersAllElseAsNotThere) {  // THREATS G5
  open();
  for (const auto* path :
       {"/", "/metrics", "/.well-known/", "/.well-known/host-meta/", "/.well-known/host-meta.json/..",
        "/.well-known/%68ost-meta", "/.well-known/../.well-known/host-meta", "//.well-known/host-meta",
        "/.well-known/posh/xmpp-client.json%00", "/.well-known/posh/..%2f..%2f", "/.well-known/posh/"}) {
    EXPECT_THAT(got(path), AllOf(StartsWith("HTTP/1.1 404 Not Found\r\n"), Not(HasSubstr("Server:")))) << path;
  }
  for (const auto* method : {"POST", "OPTIONS", "DELETE"}) {
    EXPECT_THAT(
        told(std::string{method} + " /.well-known/host-meta HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"),
        AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("\r\nAllow: GET, HEAD\r\n")));
  }
  EXPECT_THAT(told("HEAD /.well-known/host-meta HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n")));
}

TEST_F(WebService, MeetsNoExpectationButOne) {  // RFC 9110 §10.1.1
  open();
  EXPECT_THAT(got("/.well-known/host-meta", "a.example", "Expect: 100-continue\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(got("/.well-known/host-meta", "a.example", "Expect: the-unexpected\r\n"), StartsWith("HTTP/1.1 417 "));
}

TEST_F(WebService, TakesUpWhatWasReadBeforeIt) {
  unread_ = "GET /.well-known/host-meta HTTP/1.1\r\nHo";
  open();
  EXPECT_THAT(told("st: a.example\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(WebService, HandsOverAConnectionThatBecomesWebsocket) {  // RFC 6455 §4.2.2
  open();
  const auto peer = connect();
  peer->say(get("/.well-known/host-meta"));
  EXPECT_THAT(peer->hear("</XRD>\n"), StartsWith("HTTP/1.1 200 "));
  peer->say(get("/xmpp-websocket", "a.example", upgrade) + "what follows");
  const auto answer = peer->hear("\r\n\r\n");
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 101 Switching Protocols\r\n"), HasSubstr("\r\nUpgrade: websocket\r\n"),
                            HasSubstr("\r\nConnection: Upgrade\r\n"),
                            HasSubstr("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
                            HasSubstr("\r\nSec-WebSocket-Protocol: xmpp\r\n"), Not(HasSubstr("Content-"))));
  auto& socket = handed_over();
  EXPECT_EQ(socket.method, connection::method::websocket);
  EXPECT_EQ(socket.unread, "what follows");
  EXPECT_THAT(socket.address, StartsWith("127.0.0.1:"));
  ASSERT_TRUE(socket.tls && socket.tls->encrypted());
  EXPECT_FALSE(socket.decrypted_by_proxy);
  EXPECT_EQ(limits_.addresses(), 1U);  // its permit is with it
  const std::string_view more = "and more";
  EXPECT_EQ(socket.tls->write(more).bytes, more.size());
  EXPECT_EQ(peer->hear(more), more);
}

TEST_F(WebService, HandsOverNothingThatIsNoHandshake) {
  settings_.http.websocket_origins = {"https://chat.example"};
  open();
  EXPECT_THAT(got("/xmpp-websocket"),
              AllOf(StartsWith("HTTP/1.1 426 Upgrade Required\r\n"), HasSubstr("Upgrade: websocket")));
  EXPECT_THAT(told(get("/xmpp-websocket", "a.example", "Origin: https://evil.example\r\n" + upgrade) +
                   get("/x", "a.example", "Connection: close\r\n")),
              AllOf(StartsWith("HTTP/1.1 403 Forbidden\r\n"), HasSubstr("HTTP/1.1 404 ")));  // it is HTTP still
  EXPECT_THAT(taken_, SizeIs(0));
}

TEST_F(WebService, LetsNoWebsocketInInClear) {  // THREATS B3
  tls_ = false;
  open();
  EXPECT_THAT(got("/xmpp-websocket", "a.example", upgrade), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(got("/.well-known/host-meta"), AllOf(StartsWith("HTTP/1.1 200 "), Not(HasSubstr("Link"))));
}

TEST_F(WebService, BelievesAProxyThatEndsTls) {
  tls_ = false;
  settings_.http.trusted_proxies = {"127.0.0.0/8"};
  open();
  EXPECT_THAT(got("/.well-known/host-meta"), HasSubstr("\"wss://a.example/xmpp-websocket\""));
  EXPECT_THAT(got("/xmpp-websocket", "a.example", "X-Forwarded-Proto: http\r\n" + upgrade),
              StartsWith("HTTP/1.1 403 "));
  const auto peer = connect();
  peer->say(get("/xmpp-websocket", "a.example",
                "X-Forwarded-Proto: https\r\nX-Forwarded-For: 1.2.3.4, 192.0.2.7\r\n" + upgrade));
  EXPECT_THAT(peer->hear("\r\n\r\n"), StartsWith("HTTP/1.1 101 "));
  const auto& socket = handed_over();
  EXPECT_FALSE(socket.tls);
  EXPECT_TRUE(socket.decrypted_by_proxy);
  EXPECT_EQ(socket.address, "192.0.2.7");
  EXPECT_EQ(socket.ip, dns::address::parse("192.0.2.7"));
}

TEST_F(WebService, BelievesAProxyThatHasIntroducedTheClient) {
  tls_ = false;
  introduced_ = true;
  open();
  const auto peer = connect();
  peer->say(get("/xmpp-websocket", "a.example", "X-Forwarded-For: 192.0.2.7\r\n" + upgrade));
  EXPECT_THAT(peer->hear("\r\n\r\n"), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(handed_over().address, StartsWith("127.0.0.1:"));  // and no more than that
}

TEST_F(WebService, CountsEachClientBehindAProxy) {  // L07
  limits_.configure(2, 2);
  tls_ = false;
  settings_.http.trusted_proxies = {"127.0.0.1"};
  open();
  const auto ask = [&](xmpp_peer& peer, const std::string& client) {
    peer.say(get("/x", "a.example", client.empty() ? "" : "X-Forwarded-For: " + client + "\r\n"));
    return peer.hear("\n\r\n").substr(9, 3) + peer.hear("\n").substr(0, 0);
  };
  std::vector<std::unique_ptr<xmpp_peer>> peers;
  for (int i = 0; i < 4; ++i) {
    peers.push_back(connect());
  }
  EXPECT_EQ("404", ask(*peers[0], "192.0.2.7"));
  EXPECT_EQ("404", ask(*peers[1], "192.0.2.7"));
  EXPECT_EQ("429", ask(*peers[2], "192.0.2.7"));  // L+1
  EXPECT_EQ("404", ask(*peers[2], "192.0.2.8"));  // the same connection, for another client
  EXPECT_EQ("429", ask(*peers[2], "192.0.2.7"));
  EXPECT_EQ("404", ask(*peers[0], "192.0.2.9"));  // which leaves room
  EXPECT_EQ("404", ask(*peers[2], "192.0.2.7"));
  EXPECT_EQ("404", ask(*peers[3], ""));  // the proxy itself
  EXPECT_EQ(3U, limits_.addresses());
  EXPECT_EQ(2, rejected());
}

TEST_F(WebService, BelievesNobodyElse) {
  tls_ = false;
  settings_.http.trusted_proxies = {"192.0.2.1"};
  open();
  EXPECT_THAT(got("/x", "a.example", "X-Forwarded-For: 192.0.2.7\r\n"), StartsWith("HTTP/1.1 404 "));
  const auto lines = log_.lines();
  EXPECT_TRUE(
      std::ranges::any_of(lines, [](const auto& l) { return l.starts_with("http.request address=127.0.0.1:"); }));
}

TEST_F(WebService, ServesByTheNewConfigurationWhoComesAfterIt) {
  open();
  const auto before = connect();
  before->say(get("/x"));
  EXPECT_THAT(before->hear("Not Found\n"), StartsWith("HTTP/1.1 404 "));
  settings_.hosts.pop_back();
  service_->configure(settings_, settings_.listeners);
  EXPECT_THAT(told(get("/.well-known/host-meta", "b.example", "Connection: close\r\n"), "b.example"),
              StartsWith("HTTP/1.1 421 "));
  EXPECT_THAT(got("/.well-known/host-meta"), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace comity::server
