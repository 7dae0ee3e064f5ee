// The port for metrics over loopback sockets: what it serves, what it refuses, and what it costs its peers to hold it.
#include "server/http/http_listener.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "fakes/recording_log.hpp"
#include "fakes/socket_peer.hpp"
#include "fakes/xmpp_peer.hpp"
#include "server/http/request_reader.hpp"

namespace comity::http {
namespace {

using namespace std::chrono_literals;
using fakes::xmpp_peer;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class HttpListener : public ::testing::Test {
protected:
  ~HttpListener() override { stop(); }
  void open(listener_limits limits = {}) {
    auto opened = http_listener::open({loop_, log_}, "127.0.0.1", 0,
                                      {{"/metrics", [this](const request& r) { return serve(r, body_); }},
                                       {"/healthz", [this](const request& r) { return serve(r, "ok\n"); }}},
                                      limits);
    ASSERT_TRUE(opened) << opened.error();
    listener_ = std::move(*opened);
    running_ = std::thread{[this] { loop_.run(); }};
  }
  void stop() {
    if (running_.joinable()) {
      loop_.stop();
      running_.join();
    }
  }
  response serve(const request& r, const std::string& body) {
    served_.push_back(r.method + " " + r.target);
    return {.body = body};
  }
  [[nodiscard]] std::unique_ptr<xmpp_peer> connect() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(listener_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, ::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to));
    return std::make_unique<xmpp_peer>(socket);
  }
  /// All that a peer gets who says this and has the connection closed.
  [[nodiscard]] std::string told(std::string_view bytes) const {
    const auto peer = connect();
    peer->say(bytes);
    return peer->hear_out();
  }
  [[nodiscard]] std::string ask(const std::string& method, const std::string& target) const {
    return told(method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  }

  connection::connection_metrics metrics_{1, {}};
  connection::loop loop_{0, metrics_.cell(0)};
  fakes::recording_log log_;
  std::string body_ = "comity_up 1\n";
  std::vector<std::string> served_;  // read when nothing is served
  std::unique_ptr<http_listener> listener_;
  std::thread running_;
};

constexpr std::string_view get_metrics = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(HttpListener, ServesItsPathsAndNothingElse) {
  open();
  EXPECT_THAT(ask("GET", "/metrics"), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("\r\n\r\ncomity_up 1\n")));
  EXPECT_THAT(ask("GET", "/metrics?name=x&y"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(ask("GET", "http://example.org/healthz"), EndsWith("ok\n"));  // RFC 9112 §3.2.2
  EXPECT_THAT(ask("GET", "/"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(ask("GET", "http://example.org"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(ask("HEAD", "/nothing"), AllOf(StartsWith("HTTP/1.1 404 "), EndsWith("\r\n\r\n")));
}

TEST_F(HttpListener, AnswersHeadWithoutTheBody) {
  open();
  EXPECT_THAT(ask("HEAD", "/metrics"), AllOf(HasSubstr("Content-Length: 12\r\n"), EndsWith("\r\n\r\n")));
}

TEST_F(HttpListener, NeverDecodesJoinsOrNormalisesAPath) {  // THREATS G5
  open();
  for (const auto* target : {"/metrics/",
                             "//metrics",
                             "/./metrics",
                             "/metrics/../x",
                             "/x/../metrics",
                             "/metrics/../metrics",
                             "/%2e%2e/metrics",
                             "/metrics/%2e%2e/x",
                             "/x/%2e%2e/metrics",
                             "/x/..;/metrics",
                             "/metrics/..;/x",
                             "/metrics;jsessionid=1",
                             "/%u002e%u002e/metrics",
                             "/x/%u002e%u002e/metrics",
                             "/%6detrics",
                             "/metrics%00",
                             "/metrics%3f",
                             "/METRICS",
                             "/x/..%5cmetrics",
                             "/x\\..\\metrics",
                             "/metrics%20",
                             "/healthz/../metrics",
                             "/setup/setup-s/%u002e%u002e/%u002e%u002e/metrics",
                             "http://a/x/../metrics",
                             "http://a?/metrics"}) {
    EXPECT_THAT(ask("GET", target), StartsWith("HTTP/1.1 404 ")) << target;
  }
  stop();
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, ServesGetAndHeadOnly) {  // THREATS G5
  open();
  for (const auto* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"}) {
    EXPECT_THAT(ask(method, "/metrics"),
                AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"), HasSubstr("\r\nAllow: GET, HEAD\r\n")))
        << method;
  }
  EXPECT_THAT(ask("OPTIONS", "*"), StartsWith("HTTP/1.1 405 "));
  stop();
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, RefusesABodyAndCloses) {
  open();
  const auto peer = connect();
  peer->say("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(peer->hear_out(),
              AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Connection: close"), Not(HasSubstr("200"))));
  stop();
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, RefusesAHeadOverTheLimit) {  // THREATS G5: L-1, L, L+1, and 64 KiB
  open();
  const std::string start = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ";
  const std::string end = "\r\n\r\n";
  const auto frame = start.size() + end.size();
  const auto answered = [&](std::size_t size) {
    const auto peer = connect();
    peer->say(start + std::string(size - frame, 'x') + end);
    return peer->hear_out();
  };
  EXPECT_THAT(answered(request_reader::head_limit - 1), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answered(request_reader::head_limit), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answered(request_reader::head_limit + 1),
              AllOf(StartsWith("HTTP/1.1 431 Request Header Fields Too Large\r\n"), HasSubstr("Connection: close")));
  EXPECT_THAT(answered(64U << 10U), StartsWith("HTTP/1.1 431 "));  // told, though more was to come
}

TEST_F(HttpListener, KeepsTheConnection) {
  open();
  const auto peer = connect();
  for (int i = 0; i < 3; ++i) {
    peer->say(get_metrics);
    EXPECT_THAT(peer->hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  }
}

TEST_F(HttpListener, AnswersPipelinedRequestsInOrder) {
  open();
  const auto peer = connect();
  peer->say("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n" + std::string{get_metrics} +
            "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + std::string{get_metrics});
  const auto all = peer->hear_out();
  const auto first = all.find("\r\n\r\nok\n");
  const auto second = all.find("404 Not Found");
  const auto third = all.find("comity_up");
  const auto fourth = all.find("\r\n\r\nok\n", first + 1);
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_LT(third, fourth);
  EXPECT_LT(fourth, std::string::npos);
  stop();
  EXPECT_EQ(3U, served_.size());  // nothing of what came behind the last one
}

TEST_F(HttpListener, AnswersThousandsOfRequestsInOnePiece) {
  open({.each = {.requests = 3000}});
  std::string all;
  for (int i = 0; i < 2999; ++i) {
    all += get_metrics;
  }
  const auto peer = connect();
  std::thread speaking{[&] { peer->say(all + "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); }};
  const auto answers = peer->hear_out();
  speaking.join();
  std::size_t count = 0;
  for (auto at = answers.find("comity_up"); at != std::string::npos; at = answers.find("comity_up", at + 1)) {
    ++count;
  }
  EXPECT_EQ(2999U, count);
  EXPECT_THAT(answers, HasSubstr("404 Not Found"));
}

TEST_F(HttpListener, ClosesBehindTheLastRequestOfTheLimit) {  // L-1, L, L+1
  open({.each = {.requests = 3}});
  const auto peer = connect();
  for (int i = 0; i < 2; ++i) {
    peer->say(get_metrics);
    EXPECT_THAT(peer->hear("comity_up 1\n"), HasSubstr("Connection: keep-alive"));
  }
  peer->say(std::string{get_metrics} + std::string{get_metrics});
  EXPECT_THAT(peer->hear("comity_up 1\n"), HasSubstr("Connection: close"));
  EXPECT_EQ("", peer->hear_out());
  stop();
  EXPECT_EQ(3U, served_.size());
}

TEST_F(HttpListener, SlowBytesDoNotMoveTheDeadline) {  // THREATS G2, G5
  open({.each = {.request_time = 60ms, .idle_time = 1h}});
  for (const auto* start : {"GET /metrics HTTP/1.1\r\nX: ", "\r\n"}) {
    const auto peer = connect();
    peer->say(start);
    const auto began = std::chrono::steady_clock::now();
    const auto answer = peer->hear_out_saying(start[0] == 'G' ? "x" : "\r\n");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 408 Request Timeout\r\n"), HasSubstr("Connection: close")));
    EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  }
  stop();
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, ARequestBegunBehindAnotherHasNoMoreTime) {
  open({.each = {.request_time = 60ms, .idle_time = 1h}});
  const auto peer = connect();
  peer->say(std::string{get_metrics} + "GET /half");
  EXPECT_THAT(peer->hear_out(), AllOf(HasSubstr("200 OK"), HasSubstr("408 Request Timeout")));
}

TEST_F(HttpListener, ClosesAnIdleConnectionWithoutAWord) {
  open({.each = {.request_time = 1h, .idle_time = 60ms}});
  EXPECT_EQ("", connect()->hear_out());
  const auto served = connect();
  served->say(get_metrics);
  EXPECT_THAT(served->hear_out(), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("comity_up 1\n")));
}

TEST_F(HttpListener, CutsOffWhoDoesNotTakeItsAnswer) {
  body_.assign(64U << 20U, 'x');
  open({.connections = 1, .each = {.request_time = 60ms, .idle_time = 1h}});
  const auto peer = connect();
  peer->say(get_metrics);
  // Nothing is read; there is room for another one once the server has given up.
  while (!ask("GET", "/healthz").starts_with("HTTP/1.1 200 ")) {
    std::this_thread::yield();
  }
  EXPECT_LT(peer->hear_out().size(), body_.size());
}

TEST_F(HttpListener, DoesNotWaitForAPeerThatNeverCloses) {
  open({.connections = 1, .each = {.idle_time = 1h, .linger_time = 60ms}});
  const auto peer = connect();
  peer->say("GET /metrics HTTP/1.0\r\n\r\n");
  EXPECT_THAT(peer->hear_out(), EndsWith("comity_up 1\n"));  // it has sent its FIN; ours never comes
  while (!ask("GET", "/healthz").starts_with("HTTP/1.1 200 ")) {
    std::this_thread::yield();
  }
}

TEST_F(HttpListener, HoldsAsManyConnectionsAsTheLimit) {  // L-1, L, L+1
  open({.connections = 3});
  std::vector<std::unique_ptr<xmpp_peer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(connect());
    peers.back()->say(get_metrics);
    EXPECT_THAT(peers.back()->hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 ")) << i;
  }
  EXPECT_EQ("", connect()->hear_out());
  peers.pop_back();
  while (!ask("GET", "/metrics").starts_with("HTTP/1.1 200 ")) {  // the room is free once the server has seen it go
    std::this_thread::yield();
  }
}

TEST_F(HttpListener, RestsWhenThereAreNoDescriptors) {  // THREATS G4
  open();
  std::unique_ptr<xmpp_peer> peer = connect();
  peer->say(get_metrics);
  EXPECT_THAT(peer->hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  const int spare = ::dup(0);
  {
    fakes::no_descriptors none;
    ::close(spare);
    const auto late = connect();  // takes the one that is left
    late->say(get_metrics);
    while (log_.count("listener.paused") == 0) {
      std::this_thread::yield();
    }
    peer->say(get_metrics);  // who is in is served
    EXPECT_THAT(peer->hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
    none.give_back(8);
    EXPECT_THAT(late->hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_EQ(1U, log_.count("listener.paused"));
}

TEST_F(HttpListener, ItsEndClosesPortAndConnections) {
  open();
  const auto idle = connect();
  const auto busy = connect();
  busy->say("GET /metr");
  idle->say(get_metrics);
  EXPECT_THAT(idle->hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  const auto port = listener_->port();
  stop();
  listener_.reset();
  EXPECT_EQ("", idle->hear_out());
  EXPECT_EQ("", busy->hear_out());
  EXPECT_TRUE(http_listener::open({loop_, log_}, "127.0.0.1", port, {}));
}

TEST_F(HttpListener, SaysWhyItCannotOpen) {
  open();
  const auto taken = http_listener::open({loop_, log_}, "127.0.0.1", listener_->port(), {});
  ASSERT_FALSE(taken);
  EXPECT_EQ("Address already in use", taken.error());
  EXPECT_FALSE(http_listener::open({loop_, log_}, "localhost", 0, {}));
  EXPECT_FALSE(http_listener::open({loop_, log_}, "192.0.2.1", 0, {}));
}

}  // namespace
}  // namespace comity::http
