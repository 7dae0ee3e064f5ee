// The resolver against a real name server and signed zones, on loopback. It waits for real time where libunbound does.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "dns/dns_relay.hpp"
#include "dns/name_server.hpp"
#include "dns/service_resolver.hpp"
#include "dns/unbound_resolver.hpp"

namespace comity::dns {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using habit = dns_relay::habit;

constexpr std::uint16_t a_type = 1;
constexpr std::uint16_t srv_type = 33;

/// A thread's loop that can be waited in.
class test_loop {
public:
  void post(std::move_only_function<void()> work) {
    const std::lock_guard lock{mutex_};
    work_.push_back(std::move(work));
    come_.notify_one();
  }
  [[nodiscard]] executor poster() {
    return [this](std::move_only_function<void()> work) { post(std::move(work)); };
  }
  /// Runs what is posted until `done`, or for a time; whether it is done.
  template <class Predicate>
  bool run_until(Predicate done, clock::duration limit = 20s) {
    const auto end = clock::now() + limit;
    while (!done()) {
      std::unique_lock lock{mutex_};
      if (!come_.wait_until(lock, end, [&] { return !work_.empty(); })) {
        return done();
      }
      auto next = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      next();
    }
    return true;
  }

private:
  std::mutex mutex_;
  std::condition_variable come_;
  std::deque<std::move_only_function<void()>> work_;
};

class Unbound : public testing::Test {
public:
  static void SetUpTestSuite() { server = std::make_unique<name_server>(); }
  static void TearDownTestSuite() { server.reset(); }

  [[nodiscard]] settings usual() const {
    settings s;
    s.servers = {};
    s.trust_anchors = {server->trust_anchor()};
    s.stubs = {{"test", {relay.address()}}};
    return s;
  }
  void start(const settings& s, server_list system = [] { return std::vector<std::string>{}; }) {
    auto started = unbound_resolver::start(
        s,
        [this](note_level level, std::string text) {
          const std::lock_guard lock{mutex};
          notes.emplace_back(level, std::move(text));
        },
        [this](const observation& o) {
          const std::lock_guard lock{mutex};
          observed.push_back(o);
        },
        std::move(system));
    ASSERT_TRUE(started) << started.error();
    names = *std::move(started);
  }
  answer ask(const std::string& name, record_type type) {
    std::optional<answer> got;
    const auto held = names->lookup(name, type, loop.poster(), [&](const answer& a) { got = a; });
    EXPECT_TRUE(loop.run_until([&] { return got.has_value(); })) << name;
    return got.value_or(answer{});
  }
  [[nodiscard]] bool noted(note_level level, std::string_view part) {
    const std::lock_guard lock{mutex};
    return std::ranges::any_of(
        notes, [&](const auto& n) { return n.first == level && n.second.find(part) != std::string::npos; });
  }

