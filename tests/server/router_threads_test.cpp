// The router on several loops at once: users at home on one, connected to another, with a store on a third thread.
#include <gtest/gtest.h>

#include <future>

#include "tests/fakes/thread_homes.hpp"
#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

constexpr std::size_t loops = 4;
constexpr std::size_t users = 12;
constexpr int rounds = 300;

class RouterOnThreads : public testing::Test {
protected:
  RouterOnThreads() {
    for (std::size_t i = 0; i < users; ++i) {
      store.account_create(bare(i), {}, [](auto) {});
    }
    store.run();
    router = std::make_unique<server::router>(
        router::collaborators{.store = store, .outlet = outlet, .homes = homes, .log = log, .now = clock.clock()},
        std::vector<std::string>{"example.com"}, 10);
    writer = std::jthread{[this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        if (!store.run()) {
          std::this_thread::yield();
        }
      }
    }};
  }
  static jid bare(std::size_t user) { return address("u" + std::to_string(user) + "@example.com"); }

  client connect(std::size_t user) {
    const connection::session_ref session{.loop = static_cast<std::uint32_t>(user % loops), .id = ++last_session};
    std::promise<jid> bound;
    router->bind(session, bare(user), "r", [&](auto full) { bound.set_value(full.value()); });
    return {.session = session, .full = bound.get_future().get()};
  }
  /// As the stream does it: a session's stanzas come from its own loop.
  void says(const client& c, std::string_view xml) {
    homes.post(c.session.loop + 1, [this, session = c.session, s = parse_stanza(xml, c.full)]() mutable {
      router->from_client(session, std::move(s));
    });
  }
  void settle() {
    // Idle twice in a row with the same number of calls: nothing is on its way between loops and store.
    for (std::size_t before = ~std::size_t{0};;) {
      while (homes.pending() != 0) {
        std::this_thread::yield();
      }
      const auto now = store.calls.load();
      if (now == before && store.idle() && homes.pending() == 0) {
        return;
      }
      before = now;
      std::this_thread::yield();
    }
  }

  fakes::stepped_store store;
  fakes::recording_outlet outlet;
  fakes::fixed_clock clock;
  silent_log log;
  fakes::thread_homes homes{loops};
  std::unique_ptr<server::router> router;
  std::jthread writer;
  std::uint64_t last_session = 0;
};

TEST_F(RouterOnThreads, KeepsTheOrderOfEachPairAndLosesNothing) {  // RFC 6120 §10.1
  std::vector<client> all;
  for (std::size_t i = 0; i < users; ++i) {
    all.push_back(connect(i));
    says(all.back(), "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
    says(all.back(), "<presence/>");
  }
  settle();
  for (const auto& c : all) {
    (void)outlet.take(c.session);
  }
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < users; ++i) {
      for (const auto other : {(i + 1) % users, (i + 5) % users}) {
        says(all[i], "<message to='" + (round % 2 == 0 ? all[other].full : bare(other)).text() + "' type='chat' id='" +
                         std::to_string(round) + "'><body>hi</body></message>");
      }
      if (round % 50 == 7) {  // changes of rosters among it, each of which waits for the store
        const auto friend_of = bare((i + 1) % users).text();
        const auto* type = round % 100 == 7 ? "subscribe" : "unsubscribe";
        says(all[i], "<presence to='" + friend_of + "' type='" + type + "'/>");
        says(all[(i + 1) % users], "<presence to='" + bare(i).text() + "' type='subscribed'/>");
        says(all[i], "<presence><status>" + std::to_string(round) + "</status></presence>");
      }
    }
  }
  settle();
  for (std::size_t i = 0; i < users; ++i) {
    std::map<std::string, int> next;
    for (const auto& s : outlet.take(all[i].session)) {
      if (s->kind() == stanza_kind::message) {
        auto& expected = next[s->from().text()];
        ASSERT_EQ(s->id(), std::to_string(expected)) << "from " << s->from().text();
        ++expected;
      }
    }
    EXPECT_EQ(next.size(), 2U);
    for (const auto& [from, count] : next) {
      EXPECT_EQ(count, rounds) << from;
    }
  }
}

TEST_F(RouterOnThreads, BindsAndEndsFromEverywhereLeaveNothingBehind) {  // THREATS F5
  for (int round = 0; round < 50; ++round) {
    std::vector<client> all;
    for (std::size_t i = 0; i < users; ++i) {
      all.push_back(connect(i));
      says(all.back(), "<presence/>");
    }
    for (const auto& c : all) {
      homes.post(c.session.loop + 1, [this, c] { router->unbind(c.session, c.full); });
    }
  }
  settle();
  for (const auto& [host, count] : router->sessions_by_host()) {
    EXPECT_EQ(count, 0U) << host;
  }
}

}  // namespace
}  // namespace comity::server
