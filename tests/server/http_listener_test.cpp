// The HTTP endpoint over loopback sockets: what it serves, what it refuses, and what it costs its peers to hold it.
#include "server/http/http_listener.hpp"

#include <gmock/gmock.h>

#include <optional>

#include "fakes/socket_peer.hpp"
#include "server/http/request_reader.hpp"

namespace comity::http {
namespace {

using namespace std::chrono_literals;
using fakes::run_until;
using fakes::socket_peer;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class HttpListener : public ::testing::Test {
protected:
  void open(listener_limits limits = {}) {
    auto opened = http_listener::open(context_, "127.0.0.1", 0,
                                      {{"/metrics", [this](const request& r) { return serve(r, body_); }},
                                       {"/healthz", [this](const request& r) { return serve(r, "ok\n"); }}},
                                      limits);
    ASSERT_TRUE(opened) << opened.error();
    listener_ = std::move(*opened);
  }
  response serve(const request& r, const std::string& body) {
    served_.push_back(r.method + " " + r.target);
    response answer;
    answer.body = body;
    return answer;
  }
  socket_peer connect() { return {context_, listener_->port()}; }
  /// All that a peer gets who asks once and has the connection closed.
  std::string ask(const std::string& method, const std::string& target) {
    auto peer = connect();
    peer.say(method + " " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    return peer.hear_out();
  }

  asio::io_context context_{1};
  std::string body_ = "comity_up 1\n";
  std::vector<std::string> served_;
  std::unique_ptr<http_listener> listener_;
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
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, RefusesABodyAndCloses) {
  open();
  auto peer = connect();
  peer.say("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(peer.hear_out(),
              AllOf(StartsWith("HTTP/1.1 405 "), HasSubstr("Connection: close"), Not(HasSubstr("200"))));
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, RefusesAHeadOverTheLimit) {  // THREATS G5: L-1, L, L+1, and 64 KiB
  open();
  const std::string start = "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ";
  const std::string end = "\r\n\r\n";
  const auto frame = start.size() + end.size();
  const auto answered = [&](std::size_t size) {
    auto peer = connect();
    peer.say(start + std::string(size - frame, 'x') + end);
    return peer.hear_out();
  };
  EXPECT_THAT(answered(request_reader::head_limit - 1), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answered(request_reader::head_limit), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(answered(request_reader::head_limit + 1),
              AllOf(StartsWith("HTTP/1.1 431 Request Header Fields Too Large\r\n"), HasSubstr("Connection: close")));
  EXPECT_THAT(answered(64U << 10U), StartsWith("HTTP/1.1 431 "));  // told, though more was to come
}

TEST_F(HttpListener, KeepsTheConnection) {
  open();
  auto peer = connect();
  for (int i = 0; i < 3; ++i) {
    peer.say(get_metrics);
    EXPECT_THAT(peer.hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_FALSE(peer.ended());
}

TEST_F(HttpListener, AnswersPipelinedRequestsInOrder) {
  open();
  auto peer = connect();
  peer.say("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n" + std::string{get_metrics} +
           "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + std::string{get_metrics});
  const auto all = peer.hear_out();
  const auto first = all.find("\r\n\r\nok\n");
  const auto second = all.find("404 Not Found");
  const auto third = all.find("comity_up");
  const auto fourth = all.find("\r\n\r\nok\n", first + 1);
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_LT(third, fourth);
  EXPECT_LT(fourth, std::string::npos);
  EXPECT_EQ(3U, served_.size());  // nothing of what came behind the last one
}

/// Says the piece again every other millisecond until the other side closes; gives what was heard.
std::string dribble(asio::io_context& context, socket_peer& peer, std::string_view piece) {
  while (!peer.ended()) {
    (void)::send(peer.descriptor(), piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    context.restart();
    context.run_for(2ms);
  }
  return peer.hear_out();
}

TEST_F(HttpListener, SlowBytesDoNotMoveTheDeadline) {  // THREATS G2, G5
  open({.request_time = 60ms, .idle_time = 1h});
  for (const auto* start : {"GET /metrics HTTP/1.1\r\nX: ", "\r\n"}) {
    auto peer = connect();
    peer.say(start);
    const auto began = std::chrono::steady_clock::now();
    const auto answer = dribble(context_, peer, start[0] == 'G' ? "x" : "\r\n");
    EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 408 Request Timeout\r\n"), HasSubstr("Connection: close")));
    EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  }
  EXPECT_THAT(served_, IsEmpty());
}

TEST_F(HttpListener, ARequestBegunBehindAnotherHasNoMoreTime) {
  open({.request_time = 60ms, .idle_time = 1h});
  auto peer = connect();
  peer.say(std::string{get_metrics} + "GET /half");
  EXPECT_THAT(peer.hear_out(), AllOf(HasSubstr("200 OK"), HasSubstr("408 Request Timeout")));
}

TEST_F(HttpListener, ClosesAnIdleConnectionWithoutAWord) {
  open({.request_time = 1h, .idle_time = 60ms});
  auto silent = connect();
  EXPECT_EQ("", silent.hear_out());
  auto served = connect();
  served.say(get_metrics);
  EXPECT_THAT(served.hear_out(), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("comity_up 1\n")));
}

TEST_F(HttpListener, CutsOffWhoDoesNotTakeItsAnswer) {
  body_.assign(64U << 20U, 'x');
  open({.request_time = 60ms, .idle_time = 1h});
  auto peer = connect();
  peer.say(get_metrics);
  // Nothing is read; once the server has given up, what is left in the sockets ends short of the whole.
  const auto until = std::chrono::steady_clock::now() + 10s;
  std::size_t ran = 1;
  while (ran != 0 && std::chrono::steady_clock::now() < until) {
    context_.restart();
    ran = context_.run_for(200ms);
  }
  EXPECT_LT(peer.hear_out().size(), body_.size());
}

TEST_F(HttpListener, DoesNotWaitForAPeerThatNeverCloses) {
  open({.idle_time = 1h, .linger_time = 60ms});
  auto peer = connect();
  peer.say("GET /metrics HTTP/1.0\r\n\r\n");
  EXPECT_THAT(peer.hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  // It has sent its FIN; ours never comes. Words after its end find nobody.
  EXPECT_TRUE(run_until(
      context_, [&] { return ::send(peer.descriptor(), "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN; }));
}

TEST_F(HttpListener, HoldsAsManyConnectionsAsTheLimit) {  // L-1, L, L+1
  open({.connections = 3});
  std::vector<socket_peer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(connect());
    peers.back().say(get_metrics);
    EXPECT_THAT(peers.back().hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 ")) << i;
  }
  auto over = connect();
  EXPECT_EQ("", over.hear_out());
  peers.pop_back();
  std::optional<socket_peer> next;
  EXPECT_TRUE(run_until(context_, [&] {  // the room is free once the server has seen the other go
    next.reset();
    next.emplace(connect());
    next->say(get_metrics);
    return !next->hear("comity_up 1\n").empty();
  }));
}

TEST_F(HttpListener, RestsWhenThereAreNoDescriptors) {  // THREATS G4
  open();
  auto peer = connect();
  peer.say(get_metrics);
  {
    const fakes::no_descriptors none;
    EXPECT_LT(context_.run_for(150ms), 20U);  // no loop without end
    EXPECT_FALSE(peer.ended());
  }
  EXPECT_THAT(peer.hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpListener, ItsEndClosesPortAndConnections) {
  open();
  auto idle = connect();
  auto busy = connect();
  busy.say("GET /metr");
  idle.say(get_metrics);
  EXPECT_THAT(idle.hear("comity_up 1\n"), StartsWith("HTTP/1.1 200 "));
  const auto port = listener_->port();
  listener_.reset();
  EXPECT_EQ("", idle.hear_out());
  EXPECT_EQ("", busy.hear_out());
  EXPECT_TRUE(http_listener::open(context_, "127.0.0.1", port, {}));
}

TEST_F(HttpListener, SaysWhyItCannotOpen) {
  open();
  const auto taken = http_listener::open(context_, "127.0.0.1", listener_->port(), {});
  ASSERT_FALSE(taken);
  EXPECT_EQ("Address already in use", taken.error());
  EXPECT_FALSE(http_listener::open(context_, "localhost", 0, {}));
  EXPECT_FALSE(http_listener::open(context_, "192.0.2.1", 0, {}));
}

}  // namespace
}  // namespace comity::http
