// What the daemon and its resolver process say to each other, at the limits of each field (THREATS E6: answers of the
// process are untrusted).
#include "dns/child_messages.hpp"

#include <gmock/gmock.h>

#include <string>

namespace comity::dns::child {
namespace {

using namespace std::chrono_literals;

std::span<const std::uint8_t> bytes(const std::string& s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}
std::optional<report> read(const std::string& packet) {
  return read_report(bytes(packet));
}
template <class Message>
Message same(const Message& m) {
  const auto got = read(encode(m));
  EXPECT_TRUE(got && std::holds_alternative<Message>(*got));
  return got && std::holds_alternative<Message>(*got) ? std::get<Message>(*got) : Message{};
}
bool taken(const answer& a) {
  return read(encode(answered{.id = 1, .what = a})).has_value();
}

answer with_records(record_type type) {
  answer a;
  a.type = type;
  a.result = outcome::records;
  a.security = security::secure;
  a.canonical_name = "xmpp.example.org";
  a.ttl = 60s;
  a.malformed = 3;
  switch (type) {
    case record_type::a:
      a.addresses = {*address::parse("192.0.2.1"), *address::parse("192.0.2.2")};
      break;
    case record_type::aaaa:
      a.addresses = {*address::parse("2001:db8::1")};
      break;
    case record_type::srv:
      a.srv = {{0, 1, 2, ""}, {65535, 65535, 65535, "a.example"}};
      break;
    case record_type::tlsa:
      a.tlsa = {{3, 1, 1, std::string(32, '\xff')}, {255, 255, 255, ""}};
      break;
  }
  return a;
}
answer none(outcome result, security s) {
  answer a;
  a.result = result;
  a.security = s;
  a.ttl = dns::answered(result) ? 60s : 0s;
  a.why = dns::answered(result) ? "" : "why";
  return a;
}

TEST(ChildMessages, AnswersOfEveryTypeComeAsTheyWere) {
  for (std::size_t t = 0; t < record_type_count; ++t) {
    const auto a = with_records(static_cast<record_type>(t));
    const auto got = same(answered{.id = ~std::uint64_t{0}, .what = a});
    EXPECT_EQ(got.id, ~std::uint64_t{0});
    EXPECT_EQ(got.what.type, a.type);
    EXPECT_EQ(got.what.result, a.result);
    EXPECT_EQ(got.what.security, a.security);
    EXPECT_EQ(got.what.canonical_name, a.canonical_name);
    EXPECT_EQ(got.what.ttl, a.ttl);
    EXPECT_EQ(got.what.malformed, a.malformed);
    EXPECT_EQ(got.what.addresses, a.addresses);
    EXPECT_EQ(got.what.srv, a.srv);
    EXPECT_EQ(got.what.tlsa, a.tlsa);
  }
}

TEST(ChildMessages, OtherReportsComeAsTheyWere) {
  EXPECT_EQ(same(started{"as nobody"}), started{"as nobody"});
  EXPECT_EQ(same(refused{"no such file"}), refused{"no such file"});
  for (std::size_t l = 0; l < note_level_count; ++l) {
    const note n{.level = static_cast<note_level>(l), .text = "Größe"};
    EXPECT_EQ(same(n), n);
  }
  const auto o = same(
      observation{.type = record_type::tlsa, .result = outcome::bogus, .security = security::bogus, .took = 1500us});
  EXPECT_EQ(o.type, record_type::tlsa);
  EXPECT_EQ(o.result, outcome::bogus);
  EXPECT_EQ(o.security, security::bogus);
  EXPECT_EQ(o.took, 1500us);
}

TEST(ChildMessages, OrdersComeAsTheyWere) {
  settings s;
  s.servers = {"192.0.2.1@5353", "auto"};
  s.root_hints = "/hints";
  s.trust_anchors = {};
  s.stubs = {{"a.test", {"127.0.0.1@53", "::1"}}, {"b.test", {}}};
  s.special_zones = {"test"};
  s.timeout = 60s;
  EXPECT_EQ(std::get<settings>(read_order(bytes(encode(s))).value()), s);
  const question q{.id = 7, .type = record_type::srv, .name = "_xmpp-server._tcp.example.org"};
  EXPECT_EQ(std::get<question>(read_order(bytes(encode(q))).value()), q);
  EXPECT_FALSE(read_order(bytes(encode(question{.id = 7, .type = record_type::a, .name = "A.example"}))));
  EXPECT_FALSE(read_order(bytes(encode(question{.id = 7, .type = record_type::a, .name = ""}))));
}

TEST(ChildMessages, NothingButAWholeMessageIsTaken) {
  std::vector<std::string> all{encode(started{"x"}), encode(refused{"x"}), encode(note{.level = {}, .text = "x"}),
                               encode(observation{})};
  for (std::size_t t = 0; t < record_type_count; ++t) {
    all.push_back(encode(answered{.id = 1, .what = with_records(static_cast<record_type>(t))}));
  }
  for (const auto& packet : all) {
    ASSERT_TRUE(read(packet));
    for (std::size_t size = 0; size < packet.size(); ++size) {
      EXPECT_FALSE(read(packet.substr(0, size))) << size;
    }
    EXPECT_FALSE(read(packet + '\0'));
  }
  EXPECT_FALSE(read("\x08"));                          // no such message
  EXPECT_FALSE(read(encode(settings{})));              // an order is no report
  EXPECT_FALSE(read_order(bytes(encode(started{}))));  // nor the other way
}

/// Each enumerator, and the first number that is none.
TEST(ChildMessages, NumbersThatNameNothingAreRefused) {
  const auto packet = encode(answered{.id = 1, .what = with_records(record_type::srv)});
  constexpr std::size_t type_at = 9, result_at = 10, security_at = 11;
  for (const auto& [at, count] :
       {std::pair{type_at, record_type_count}, {result_at, outcome_count}, {security_at, security_count}}) {
    for (const auto wrong : {count, std::size_t{255}}) {
      auto broken = packet;
      broken[at] = static_cast<char>(wrong);
      EXPECT_FALSE(read(broken)) << at << ' ' << wrong;
    }
  }
  auto n = encode(note{.level = note_level::info, .text = ""});
  n[1] = static_cast<char>(note_level_count);
  EXPECT_FALSE(read(n));
}

TEST(ChildMessages, AnswersThatNoResolverGivesAreRefused) {  // THREATS E4
  for (std::size_t r = 0; r < outcome_count; ++r) {
    for (std::size_t s = 0; s < security_count; ++s) {
      const auto result = static_cast<outcome>(r);
      const auto security = static_cast<dns::security>(s);
      if (result == outcome::records) {
        continue;
      }
      const bool right = result == outcome::bogus ? security == security::bogus
                         : dns::answered(result)  ? security != security::bogus
                                                  : security == security::none;
      EXPECT_EQ(taken(none(result, security)), right) << to_string(result) << ' ' << to_string(security);
      auto with = none(result, security);
      with.addresses = {*address::parse("192.0.2.1")};
      EXPECT_FALSE(taken(with)) << to_string(result) << " with records";
    }
  }
  auto without = with_records(record_type::a);
  without.addresses.clear();
  EXPECT_FALSE(taken(without));
  auto forged = with_records(record_type::a);
  forged.security = security::bogus;
  EXPECT_FALSE(taken(forged));
  auto doubtful = with_records(record_type::a);
  doubtful.why = "why";
  EXPECT_FALSE(taken(doubtful));
}

TEST(ChildMessages, TimesAreWithinTheirBounds) {
  auto a = with_records(record_type::a);
  for (const auto& [ttl, right] : {std::pair{4s, false}, {5s, true}, {86400s, true}, {86401s, false}}) {
    a.ttl = ttl;
    EXPECT_EQ(taken(a), right) << ttl.count();
  }
}

TEST(ChildMessages, NamesAreNamesOfTheDns) {
  const std::string label(63, 'a');
  const auto longest = label + '.' + label + '.' + label + '.' + std::string(61, 'b');
  ASSERT_EQ(longest.size(), 253U);
  auto a = with_records(record_type::srv);
  for (const auto& [name, right] : {std::pair{longest, true},
                                    {longest + "c", false},
                                    {std::string{}, true},
                                    {std::string{"A.example"}, false},
                                    {std::string{"a..b"}, false},
                                    {std::string{"a\nb"}, false},
                                    {std::string{"a."}, false}}) {
    a.canonical_name = name;
    EXPECT_EQ(taken(a), right) << name;
    a.canonical_name.clear();
    a.srv[0].target = name;
    EXPECT_EQ(taken(a), right) << name;
    a.srv[0].target.clear();
  }
}

TEST(ChildMessages, SentencesAreCutAndClean) {
  EXPECT_EQ(same(refused{std::string(sentence_limit, 'x')}).why.size(), sentence_limit);
  EXPECT_EQ(same(refused{std::string(sentence_limit + 1, 'x')}).why.size(), sentence_limit);
  EXPECT_EQ(same(refused{"a\nb\x1b\x7f"}).why, "a?b??");
  auto raw = encode(refused{"ab"});
  raw.back() = '\n';
  EXPECT_FALSE(read(raw)) << "a process that does not clean them";
}

TEST(ChildMessages, AnAnswerThatIsTooLargeIsNone) {
  auto a = with_records(record_type::tlsa);
  a.tlsa.assign(2, {3, 0, 0, std::string(60000, 'x')});
  EXPECT_EQ(same(answered{.id = 1, .what = a}).what.tlsa, a.tlsa);
  a.tlsa.push_back({3, 0, 0, std::string(20000, 'x')});
  const auto got = same(answered{.id = 1, .what = a}).what;
  EXPECT_EQ(got.result, outcome::servfail);
  EXPECT_EQ(got.why, "the answer is too large");
  a.tlsa = {{3, 0, 0, std::string(65536, 'x')}};
  EXPECT_EQ(same(answered{.id = 1, .what = a}).what.result, outcome::servfail);
}

TEST(ChildMessages, SettingsThatAreTooLargeFitIntoNoPacket) {
  settings s;
  s.servers.assign(list_limit, "192.0.2.1");
  EXPECT_LE(encode(s).size(), packet_limit);
  s.servers.emplace_back("192.0.2.1");
  EXPECT_GT(encode(s).size(), packet_limit);
}

}  // namespace
}  // namespace comity::dns::child
