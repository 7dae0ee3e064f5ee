// THREATS X7: what a connection is set up with finds a peer that is gone within a minute, whether it is written to or
// not.
#include "connection/transport/tcp_options.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;

class TcpOptions : public ::testing::Test {
protected:
  TcpOptions() { set_tcp_options(socket_); }
  ~TcpOptions() override { ::close(socket_); }
  [[nodiscard]] int option(int level, int which) const {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(0, ::getsockopt(socket_, level, which, &value, &size));
    return value;
  }
  int socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
};

TEST_F(TcpOptions, ProbesWhoIsSilent) {
  EXPECT_EQ(1, option(SOL_SOCKET, SO_KEEPALIVE));
  EXPECT_EQ(silence_before_probes, std::chrono::seconds{option(IPPROTO_TCP, TCP_KEEPIDLE)});
  EXPECT_EQ(between_probes, std::chrono::seconds{option(IPPROTO_TCP, TCP_KEEPINTVL)});
  EXPECT_EQ(1, option(IPPROTO_TCP, TCP_NODELAY));
}

TEST_F(TcpOptions, GivesUpWithinAMinuteWhoDoesNotAcknowledge) {
  EXPECT_EQ(unanswered_at_most, std::chrono::milliseconds{option(IPPROTO_TCP, TCP_USER_TIMEOUT)});
  EXPECT_LE(unanswered_at_most, 60s);
}

/// The kernel looks at the limit when a probe is due, and only once one was sent: tcp_keepalive_timer().
TEST_F(TcpOptions, GivesUpWithinAMinuteWhoDoesNotAnswerProbes) {
  const auto given_up = [](std::chrono::milliseconds limit) {
    int probes = 0;
    std::chrono::milliseconds at = silence_before_probes;
    for (; at < limit || probes == 0; at += between_probes) {
      ++probes;
    }
    return std::pair{at, probes};
  };
  const auto [at, probes] = given_up(unanswered_at_most);
  EXPECT_LE(at, 60s);
  EXPECT_GE(probes, 3) << "a few packets may be lost";
  // At the instant of a probe it is given up there, a moment later at the next.
  EXPECT_EQ(52s, given_up(52s - 1ms).first);
  EXPECT_EQ(52s, given_up(52s).first);
  EXPECT_EQ(58s, given_up(52s + 1ms).first);
}

TEST_F(TcpOptions, BoundsWhatIsReceivedAheadOfUs) {  // THREATS X14
  limit_received_ahead(socket_);
  EXPECT_EQ(2 * received_ahead_bytes, option(SOL_SOCKET, SO_RCVBUF));
}

}  // namespace
}  // namespace comity::connection
