#include "dns/reply.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "fakes/task_queue.hpp"

namespace comity::dns {
namespace {

std::shared_ptr<const answer> some() {
  auto a = std::make_shared<answer>();
  a->result = outcome::nodata;
  return a;
}

TEST(DnsReply, IsGivenOnTheThreadOfTheAsker) {
  fakes::task_queue thread;
  int calls = 0;
  asked a{thread.poster(), [&](const answer& got) {
            ++calls;
            EXPECT_EQ(got.result, outcome::nodata);
          }};
  const auto held = a.take_ticket();
  std::thread{[&] { a.answer_by()(some()); }}.join();
  EXPECT_EQ(calls, 0);
  thread.run();
  EXPECT_EQ(calls, 1);
}

TEST(DnsReply, IsNotGivenOnceTheTicketIsGone) {
  fakes::task_queue thread;
  const auto guard = std::make_shared<int>();
  asked a{thread.poster(), [guard](const answer&) { FAIL(); }};
  auto held = a.take_ticket();
  a.answer_by()(some());
  EXPECT_EQ(guard.use_count(), 2);
  held.reset();
  EXPECT_EQ(guard.use_count(), 1);  // what the callback holds goes with the ticket, on this thread
  EXPECT_EQ(thread.run(), 1U);
}

TEST(DnsReply, MayEndTheTicketWhileItIsGiven) {
  fakes::task_queue thread;
  ticket held;
  const auto guard = std::make_shared<int>();
  asked a{thread.poster(), [&held, guard](const answer&) {
            held.reset();
            EXPECT_EQ(guard.use_count(), 2);  // still whole
          }};
  held = a.take_ticket();
  a.answer_by()(some());
  thread.run();
  EXPECT_EQ(held, nullptr);
  EXPECT_EQ(guard.use_count(), 1);
}

TEST(DnsReply, IsDroppedWithALoopThatHasEnded) {
  const auto guard = std::make_shared<int>();
  asked a{[](std::move_only_function<void()>) {}, [guard](const answer&) { FAIL(); }};
  auto held = a.take_ticket();
  a.answer_by()(some());
  EXPECT_EQ(guard.use_count(), 2);
  held.reset();
  EXPECT_EQ(guard.use_count(), 1);
}

}  // namespace
}  // namespace comity::dns
