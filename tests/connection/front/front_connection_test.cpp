// Connections before it is known who serves them, on real sockets: PROXY headers, the first byte, the ClientHello, what
// is inside TLS, and what is passed on.
#include "connection/front/front_connection.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <asio.hpp>
#include <condition_variable>
#include <future>
#include <mutex>
#include <sstream>
#include <thread>

#include "connection/connection_metrics.hpp"
#include "connection/front/proxy_header.hpp"
#include "connection/listener.hpp"
#include "fakes/certificate_builder.hpp"
#include "fakes/recording_log.hpp"
#include "fakes/xmpp_peer.hpp"

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using fakes::xmpp_peer;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

const std::string client_stream =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const std::string server_stream =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const std::string request = "GET / HTTP/1.1\r\n";

/// What a TLS client says first, from a real one that nobody answers.
std::string client_hello(const char* name, const std::vector<std::string>& protocols) {
  fakes::tls_client client;
  auto* out = BIO_new(BIO_s_mem());
  client.begin(-1, name);
  SSL_set_bio(client.ssl(), BIO_new(BIO_s_mem()), out);
  std::string list;
  for (const auto& p : protocols) {
    list += static_cast<char>(p.size()) + p;
  }
  SSL_set_alpn_protos(client.ssl(), reinterpret_cast<const unsigned char*>(list.data()),
                      static_cast<unsigned>(list.size()));
  SSL_connect(client.ssl());
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// A TCP server that takes one connection.
class backend {
public:
  backend() : listening_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::bind(listening_, reinterpret_cast<const sockaddr*>(&any), sizeof any));
    EXPECT_EQ(0, ::listen(listening_, 1));
  }
  ~backend() { ::close(listening_); }
  backend(const backend&) = delete;
  backend& operator=(const backend&) = delete;
  [[nodiscard]] std::uint16_t port() const { return local_end(listening_)->port; }
  [[nodiscard]] std::unique_ptr<xmpp_peer> taken() const {
    taken_ = ::accept(listening_, nullptr, nullptr);
    return std::make_unique<xmpp_peer>(taken_);
  }
  /// Of the connection taken last.
  [[nodiscard]] int descriptor() const { return taken_; }

private:
  int listening_;
  mutable int taken_ = -1;
};

class Front : public testing::Test {
protected:
  struct taken {
    destination to;
    accepted_socket socket;
  };