  static inline std::unique_ptr<name_server> server;
  dns_relay relay{server->port()};
  test_loop loop;
  std::mutex mutex;
  std::vector<std::pair<note_level, std::string>> notes;
  std::vector<observation> observed;
  std::unique_ptr<unbound_resolver> names;
};

TEST_F(Unbound, FindsSecureRecordsOfEveryType) {  // B01
  start(usual());
  const auto srv = ask("_xmpp-server._tcp.sec.test", record_type::srv);
  EXPECT_EQ(srv.result, outcome::records) << srv.why;
  EXPECT_EQ(srv.security, security::secure);
  EXPECT_EQ(srv.srv, (std::vector<srv_record>{{10, 0, 5269, "xmpp.sec.test"}}));
  EXPECT_EQ(srv.canonical_name, "_xmpp-server._tcp.sec.test");
  const auto a = ask("xmpp.sec.test", record_type::a);
  EXPECT_EQ(a.security, security::secure);
  EXPECT_EQ(a.addresses.at(0).text(), "192.0.2.1");
  EXPECT_EQ(ask("xmpp.sec.test", record_type::aaaa).addresses.at(0).text(), "2001:db8::1");
  const auto tlsa = ask("_5269._tcp.xmpp.sec.test", record_type::tlsa);
  EXPECT_EQ(tlsa.security, security::secure);
  EXPECT_EQ(tlsa.tlsa, (std::vector<tlsa_record>{{3, 1, 1, std::string(32, '\0')}}));
  EXPECT_EQ(ask("www.test", record_type::a).security, security::secure);
}

TEST_F(Unbound, TellsUnsignedZonesAsInsecure) {  // B03, B05
  start(usual());
  const auto srv = ask("_xmpp-server._tcp.plain.test", record_type::srv);
  EXPECT_EQ(srv.result, outcome::records) << srv.why;
  EXPECT_EQ(srv.security, security::insecure);
  EXPECT_EQ(ask("none.plain.test", record_type::a).security, security::insecure);
}

TEST_F(Unbound, GivesNothingOfWhatIsBogus) {  // E4, B02, B06: the library has the data
  start(usual());
  struct row {
    const char* name;
    record_type type;
    const char* why;
  };
  for (const auto& [name, type, why] : {
           row{"xmpp.bogus.test", record_type::a, "xmpp.bogus.test"},
           row{"_xmpp-server._tcp.bogus.test", record_type::srv, "_xmpp-server._tcp.bogus.test"},
           row{"xmpp.expired.test", record_type::a, "expired"},
           row{"_xmpp-server._tcp.expired.test", record_type::srv, "expired"},
           row{"xmpp.unproven.test", record_type::a, "unproven.test"},  // the parent has a DS, the zone no signature
           row{"none.unproven.test", record_type::a, "unproven.test"},
           row{"tobogus.sec.test", record_type::a, "tobogus.sec.test"},
       }) {
    const auto got = ask(name, type);
    EXPECT_EQ(got.result, outcome::bogus) << name;
    EXPECT_EQ(got.security, security::bogus) << name;
    EXPECT_NE(got.why.find(why), std::string::npos) << got.why;
    EXPECT_TRUE(got.addresses.empty() && got.srv.empty() && got.tlsa.empty()) << name;
  }
  EXPECT_EQ(ask("xmpp.bogus.test", record_type::aaaa).security, security::secure);  // nobody has touched that one
}

TEST_F(Unbound, TellsNoRecordsFromNoNameAndProvesBoth) {  // A10, E3; NSEC3 in sec.test, NSEC in test
  start(usual());
  for (const auto& [name, type, expected] : {std::tuple{"xmpp.sec.test", record_type::srv, outcome::nodata},
                                             std::tuple{"none.sec.test", record_type::a, outcome::nxdomain},
                                             std::tuple{"www.test", record_type::aaaa, outcome::nodata},
                                             std::tuple{"none.test", record_type::a, outcome::nxdomain},
                                             std::tuple{"_tcp.sec.test", record_type::srv, outcome::nodata}}) {
    const auto got = ask(name, type);
    EXPECT_EQ(got.result, expected) << name << ": " << got.why;
    EXPECT_EQ(got.security, security::secure) << name;
    EXPECT_GE(got.ttl, 5s);
  }
}

TEST_F(Unbound, IsSecureOnlyIfAllAliasesAre) {  // B01, B19
  start(usual());
  const auto within = ask("alias.sec.test", record_type::a);
  EXPECT_EQ(within.security, security::secure);
  EXPECT_EQ(within.canonical_name, "xmpp.sec.test");
  const auto out = ask("toplain.sec.test", record_type::a);
  EXPECT_EQ(out.result, outcome::records);
  EXPECT_EQ(out.security, security::insecure);
  EXPECT_EQ(out.canonical_name, "xmpp.plain.test");
  EXPECT_EQ(ask("tosec.plain.test", record_type::a).security, security::insecure);
  const auto moved = ask("_xmpp-server._tcp.moved.test", record_type::srv);  // DNAME
  EXPECT_EQ(moved.result, outcome::records) << moved.why;
  EXPECT_EQ(moved.security, security::secure);
  EXPECT_EQ(moved.canonical_name, "_xmpp-server._tcp.sec.test");
}

TEST_F(Unbound, EndsAliasesThatDoNotEnd) {  // E3
  start(usual());
  for (const char* name : {"loop1.sec.test", "chain20.sec.test"}) {
    const auto got = ask(name, record_type::a);
    EXPECT_EQ(got.result, outcome::servfail) << name;
    EXPECT_EQ(got.security, security::none);
    EXPECT_FALSE(got.why.empty());
  }
  EXPECT_EQ(ask("chain5.sec.test", record_type::a).security, security::secure);
}

TEST_F(Unbound, FetchesBigAnswersOverTcp) {  // E2, E3
  start(usual());
  const auto got = ask("_big._tcp.sec.test", record_type::srv);
  EXPECT_EQ(got.result, outcome::records) << got.why;
  EXPECT_EQ(got.srv.size(), 200U);
  EXPECT_EQ(got.security, security::secure);
  EXPECT_GT(relay.count_tcp(), 0);
  EXPECT_EQ(ask("many.sec.test", record_type::a).addresses.size(), 64U);
}

TEST_F(Unbound, TellsATruncatedAnswerThatIsThenResetAsAFailure) {  // E3
  relay.behave("xmpp.plain.test", a_type, habit::resets);
  start(usual());
  const auto got = ask("xmpp.plain.test", record_type::a);
  EXPECT_FALSE(answered(got.result)) << to_string(got.result);
  EXPECT_TRUE(got.addresses.empty());
}

TEST_F(Unbound, TellsServerFailuresAndRefusalsAsFailures) {  // A11, E3
  start(usual());
  for (const auto h : {habit::servfail, habit::refused}) {
    relay.behave("xmpp.plain.test", a_type, h);
    const auto got = ask("xmpp.plain.test", record_type::a);
    EXPECT_EQ(got.result, outcome::servfail);
    EXPECT_EQ(got.security, security::none);
    EXPECT_FALSE(got.why.empty());
    ASSERT_TRUE(names->reload(usual()));
  }
}

TEST_F(Unbound, EndsALookupByItsOwnBound) {  // E3, E7
  relay.behave("xmpp.plain.test", a_type, habit::silent);
  auto s = usual();
  s.timeout = 300ms;
  start(s);
  const auto begun = clock::now();
  const auto got = ask("xmpp.plain.test", record_type::a);
  const auto took = clock::now() - begun;
  EXPECT_EQ(got.result, outcome::timeout);
  EXPECT_NE(got.why.find("300 ms"), std::string::npos) << got.why;
  EXPECT_GE(took, 300ms);
  EXPECT_LT(took, 2s);
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).result, outcome::records);
}

