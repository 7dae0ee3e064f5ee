// Whole dialogues between servers, our initiating machine against our receiving one: every combination of method, of
// what each certificate proves, of bidirectional streams and of multiplexing ends as the table says, and no stanza is
// taken that no flow covers.
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "tests/fakes/server_world.hpp"

namespace comity::connection {
namespace {

using fakes::server_world;

const domain_flow flow{.sender = "a.example", .target = "b.example"};
const domain_flow other_sender{.sender = "rooms.a.example", .target = "b.example"};
const domain_flow other_target{.sender = "a.example", .target = "rooms.b.example"};

/// What a certificate is worth to who sees it.
enum class worth : std::uint8_t { dane, pkix, posh, dialback, nothing };
constexpr std::array worths{worth::dane, worth::pkix, worth::posh, worth::dialback, worth::nothing};

trust::verdict verdict_for(worth w) {
  switch (w) {
    case worth::dane:
      return {trust::accepted{proof::dane}, "matched"};
    case worth::pkix:
      return {trust::accepted{proof::pkix}, "trusted"};
    case worth::posh:
      return {trust::accepted{proof::posh}, "published"};
    case worth::dialback:
      return {trust::needs_dialback{}, "dialback may do"};
    case worth::nothing:
      return {trust::refused{cause::cert_untrusted}, "no"};
  }
  std::unreachable();
}

bool proves(worth w) {
  return w != worth::dialback && w != worth::nothing;
}

struct scenario {
  connection::method method = method::starttls;
  worth of_b = worth::pkix;  // what b's certificate is worth to a, who calls
  worth of_a = worth::pkix;  // what a's is worth to b, who is called
  bool wants_bidi = true;
  bool offers_bidi = true;
  bool second_sender = false;
  bool second_target = false;
  std::size_t piece = std::string::npos;

  [[nodiscard]] std::string text() const {
    return std::string{to_string(method)} + " b=" + std::to_string(static_cast<int>(of_b)) +
           " a=" + std::to_string(static_cast<int>(of_a)) + " bidi=" + std::to_string(wants_bidi) +
           std::to_string(offers_bidi) + " multiplexing=" + std::to_string(second_sender) +
           std::to_string(second_target) + " piece=" + std::to_string(piece);
  }
};

/// The specification: how a stream between the two is authorised.
struct expectation {
  bool authorised;
  authorised_by how;
  proof of_b, of_a;         // as each end counts the other
  unsigned verifications;   // connections to a's own server
  connection::cause cause;  // where it is not authorised, as a sees it
  const char* why;
};

expectation expected(const scenario& s) {
  const auto proof_of = [](worth w) { return proves(w) ? verdict_for(w).by() : proof::dialback; };
  if (s.of_b == worth::nothing) {
    return {false, {}, {}, {}, 0, cause::cert_untrusted, "G03: a says nothing to a stranger"};
  }
  if (s.of_a == worth::nothing) {
    return {false, {}, {}, {}, 0, cause::auth_rejected, "THREATS D3: b takes no key in place of a certificate"};
  }
  if (proves(s.of_a) && proves(s.of_b)) {
    return {true, authorised_by::external, proof_of(s.of_b), proof_of(s.of_a), 0, {}, "I05: both certificates will do"};
  }
  if (proves(s.of_a)) {
    return {true,
            authorised_by::dialback,
            proof::dialback,
            proof_of(s.of_a),
            0,
            {},
            "K03: a dials back for b's sake, and b needs nobody else's word"};
  }
  return {true, authorised_by::dialback, proof_of(s.of_b), proof::dialback, 1, {}, "J02: a's own server is asked"};
}

class two_servers {
public:
  explicit two_servers(const scenario& s) : world{s.piece} {
    world.verify_method = s.method;
    auto& a = world.add({"a.example", "rooms.a.example"}, "secret of a");
    auto& b = world.add({"b.example", "rooms.b.example"}, "secret of b");
    for (const auto* domain : {"a.example", "rooms.a.example"}) {
      b.verdicts.emplace(domain, verdict_for(s.of_a));
    }
    for (const auto* domain : {"b.example", "rooms.b.example"}) {
      a.verdicts.emplace(domain, verdict_for(s.of_b));
    }
    a.wants_bidi = s.wants_bidi;
    b.offers_bidi = s.offers_bidi;
    link = &world.connect(a, flow, s.method);
  }

