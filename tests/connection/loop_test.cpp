// One loop's order of things, and the connections on it.
#include "connection/loop.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <asio.hpp>
#include <functional>
#include <latch>
#include <new>
#include <stdexcept>
#include <thread>

#include "connection/connection_metrics.hpp"
#include "connection/loop_connections.hpp"
#include "fakes/fake_connection.hpp"

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using fakes::fake_connection;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class Loop : public ::testing::Test {
protected:
  /// What is ready now, and what that makes ready, on this thread.
  void turn() {
    loop_.context().restart();
    loop_.context().poll();
  }
  connection_metrics metrics_{1, {}};
  loop loop_{0, metrics_.cell(0)};
  std::vector<int> done_;
};

TEST_F(Loop, RunsWhatIsPostedInOrderAndNeverAtOnce) {
  for (int i = 0; i < 3; ++i) {
    loop_.post([this, i] { done_.push_back(i); });
  }
  EXPECT_THAT(done_, IsEmpty());
  turn();
  EXPECT_THAT(done_, ElementsAre(0, 1, 2));
}

TEST_F(Loop, RunsWhatIsPostedWhileItEmptiesItsInbox) {
  loop_.post([this] {
    done_.push_back(1);
    loop_.post([this] { done_.push_back(3); });
    done_.push_back(2);
  });
  turn();
  EXPECT_THAT(done_, ElementsAre(1, 2, 3));
}

