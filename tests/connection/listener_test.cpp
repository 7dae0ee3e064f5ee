// Sockets accepted on loopback ports: what they are when they are handed on, and who is refused.
#include "connection/listener.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/tcp.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <asio.hpp>
#include <optional>

#include "connection/connection_metrics.hpp"
#include "fakes/recording_log.hpp"
#include "fakes/socket_peer.hpp"

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using fakes::run_until;
using fakes::socket_peer;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Listener : public ::testing::Test {
protected:
  ~Listener() override {
    for (const auto& a : taken_) {
      ::close(a.descriptor);
    }
  }
  auto opened(const std::string& host, std::uint16_t port) {
    return listener::open({.loop = loop_, .limits = limits_, .log = log_}, host, port, usual_,
                          [this](accepted_socket s) { taken_.push_back(std::move(s)); });
  }
  void open(const std::string& host = "127.0.0.1") {
    auto made = opened(host, 0);
    ASSERT_TRUE(made) << made.error();
    listener_ = std::move(*made);
    listener_->start();
  }
  asio::io_context& context() { return loop_.context(); }
  socket_peer connect() { return {context(), listener_->port()}; }
  bool takes(std::size_t count) {
    return run_until(context(), [&] { return taken_.size() == count; });
  }
  /// What is ready is done, and it took nothing more.
  void settle() {
    context().restart();
    context().poll();
  }
  int option(int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(0, ::getsockopt(taken_.back().descriptor, level, name, &value, &size));
    return value;
  }
  /// As the text form of the peer's own address.
  static std::string own_address(const socket_peer& peer) {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    ::getsockname(peer.descriptor(), reinterpret_cast<sockaddr*>(&own), &size);
    return "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
  }

  /// comity_connections_rejected_total of that scope and cause.
  [[nodiscard]] double rejected(const std::string& scope, const std::string& cause) const {
    for (const auto& family : metrics_.collectable()->Collect()) {
      for (const auto& m : family.metric) {
        if (family.name == "comity_connections_rejected_total" && m.label[0].value == scope &&
            m.label[1].value == cause) {
          return m.counter.value;
        }
      }
    }
    return -1;
  }

  route usual_{scope::c2s, direction::inbound, method::direct_tls};
  connection_metrics metrics_{1, {usual_, {scope::s2s, direction::inbound, method::starttls}}};
  loop loop_{0, metrics_.cell(0)};
  ip_limits limits_{1000, 1000, 200};
  fakes::recording_log log_;
  std::vector<accepted_socket> taken_;
  std::unique_ptr<listener> listener_;
};