  /// One stanza of that flow, with a number of its own.
  static std::string stanza(const domain_flow& f, unsigned number) {
    return "<message from='u@" + f.sender + "' to='v@" + f.target + "' id='" + std::to_string(number) + "'/>";
  }
  static std::string as_received(const domain_flow& f, unsigned number) {
    return "u@" + f.sender + " v@" + f.target + " " + std::to_string(number);
  }

  server_world world;
  fakes::server_link* link;
};

void every_scenario(std::size_t piece, const std::function<void(const scenario&)>& run) {
  for (const auto method : {method::starttls, method::direct_tls}) {
    for (const auto of_b : worths) {
      for (const auto of_a : worths) {
        for (unsigned bits = 0; bits < 16; ++bits) {
          scenario s{method, of_b, of_a, (bits & 1U) != 0, (bits & 2U) != 0, (bits & 4U) != 0, (bits & 8U) != 0, piece};
          SCOPED_TRACE(s.text());
          run(s);
        }
      }
    }
  }
}

class ServerDialogue : public testing::TestWithParam<std::size_t> {};

TEST_P(ServerDialogue, EndsAsItsRowSays) {  // E08, I01, I04, I05, J01–J13, K03, L01, L02, THREATS D3
  every_scenario(GetParam(), [](const scenario& s) {
    const auto row = expected(s);
    SCOPED_TRACE(row.why);
    two_servers t{s};
    t.world.run();
    auto [a, b] = std::tie(t.link->a, t.link->b);
    if (!row.authorised) {
      EXPECT_TRUE(a.authorised.empty() && b.authorised.empty());
      ASSERT_TRUE(a.finished);
      EXPECT_EQ(a.finished->cause, row.cause);
      EXPECT_TRUE(a.machine().ended() && b.machine().ended());
      return;
    }
    ASSERT_EQ(a.authorised.size(), 1U);
    ASSERT_EQ(b.authorised.size(), 1U);
    for (const auto& [end, by] : {std::pair{&a.authorised[0], row.of_b}, std::pair{&b.authorised[0], row.of_a}}) {
      EXPECT_EQ(end->flow, flow);
      EXPECT_EQ(end->how, row.how);
      EXPECT_EQ(end->by, by);
    }
    EXPECT_EQ(t.world.verifications, row.verifications);
    EXPECT_EQ(a.machine().facts().bidi, s.wants_bidi && s.offers_bidi);
    EXPECT_EQ(b.machine().facts().bidi, s.wants_bidi && s.offers_bidi);
    EXPECT_FALSE(a.finished || b.finished);
    for (const auto& link : t.world.links()) {
      EXPECT_EQ(link->a.finished.has_value(), link->b.finished.has_value());
      EXPECT_EQ(link->a.finished.has_value(), link.get() != t.link);  // J11: closed after use
    }
  });
}

TEST_P(ServerDialogue, CarriesTheStanzasOfItsFlowsOnceAndInOrder) {  // J01, J09, J10, L02
  every_scenario(GetParam(), [](const scenario& s) {
    if (!expected(s).authorised) {
      return;
    }
    two_servers t{s};
    t.world.run();
    auto [a, b] = std::tie(t.link->a, t.link->b);
    std::vector<domain_flow> flows{flow};
    for (const auto& [wanted, more] : {std::pair{s.second_sender, other_sender}, {s.second_target, other_target}}) {
      if (wanted) {
        a.drive(event::wants_flow{more, proof::none});
        flows.push_back(more);
      }
    }
    t.world.run();
    ASSERT_EQ(a.authorised.size(), flows.size());
    ASSERT_EQ(b.authorised.size(), flows.size());
    EXPECT_EQ(a.machine().authorised(), domain_flows(flows.begin(), flows.end()));
    EXPECT_EQ(b.machine().facts().flows, domain_flows(flows.begin(), flows.end()));
    std::vector<std::string> there, back;
    for (unsigned n = 0; n < 3; ++n) {
      for (const auto& f : flows) {
        a.say(two_servers::stanza(f, n));
        there.push_back(two_servers::as_received(f, n));
        if (s.wants_bidi && s.offers_bidi) {
          b.say(two_servers::stanza(reversed(f), n));
          back.push_back(two_servers::as_received(reversed(f), n));
        }
      }
    }
    t.world.run();
    EXPECT_EQ(b.received, there);
    EXPECT_EQ(a.received, back);
    EXPECT_FALSE(a.finished || b.finished);
  });
}

INSTANTIATE_TEST_SUITE_P(Pieces, ServerDialogue, testing::Values(std::string::npos, 1U, 7U), [](const auto& info) {
  return info.param == std::string::npos ? "Whole" : std::to_string(info.param);
});

TEST(ServerDialogue, TakesNothingBackOnAStreamThatGoesOneWay) {  // L02, H07
  for (const bool wants : {false, true}) {
    two_servers t{{.wants_bidi = wants, .offers_bidi = !wants}};
    t.world.run();
    t.link->b.say(two_servers::stanza(reversed(flow), 1));
    t.world.run();
    EXPECT_TRUE(t.link->a.received.empty());
    ASSERT_TRUE(t.link->a.finished);
    EXPECT_EQ(t.link->a.finished->sent, stream_condition::not_authorized);
    EXPECT_EQ(t.link->b.finished->received, stream_condition::not_authorized);
  }
}

TEST(ServerDialogue, RefusesAFlowAndKeepsTheOthers) {  // J06, J08: a target that b does not host
  two_servers t{{}};
  t.world.run();
  const domain_flow nowhere{.sender = "a.example", .target = "c.example"};
  t.link->a.drive(event::wants_flow{nowhere, proof::none});
  t.world.run();
  ASSERT_EQ(t.link->a.refused_flows.size(), 1U);
  EXPECT_EQ(t.link->a.refused_flows[0].cause, cause::host_unknown);
  t.link->a.say(two_servers::stanza(flow, 1));
  t.world.run();
  EXPECT_EQ(t.link->b.received, std::vector{two_servers::as_received(flow, 1)});
}

TEST(ServerDialogue, TellsAStrangerThatTheHostIsUnknown) {  // H02, H06, RFC 6120 §4.9.3.6
  server_world world;
  const auto& a = world.add({"a.example"}, "secret of a");
  world.add({"b.example"}, "secret of b");
  for (const auto method : {method::starttls, method::direct_tls}) {
    auto& link = world.connect(a, {.sender = "a.example", .target = "c.example"}, method);
    world.run();
    ASSERT_TRUE(link.a.finished);
    EXPECT_EQ(link.a.finished->cause, cause::host_unknown);
    EXPECT_EQ(link.a.finished->received, stream_condition::host_unknown);
  }
}

TEST(ServerDialogue, KnowsAForgedKey) {  // J04; THREATS D2: the key is that of another secret
  server_world world;
  const auto& a = world.add({"a.example"}, "secret of a");
  auto& b = world.add({"b.example"}, "secret of b");
  b.verdicts.emplace("a.example", verdict_for(worth::dialback));
  fakes::server forger{.domains = {"a.example"}, .secret = "guessed", .verdicts = {}};
  auto& forged = world.connect(forger, flow, method::direct_tls);
  auto& real = world.connect(a, flow, method::direct_tls);
  world.run();
  EXPECT_TRUE(forged.b.authorised.empty());
  ASSERT_TRUE(forged.a.finished);
  EXPECT_EQ(forged.a.finished->cause, cause::dialback_invalid);
  EXPECT_EQ(real.b.authorised.size(), 1U);
  EXPECT_EQ(world.verifications, 2U);
}

TEST(ServerDialogue, SurvivesACutAfterEveryByte) {  // X9: each end says so once, and nothing is taken twice
  for (const auto& s :
       {scenario{.method = method::starttls}, scenario{.method = method::starttls, .of_a = worth::dialback},
        scenario{.method = method::direct_tls, .of_b = worth::dialback, .second_target = true}}) {
    const auto dialogue = [&](std::size_t cut_after) {
      auto cut = s;
      cut.piece = 16;
      two_servers t{cut};
      t.link->bytes_left = cut_after;
      t.world.run();
      if (!t.link->a.authorised.empty()) {
        t.link->a.drive(event::wants_flow{other_target, proof::none});
        t.link->a.say(two_servers::stanza(flow, 1));
        t.world.run();
      }
      for (auto& link : t.world.links()) {
        if (link.get() != t.link || cut_after != std::string::npos) {
          EXPECT_TRUE(link->a.machine().ended() && link->b.machine().ended());
          EXPECT_TRUE(link->a.finished && link->b.finished);
        }
      }
      EXPECT_LE(t.link->b.received.size(), 1U);
      return t.world.bytes_moved;
    };
    const auto whole = dialogue(std::string::npos);
    ASSERT_GT(whole, 1000U);
    for (std::size_t k = 1; k < whole; ++k) {
      SCOPED_TRACE(s.text() + " cut after " + std::to_string(k));
      dialogue(k);
    }
  }
}

}  // namespace
}  // namespace comity::connection