TEST_F(Unbound, WaitsForASlowServerAfterAFastAnswer) {  // X6
  start(usual());
  EXPECT_EQ(ask("ns.plain.test", record_type::a).result, outcome::records);
  relay.behave("xmpp.plain.test", a_type, habit::slow, 600ms);
  EXPECT_EQ(ask("xmpp.plain.test", record_type::a).result, outcome::records);
}

TEST_F(Unbound, ReportsADeadServerInTimeAndFindsItAliveAgain) {  // E7, X6
  auto s = usual();
  start(s);
  relay.behave(habit::silent);
  const auto begun = clock::now();
  EXPECT_FALSE(answered(ask("xmpp.plain.test", record_type::a).result));
  EXPECT_LT(clock::now() - begun, 6s);
  relay.behave(habit::pass);
  outcome result = outcome::timeout;
  for (int i = 0; i < 30 && result != outcome::records; ++i) {
    result = ask("xmpp.plain.test", record_type::a).result;
    if (result != outcome::records) {
      std::this_thread::sleep_for(500ms);
    }
  }
  EXPECT_EQ(result, outcome::records);
  EXPECT_LT(clock::now() - begun, 20s);
}

TEST_F(Unbound, ReportsAClosedPortInTime) {  // E7
  auto s = usual();
  {
    const dns_relay gone{server->port()};
    s.stubs = {{"test", {gone.address()}}};
  }
  s.timeout = 1s;
  start(s);
  const auto begun = clock::now();
  EXPECT_FALSE(answered(ask("xmpp.sec.test", record_type::a).result));
  EXPECT_LT(clock::now() - begun, 3s);
}

/// The sockets within the process, which libunbound's thread is talked with.
std::set<int> inner_sockets() {
  std::set<int> all;
  for (const auto& each : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int fd = std::stoi(each.path().filename().string());
    sockaddr_storage at{};
    socklen_t size = sizeof at;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0 && at.ss_family == AF_UNIX) {
      all.insert(fd);
    }
  }
  return all;
}

