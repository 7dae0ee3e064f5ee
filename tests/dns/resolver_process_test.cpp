// The process's end of its socket, with the real resolver behind it, which answers "localhost" by itself.
#include "dns/resolver_process.hpp"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <optional>
#include <set>
#include <vector>

#include "dns/child_messages.hpp"

namespace comity::dns {
namespace {

/// The calling thread, and those that it begins, on one processor: what is done in one breath is seen by another thread
/// at once.
class one_processor {
public:
  one_processor() {
    EXPECT_EQ(::sched_getaffinity(0, sizeof before_, &before_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    EXPECT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  }
  ~one_processor() { (void)::sched_setaffinity(0, sizeof before_, &before_); }
  one_processor(const one_processor&) = delete;
  one_processor& operator=(const one_processor&) = delete;

private:
  cpu_set_t before_{};
};

class ResolverProcess : public testing::Test {
protected:
  ResolverProcess() {
    constexpr int room = 4608;  // the least: a few packets
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
    for (const int end : ends) {
      EXPECT_EQ(::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    }
    ours_ = ends[0];
    status_ = std::async(std::launch::async, [theirs = ends[1]] {
      return run_resolver_process(theirs, [](const settings&) { return std::string{"as a test"}; });
    });
    settings s;
    s.servers = {"127.0.0.1@1"};
    send(child::encode(s));
    const auto first = report();
    EXPECT_TRUE(first && std::holds_alternative<child::started>(*first));
  }
  ~ResolverProcess() override { ::close(ours_); }
  ResolverProcess(const ResolverProcess&) = delete;
  ResolverProcess& operator=(const ResolverProcess&) = delete;

  void send(const std::string& packet) const {
    EXPECT_EQ(::send(ours_, packet.data(), packet.size(), MSG_NOSIGNAL), static_cast<ssize_t>(packet.size()));
  }
  void ask() { send(child::encode(child::question{.id = ++asked_, .type = record_type::a, .name = "localhost"})); }
  /// Whether there was one; nothing comes any more where the process has ended.
  bool hear() {
    const auto said = report();
    if (said && std::holds_alternative<child::answered>(*said)) {
      const auto& a = std::get<child::answered>(*said);
      EXPECT_EQ(a.what.result, outcome::records) << a.what.why;
      EXPECT_TRUE(answered_.insert(a.id).second);
    }
    return said.has_value();
  }
  /// What was asked was taken.
  void taken() const {
    for (int left = 1; left != 0;) {
      ASSERT_EQ(::ioctl(ours_, TIOCOUTQ, &left), 0);
      ::sched_yield();
    }
  }

  one_processor one_;
  int ours_ = -1;
  std::future<int> status_;
  std::uint64_t asked_ = 0;
  std::set<std::uint64_t> answered_;

private:
  [[nodiscard]] std::optional<child::report> report() const {
    std::vector<std::uint8_t> packet(child::packet_limit + 1);
    const auto n = ::recv(ours_, packet.data(), packet.size(), 0);
    return child::read_report({packet.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
  }
};

/// There is room for an answer, and a question, both at once; then there is no room any more, and the wait for more of
/// it tells of the question for the second time, when it has been taken. That is no end.
TEST_F(ResolverProcess, GoesOnWhereItsAnswersWaitForRoom) {  // THREATS E6
  for (int i = 0; i < 2000; ++i) {
    ask();
  }
  taken();
  while (answered_.size() < 1900) {
    for (int i = 0; i < 6; ++i) {
      ASSERT_TRUE(hear()) << "it ended with " << answered_.size() << " answers to " << asked_;
    }
    ask();
    ::sched_yield();
  }
  while (answered_.size() < asked_) {
    ASSERT_TRUE(hear());
  }
  ASSERT_EQ(::shutdown(ours_, SHUT_RDWR), 0);
  EXPECT_EQ(status_.get(), 0);
}

}  // namespace
}  // namespace comity::dns