TEST_F(Loop, EndsATurnBehindAllThatIsReady) {
  asio::post(loop_.context(), [this] {
    done_.push_back(1);
    loop_.at_turn_end([this] { done_.push_back(4); });
    loop_.at_turn_end([this] { done_.push_back(5); });
  });
  asio::post(loop_.context(), [this] { done_.push_back(2); });
  asio::post(loop_.context(), [this] { done_.push_back(3); });
  turn();
  EXPECT_THAT(done_, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(Loop, WhatTheEndOfATurnAsksForComesAtTheEndOfTheNext) {
  loop_.at_turn_end([this] {
    loop_.at_turn_end([this] { done_.push_back(2); });
    done_.push_back(1);
  });
  turn();
  EXPECT_THAT(done_, ElementsAre(1, 2));
}

// THREATS X13: no memory for one task.
TEST_F(Loop, ATaskThatThrowsTakesNothingElseWithIt) {
  std::vector<std::string> told;
  loop_.on_failure([&](std::string_view what) { told.emplace_back(what); });
  loop_.post([] { throw std::bad_alloc{}; });
  loop_.post([this] { done_.push_back(1); });
  loop_.at_turn_end([] { throw std::runtime_error{"at the end"}; });
  loop_.at_turn_end([this] { done_.push_back(2); });
  turn();
  EXPECT_THAT(done_, UnorderedElementsAre(1, 2));
  EXPECT_THAT(told, UnorderedElementsAre("std::bad_alloc", "at the end"));
}

TEST_F(Loop, GoesOnBehindAHandlerThatThrows) {
  std::vector<std::string> told;
  loop_.on_failure([&](std::string_view what) { told.emplace_back(what); });
  asio::post(loop_.context(), [] { throw std::bad_alloc{}; });
  asio::post(loop_.context(), [this] { done_.push_back(1); });
  loop_.post([this] {
    done_.push_back(2);
    loop_.stop();
  });
  loop_.run();
  EXPECT_THAT(done_, ElementsAre(1, 2));
  EXPECT_THAT(told, ElementsAre("std::bad_alloc"));
}

TEST_F(Loop, GoesOnBehindADeadlineThatThrows) {
  struct deadline final : timer_wheel::entry {
    void expired() override { then(); }
    std::function<void()> then;
  };
  deadline thrower, other;
  thrower.then = [] { throw std::bad_alloc{}; };
  other.then = [this] {
    done_.push_back(1);
    loop_.stop();
  };
  const auto now = timer_wheel::clock::now();
  loop_.arm(thrower, now);
  loop_.arm(other, now + timer_wheel::tick);
  loop_.run();
  EXPECT_THAT(done_, ElementsAre(1));
}

TEST_F(Loop, KeepsTheOrderOfEachThread) {
  constexpr int each = 2000;
  std::vector<std::pair<int, int>> got;
  std::thread running{[this] { loop_.run(); }};
  {
    std::vector<std::jthread> writers;
    for (int w = 0; w < 4; ++w) {
      writers.emplace_back([&, w] {
        for (int i = 0; i < each; ++i) {
          loop_.post([&, w, i] { got.emplace_back(w, i); });
        }
      });
    }
  }
  std::latch all{1};
  bool inside = false;
  loop_.post([&] {
    inside = loop_.in_this_thread();
    all.count_down();
  });
  all.wait();
  loop_.stop();
  running.join();
  EXPECT_TRUE(inside);
  EXPECT_FALSE(loop_.in_this_thread());
  ASSERT_THAT(got, SizeIs(4 * each));
  std::array<int, 4> next{};
  for (const auto& [w, i] : got) {
    ASSERT_EQ(next.at(static_cast<std::size_t>(w))++, i);
  }
}

// --- what goes to other loops (DESIGN "Threads and ownership") -------------------------------------------------------

class LoopBatches : public Loop {
protected:
  LoopBatches() { loop_.batch_posts(); }
  /// Runs `work` as part of a turn of the loop, and ends it.
  void in_a_turn(std::function<void()> work) {
    loop_.context().restart();
    loop_.post([this, work = std::move(work)] {
      work();
      loop_.stop();
    });
    loop_.run();
  }
  void post_there(int number) {
    there_.post([this, number] { done_.push_back(number); });
  }
  /// How often the other loop was woken until now; it runs what it was woken for.
  std::size_t wakes() {
    there_.context().restart();
    return there_.context().poll();
  }
  loop there_{1, metrics_.cell(0)};
};

TEST_F(LoopBatches, GoOverAtTheEndOfTheTurnInOrderWithOneWake) {
  in_a_turn([this] {
    for (int i = 0; i < 3; ++i) {
      post_there(i);
    }
    EXPECT_EQ(0U, wakes());
  });
  EXPECT_EQ(1U, wakes());
  EXPECT_THAT(done_, ElementsAre(0, 1, 2));
}

TEST_F(LoopBatches, WakeNobodyWhoIsToRunAlready) {
  in_a_turn([this] { post_there(1); });
  in_a_turn([this] { post_there(2); });
  post_there(3);  // from no loop
  EXPECT_EQ(1U, wakes());
  EXPECT_THAT(done_, ElementsAre(1, 2, 3));
  EXPECT_EQ(0U, wakes());
}

TEST_F(LoopBatches, GoOverBeforeTheTurnWritesItsOutput) {
  in_a_turn([this] {
    loop_.at_turn_end([this] {
      EXPECT_EQ(1U, wakes());
      done_.push_back(2);
    });
    post_there(1);
  });
  EXPECT_THAT(done_, ElementsAre(1, 2));
}

TEST_F(LoopBatches, GoOverWithinTheTurnWhereTheyAreFull) {
  const auto full = static_cast<int>(loop::full_batch);
  in_a_turn([&] {
    for (int i = 0; i < full - 1; ++i) {
      post_there(i);
    }
    EXPECT_EQ(0U, wakes());
    post_there(full - 1);
    EXPECT_EQ(1U, wakes());
    EXPECT_THAT(done_, SizeIs(loop::full_batch));
    post_there(full);
    EXPECT_EQ(0U, wakes());
  });
  EXPECT_EQ(1U, wakes());
  ASSERT_THAT(done_, SizeIs(loop::full_batch + 1));
  EXPECT_TRUE(std::ranges::is_sorted(done_));
}

TEST_F(LoopBatches, OfWhatRunsOutsideATurnGoOverToo) {
  asio::post(loop_.context(), [this] { post_there(1); });  // as a timer, or an answer from another thread
  asio::post(loop_.context(), [this] { post_there(2); });
  loop_.post([this] { loop_.at_turn_end([this] { loop_.at_turn_end([this] { loop_.stop(); }); }); });
  loop_.run();
  EXPECT_EQ(1U, wakes());
  EXPECT_THAT(done_, ElementsAre(1, 2));
}

TEST_F(LoopBatches, OfTheEndOfATurnGoOverWithTheNext) {
  loop_.post([this] {
    loop_.at_turn_end([this] {
      post_there(1);
      loop_.at_turn_end([this] {
        EXPECT_EQ(1U, wakes());
        loop_.stop();
      });
    });
  });
  loop_.run();
  EXPECT_THAT(done_, ElementsAre(1));
}

TEST_F(LoopBatches, OfTheLastTurnAreThereWhenTheLoopHasStopped) {
  const auto owned = std::make_shared<int>(0);
  in_a_turn([&] { there_.post([this, owned] { done_.push_back(1); }); });
  EXPECT_EQ(2, owned.use_count());
  there_.forget_posted();
  EXPECT_EQ(1, owned.use_count());
  EXPECT_THAT(done_, IsEmpty());
}

TEST_F(LoopBatches, AreNoneOfALoopThatWaitsForOthers) {
  there_.post([&] {  // this one batches nothing, as the control thread's
    loop_.post([this] { done_.push_back(1); });
    EXPECT_EQ(1U, loop_.context().poll());
    there_.stop();
  });
  there_.run();
  EXPECT_THAT(done_, ElementsAre(1));
}

// Each of three loops posts to both others from within its turns, while other threads post too and the loops are
// stopped one after another: what each got of another is in order, and nothing outlives what was forgotten.
TEST_F(LoopBatches, KeepTheirOrderBetweenThreadsAndLeaveNothingBehind) {
  constexpr int count = 3;
  constexpr int each = 2000;
  constexpr int ahead = 32;  // of what is under way between two loops
  const auto owned = std::make_shared<int>(0);
  std::array<std::array<int, count + 1>, count> next{};  // by receiver, whose thread alone uses it, and sender
  std::latch all_through{count * (count - 1)};
  std::array<std::unique_ptr<loop>, count> loops;
  for (std::uint32_t i = 0; i < count; ++i) {
    loops.at(i) = std::make_unique<loop>(i, metrics_.cell(0));
    loops.at(i)->batch_posts();
  }
  const auto send = [&](std::size_t from, std::size_t to, int number) {
    loops.at(to)->post([&, owned, from, to, number] {
      auto& expected = next.at(to).at(from);
      EXPECT_EQ(expected, number) << from << " to " << to;
      expected = number + 1;
      if (expected == each && from != count) {
        all_through.count_down();
      }
    });
  };
  std::function<void(std::size_t, int)> go_on = [&](std::size_t me, int number) {
    for (const int end = std::min(number + ahead, each); number < end; ++number) {
      for (std::size_t to = 0; to < count; ++to) {
        if (to != me) {
          send(me, to, number);
        }
      }
    }
    if (number < each) {
      loops.at(me)->post([&go_on, me, number] { go_on(me, number); });
    }
  };
  std::vector<std::thread> running;
  for (std::size_t i = 0; i < count; ++i) {
    loops.at(i)->post([&go_on, i] { go_on(i, 0); });
    running.emplace_back([&loops, i] { loops.at(i)->run(); });
  }
  std::jthread outsider{[&] {
    for (int number = 0; number < each; ++number) {
      send(count, static_cast<std::size_t>(number) % count, number / count);
    }
  }};
  all_through.wait();
  for (std::size_t i = 0; i < count; ++i) {  // what it still posts may find the other one stopped
    loops.at(i)->post([&send, i] { send(i, (i + 1) % count, each); });
    loops.at(i)->stop();
  }
  outsider.join();
  for (auto& thread : running) {
    thread.join();
  }
  for (auto& l : loops) {
    l->forget_posted();
  }
  EXPECT_EQ(1, owned.use_count());
}

struct entry final : timer_wheel::entry {
  explicit entry(std::function<void()> w) : work{std::move(w)} {}
  void expired() override { work(); }
  std::function<void()> work;
};

TEST_F(Loop, AnEarlierDeadlineIsNotHeldUpByALaterOne) {
  // The wait under way is for an hour, then for a second; the loop must wake for what is armed last.
  std::vector<int> order;
  entry hour{[&] { order.push_back(1); }};
  entry soon{[&] {
    order.push_back(2);
    loop_.stop();
  }};
  const auto began = timer_wheel::clock::now();
  loop_.arm(hour, began + 1h);
  loop_.post([&] { loop_.arm(soon, timer_wheel::clock::now() + 1ms); });
  loop_.run();
  EXPECT_THAT(order, ElementsAre(2));
  EXPECT_LT(timer_wheel::clock::now() - began, 900ms);
  hour.cancel();
}

TEST_F(Loop, WhoKeepsArmingDoesNotPutOffTheDeadlinesOfOthers) {
  bool on_time = false;
  entry waits{[&] {
    on_time = true;
    loop_.stop();
  }};
  entry hour{[] {}};
  asio::steady_timer pace{loop_.context()};
  const auto began = timer_wheel::clock::now();
  std::function<void(std::error_code)> keep_arming = [&](std::error_code) {
    loop_.arm(hour, timer_wheel::clock::now() + 1h);
    pace.expires_after(20ms);
    pace.async_wait(keep_arming);
    if (timer_wheel::clock::now() - began > 900ms) {  // the loop's beat would come by itself then
      loop_.stop();
    }
  };
  pace.expires_after(250ms);  // the loop has been idle for more than a tick
  pace.async_wait([&](std::error_code error) {
    loop_.arm(waits, timer_wheel::clock::now() + 1ms);
    keep_arming(error);
  });
  loop_.run();
  EXPECT_TRUE(on_time);
  hour.cancel();
  waits.cancel();
}

// --- the connections of a loop ---------------------------------------------------------------------------------------

class LoopConnections : public Loop {
protected:
  fake_connection& add(const std::string& name) {
    const auto id = loop_connections::new_id();
    auto made = std::make_unique<fake_connection>(noted_, name);
    auto& c = *made;
    all_.add(id, std::move(made));
    ids_[name] = id;
    return c;
  }
  std::uint64_t id(const std::string& name) { return ids_.at(name); }

  fakes::happenings noted_;
  std::map<std::string, std::uint64_t> ids_;
  loop_connections::clock::time_point now_;
  loop_connections all_{loop_, [this] { return now_; }};
};

stanza_ref message(std::string_view id) {
  return stanza_builder{stanza_kind::message, stanza_type::chat, *jid::parse("a@a.example/x"),
                        *jid::parse("b@a.example"), id}
      .finish();
}

TEST_F(LoopConnections, AreFoundWhileTheyLast) {
  add("a");
  add("b");
  EXPECT_NE(id("a"), id("b"));
  EXPECT_EQ(2U, all_.size());
  EXPECT_NE(nullptr, all_.find(id("a")));
  all_.remove(id("a"));
  EXPECT_EQ(nullptr, all_.find(id("a")));
  EXPECT_EQ(1U, all_.size());
  all_.remove(id("a"));  // twice is once
  EXPECT_EQ(1U, all_.size());
}

TEST_F(LoopConnections, OneThatIsRemovedLivesToTheEndOfTheTurn) {
  auto& a = add("a");
  a.then = [&](std::string_view) {
    all_.remove(id("a"));
    a.then = [](std::string_view) {};  // itself is still there
  };
  all_.readable(id("a"));
  EXPECT_THAT(noted_, ElementsAre("a: readable"));
  all_.readable(id("a"));
  all_.writable(id("a"));
  turn();
  EXPECT_THAT(noted_, ElementsAre("a: readable", "a: destroyed"));
}

TEST_F(LoopConnections, AFaultIsItsConnectionsOwn) {
  auto& a = add("a");
  add("b");
  a.then = [](std::string_view call) { throw std::runtime_error{"no " + std::string{call}}; };
  all_.readable(id("a"));
  all_.writable(id("a"));
  all_.has_output(id("a"));
  all_.has_output(id("b"));
  turn();
  EXPECT_THAT(noted_, ElementsAre("a: readable", "a: fault no readable", "a: writable", "a: fault no writable",
                                  "a: flush", "a: fault no flush", "b: flush"));
}

TEST_F(LoopConnections, OutputIsFlushedOnceATurn) {
  add("a");
  add("b");
  all_.has_output(id("b"));
  all_.has_output(id("a"));
  EXPECT_THAT(noted_, IsEmpty());
  turn();
  EXPECT_THAT(noted_, ElementsAre("b: flush", "a: flush"));
  turn();
  EXPECT_THAT(noted_, SizeIs(2));
}

TEST_F(LoopConnections, OutputMadeByAFlushWaitsForTheNextTurn) {
  auto& a = add("a");
  add("b");
  bool again = true;
  a.then = [&](std::string_view) {
    if (std::exchange(again, false)) {
      all_.has_output(id("a"));
      all_.has_output(id("b"));
    }
  };
  all_.has_output(id("a"));
  turn();
  EXPECT_THAT(noted_, ElementsAre("a: flush", "a: flush", "b: flush"));
}

TEST_F(LoopConnections, NewcomersComeBehindTheOutputOfOthers) {
  add("new");
  add("gone");
  add("old");
  all_.newcomer(id("new"));
  all_.newcomer(id("gone"));
  all_.has_output(id("old"));
  all_.remove(id("gone"));
  EXPECT_THAT(noted_, IsEmpty());
  turn();
  EXPECT_THAT(noted_, ElementsAre("old: flush", "new: turn", "gone: destroyed"));
}

TEST_F(LoopConnections, NewcomersHaveSoMuchTimeOfATurnAndOthersTheirsBetween) {  // THREATS G1: L-1, L, L+1
  using namespace std::chrono_literals;
  constexpr auto most = loop_connections::for_newcomers;
  add("old");
  auto& a = add("a");
  auto& b = add("b");
  add("c");
  for (const auto took : {most - 1us, most, most + 1us}) {
    noted_.clear();
    a.then = [&](std::string_view) { now_ += took; };
    b.then = [&](std::string_view) { now_ += 1us; };
    for (const auto* const name : {"a", "b", "c"}) {
      all_.newcomer(id(name));
    }
    loop_.context().restart();
    EXPECT_EQ(1U, loop_.context().poll_one());
    const bool both = took < most;
    EXPECT_THAT(noted_, SizeIs(both ? 2 : 1)) << "one at least; none once the time is over";
    all_.has_output(id("old"));
    EXPECT_EQ(1U, loop_.context().poll_one());
    EXPECT_THAT(noted_, both ? ElementsAre("a: turn", "b: turn", "old: flush", "c: turn")
                             : ElementsAre("a: turn", "old: flush", "b: turn", "c: turn"));
    EXPECT_EQ(0U, loop_.context().poll_one());
  }
}

TEST_F(LoopConnections, AllAreDismissedThoughSomeGoMeanwhile) {
  for (const auto* name : {"a", "b", "c"}) {
    add(name).then = [this](std::string_view) {
      for (const auto& [n, i] : ids_) {
        all_.remove(i);  // the first that is told takes all with it
      }
    };
  }
  all_.dismiss_all(stream_condition::system_shutdown, cause::shutdown, "bye");
  EXPECT_THAT(noted_, SizeIs(1));
  EXPECT_THAT(noted_.front(), ::testing::EndsWith(": dismiss system-shutdown shutdown bye"));
  EXPECT_EQ(0U, all_.size());
}

// THREATS X13: one in so many, the newest of those that nobody has authenticated before any other.
TEST_F(LoopConnections, ShedsTheNewestAndFirstThoseThatAreNotEstablished) {
  for (const auto* const name : {"a", "b", "c", "d", "e", "f", "g"}) {
    auto& each = add(name);
    each.established = std::string_view{name} != "b" && std::string_view{name} != "d";
    each.then = [this, name = std::string{name}](std::string_view) { all_.remove(id(name)); };
  }
  const auto told = [](const std::string& name) { return name + ": dismiss resource-constraint limit out of memory"; };
  all_.shed(3);
  EXPECT_THAT(noted_, ElementsAre(told("d"), told("b")));
  noted_.clear();
  all_.shed(100);
  EXPECT_THAT(noted_, ElementsAre(told("g"))) << "at least one";
}

TEST_F(LoopConnections, ShedNothingWhereThereIsNothing) {
  all_.shed(1);
  EXPECT_THAT(noted_, IsEmpty());
}

TEST_F(LoopConnections, ClearingEndsAllThoughTheyLookForEachOther) {
  add("a").then = [](std::string_view) {};
  add("b");
  all_.remove(id("b"));
  all_.clear();
  EXPECT_THAT(noted_, UnorderedElementsAre("a: destroyed", "b: destroyed"));
  EXPECT_EQ(0U, all_.size());
}

class HandingOver : public LoopConnections {
protected:
  void turn_there() {
    other_.context().restart();
    other_.context().poll();
  }
  loop other_{1, metrics_.cell(0)};
  loop_connections there_{other_};
};

TEST_F(HandingOver, HappensBehindTheFlushOfTheTurn) {
  add("a");
  all_.hand_over(id("a"), there_);
  all_.has_output(id("a"));
  turn();
  EXPECT_EQ(nullptr, all_.find(id("a")));
  EXPECT_EQ(0U, all_.size());
  EXPECT_EQ(1U, there_.size());  // though it is still on its way
  EXPECT_EQ(nullptr, there_.find(id("a")));
  turn_there();
  EXPECT_NE(nullptr, there_.find(id("a")));
  EXPECT_EQ(1U, there_.size());
  EXPECT_THAT(noted_, ElementsAre("a: flush", "a: leave", "a: enter 1"));
}

TEST_F(HandingOver, LeavesWhoCannotLeave) {
  add("a").moves = false;
  add("b");
  all_.hand_over(id("a"), there_);
  all_.hand_over(id("b"), there_);
  all_.remove(id("b"));
  turn();
  turn_there();
  EXPECT_NE(nullptr, all_.find(id("a")));
  EXPECT_EQ(0U, there_.size());
  EXPECT_THAT(noted_, ElementsAre("a: leave", "b: destroyed"));
}

TEST_F(HandingOver, WhoeverIsOnTheWayIsDismissedWithTheOthers) {
  add("a");
  all_.hand_over(id("a"), there_);
  turn();
  all_.dismiss_all(stream_condition::system_shutdown, cause::shutdown, "bye");
  there_.dismiss_all(stream_condition::system_shutdown, cause::shutdown, "bye");
  turn_there();
  EXPECT_THAT(noted_, ElementsAre("a: leave", "a: enter 1", "a: dismiss system-shutdown shutdown bye"));
}

TEST_F(HandingOver, WhoNeverArrivesIsForgottenWithWhatWasPosted) {
  add("a");
  all_.hand_over(id("a"), there_);
  turn();
  other_.forget_posted();
  EXPECT_THAT(noted_, ElementsAre("a: leave", "a: destroyed"));
}

class Connections : public LoopConnections {
protected:
  session_ref ref(const std::string& name) { return {0, id(name)}; }
  connections everything_{{&all_}};
};

TEST_F(Connections, SendingFromElsewhereIsPostedInOrder) {
  add("a");
  everything_.send(ref("a"), message("1"));
  everything_.send(ref("a"), message("2"));
  everything_.send({0, 999'999'999}, message("3"));
  everything_.dismiss(ref("a"), stream_condition::conflict, cause::policy, "again");
  EXPECT_THAT(noted_, IsEmpty());
  turn();
  EXPECT_THAT(noted_, ElementsAre("a: send 1", "a: send 2", "a: dismiss conflict policy again"));
}

TEST_F(Connections, SendingOnItsLoopHappensAtOnce) {
  add("a");
  loop_.post([this] {
    everything_.send(ref("a"), message("1"));
    noted_.emplace_back("and on");
    loop_.stop();
  });
  loop_.run();
  EXPECT_THAT(noted_, ElementsAre("a: send 1", "and on"));
}

TEST_F(Connections, ClosingTellsWhetherItWasThere) {
  add("a");
  std::vector<bool> told;
  const auto tell = [&](bool was_there) { told.push_back(was_there); };
  everything_.close(ref("a"), stream_condition::reset, "by an operator", tell);
  everything_.close({0, 999'999'999}, stream_condition::reset, "", tell);
  everything_.close({7, id("a")}, stream_condition::reset, "", tell);  // a loop that does not exist
  turn();
  EXPECT_THAT(told, UnorderedElementsAre(true, false, false));
  EXPECT_THAT(noted_, ElementsAre("a: dismiss reset policy by an operator"));
}

TEST_F(Connections, ListsEveryLoops) {
  loop other{1, metrics_.cell(0)};
  loop_connections more{other};
  connections both{{&all_, &more}};
  add("a");
  add("b");
  more.add(loop_connections::new_id(), std::make_unique<fake_connection>(noted_, "c"));
  EXPECT_EQ(3U, both.size());
  std::vector<std::string> peers;
  both.list([&](auto all) {
    for (const auto& i : all) {
      peers.push_back(i.peer);
    }
  });
  turn();
  EXPECT_THAT(peers, IsEmpty());  // one loop has yet to say
  other.context().poll();
  EXPECT_THAT(peers, UnorderedElementsAre("a", "b", "c"));
}

}  // namespace
}  // namespace comity::connection