TEST_F(Unbound, SaysThatLibunboundHasFailed) {  // X18: its process is ended then, and another one started
  const auto before = inner_sockets();
  start(usual());
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).result, outcome::records);
  relay.behave("xmpp.plain.test", a_type, habit::silent);
  std::optional<answer> lost;
  const auto held = names->lookup("xmpp.plain.test", record_type::a, loop.poster(), [&](const answer& a) { lost = a; });
  while (relay.count("xmpp.plain.test", a_type) == 0) {
    std::this_thread::sleep_for(1ms);
  }
  // Nonsense where its thread answers: the second end of the second pair of sockets that a context makes.
  auto made = inner_sockets();
  std::erase_if(made, [&](int fd) { return before.contains(fd); });
  ASSERT_GE(made.size(), 4U);
  const std::array<std::uint32_t, 2> nonsense{4, 99};
  send(*std::next(made.begin(), 3), nonsense.data(), sizeof nonsense, MSG_NOSIGNAL | MSG_DONTWAIT);
  ASSERT_TRUE(loop.run_until([&] { return lost.has_value(); }));
  EXPECT_EQ(lost->result, outcome::servfail);
  EXPECT_TRUE(noted(note_level::broken, "libunbound has failed"));
}

TEST_F(Unbound, AsksOnceForAllWhoAsk) {  // E7
  relay.behave("_xmpp-server._tcp.plain.test", srv_type, habit::slow, 100ms);
  start(usual());
  constexpr int askers = 1000;
  int told = 0;
  std::vector<ticket> held;
  for (int i = 0; i < askers; ++i) {
    held.push_back(names->lookup(i % 2 == 0 ? "_xmpp-server._tcp.plain.test" : "_XMPP-Server._TCP.Plain.Test.",
                                 record_type::srv, loop.poster(), [&](const answer& a) {
                                   ++told;
                                   EXPECT_EQ(a.result, outcome::records);
                                 }));
  }
  EXPECT_TRUE(loop.run_until([&] { return told == askers; }));
  EXPECT_EQ(relay.count("_xmpp-server._tcp.plain.test", srv_type), 1);
  const std::lock_guard lock{mutex};
  EXPECT_EQ(std::ranges::count(observed, record_type::srv, &observation::type), 1);
}

TEST_F(Unbound, RemembersAnswersForAsLongAsTheyHoldWithinBounds) {  // E7: TTL 0 is 5 s, a week is a day
  start(usual());
  EXPECT_EQ(ask("brief.sec.test", record_type::a).ttl, 5s);
  EXPECT_EQ(ask("lasting.sec.test", record_type::a).ttl, 24h);
  EXPECT_LE(ask("xmpp.sec.test", record_type::a).ttl, 60s);
  EXPECT_GE(ask("xmpp.sec.test", record_type::a).ttl, 55s);
  for (const char* name : {"brief.sec.test", "lasting.sec.test", "xmpp.sec.test", "absent.plain.test"}) {
    (void)ask(name, record_type::a);
    const int asked = relay.count(name, a_type);
    EXPECT_GE(asked, 1);
    (void)ask(name, record_type::a);
    EXPECT_EQ(relay.count(name, a_type), asked) << name;
  }
}

TEST_F(Unbound, CallsNobodyWhoHasGoneAndKeepsTheAnswer) {  // C03, RFC 8305 §5
  relay.behave("xmpp.plain.test", a_type, habit::slow, 200ms);
  start(usual());
  auto held = names->lookup("xmpp.plain.test", record_type::a, loop.poster(), [](const answer&) { FAIL(); });
  held.reset();
  const auto seen = [&] {
    const std::lock_guard lock{mutex};
    return observed.size() == 1;
  };
  for (int i = 0; i < 1000 && !seen(); ++i) {
    std::this_thread::sleep_for(10ms);
  }
  ASSERT_TRUE(seen());
  EXPECT_EQ(ask("xmpp.plain.test", record_type::a).result, outcome::records);
  EXPECT_EQ(relay.count("xmpp.plain.test", a_type), 1);
}

TEST_F(Unbound, EndsWhatIsOutstandingWithItself) {
  relay.behave(habit::silent);
  start(usual());
  std::vector<outcome> told;
  std::vector<ticket> held;
  for (const char* name : {"xmpp.plain.test", "www.test"}) {
    held.push_back(
        names->lookup(name, record_type::a, loop.poster(), [&](const answer& a) { told.push_back(a.result); }));
  }
  names.reset();
  EXPECT_TRUE(loop.run_until([&] { return told.size() == 2; }, 1s));
  EXPECT_EQ(told, (std::vector{outcome::cancelled, outcome::cancelled}));
}