  static void SetUpTestSuite() {
    folder_ = std::make_unique<fakes::folder>();
    certificates_ = {fakes::write_certificate(folder_->path(), {.domain = "a.example"})};
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override {
    context_.swap(tls::server_context::load(certificates_, tls::protocol_version::tls_1_2).value());
    settings_.tls_timeout = 10s;
    settings_.handshake_timeout = 30s;
    settings_.before_authentication.stanza_bytes = 10'000;
    settings_.routes.by_protocol = {{"xmpp-client", {.to = destination::c2s}},
                                    {"xmpp-server", {.to = destination::s2s}},
                                    {"http/1.1", {.to = destination::http}}};
    settings_.routes.none.to = destination::sniff;
    const auto taker = [this](destination d) {
      return [this, d](loop_connections&, accepted_socket s) {
        const std::lock_guard hold{lock_};
        taken_.push_back({d, std::move(s)});
        came_.notify_all();
      };
    };
    takers_ = {taker(destination::c2s), taker(destination::s2s), taker(destination::http)};
  }
  void TearDown() override {
    if (running_.joinable()) {
      loop_.stop();
      running_.join();
    }
    all_.clear();
    for (auto& t : taken_) {
      t.socket.tls.reset();
      ::close(t.socket.descriptor);
    }
  }

  void open() {
    listen();
    running_ = std::thread{[this] { loop_.run(); }};
  }
  void listen() {
    auto opened = listener::open(
        {loop_, limits_, log_}, "127.0.0.1", 0, route{scope::c2s, direction::inbound, method::direct_tls},
        [this, settings = std::make_shared<const front_settings>(settings_)](accepted_socket s) {
          serve_front({all_, limits_, context_, log_, takers_}, settings, std::move(s));
        },
        settings_.proxies);
    ASSERT_TRUE(opened) << opened.error();
    listener_ = std::move(*opened);
    listener_->start();
  }
  std::unique_ptr<xmpp_peer> connect() {
    client_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(listener_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::connect(client_, reinterpret_cast<const sockaddr*>(&to), sizeof to));
    return std::make_unique<xmpp_peer>(client_);
  }
  /// What was handed over first; by then it must have come.
  taken& handed_over() {
    std::unique_lock hold{lock_};
    if (!came_.wait_for(hold, 10s, [&] { return !taken_.empty(); })) {
      throw std::runtime_error{"nothing was handed over"};
    }
    return taken_.front();
  }
  /// All that its taker would read, of so many bytes at least.
  static std::string unread(const accepted_socket& s, std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t at = 0; at < size;) {
      const auto n = ::recv(s.descriptor, bytes.data() + at, size - at, 0);
      if (n > 0) {
        at += static_cast<std::size_t>(n);
      } else if (n == 0 || errno != EAGAIN) {
        bytes.resize(at);
        break;
      }
    }
    return bytes;
  }
  template <typename Work>
  void on_loop(Work work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  /// Nothing is left of any connection.
  bool all_gone() {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    bool left = true;
    while (left && std::chrono::steady_clock::now() < deadline) {
      on_loop([&] { left = all_.size() != 0 || limits_.addresses() != 0; });
    }
    return !left;
  }
  double sample(const std::string& name, const std::vector<std::string>& labels) {
    std::istringstream text{prometheus::TextSerializer{}.Serialize(metrics_.collectable()->Collect())};
    double sum = 0;
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with(name + "{") &&
          std::ranges::all_of(labels, [&](const auto& l) { return line.contains(l); })) {
        sum += std::stod(line.substr(line.rfind(' ') + 1));
      }
    }
    return sum;
  }
  double failures(const std::string& cause) {
    return sample("comity_connection_failures_total", {"cause=\"" + cause + "\""});
  }
  double routed(const std::string& offered, const std::string& to) {
    return sample("comity_alpn_total", {"offered=\"" + offered + "\"", "routed=\"" + to + "\""});
  }
  void proxies_are_here() { settings_.proxies = {*address_block::parse("127.0.0.0/8")}; }
  void only(destination d, front_opening opening) {
    settings_.only = d;
    settings_.opens_with = opening;
  }

  static inline std::unique_ptr<fakes::folder> folder_;
  static inline std::vector<tls::host_certificate> certificates_;
  connection_metrics metrics_{
      1, {{scope::c2s, direction::inbound, method::direct_tls}, {scope::s2s, direction::inbound, method::direct_tls}}};
  loop loop_{0, metrics_.cell(0)};
  loop_connections::clock::time_point now_;
  loop_connections all_{loop_, [this] { return now_ += loop_connections::for_newcomers; }};  // one newcomer a turn
  ip_limits limits_{1000, 1000};
  tls::server_context context_;
  fakes::recording_log log_;
  front_settings settings_;
  front_takers takers_;
  std::unique_ptr<listener> listener_;
  std::thread running_;
  std::mutex lock_;
  std::condition_variable came_;
  std::vector<taken> taken_;
  int client_ = -1;
};

// --- one port for everything -----------------------------------------------------------------------------------------

TEST_F(Front, HandsStreamsOverWithTheirClientHelloUntouched) {  // D13, XEP-0368 §4
  open();
  const auto hello = client_hello("a.example", {"h2", "xmpp-client"});
  auto peer = connect();
  for (std::size_t at = 0; at < hello.size(); ++at) {  // in as many segments as there are bytes
    peer->say(hello.substr(at, 1));
  }
  auto& got = handed_over();
  EXPECT_EQ(got.to, destination::c2s);
  EXPECT_FALSE(got.socket.tls);
  EXPECT_EQ(got.socket.method, method::direct_tls);
  EXPECT_EQ(unread(got.socket, hello.size()), hello);
}

TEST_F(Front, LeadsServersToServers) {
  open();
  auto peer = connect();
  peer->say(client_hello("a.example", {"xmpp-server"}));
  EXPECT_EQ(handed_over().to, destination::s2s);
}

TEST_F(Front, RefusesOffersOfNothingKnownByTheirOwnAlert) {  // D06, RFC 7301 §3.2
  open();
  auto peer = connect();
  peer->say(client_hello("a.example", {"spdy/3"}));
  EXPECT_EQ(peer->hear_out(), (std::string{"\x15\x03\x03\0\2\2\x78", 7}));
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(routed("other", "refused"), 1);
  EXPECT_EQ(failures("alpn_mismatch"), 1);
}

TEST_F(Front, RefusesWhatNobodyServes) {
  takers_.s2s = nullptr;
  open();
  auto peer = connect();
  peer->say(client_hello("a.example", {"xmpp-server"}));
  EXPECT_THAT(peer->hear_out(), SizeIs(7));
  EXPECT_EQ(routed("xmpp_server", "refused"), 1);
}

