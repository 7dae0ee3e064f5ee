// The daemon's end of its resolver process, against processes that the test plays itself (THREATS E6, X18).
#include "dns/child_resolver.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>

#include "dns/child_messages.hpp"

namespace comity::dns {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

/// The other end of a process's socket.
class played {
public:
  explicit played(int socket) : socket_{socket} {}
  ~played() { close(); }
  played(const played&) = delete;
  played& operator=(const played&) = delete;

  void say(const std::string& packet) const {
    ASSERT_EQ(::send(socket_, packet.data(), packet.size(), MSG_NOSIGNAL), static_cast<ssize_t>(packet.size()));
  }
  [[nodiscard]] child::question asked() const {
    std::array<std::uint8_t, 4096> room{};
    const auto n = ::recv(socket_, room.data(), room.size(), 0);
    const auto order = child::read_order({room.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
    EXPECT_TRUE(order && std::holds_alternative<child::question>(*order));
    return order && std::holds_alternative<child::question>(*order) ? std::get<child::question>(*order)
                                                                    : child::question{};
  }
  void answer(const child::question& q) const {
    dns::answer a;
    a.type = q.type;
    a.result = outcome::nodata;
    a.security = security::insecure;
    a.ttl = 60s;
    a.canonical_name = q.name;
    say(child::encode(child::answered{.id = q.id, .what = a}));
  }
  void skip_settings() const {
    std::array<std::uint8_t, 4096> room{};
    const auto n = ::recv(socket_, room.data(), room.size(), 0);
    const auto order = child::read_order({room.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))});
    EXPECT_TRUE(order && std::holds_alternative<settings>(*order));
  }
  [[nodiscard]] bool hung_up() const {
    pollfd p{.fd = socket_, .events = 0, .revents = 0};
    return ::poll(&p, 1, 10000) == 1 && (p.revents & POLLHUP) != 0;
  }
  void close() {
    if (socket_ >= 0) {
      ::close(std::exchange(socket_, -1));
    }
  }

private:
  int socket_;
};

class fake_process final : public child_process {
public:
  explicit fake_process(int socket) : socket_{socket} {}
  ~fake_process() override { ::close(socket_); }
  fake_process(const fake_process&) = delete;
  fake_process& operator=(const fake_process&) = delete;
  [[nodiscard]] int socket() const noexcept override { return socket_; }
  [[nodiscard]] std::string end() override {
    (void)::shutdown(socket_, SHUT_RDWR);
    return "killed by signal 9";
  }

private:
  int socket_;
};

class ChildResolver : public testing::Test {
public:
  /// What each process says first; one that says nothing ends at once.
  std::string first = child::encode(child::started{"as a test"});

  [[nodiscard]] child_resolver::collaborators world() {
    return {.starter = [this]() -> std::expected<std::unique_ptr<child_process>, std::string> {
              std::array<int, 2> ends{};
              EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
              auto other = std::make_unique<played>(ends[1]);
              if (first.empty()) {
                other->close();
              } else {
                other->say(first);
              }
              const std::lock_guard lock{mutex_};
              processes_.push_back(std::move(other));
              changed_.notify_all();
              return std::make_unique<fake_process>(ends[0]);
            },
            .note =
                [this](note_level, std::string text) {
                  const std::lock_guard lock{mutex_};
                  notes += text + "\n";
                },
            .observe = {},
            .restarted =
                [this] {
                  const std::lock_guard lock{mutex_};
                  ++restarts;
                  changed_.notify_all();
                }};
  }
  void start() {
    auto made = child_resolver::start(settings{}, world());
    ASSERT_TRUE(made) << made.error();
    names = *std::move(made);
  }
  /// The n-th process, whose settings have been read.
  played& process(std::size_t n) {
    std::unique_lock lock{mutex_};
    EXPECT_TRUE(changed_.wait_for(lock, 10s, [&] { return processes_.size() > n; }));
    auto& p = *processes_.at(n);
    lock.unlock();
    return p;
  }
  played& fresh(std::size_t n) {
    auto& p = process(n);
    p.skip_settings();
    return p;
  }
  void wait_for_restarts(int count) {
    std::unique_lock lock{mutex_};
    EXPECT_TRUE(changed_.wait_for(lock, 10s, [&] { return restarts >= count; }));
  }
  [[nodiscard]] std::string said() {
    const std::lock_guard lock{mutex_};
    return notes;
  }