TEST_F(Unbound, RefusesMoreLookupsThanTheLimit) {  // L-1, L, L+1
  relay.behave(habit::silent);
  auto s = usual();
  s.timeout = 3s;
  start(s);
  std::size_t refused = 0;
  std::size_t told = 0;
  std::vector<ticket> held;
  const auto count = [&](const answer& a) {
    ++told;
    refused += a.why == "too many lookups at once" ? 1 : 0;
  };
  const auto lookup = [&](const std::string& name) {
    held.push_back(names->lookup(name, record_type::a, loop.poster(), count));
  };
  for (std::size_t i = 0; i < unbound_resolver::in_flight_limit - 1; ++i) {
    lookup("n" + std::to_string(i) + ".plain.test");
  }
  lookup("the-last.plain.test");
  lookup("one-more.plain.test");
  lookup("the-last.plain.test");  // joins
  EXPECT_TRUE(loop.run_until([&] { return told == unbound_resolver::in_flight_limit + 2; }, 60s));
  EXPECT_EQ(refused, 1U);
}

TEST_F(Unbound, AnswersWhatCannotBeANameWithoutAsking) {
  start(usual());
  for (const auto& name : {std::string{""}, std::string{"."}, std::string{"a b.test"}, std::string(300, 'a'),
                           std::string(64, 'a') + ".test",
                           std::string{"b\xc3\xbc"
                                       "cher.test"}}) {
    EXPECT_EQ(ask(name, record_type::a).result, outcome::nxdomain) << name;
  }
  const std::lock_guard lock{mutex};
  EXPECT_TRUE(observed.empty());
}

TEST_F(Unbound, LeavesOutMalformedTargetsAndCountsThem) {
  start(usual());
  const auto some = ask("dots._tcp.sec.test", record_type::srv);
  EXPECT_EQ(some.srv, (std::vector<srv_record>{{2, 1, 5269, "good.sec.test"}}));
  EXPECT_EQ(some.malformed, 1U);
  const auto none = ask("onlydots._tcp.sec.test", record_type::srv);
  EXPECT_EQ(none.result, outcome::servfail);
  EXPECT_EQ(none.security, security::none);
  EXPECT_EQ(none.malformed, 1U);
  EXPECT_EQ(ask("root._tcp.sec.test", record_type::srv).srv, (std::vector<srv_record>{{0, 0, 0, ""}}));
  EXPECT_EQ(ask("upper._tcp.sec.test", record_type::srv).srv.at(0).target, "target.sec.test");
}

TEST_F(Unbound, ObservesEveryQuestion) {
  relay.behave("www.test", a_type, habit::silent);
  auto s = usual();
  s.timeout = 1s;
  start(s);
  (void)ask("xmpp.sec.test", record_type::a);
  (void)ask("_5269._tcp.xmpp.sec.test", record_type::tlsa);
  (void)ask("xmpp.bogus.test", record_type::a);
  (void)ask("www.test", record_type::a);
  const std::lock_guard lock{mutex};
  ASSERT_EQ(observed.size(), 4U);
  EXPECT_EQ(observed[0].security, security::secure);
  EXPECT_EQ(observed[1].type, record_type::tlsa);
  EXPECT_EQ(observed[2].result, outcome::bogus);
  EXPECT_EQ(observed[3].result, outcome::timeout);
  EXPECT_GE(observed[3].took, 1s);
}

TEST_F(Unbound, GoesByNewSettingsAndEndsTheOldLookupsByTheOld) {
  relay.behave("xmpp.plain.test", a_type, habit::slow, 200ms);
  start(usual());
  std::optional<answer> old;
  const auto held = names->lookup("xmpp.plain.test", record_type::a, loop.poster(), [&](const answer& a) { old = a; });
  while (relay.count("xmpp.plain.test", a_type) == 0) {
    std::this_thread::sleep_for(1ms);
  }
  auto without_validation = usual();
  without_validation.trust_anchors = {};
  ASSERT_TRUE(names->reload(without_validation));
  const auto now = ask("xmpp.sec.test", record_type::a);
  EXPECT_EQ(now.result, outcome::records);
  EXPECT_EQ(now.security, security::none);
  EXPECT_TRUE(noted(note_level::warning, "trust anchors"));
  EXPECT_EQ(ask("xmpp.plain.test", record_type::a).security, security::none);  // does not join the old one
  ASSERT_TRUE(old || loop.run_until([&] { return old.has_value(); }));
  EXPECT_EQ(old->security, security::insecure);
  EXPECT_EQ(relay.count("xmpp.plain.test", a_type), 2);
}