TEST_F(Listener, HandsOnSocketsReadyForTheirStream) {
  open();
  const auto peer = connect();
  ASSERT_TRUE(takes(1));
  EXPECT_EQ(own_address(peer), taken_[0].address);
  EXPECT_EQ(method::direct_tls, taken_[0].method);
  EXPECT_NE(0, ::fcntl(taken_[0].descriptor, F_GETFL) & O_NONBLOCK);
  EXPECT_NE(0, ::fcntl(taken_[0].descriptor, F_GETFD) & FD_CLOEXEC);
  EXPECT_EQ(1, option(IPPROTO_TCP, TCP_NODELAY));
  EXPECT_EQ(1, option(SOL_SOCKET, SO_KEEPALIVE));
  EXPECT_EQ(57'000, option(IPPROTO_TCP, TCP_USER_TIMEOUT));
}

TEST_F(Listener, TakesIpv4OnTheAnyAddressOfIpv6) {
  open("::");
  const auto peer = connect();
  ASSERT_TRUE(takes(1));
  EXPECT_EQ(own_address(peer), taken_[0].address);
}

TEST_F(Listener, NamesIpv6AddressesInBrackets) {
  open("::1");
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  to.sin6_port = htons(listener_->port());
  to.sin6_addr = in6addr_loopback;
  const int peer = ::socket(AF_INET6, SOCK_STREAM, 0);
  ASSERT_EQ(0, ::connect(peer, reinterpret_cast<const sockaddr*>(&to), sizeof to));
  ASSERT_TRUE(takes(1));
  socklen_t size = sizeof to;
  ::getsockname(peer, reinterpret_cast<sockaddr*>(&to), &size);
  EXPECT_EQ("[::1]:" + std::to_string(ntohs(to.sin6_port)), taken_[0].address);
  ::close(peer);
}

TEST_F(Listener, FindsAPortWhereNoneIsGiven) {
  open();
  const auto first = listener_->port();
  EXPECT_NE(0, first);
  auto second = opened("127.0.0.1", 0);
  ASSERT_TRUE(second);
  EXPECT_NE(first, (*second)->port());
}

TEST_F(Listener, SaysWhyItCannotListen) {
  open();
  const auto error = [&](const std::string& host, std::uint16_t port) {
    const auto made = opened(host, port);
    return made ? "" : made.error();
  };
  EXPECT_EQ("Address already in use", error("127.0.0.1", listener_->port()));
  EXPECT_EQ("Cannot assign requested address", error("192.0.2.1", 0));
  EXPECT_NE("", error("localhost", 0));  // a name is never looked up
  EXPECT_NE("", error("127.0.0.1.5", 0));
}

TEST_F(Listener, TakesABurst) {
  open();
  std::vector<socket_peer> peers;
  for (int i = 0; i < 200; ++i) {
    peers.push_back(connect());
  }
  EXPECT_TRUE(takes(200));
}

TEST_F(Listener, RefusesAnAddressThatHasAsManyAsItMay) {  // L07, THREATS G1: L-1, L, L+1
  limits_.configure(3, 1000);
  open();
  std::vector<socket_peer> peers;
  for (std::size_t i = 1; i <= 3; ++i) {
    peers.push_back(connect());
    ASSERT_TRUE(takes(i));
  }
  auto over = connect();
  EXPECT_EQ("", over.hear_out());  // no stream, so not a word
  EXPECT_THAT(taken_, SizeIs(3));
  EXPECT_EQ(1U, log_.count("c2s.rejected"));
  EXPECT_EQ("c2s.rejected address=" + own_address(over) + " cause=per_ip_limit", log_.lines().back());
  EXPECT_EQ(1, rejected("c2s", "per_ip_limit"));

  ::close(taken_.back().descriptor);
  taken_.pop_back();  // its permit goes with it
  const auto next = connect();
  EXPECT_TRUE(takes(3));
}

TEST_F(Listener, RefusesWhatIsMoreThanTheProcessCanHold) {  // THREATS G4: L, L+1
  usual_ = {scope::s2s, direction::inbound, method::starttls};
  open();
  std::vector<socket_peer> peers;
  for (int i = 0; i < 200; ++i) {
    peers.push_back(connect());
  }
  ASSERT_TRUE(takes(200));
  auto over = connect();
  EXPECT_EQ("", over.hear_out());
  EXPECT_EQ("s2s.rejected address=" + own_address(over) + " cause=global_limit", log_.lines().back());
  EXPECT_EQ(1, rejected("s2s", "global_limit"));
  EXPECT_EQ(0, rejected("c2s", "global_limit"));
}

TEST_F(Listener, RefusesAnAddressThatHasTooManyWithoutALogin) {  // L07, THREATS G1
  limits_.configure(1000, 2);
  open();
  const auto first = connect();
  const auto second = connect();
  ASSERT_TRUE(takes(2));
  auto over = connect();
  EXPECT_EQ("", over.hear_out());
  taken_[0].permit.authenticated();
  const auto next = connect();
  EXPECT_TRUE(takes(3));
}

TEST_F(Listener, RestsWithoutDescriptorsAndKeepsThePort) {  // THREATS G4, X12
  open();
  std::vector<socket_peer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(connect());
  }
  std::chrono::steady_clock::time_point freed;
  {
    fakes::no_descriptors none;
    EXPECT_LT(context().run_for(250ms), 20U);  // no loop without end
    // No matcher here: UBSan looks at what these call by way of a pipe, and there is none to be had.
    EXPECT_TRUE(taken_.empty());
    EXPECT_EQ(1U, log_.count("listener.paused"));  // once, however often it was tried
    for (auto& p : peers) {
      EXPECT_FALSE(p.ended());
    }
    none.give_back(1);
    freed = std::chrono::steady_clock::now();
    ASSERT_TRUE(takes(1));
    EXPECT_LT(std::chrono::steady_clock::now() - freed, 1s);
  }
  EXPECT_TRUE(takes(3));
  const fakes::no_descriptors again;
  context().restart();
  const auto late = context().run_for(150ms);
  EXPECT_LT(late, 20U);
  EXPECT_EQ(1U, log_.count("listener.paused"));  // nobody came, so nothing failed
}

TEST_F(Listener, OnceClosedTakesNobody) {
  open();
  const auto waiting = connect();
  const auto another = connect();
  const auto port = listener_->port();
  listener_->close();
  settle();
  EXPECT_THAT(taken_, IsEmpty());
  EXPECT_EQ(2, rejected("c2s", "draining"));  // they had been answered by the system, and are told
  EXPECT_THAT(log_.lines(), ElementsAre("c2s.rejected address=" + own_address(waiting) + " cause=draining",
                                        "c2s.rejected address=" + own_address(another) + " cause=draining"));
  EXPECT_TRUE(opened("127.0.0.1", port));
  listener_->close();  // twice is once
}

TEST_F(Listener, MayGoWhileItRests) {
  open();
  const auto peer = connect();
  {
    const fakes::no_descriptors none;
    EXPECT_TRUE(run_until(context(), [&] { return log_.count("listener.paused") == 1; }));
    listener_.reset();
  }
  context().restart();
  context().run_for(150ms);
  EXPECT_THAT(taken_, IsEmpty());
}

}  // namespace
}  // namespace comity::connection