  /// A lookup, and its answer when it is there.
  struct asking {
    std::promise<answer> got;
    ticket held;
  };
  std::unique_ptr<asking> ask(std::string name, record_type type = record_type::a) {
    auto a = std::make_unique<asking>();
    a->held = names->lookup(
        std::move(name), type, [](std::move_only_function<void()> work) { work(); },
        [at = a.get()](const answer& what) { at->got.set_value(what); });
    return a;
  }
  static answer answer_of(asking& a) {
    auto future = a.got.get_future();
    EXPECT_EQ(future.wait_for(10s), std::future_status::ready);
    return future.get();
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<played>> processes_;

public:
  std::string notes;
  int restarts = 0;
  std::unique_ptr<child_resolver> names;  // the last one: its thread speaks to those above until it is gone
};

TEST_F(ChildResolver, AsksAndAnswers) {
  start();
  auto& p = fresh(0);
  const auto a = ask("Example.ORG.", record_type::tlsa);
  const auto q = p.asked();
  EXPECT_EQ(q.name, "example.org");
  EXPECT_EQ(q.type, record_type::tlsa);
  p.answer(q);
  EXPECT_EQ(answer_of(*a).result, outcome::nodata);
  EXPECT_THAT(said(), HasSubstr("the resolver process is ready: as a test"));
}

TEST_F(ChildResolver, AnswersNamesThatAreNoneItself) {
  start();
  EXPECT_EQ(answer_of(*ask("a..b")).result, outcome::nxdomain);
}

TEST_F(ChildResolver, StartsAnotherProcessAndFailsOnlyWhatWasInFlight) {  // THREATS E6, X18
  start();
  auto& p = fresh(0);
  const auto lost = ask("a.example");
  (void)p.asked();
  p.close();
  const auto failed = answer_of(*lost);
  EXPECT_EQ(failed.result, outcome::servfail);
  EXPECT_EQ(failed.why, "the resolver process has ended");
  const auto later = ask("b.example");
  auto& next = fresh(1);
  next.answer(next.asked());
  EXPECT_EQ(answer_of(*later).result, outcome::nodata);
  wait_for_restarts(1);
  EXPECT_THAT(said(), HasSubstr("the resolver process has ended: killed by signal 9; 1 lookups fail"));
}

/// Each breaks the protocol in its own way, and none is listened to afterwards.
TEST_F(ChildResolver, EndsAProcessThatBreaksTheProtocol) {
  start();
  std::size_t n = 0;
  const auto breaks = [&](const auto& with) {
    auto& p = fresh(n);
    const auto a = ask("a.example");
    const auto q = p.asked();
    p.say(with(q));
    EXPECT_EQ(answer_of(*a).result, outcome::servfail);
    EXPECT_TRUE(p.hung_up());
    ++n;
  };
  dns::answer none;
  none.result = outcome::nodata;
  none.security = security::none;
  none.ttl = 60s;
  breaks([](const child::question&) { return std::string{"garbage"}; });
  breaks([](const child::question&) { return std::string(child::packet_limit + 1, '\x05'); });
  breaks([](const child::question&) { return child::encode(child::started{}); });
  breaks([&](const child::question& q) { return child::encode(child::answered{.id = q.id + 1, .what = none}); });
  breaks([&](const child::question& q) {
    auto other = none;
    other.type = record_type::srv;
    return child::encode(child::answered{.id = q.id, .what = other});
  });
  breaks([](const child::question&) { return child::encode(child::note{.level = note_level::broken, .text = "x"}); });
  EXPECT_THAT(said(), HasSubstr("it broke the protocol, and was ended: killed by signal 9"));
}

TEST_F(ChildResolver, LetsTheOldProcessAnswerAfterAReload) {
  start();
  auto& old = fresh(0);
  const auto before = ask("before.example");
  const auto q = old.asked();
  ASSERT_TRUE(names->reload({}));
  auto& now = fresh(1);
  const auto after = ask("after.example");
  now.answer(now.asked());
  EXPECT_EQ(answer_of(*after).result, outcome::nodata);
  old.answer(q);
  EXPECT_EQ(answer_of(*before).result, outcome::nodata);
  EXPECT_TRUE(old.hung_up()) << "it has nothing left to do";
  EXPECT_EQ(restarts, 0);
}

TEST_F(ChildResolver, KeepsTheProcessWhereNewSettingsAreRefused) {
  start();
  auto& p = fresh(0);
  first = child::encode(child::refused{"/no/such/file cannot be read"});
  const auto reloaded = names->reload({});
  ASSERT_FALSE(reloaded);
  EXPECT_EQ(reloaded.error(), "/no/such/file cannot be read");
  const auto a = ask("a.example");
  p.answer(p.asked());
  EXPECT_EQ(answer_of(*a).result, outcome::nodata);
}

TEST_F(ChildResolver, DoesNotStartWithAProcessThatDoesNot) {
  for (const auto& [said_first, error] :
       {std::pair{std::string{}, "the resolver process ended at its start: killed by signal 9"},
        {child::encode(child::refused{"why"}), "why"},
        {std::string{"garbage"}, "the resolver process says what it must not at its start"}}) {
    first = said_first;
    const auto made = child_resolver::start(settings{}, world());
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error(), error);
  }
  settings many;
  many.servers.assign(child::list_limit + 1, "192.0.2.1");
  EXPECT_EQ(child_resolver::start(many, world()).error(), "there are too many servers, stubs or trust anchors");
}

TEST_F(ChildResolver, CancelsWhatIsOutstandingAtItsEnd) {
  start();
  auto& p = fresh(0);
  const auto a = ask("a.example");
  (void)p.asked();
  names.reset();
  EXPECT_EQ(answer_of(*a).result, outcome::cancelled);
  EXPECT_TRUE(p.hung_up());
}

}  // namespace
}  // namespace comity::dns
