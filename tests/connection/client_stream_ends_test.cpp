// How a client's connection ends: by limits, deadlines, faults, and at every stage of its way in.
#include "connection/client_stream.hpp"

namespace comity::connection {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ClientStreamEnd : public ClientStream, public ::testing::WithParamInterface<method> {};
INSTANTIATE_TEST_SUITE_P(Methods, ClientStreamEnd, ::testing::Values(method::starttls, method::direct_tls),
                         [](const auto& of) { return std::string{to_string(of.param)}; });

// --- limits ----------------------------------------------------------------------------------------------------------

TEST_P(ClientStreamEnd, HoldsElementsToTheLimitBeforeAndAfterTheLogin) {  // L08, RFC 6120 §13.12 (4): L-1, L, L+1
  settings_.before_authentication.stanza_bytes = 10'000;
  settings_.after_authentication.stanza_bytes = 20'000;
  const auto refused = [](xmpp_peer& p) {
    return p.hear_out().contains("<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>");
  };
  const auto filled = [](std::string_view start, std::string_view end, std::size_t size) {
    return std::string{start} + std::string(size - start.size() - end.size(), 'x') + std::string{end};
  };
  for (const std::size_t size : {9'999U, 10'000U, 10'001U}) {
    auto p = connect(GetParam());
    GetParam() == method::starttls ? secure(*p) : (p->start_tls("a.example"), open(*p));
    p->say(filled("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>", "</auth>", size));
    if (size <= 10'000) {
      EXPECT_THAT(p->hear("</failure>"), HasSubstr("<failure "));
    } else {
      EXPECT_TRUE(refused(*p));
    }
  }
  for (const std::size_t size : {19'999U, 20'000U, 20'001U}) {
    auto p = logged_in(GetParam());
    const auto before = received().size();
    p->say(filled("<message to='u@b.example'><body>", "</body></message>", size));
    if (size <= 20'000) {
      while (received().size() == before) {
        on_loop([] {});
      }
    } else {
      EXPECT_TRUE(refused(*p));
      EXPECT_EQ(before, received().size());
    }
  }
}

TEST_F(ClientStream, ItsLoginIsWhatAnAddressNeedsForMore) {  // L07, THREATS G1
  limits_.configure(1000, 1);
  auto p = connect(method::starttls);
  secure(*p);
  EXPECT_FALSE(limits_.admit(1));
  authenticate(*p);
  EXPECT_TRUE(limits_.admit(1));
}

TEST_F(ClientStream, CountsABindingThatIsRefused) {  // THREATS C7
  auto p = logged_in();
  p->say(bind);
  EXPECT_THAT(p->hear("</iq>"), HasSubstr("<not-allowed"));
  EXPECT_EQ(1, sample("comity_stanza_errors_sent_total", {"scope=\"c2s\"", "condition=\"not-allowed\""}));
}

TEST_F(ClientStream, AWrongPasswordCostsItsAddress) {  // THREATS C8, RFC 6120 §6.4.5
  // A guess costs a second. None of what follows takes six.
  limits_.configure(ip_limits::guess_costs, ip_limits::guess_costs);
  auto p = connect(method::starttls);
  secure(*p);
  p->say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE'/>");
  EXPECT_THAT(p->hear("</failure>"), HasSubstr("<invalid-mechanism"));
  EXPECT_TRUE(limits_.admit(1));  // what is no guess costs nothing
  for (int i = 0; i < 6; ++i) {   // as many as one stream may try, and the one that ends it
    p->say(plain("u", "guess"));
    EXPECT_THAT(p->hear("</failure>"), HasSubstr("<not-authorized"));
  }
  EXPECT_THAT(p->hear_out(), HasSubstr("<policy-violation"));
  const auto now = ip_limits::clock::now();
  EXPECT_FALSE(limits_.admit(1, now));
  EXPECT_FALSE(limits_.admit(1, now + 4s));
  EXPECT_TRUE(limits_.admit(1, now + 6s));
  EXPECT_TRUE(limits_.admit(2, now));  // another address
}

/// What it sends beyond its rate waits on its side: all of it comes in the end, none before its time. What OpenSSL has
/// decrypted waits too, and no readiness tells of it.
TEST_F(ClientStream, ReadsAPeerThatIsTooFastAtItsRate) {  // L09, RFC 6120 §13.12 (6)
  for (const auto m : {method::starttls, method::direct_tls}) {
    settings_.bytes_per_second = 40'000;
    settings_.after_authentication.stanza_bytes = 100'000;
    auto p = logged_in(m);
    const auto begun = std::chrono::steady_clock::now();
    const auto before = row().bytes_received;
    std::string said;
    while (said.size() < 55'000) {
      said += hello;
    }
    const auto count = said.size() / hello.size();
    const auto already = received().size();
    p->say(said);
    while (received().size() < already + count) {
      const auto so_far = row().bytes_received;
      // Of the same moment or later, so that it can only be more than was allowed when the row was made.
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begun;
      ASSERT_LE(static_cast<double>(so_far - before), 40'000 * (1 + passed.count()) + 1);
    }
    // The last 15 kB take 375 ms.
    EXPECT_GE(std::chrono::steady_clock::now() - begun, 300ms);
    EXPECT_EQ(before + said.size(), row().bytes_received);
    p->hang_up();
    EXPECT_TRUE(all_gone());
  }
}

TEST_F(ClientStream, ARateHoldsBeforeTlsToo) {  // L09
  settings_.bytes_per_second = 1000;
  auto p = connect(method::starttls);
  const auto begun = std::chrono::steady_clock::now();
  open(*p);
  p->say(std::string(1100 - header().size(), ' '));
  p->say(starttls);
  EXPECT_THAT(p->hear(proceed), EndsWith(proceed));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 100ms);
  EXPECT_TRUE(p->start_tls());
}

TEST_F(ClientStream, GivesUpAReaderThatIsTooSlow) {  // THREATS F4
  settings_.send_queue_bytes = 64U << 10U;
  auto p = logged_in();
  const auto full = [&] {
    stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("v@b.example/y"),
                     *jid::parse("u@a.example/x"), "2"};
    b.writer().leaf("body", {}, std::string(10'000, 'x'));
    return b.finish();
  }();
  on_loop([&] {
    auto* c = all_.find(all_.list().front().ref.id);
    for (int i = 0; i < 10; ++i) {
      c->send(full);  // the seventh is over
    }
  });
  EXPECT_THAT(p->hear_out(), AllOf(StartsWith("<stream:error><resource-constraint "), EndsWith("</stream:stream>")));
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(1, sample("comity_send_queue_overflows_total", {"method=\"starttls\""}));
  EXPECT_EQ(1, sample("comity_connection_closes_total", {"cause=\"limit\""}));
  EXPECT_EQ(6, sample("comity_stanzas_sent_total", {"stanza=\"message\""}));
}

TEST_F(ClientStream, AStanzaBegunIsFinishedForAReaderThatIsTooSlow) {  // THREATS F4
  settings_.send_queue_bytes = 64U << 10U;
  auto p = logged_in();
  stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("v@b.example/y"), *jid::parse("u@a.example/x"),
                   "2"};
  b.writer().leaf("body", {}, std::string(10'000, 'x'));
  const auto full = b.finish();
  const auto id = row().ref.id;
  bool there = true;
  while (there) {  // a turn each, so that the socket takes what it can
    on_loop([&] {
      auto* c = all_.find(id);
      there = c != nullptr && c->info().established;
      if (there) {
        c->send(full);
      }
    });
  }
  const auto all = p->hear_out();
  const auto error = all.find("<stream:error><resource-constraint ");
  ASSERT_NE(std::string::npos, error);
  EXPECT_THAT(all.substr(0, error), EndsWith("</message>"));
}

// --- time ------------------------------------------------------------------------------------------------------------

TEST_F(ClientStream, NoByteMovesTheDeadlineOfTheLogin) {  // THREATS B5, G2; L12, RFC 6120 §4.6
  settings_.handshake_timeout = 200ms;
  struct stop {
    const char* name;
    std::function<void(xmpp_peer&)> way;
    const char* cause;
  };
  const std::vector<stop> stops{{"nothing", [](xmpp_peer&) {}, "stream_timeout"},
                                {"header", [](xmpp_peer& p) { open(p); }, "tls_timeout"},
                                {"secure", [](xmpp_peer& p) { secure(p); }, "auth_timeout"}};
  for (const auto& [name, way, why] : stops) {
    auto p = connect(method::starttls);
    way(*p);
    const auto heard = p->hear_out_saying(" ");  // white space keeps nothing alive
    EXPECT_THAT(heard, AllOf(HasSubstr("<connection-timeout "), EndsWith("</stream:stream>"))) << name;
    p->hang_up();
    EXPECT_TRUE(all_gone());
    EXPECT_EQ(1, sample("comity_connection_failures_total", {"cause=\"" + std::string{why} + "\""})) << name;
  }
}

TEST_F(ClientStream, BindingHasItsTimeToo) {
  settings_.handshake_timeout = 200ms;
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example"));
  open(*p);
  authenticate(*p);
  EXPECT_THAT(p->hear_out(), HasSubstr("<connection-timeout "));
  p->hang_up();
  EXPECT_TRUE(all_gone());
}

TEST_F(ClientStream, ABoundClientMayBeSilent) {
  settings_.handshake_timeout = 150ms;
  settings_.tls_timeout = 150ms;
  auto p = logged_in(method::direct_tls);
  struct alarm final : timer_wheel::entry {
    void expired() override { rang.set_value(); }
    std::promise<void> rang;
  } later;
  on_loop([&] { loop_.arm(later, timer_wheel::clock::now() + 500ms); });
  later.rang.get_future().wait();
  on_loop([&] { EXPECT_EQ(1U, all_.size()); });
  p->say(hello);
  while (received().empty()) {
    on_loop([] {});
  }
}

TEST_P(ClientStreamEnd, TlsHasItsOwnTime) {  // THREATS B5
  settings_.tls_timeout = 150ms;
  auto p = connect(GetParam());
  if (GetParam() == method::starttls) {
    open(*p);
    p->say(starttls);
    p->hear(proceed);
  }
  p->say("\x16");  // a ClientHello that never gets further
  EXPECT_EQ("", p->hear_out());
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(1, sample("comity_connection_failures_total", {"phase=\"tls\"", "cause=\"tls_timeout\""}));
}

TEST_F(ClientStream, DoesNotWaitForEverForThePeersClose) {  // RFC 6120 §4.4
  settings_.linger_time = 200ms;
  auto p = connect(method::starttls);
  open(*p);
  const auto began = std::chrono::steady_clock::now();
  p->say("</stream:stream>");
  EXPECT_EQ("</stream:stream>", p->hear_out());
  EXPECT_TRUE(all_gone());  // though this end stays open
  EXPECT_GE(std::chrono::steady_clock::now() - began, 200ms);
}

// --- ends at every stage ---------------------------------------------------------------------------------------------

class ClientStreamStage : public ClientStream, public ::testing::WithParamInterface<int> {
protected:
  /// Goes that far; whether a resource is bound then.
  static bool go(xmpp_peer& p, int to) {
    if (to >= 1) {
      p.say(header());
      p.hear(features_end);
    }
    if (to >= 2) {
      p.say(starttls);
      p.hear(proceed);
    }
    if (to == 3) {
      p.say(std::string{"\x16\x03\x01\x01\x00\x01", 6});
    }
    if (to >= 4) {
      EXPECT_TRUE(p.start_tls());
    }
    if (to >= 5) {
      open(p);
    }
    if (to >= 6) {
      authenticate(p);
    }
    if (to >= 7) {
      bind_resource(p);
    }
    return to >= 7;
  }
};
std::string stage_name(const ::testing::TestParamInfo<int>& of) {
  static constexpr std::array names{"accepted",  "opened",  "proceed",       "hello",
                                    "encrypted", "offered", "authenticated", "bound"};
  return names.at(static_cast<std::size_t>(of.param));
}
INSTANTIATE_TEST_SUITE_P(Stages, ClientStreamStage, ::testing::Range(0, 8), stage_name);

TEST_P(ClientStreamStage, APeerThatVanishesLeavesNothing) {  // THREATS G3
  auto p = connect(method::starttls);
  const bool bound = go(*p, GetParam());
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(unbound(), SizeIs(bound ? 1 : 0));
  EXPECT_EQ(GetParam() >= 6 ? 0 : 1, sample("comity_connection_failures_total", {"method=\"starttls\""}));
  EXPECT_EQ(GetParam() >= 6 ? 1 : 0, sample("comity_connection_closes_total", {"method=\"starttls\""}));
}

TEST_P(ClientStreamStage, ADismissedPeerIsToldWhereItCanBe) {  // RFC 6120 §4.9.3.20
  auto p = connect(method::starttls);
  const bool bound = go(*p, GetParam());
  while (GetParam() >= 4 && row().tls_version.empty()) {  // the client is done with the handshake first
  }
  dismiss(stream_condition::system_shutdown);
  const auto heard = p->hear_out();
  if (GetParam() == 2 || GetParam() == 3) {  // between <proceed/> and TLS nothing can be said
    EXPECT_EQ("", heard);
  } else {
    EXPECT_THAT(heard, AllOf(HasSubstr("<system-shutdown "), EndsWith("</stream:stream>")));
  }
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(unbound(), SizeIs(bound ? 1 : 0));
}

TEST_P(ClientStreamStage, WhatIsNoXmppEndsIt) {
  settings_.tls_timeout = 300ms;  // where it reads as the middle of a ClientHello
  auto p = connect(method::starttls);
  go(*p, GetParam());
  p->say(std::string{"\0\xff<<>>]]>&", 10});
  p->hear_out();
  p->hang_up();
  EXPECT_TRUE(all_gone());
}

// --- questions and faults --------------------------------------------------------------------------------------------

TEST_F(ClientStream, AResourceBoundForNobodyIsGivenBack) {
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example"));
  open(*p);
  authenticate(*p);
  on_loop([&] { host_.holding = true; });
  p->say(bind);
  bool asked = false;
  while (!asked) {
    on_loop([&] { asked = !host_.held.empty(); });
  }
  dismiss(stream_condition::system_shutdown);
  EXPECT_THAT(unbound(), IsEmpty());
  on_loop([&] { host_.held.front()(); });
  p->hear_out();
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(unbound(), ElementsAre("u@a.example/x"));
  EXPECT_THAT(log_.lines(), Not(::testing::Contains(StartsWith("c2s.bound"))));
}

TEST_F(ClientStream, AnAnswerForOneThatIsGoneIsDropped) {
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example"));
  open(*p);
  on_loop([&] { host_.holding = true; });
  p->say(plain("u", "pencil"));
  bool asked = false;
  while (!asked) {
    on_loop([&] { asked = !host_.held.empty(); });
  }
  dismiss(stream_condition::system_shutdown);
  p->hear_out();
  p->hang_up();
  EXPECT_TRUE(all_gone());
  std::thread{[&] { host_.held.front()(); }}.join();
  on_loop([] {});
  EXPECT_EQ(0, sample("comity_connections_established_total", {"method=\"direct_tls\""}));
}

TEST_F(ClientStream, AFaultEndsItsConnectionAlone) {
  auto p = logged_in();
  auto other = logged_in();
  on_loop([&] { host_.broken = true; });
  p->say(hello);
  EXPECT_EQ("", p->hear_out());
  on_loop([&] {
    EXPECT_EQ(1U, all_.size());
    host_.broken = false;
  });
  EXPECT_THAT(unbound(), SizeIs(1));
  EXPECT_EQ(1U, log_.count("c2s.fault"));
  other->say(hello);
  while (received().empty()) {
    on_loop([] {});
  }
  EXPECT_EQ(1, sample("comity_connection_closes_total", {"cause=\"internal\""}));
}

/// Its session is not to blame: it can be resumed. One that is chosen to make room is to go, with what it holds.
TEST_F(ClientStream, IsToldThatThereIsNoMemoryForItAndMayResume) {  // THREATS X13, RFC 6120 §4.9.3.17
  const std::vector<std::pair<std::function<void()>, std::vector<std::string>>> ends{
      {[this] { all_.on(all_.list().front().ref.id, [](live_connection&) { throw std::bad_alloc{}; }); }, {"broken"}},
      {[this] { all_.shed(1); }, {}}};
  int closed = 0;
  for (const auto& [no_memory, told] : ends) {
    auto p = logged_in();
    on_loop([&] {
      host_.managed.clear();
      host_.unbound.clear();
      no_memory();
    });
    EXPECT_THAT(p->hear_out(), AllOf(StartsWith("<stream:error><resource-constraint "), EndsWith("</stream:stream>")));
    p->hang_up();
    EXPECT_TRUE(all_gone());
    EXPECT_THAT(unbound(), ElementsAre("u@a.example/x"));
    on_loop([&] { EXPECT_EQ(told, host_.managed); });
    EXPECT_EQ(++closed, sample("comity_connection_closes_total", {"cause=\"limit\""}));
  }
}

}  // namespace
}  // namespace comity::connection