TEST_F(Front, ClosesOnWhatIsNoTls) {  // THREATS B9
  open();
  auto peer = connect();
  peer->say(request + "\r\n");
  EXPECT_THAT(peer->hear_out(), IsEmpty());
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(failures("tls_alert"), 1);
}

TEST_F(Front, SpeaksTlsForHttpWithItsOwnProtocolAlone) {
  open();
  auto peer = connect();
  ASSERT_TRUE(peer->start_tls("a.example", "http/1.1"));
  peer->say(request);
  auto& got = handed_over();
  EXPECT_EQ(got.to, destination::http);
  ASSERT_TRUE(got.socket.tls);
  EXPECT_EQ(got.socket.tls->facts().alpn, "http/1.1");
  EXPECT_FALSE(got.socket.tls->peer()) << "a certificate was asked for";
  EXPECT_EQ(routed("http", "http"), 1);
}

TEST_F(Front, TakesPartOfItsClientsATurn) {  // THREATS G1: who is there waits little for those who come
  constexpr std::size_t clients = 12;
  listen();
  std::vector<std::unique_ptr<xmpp_peer>> peers;
  std::vector<int> descriptors;
  for (std::size_t i = 0; i < clients; ++i) {
    peers.push_back(connect());
    descriptors.push_back(client_);
  }
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (all_.size() < clients && std::chrono::steady_clock::now() < deadline) {
    loop_.context().poll_one();
  }
  ASSERT_EQ(all_.size(), clients);
  for (const auto& peer : peers) {
    peer->say(client_hello("a.example", {"http/1.1"}));
  }
  const auto answered = [&] {
    return static_cast<std::size_t>(std::ranges::count_if(descriptors, [](int d) {
      char byte = 0;
      return ::recv(d, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    }));
  };
  for (std::size_t before = 0; before < clients && std::chrono::steady_clock::now() < deadline;) {
    loop_.context().poll_one();
    const auto now = answered();
    EXPECT_LE(now - before, 1U);
    before = now;
  }
  EXPECT_EQ(answered(), clients);
}

// --- without ALPN ----------------------------------------------------------------------------------------------------

TEST_F(Front, TellsByTheFirstBytesInsideTlsWhoComes) {  // D08
  open();
  for (const auto& [said, to] : {std::pair{client_stream, destination::c2s}, std::pair{server_stream, destination::s2s},
                                 std::pair{request, destination::http}}) {
    auto peer = connect();
    ASSERT_TRUE(peer->start_tls());
    peer->say(said.substr(0, 9));
    peer->say(said.substr(9));
    auto& got = handed_over();
    EXPECT_EQ(got.to, to);
    EXPECT_EQ(got.socket.unread, said);
    EXPECT_TRUE(got.socket.tls && got.socket.tls->encrypted());
    const std::lock_guard hold{lock_};
    ::close(taken_.front().socket.descriptor);
    taken_.clear();
  }
}

TEST_F(Front, ClosesOnAnythingElseInsideTls) {
  open();
  auto peer = connect();
  ASSERT_TRUE(peer->start_tls());
  peer->say("HELO a.example\r\n");
  EXPECT_THAT(peer->hear_out(), IsEmpty());
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(failures("policy"), 1);
  EXPECT_EQ(routed("none", "refused"), 1);
}

// --- STARTTLS and direct TLS on one port -----------------------------------------------------------------------------

TEST_F(Front, TellsDirectTlsFromAStreamByTheFirstByte) {
  only(destination::s2s, front_opening::either);
  open();
  auto peer = connect();
  peer->say("\x16");
  EXPECT_EQ(handed_over().socket.method, method::direct_tls);
  auto other = connect();
  other->say("<");
  std::unique_lock hold{lock_};
  ASSERT_TRUE(came_.wait_for(hold, 10s, [&] { return taken_.size() == 2; }));
  EXPECT_EQ(taken_[1].socket.method, method::starttls);
  EXPECT_EQ(taken_[1].to, destination::s2s);
  EXPECT_EQ(unread(taken_[1].socket, 1), "<");
}

// --- the PROXY protocol ----------------------------------------------------------------------------------------------

TEST_F(Front, TakesTheClientsAddressFromItsProxy) {
  proxies_are_here();
  only(destination::c2s, front_opening::clear);
  open();
  const std::string header = "PROXY TCP4 192.0.2.1 192.0.2.2 51234 5222\r\n";
  auto peer = connect();
  for (const char c : header) {
    peer->say(std::string(1, c));
  }
  peer->say(client_stream);
  auto& got = handed_over();
  EXPECT_EQ(got.socket.address, "192.0.2.1:51234");
  EXPECT_EQ(got.socket.ip->text(), "192.0.2.1");
  EXPECT_EQ(unread(got.socket, client_stream.size()), client_stream);
}

TEST_F(Front, ReadsTheClientHelloBehindAHeaderInOneSegment) {
  proxies_are_here();
  open();
  const auto hello = client_hello("a.example", {"xmpp-server"});
  auto peer = connect();
  peer->say(proxy_header({*dns::address::parse("2001:db8::1"), 1}, {*dns::address::parse("2001:db8::2"), 2}) + hello);
  auto& got = handed_over();
  EXPECT_EQ(got.to, destination::s2s);
  EXPECT_EQ(got.socket.address, "[2001:db8::1]:1");
  EXPECT_EQ(unread(got.socket, hello.size()), hello);
}

TEST_F(Front, CountsConnectionsByTheClientAndNotByItsProxy) {  // L07
  limits_.configure(2, 2);
  proxies_are_here();
  only(destination::c2s, front_opening::clear);
  open();
  std::vector<std::unique_ptr<xmpp_peer>> held;
  const auto come = [&](const std::string& client) {
    held.push_back(connect());
    held.back()->say("PROXY TCP4 " + client + " 192.0.2.2 1 2\r\n<");
  };
  for (const auto* client : {"192.0.2.1", "192.0.2.1", "192.0.2.3", "192.0.2.3"}) {  // L
    come(client);
  }
  std::unique_lock hold{lock_};
  ASSERT_TRUE(came_.wait_for(hold, 10s, [&] { return taken_.size() == 4; }));
  hold.unlock();
  come("192.0.2.1");  // L+1
  EXPECT_THAT(held.back()->hear_out(), IsEmpty());
  EXPECT_EQ(sample("comity_connections_rejected_total", {"per_ip_limit"}), 1);
}

TEST_F(Front, RefusesAProxyThatSendsNoHeaderOrAWrongOne) {
  proxies_are_here();
  only(destination::c2s, front_opening::clear);
  open();
  for (const auto& said : {client_stream, std::string{"PROXY TCP4 nobody\r\n"}}) {
    auto peer = connect();
    peer->say(said);
    EXPECT_THAT(peer->hear_out(), IsEmpty());
  }
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(failures("proxy_header"), 2);
  EXPECT_THAT(taken_, IsEmpty());
}

TEST_F(Front, IsQuietAboutHealthChecks) {
  proxies_are_here();
  open();
  connect()->hang_up();
  auto peer = connect();
  peer->say(std::string{"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16});
  peer->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(failures(""), 0);
  EXPECT_EQ(sample("comity_connection_failures_total", {}), 0);
}

TEST_F(Front, BelievesNoHeaderFromElsewhere) {
  settings_.proxies = {*address_block::parse("192.0.2.0/24")};
  open();
  auto peer = connect();
  peer->say("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + client_hello("a.example", {"xmpp-client"}));
  EXPECT_THAT(peer->hear_out(), IsEmpty());
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(taken_, IsEmpty());
}

// --- HTTP in clear ---------------------------------------------------------------------------------------------------

TEST_F(Front, TakesHttpInClearFromLoopback) {
  only(destination::http, front_opening::clear);
  open();
  auto peer = connect();
  peer->say(request);
  auto& got = handed_over();
  EXPECT_EQ(got.to, destination::http);
  EXPECT_FALSE(got.socket.tls);
  EXPECT_EQ(unread(got.socket, request.size()), request);
}

// --- time ------------------------------------------------------------------------------------------------------------

TEST_F(Front, GivesTheClientHelloItsTimeAndNoByteMore) {  // THREATS B5: absolute
  settings_.tls_timeout = 300ms;
  open();
  auto peer = connect();
  const auto began = std::chrono::steady_clock::now();
  const auto hello = client_hello("a.example", {"xmpp-client"});
  peer->say(hello.substr(0, 1));
  EXPECT_THAT(peer->hear_out(), IsEmpty());
  EXPECT_GE(std::chrono::steady_clock::now() - began, 300ms);
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(failures("tls_timeout"), 1);
}

TEST_F(Front, NoticesAClientThatLeavesInTheMiddleOfItsHello) {
  open();
  auto peer = connect();
  peer->say(client_hello("a.example", {"xmpp-client"}).substr(0, 40));
  peer->hang_up();
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (failures("peer_closed") < 1 && std::chrono::steady_clock::now() < deadline) {
    on_loop([] {});  // until it has been accepted at all
  }
  EXPECT_EQ(failures("peer_closed"), 1);
  EXPECT_TRUE(all_gone());
}

// --- forwarding ------------------------------------------------------------------------------------------------------

class Forwarding : public Front {
protected:
  void SetUp() override {
    Front::SetUp();
    settings_.routes.by_protocol["h2"] = {.to = destination::forward, .host = "127.0.0.1", .port = backend_.port()};
  }
  backend backend_;
};

TEST_F(Forwarding, PassesTheUntouchedConnectionOn) {
  open();
  const auto hello = client_hello("www.example.org", {"http/1.1", "h2"});
  auto client = connect();
  client->say(hello);
  auto server = backend_.taken();
  EXPECT_EQ(server->hear(hello), hello);
  server->say("answer");
  EXPECT_EQ(client->hear("answer"), "answer");
  client->say("more");
  EXPECT_EQ(server->hear("more"), "more");
  EXPECT_EQ(routed("http", "forward"), 1);
  std::vector<connection_info> rows;
  on_loop([&] { rows = all_.list(); });
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].service, "forward");
  EXPECT_EQ(rows[0].domain, "www.example.org");
  client->hang_up();
  EXPECT_THAT(server->hear_out(), IsEmpty());
  server->hang_up();
  EXPECT_TRUE(all_gone());
}

TEST_F(Forwarding, SaysFirstWhoTheClientIsWhereAsked) {
  settings_.introduces = true;
  open();
  const auto hello = client_hello("www.example.org", {"h2"});
  auto client = connect();
  client->say(hello);
  auto server = backend_.taken();
  const auto header = proxy_header(*local_end(client_), *remote_end(client_));
  EXPECT_EQ(server->hear(hello), header + hello);
}

TEST_F(Forwarding, PassesOnTheEndOfOneSideWhileTheOtherStillSpeaks) {
  open();
  auto client = connect();
  client->say(client_hello("www.example.org", {"h2"}));
  auto server = backend_.taken();
  ::shutdown(client_, SHUT_WR);
  EXPECT_THAT(server->hear_out(), StartsWith("\x16"));
  server->say("still here");
  EXPECT_EQ(client->hear("still here"), "still here");
  server->hang_up();
  EXPECT_THAT(client->hear_out(), IsEmpty());
  EXPECT_TRUE(all_gone());
}

TEST_F(Forwarding, ReadsNoMoreThanTheOtherSideTakes) {  // back-pressure, then all of it in order
  open();
  auto client = connect();
  client->say(client_hello("www.example.org", {"h2"}));
  auto server = backend_.taken();
  const timeval brief{.tv_sec = 0, .tv_usec = 300'000};
  ::setsockopt(client_, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof brief);
  // Numbered blocks until the client cannot send any more, since nobody reads at the end.
  std::string sent;
  for (unsigned i = 0;; ++i) {
    const std::string block(65536, static_cast<char>('a' + i % 26));
    const auto n = ::send(client_, block.data(), block.size(), MSG_NOSIGNAL);
    if (n > 0) {
      sent.append(block, 0, static_cast<std::size_t>(n));
    }
    if (n != static_cast<ssize_t>(block.size())) {
      break;
    }
    ASSERT_LT(sent.size(), std::size_t{256} << 20U) << "it is read without bound";
  }
  std::uint64_t kept = 0;
  on_loop([&] { kept = all_.list().front().queue_bytes; });
  EXPECT_LE(kept, 64U * 1024U);
  ::shutdown(client_, SHUT_WR);
  const auto got = server->hear_out();
  EXPECT_TRUE(got.ends_with(sent)) << got.size() << " of " << sent.size();
}

TEST_F(Forwarding, TellsTheClientWhenThereIsNobodyBehind) {
  settings_.routes.by_protocol["h2"].port = [] { return backend{}.port(); }();
  open();
  auto client = connect();
  client->say(client_hello("www.example.org", {"h2"}));
  EXPECT_EQ(client->hear_out(), (std::string{"\x15\x03\x03\0\2\2\x50", 7}));
  EXPECT_TRUE(all_gone());
}

TEST_F(Forwarding, FindsItsBackendByName) {
  settings_.routes.by_protocol["h2"].host = "localhost";
  open();
  auto client = connect();
  const auto hello = client_hello("www.example.org", {"h2"});
  client->say(hello);
  EXPECT_EQ(backend_.taken()->hear(hello), hello);
}

TEST_F(Forwarding, EndsWithTheServer) {
  open();
  auto client = connect();
  client->say(client_hello("www.example.org", {"h2"}));
  auto server = backend_.taken();
  on_loop([&] { all_.dismiss_all(stream_condition::system_shutdown, cause::shutdown, ""); });
  EXPECT_TRUE(all_gone());
}

}  // namespace
}  // namespace comity::connection