TEST_F(Unbound, StaysAsItWasWhereNewSettingsAreWrong) {
  start(usual());
  for (auto wrong : {0, 1, 2, 3}) {
    auto s = usual();
    switch (wrong) {
      case 0:
        s.trust_anchors = {"/nonexistent/root.key"};
        break;
      case 1:
        s.root_hints = "/nonexistent/hints";
        break;
      case 2:
        s.servers = {"not an address"};
        break;
      default:
        s.trust_anchors = {(server->directory() / "rubbish.ds").string()};
        std::ofstream{s.trust_anchors[0]} << "rubbish that is no record\n";
        break;
    }
    const auto changed = names->reload(s);
    ASSERT_FALSE(changed) << wrong;
    EXPECT_FALSE(changed.error().empty());
    EXPECT_FALSE(unbound_resolver::start(s, [](note_level, const std::string&) {}, {})) << wrong;
  }
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).security, security::secure);
}

TEST_F(Unbound, ValidatesNothingWithoutTrustAnchorsAndSaysSo) {
  auto s = usual();
  s.trust_anchors = {};
  start(s);
  for (const char* name : {"xmpp.sec.test", "xmpp.plain.test", "xmpp.expired.test"}) {
    const auto got = ask(name, record_type::a);
    EXPECT_EQ(got.result, outcome::records) << name;
    EXPECT_EQ(got.security, security::none) << name;
  }
  EXPECT_TRUE(noted(note_level::warning, "no DNS answer is validated"));
}

TEST_F(Unbound, ResolvesSpecialZonesWhereToldTo) {
  auto s = usual();
  s.stubs = {};
  s.servers = {relay.address()};
  start(s);
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).result, outcome::nxdomain);  // RFC 6761: libunbound's own
  s.special_zones = {"test"};
  ASSERT_TRUE(names->reload(s));
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).result, outcome::records);
  s.special_zones = {};
  s.stubs = {{"sec.test", {relay.address()}}};  // below a special zone
  ASSERT_TRUE(names->reload(s));
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).result, outcome::records);
  ASSERT_TRUE(names->reload(usual()));
  EXPECT_EQ(ask("ns.test", record_type::a).security, security::secure);
  EXPECT_EQ(ask("test", record_type::a).security,
            security::secure);  // nothing is left of the special zone's own records
}

class UnboundAuto : public Unbound {
public:
  [[nodiscard]] settings automatic() const {
    auto s = usual();
    s.stubs = {};
    s.special_zones = {"test"};
    s.servers = {"auto"};
    s.root_hints = (server->directory() / "hints").string();
    std::ofstream{s.root_hints} << ". 3600 NS ns.nowhere.\nns.nowhere. 3600 A 127.0.0.1\n";  // not to leave the machine
    return s;
  }
};

TEST_F(UnboundAuto, UsesTheSystemsResolversThatPassDnssecOn) {
  dns_relay stripping{server->port()};
  stripping.behave(habit::strips_dnssec);
  dns_relay proofless{server->port()};
  proofless.behave(habit::drops_proofs);
  start(automatic(), [&] { return std::vector{stripping.address(), relay.address(), proofless.address()}; });
  const auto got = ask("xmpp.sec.test", record_type::a);  // waits for the probe
  EXPECT_EQ(got.result, outcome::records) << got.why;
  EXPECT_EQ(got.security, security::secure);
  EXPECT_TRUE(noted(note_level::info, "by the system's resolvers: " + relay.address()));
  EXPECT_TRUE(noted(note_level::warning, stripping.address()));
  EXPECT_TRUE(noted(note_level::warning, proofless.address()));
  EXPECT_EQ(stripping.count("xmpp.sec.test", a_type), 0);
}

