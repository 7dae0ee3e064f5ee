// The loops together: one home for each user, and a stop that leaves nothing behind.
#include "server/loop_pool.hpp"

#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <future>
#include <latch>
#include <set>

#include "fakes/fake_connection.hpp"

namespace comity::server {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr unsigned loops = 4;

class LoopPool : public ::testing::Test {
protected:
  /// Where the work of that user runs.
  std::thread::id home_of(const std::string& user) {
    std::promise<std::thread::id> where;
    pool_.at_home(*jid::parse(user), [&] { where.set_value(std::this_thread::get_id()); });
    return where.get_future().get();
  }
  connection::session_ref add(std::size_t loop, const std::string& name) {
    const auto id = connection::loop_connections::new_id();
    pool_.connections_of(loop).add(id, std::make_unique<fakes::fake_connection>(noted_, name));
    return {static_cast<std::uint32_t>(loop), id};
  }

  fakes::happenings noted_;
  connection::connection_metrics metrics_{loops, {}};
  loop_pool pool_{loops, metrics_};
};

TEST_F(LoopPool, AUserHasOneHomeAndUsersAreSpread) {
  pool_.start();
  std::set<std::thread::id> homes;
  for (int i = 0; i < 100; ++i) {
    const auto user = "u" + std::to_string(i) + "@a.example";
    const auto home = home_of(user);
    EXPECT_EQ(home, home_of(user));
    EXPECT_EQ(home, home_of(user + "/desk"));  // the account's, whichever of its resources is named
    homes.insert(home);
  }
  EXPECT_THAT(homes, SizeIs(loops));
  EXPECT_FALSE(homes.contains(std::this_thread::get_id()));
}

TEST_F(LoopPool, CountsTheTimersOfAllLoops) {
  pool_.start();
  const auto timers = [this] {
    std::promise<std::size_t> counted;
    pool_.count_timers([&](std::size_t n) { counted.set_value(n); });
    return counted.get_future().get();
  };
  const auto before = timers();
  constexpr std::size_t more = 10;
  std::array<std::unique_ptr<homes::waiting>, more> waiting;
  for (std::size_t i = 0; i < more; ++i) {
    const auto user = *jid::parse("u" + std::to_string(i) + "@a.example");
    pool_.at_home(user, [&, user, i] { waiting.at(i) = pool_.after(user, std::chrono::hours{1}, [] {}); });
  }
  pool_.settle();
  EXPECT_EQ(timers(), before + more);
  for (std::size_t i = 0; i < more; ++i) {  // what waits for its time is given up where it goes
    pool_.at_home(*jid::parse("u" + std::to_string(i) + "@a.example"), [&, i] { waiting.at(i).reset(); });
  }
  pool_.settle();
  EXPECT_EQ(timers(), before);
}

TEST_F(LoopPool, AQuestionToAllIsAnsweredOnceNoneIsStuckAnyLonger) {
  pool_.start();
  std::promise<void> first;
  pool_.ask_all([&] { first.set_value(); });
  first.get_future().wait();

  for (std::size_t stuck = 0; stuck < loops; ++stuck) {
    std::latch release{1};
    pool_.loop(stuck).post([&] { release.wait(); });
    std::atomic<unsigned> answers{0};
    std::promise<void> answered;
    pool_.ask_all([&] {
      ++answers;
      answered.set_value();
    });
    for (std::size_t other = 0; other < loops; ++other) {  // all others have come to the question
      if (other != stuck) {
        std::promise<void> passed;
        pool_.loop(other).post([&] { passed.set_value(); });
        passed.get_future().wait();
      }
    }
    EXPECT_EQ(answers, 0U) << stuck;
    release.count_down();
    answered.get_future().wait();
    EXPECT_EQ(answers, 1U) << stuck;
  }
}

TEST_F(LoopPool, AtHomeWorkRunsAtOnceAndElsewhereInTheOrderOfAsking) {
  pool_.start();
  const auto user = *jid::parse("u@a.example");
  std::vector<int> order;
  std::latch done{1};
  pool_.at_home(user, [&] {
    order.push_back(1);
    pool_.at_home(user, [&] { order.push_back(2); });
    order.push_back(3);
  });
  pool_.at_home(user, [&] {
    order.push_back(4);
    done.count_down();
  });
  done.wait();
  EXPECT_THAT(order, ElementsAre(1, 2, 3, 4));
}

TEST_F(LoopPool, SettlesWhatPostsToOtherLoops) {
  pool_.start();
  std::atomic<int> reached = 0;
  for (std::size_t first = 0; first < loops; ++first) {
    pool_.loop(first).post([&, first] {
      pool_.loop((first + 1) % loops).post([&, first] { pool_.loop((first + 2) % loops).post([&] { ++reached; }); });
    });
  }
  pool_.settle();
  EXPECT_EQ(static_cast<int>(loops), reached);
}

TEST_F(LoopPool, SettlingBeforeTheStartWaitsForNothing) {
  pool_.settle();
}

TEST_F(LoopPool, KnowsItsLeastBusyLoop) {
  for (std::size_t i = 0; i < loops; ++i) {
    if (i != 2) {
      add(i, "x");
    }
  }
  EXPECT_EQ(&pool_.connections_of(2), &pool_.least_busy());
  add(2, "y");
  add(2, "z");
  add(0, "z");
  EXPECT_EQ(&pool_.connections_of(1), &pool_.least_busy());
  pool_.stop();
}

TEST_F(LoopPool, ReachesASessionOnItsLoop) {
  const auto session = add(3, "s");
  pool_.start();
  pool_.send(session, stanza_builder{stanza_kind::message, stanza_type::chat, *jid::parse("a@a.example/x"),
                                     *jid::parse("b@a.example"), "1"}
                          .finish());
  pool_.close(session, stream_condition::conflict, "elsewhere");
  pool_.settle();
  pool_.stop();
  EXPECT_THAT(noted_, ElementsAre("s: send 1", "s: dismiss conflict policy elsewhere", "s: destroyed"));
}

TEST_F(LoopPool, ItsStopEndsConnectionsAfterTheThreads) {
  for (std::size_t i = 0; i < loops; ++i) {
    add(i, "c");
  }
  pool_.start();
  pool_.settle();
  pool_.stop();
  EXPECT_THAT(noted_, SizeIs(loops));
  EXPECT_EQ(0U, pool_.connections().size());
  pool_.stop();  // twice is once
}

}  // namespace
}  // namespace comity::server