TEST_F(UnboundAuto, UsesAllOfThemWhereAllDo) {
  dns_relay other{server->port()};
  start(automatic(), [&] { return std::vector{relay.address(), other.address()}; });
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).security, security::secure);
  EXPECT_TRUE(noted(note_level::info, relay.address() + ", " + other.address()));
}

TEST_F(UnboundAuto, RecursesWhereNoneDoesOrNoneAnswers) {
  for (const auto h : {habit::silent, habit::strips_dnssec, habit::servfail}) {
    relay.behave(h);
    auto s = automatic();
    s.timeout = 4s;
    start(s, [&] { return std::vector{relay.address()}; });
    const auto begun = clock::now();
    while (!noted(note_level::info, "resolved from the root") && clock::now() - begun < 5s) {
      std::this_thread::sleep_for(5ms);
    }
    EXPECT_TRUE(noted(note_level::info, "resolved from the root"));
    EXPECT_LT(clock::now() - begun, 3s);
    EXPECT_TRUE(noted(note_level::warning, relay.address()));
    names.reset();
    const std::lock_guard lock{mutex};
    notes.clear();
  }
}

TEST_F(UnboundAuto, UsesThemUnprobedWhereNothingIsValidated) {
  relay.behave(habit::strips_dnssec);
  auto s = automatic();
  s.trust_anchors = {};
  start(s, [&] { return std::vector{relay.address()}; });
  EXPECT_EQ(ask("xmpp.sec.test", record_type::a).result, outcome::records);
  EXPECT_TRUE(noted(note_level::info, "by the system's resolvers: " + relay.address()));
}

TEST_F(UnboundAuto, RecursesWhereTheSystemNamesNone) {
  start(automatic(), [] { return std::vector<std::string>{}; });
  (void)ask("www.test", record_type::a);
  EXPECT_TRUE(noted(note_level::info, "resolved from the root"));
}

TEST_F(UnboundAuto, MayBeEndedAndReloadedWhileItProbes) {
  relay.behave(habit::silent);
  start(automatic(), [&] { return std::vector{relay.address()}; });
  std::optional<answer> early;
  const auto held = names->lookup("xmpp.sec.test", record_type::a, loop.poster(), [&](const answer& a) { early = a; });
  dns_relay good{server->port()};
  auto s = usual();
  s.stubs = {{"test", {good.address()}}};
  ASSERT_TRUE(names->reload(s));
  ASSERT_TRUE(loop.run_until([&] { return early.has_value(); }));
  EXPECT_EQ(early->security, security::secure);  // by the new one
  ASSERT_TRUE(names->reload(automatic()));
  names.reset();
}

TEST_F(Unbound, FindsAServiceAsAWhole) {  // A01, A02, B01, B04, B07, B19
  start(usual());
  service_resolver finder{*names, loop.poster(), [](std::uint32_t greatest) { return greatest; }};
  std::optional<service_plan> plan;
  finder.find("sec.test", service::server, [&](const service_plan& p) { plan = p; });
  ASSERT_TRUE(loop.run_until([&] { return plan.has_value(); }));
  ASSERT_EQ(plan->groups.size(), 2U);
  EXPECT_EQ(plan->groups[0][0].host, "alias.sec.test");
  EXPECT_TRUE(plan->groups[0][0].direct_tls);
  std::optional<endpoint_addresses> known;
  finder.find_endpoint(plan->groups[0][0], [&](const endpoint_addresses& e) { known = e; });
  ASSERT_TRUE(loop.run_until([&] { return known && known->complete(); }));
  EXPECT_EQ(known->tlsa_base, "xmpp.sec.test");
  EXPECT_EQ(known->tlsa, (std::vector<tlsa_record>{{2, 0, 1, std::string(32, '\x11')}}));

  plan.reset();
  finder.find("bogus.test", service::server, [&](const service_plan& p) { plan = p; });
  ASSERT_TRUE(loop.run_until([&] { return plan.has_value(); }));
  EXPECT_EQ(plan->fault, lookup_fault::bogus);  // B02, E4: and yet _xmpps-server is there and secure
  plan.reset();
  finder.find("www.test", service::server, [&](const service_plan& p) { plan = p; });
  ASSERT_TRUE(loop.run_until([&] { return plan.has_value(); }));
  EXPECT_EQ(plan->groups.at(0).at(0).source, endpoint_source::fallback);  // A10
}

}  // namespace
}  // namespace comity::dns
