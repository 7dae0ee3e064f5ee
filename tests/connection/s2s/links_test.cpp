// What becomes of stanzas that wait for a stream, and of streams that are lost, closed, idle or asked too much.
#include <gmock/gmock.h>

#include "connection/s2s/near_and_far.hpp"
#include "connection/s2s/outbound_links.hpp"
#include "connection/s2s/scripted_peer.hpp"

namespace comity::connection {
namespace {

using testing::ElementsAre;
using testing::IsSupersetOf;

std::vector<std::string> ids(const std::vector<stanza_ref>& stanzas) {
  std::vector<std::string> all;
  for (const auto& s : stanzas) {
    all.push_back(s->id());
  }
  return all;
}

class Links : public NearAndFar {
protected:
  [[nodiscard]] std::string usual_zone() const {
    return near->srv(method::starttls, "xmpp.near.example") + far->srv(method::starttls, "xmpp.far.example") +
           "xmpp.near.example A 127.0.0.1\nxmpp.far.example A 127.0.0.1\n";
  }
  static std::string zone_of(const scripted_peer& peer) {
    return "_xmpp-server._tcp.far.example SRV 0 0 " + peer.port() + " bad.far.example\nbad.far.example A 127.0.0.1\n";
  }
  void run(const std::string& zone) {
    dns.zone(zone);
    far->run();
    near->run();
  }
  void run_near(const std::string& zone) {
    dns.zone(zone);
    near->run();
  }
};

// --- the queue -------------------------------------------------------------------------------------------------------

TEST_F(Links, KeepTheOrderOfWhatWaited) {
  dns.hold();
  run(usual_zone());
  for (int i = 0; i < 200; ++i) {
    near->send("juliet@far.example", std::to_string(i));
  }
  ASSERT_TRUE(eventually([&] { return near->metric("comity_s2s_pending_stanzas") == 200; }));
  dns.release();
  const auto got = ids(far->got.wait(200));
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(got[static_cast<std::size_t>(i)], std::to_string(i));
  }
  EXPECT_TRUE(eventually([&] { return near->metric("comity_s2s_pending_stanzas") == 0; }));
}

TEST_F(Links, RefuseWhatIsOverTheQueueAndBounceTheRestOnce) {  // THREATS D6, D8: sum in = bounced, none twice
  near->changing.queue.stanzas = 10;
  dns.hold();
  run_near("");
  for (int i = 0; i < 12; ++i) {
    near->send("juliet@far.example", std::to_string(i));
  }
  // Errors and results are taken like others, and end without a word.
  near->send("benvolio@other.example", "e", stanza_type::error);
  const auto full = near->errors.wait(2);
  EXPECT_THAT(ids(full), ElementsAre("10", "11"));
  EXPECT_EQ(full[0]->own_error(), stanza_condition::resource_constraint);
  dns.release();
  const auto all = near->errors.wait(12);
  EXPECT_EQ(ids(all), (std::vector<std::string>{"10", "11", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
  for (std::size_t i = 2; i < all.size(); ++i) {
    EXPECT_EQ(all[i]->own_error(), stanza_condition::remote_server_not_found);
    EXPECT_EQ(all[i]->to().text(), "romeo@near.example/orchard");
  }
  near->log.line({"s2s.bounced", "peer=other.example", "stanzas=1", "told=0"});
  EXPECT_EQ(near->errors.now().size(), 12U);
  EXPECT_EQ(near->metric("comity_s2s_bounced_stanzas_total", {{"cause", "limit"}}), 2);
  EXPECT_EQ(near->metric("comity_s2s_bounced_stanzas_total", {{"cause", "dns_nxdomain"}}), 10);
  EXPECT_TRUE(eventually([&] { return near->metric("comity_s2s_pending_stanzas") == 0; }));
}

TEST_F(Links, BounceWhatHasWaitedTooLong) {
  near->changing.queue.timeout = 200ms;
  dns.hold();  // the DNS never answers
  run_near("");
  near->send("juliet@far.example", "1");
  const auto errors = near->errors.wait(1);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]->own_error(), stanza_condition::remote_server_timeout);
  dns.release();
  near->on_loop(0, [](auto&) {});
  near->on_loop(1, [](auto&) {});
  EXPECT_EQ(near->errors.now().size(), 1U);
}

TEST_F(Links, AskTheDnsOnceForAThousandStanzas) {  // THREATS E7
  dns.hold();
  run_near("");
  for (int i = 0; i < 1000; ++i) {
    near->send("juliet@far.example", std::to_string(i));
  }
  ASSERT_TRUE(eventually([&] { return near->metric("comity_s2s_pending_stanzas") == 1000; }));
  const auto asked = [&] { return dns.count("_xmpp-server._tcp.far.example", dns::record_type::srv); };
  ASSERT_TRUE(eventually([&] { return asked() != 0; }));  // the first stanza is counted before its link asks
  dns.release();
  near->errors.wait(1000);
  EXPECT_EQ(asked(), 1U);
}

TEST_F(Links, LeaveAFailedPeerAloneForAWhile) {  // L06: told at once what a search would come too late for
  near->changing.queue.timeout = 1s;
  near->changing.back_off = {.first = 1h, .cap = 2h};
  run_near("");
  near->send("juliet@far.example", "1");
  near->errors.wait(1);
  near->send("juliet@far.example", "2");
  const auto errors = near->errors.wait(2);
  EXPECT_EQ(errors[1]->own_error(), stanza_condition::remote_server_not_found);
  EXPECT_EQ(dns.count("_xmpp-server._tcp.far.example", dns::record_type::srv), 1U);
}

TEST_F(Links, RememberOnlySoManyFailures) {  // THREATS E7: a user writes to one dead domain after the other
  constexpr std::size_t kept = 2 * outbound_links::failures_kept;  // on two loops
  constexpr std::size_t domains = kept + 2000;                     // more than that on each of them
  near->changing.queue.timeout = 1s;
  near->changing.back_off = {.first = 1'000'000h, .cap = 2'000'000h};
  run_near("");
  std::size_t sent = 0;
  const auto to_all = [&] {
    for (std::size_t i = 0; i < domains; ++i) {
      near->send("juliet@far" + std::to_string(i) + ".example", std::to_string(i));
      if (++sent % 1000 == 0) {
        near->errors.wait(sent);
      }
    }
    near->errors.wait(sent);
  };
  const auto searches = [&] {
    const auto asked = dns.asked();
    return static_cast<std::size_t>(
        std::ranges::count_if(asked, [](const dns::query& q) { return q.name.starts_with("_xmpp-server._tcp.far"); }));
  };
  to_all();
  ASSERT_EQ(searches(), domains);
  to_all();
  EXPECT_EQ(searches() - domains, domains - kept);
}

TEST_F(Links, RememberNoFailureToAnswerAQuestion) {  // THREATS D5: peers name the domains
  near->changing.queue.timeout = 1s;
  near->changing.back_off = {.first = 1'000'000h, .cap = 2'000'000h};
  run_near("");
  awaited<bool> answers;
  near->federation().verify({.flow = {.sender = "far.example", .target = "near.example"}, .stream_id = "s", .key = "k"},
                            std::make_shared<connect_budget>(),
                            [&](const key_verdict& v) { answers.put(v.valid.has_value()); });
  EXPECT_THAT(answers.wait(1), ElementsAre(false));
  near->send("juliet@far.example", "1");
  near->errors.wait(1);
  EXPECT_EQ(dns.count("_xmpp-server._tcp.far.example", dns::record_type::srv), 2U);
}

TEST_F(Links, TryAgainWhenTheWhileIsOver) {  // L06
  near->changing.back_off = {.first = 1ms, .cap = 1s};
  run("");
  near->send("juliet@far.example", "1");
  near->errors.wait(1);
  dns.zone(usual_zone());
  near->send("juliet@far.example", "2");
  EXPECT_THAT(ids(far->got.wait(1)), ElementsAre("2"));
}

TEST_F(Links, BounceWhatIsLargerThanThePeerTakes) {  // L03, XEP-0478
  far->changing.after_authentication.stanza_bytes = 20'000;
  run(usual_zone());
  near->send("juliet@far.example", "large", stanza_type::chat, std::string(20'001, 'x'));
  near->send("juliet@far.example", "small");
  EXPECT_THAT(ids(far->got.wait(1)), ElementsAre("small"));
  const auto errors = near->errors.wait(1);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]->id(), "large");
  EXPECT_EQ(errors[0]->own_error(), stanza_condition::policy_violation);
  EXPECT_EQ(far->metric("comity_connection_closes_total"), 0);
}

// --- streams that are lost -------------------------------------------------------------------------------------------

TEST_F(Links, GoOnOverTheNextStreamAfterThePeerHasLeft) {
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  near->federation().close("far.example", "by the operator");
  near->log.line({"s2s.closed", "peer=far.example"});
  near->send("juliet@far.example", "2");
  EXPECT_THAT(ids(far->got.wait(2)), ElementsAre("1", "2"));
  EXPECT_EQ(near->metric("comity_connections_established_total", {{"direction", "outbound"}}), 2);
  EXPECT_TRUE(near->errors.now().empty());
}

TEST_F(Links, ResumeTlsSessions) {  // F07, RFC 6120 §3.3
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  near->federation().close("far.example", "by the operator");
  near->log.line({"s2s.closed", "peer=far.example"});
  near->send("juliet@far.example", "2");
  far->got.wait(2);
  EXPECT_EQ(near->metric("comity_tls_handshakes_total", {{"direction", "outbound"}, {"resumed", "true"}}), 1)
      << near->log.line({"s2s.established", "resumed=yes"});
  EXPECT_EQ(near->metric("comity_s2s_verifications_total", {{"proof", "pkix"}}), 2)
      << "what it proves is looked at anew";
}

TEST_F(Links, SendWhatALostStreamHadNotBegunOnTheNextOneAndNothingTwice) {  // X8
  near->changing.back_off = {.first = 1ms, .cap = 1s};
  near->changing.send_queue_bytes = 64U << 20U;
  near->changing.queue.bytes = 64U << 20U;
  // The first stream reads nothing after login, and is reset once much has piled up behind what it did not read.
  std::atomic<bool> reset{false};
  std::atomic<int> streams{0};
  awaited<std::string> told;
  const auto certificate = authority_->issue({.domain = "far.example"});
  scripted_peer peer{[&](scripted_line& line) {
    line.external_login(certificate);
    if (streams++ == 0) {
      reset.wait(false);
      line.breaks();
    }
    for (;;) {
      const auto said = line.expects("</message>");
      const auto at = said.find(" id='") + 5;
      told.put(said.substr(at, said.find('\'', at) - at));
    }
  }};
  run_near(zone_of(peer));
  const std::string body(100'000, 'x');
  for (int i = 0; i < 300; ++i) {
    near->send("juliet@far.example", std::to_string(i), stanza_type::chat, body);
  }
  ASSERT_TRUE(
      eventually([&] { return near->metric("comity_stanzas_sent_total", {{"direction", "outbound"}}) == 300; }));
  reset = true;
  reset.notify_all();
  near->log.line({"s2s.closed"});
  near->send("juliet@far.example", "last");
  ASSERT_TRUE(eventually([&] {
    const auto all = told.now();
    return !all.empty() && all.back() == "last";
  }));
  // What had gone into the kernel is lost; from the first that had not, all come, in order and once.
  const auto all = told.now();
  const auto first = std::stoi(all.front());
  EXPECT_GT(first, 0);
  ASSERT_EQ(all.size(), static_cast<std::size_t>(300 - first + 1));
  for (int i = first; i < 300; ++i) {
    EXPECT_EQ(all[static_cast<std::size_t>(i - first)], std::to_string(i));
  }
  EXPECT_TRUE(near->errors.now().empty());
  near.reset();  // before the peer that waits for its words
}

TEST_F(Links, GiveAPeerThatReadsTooSlowlyUp) {  // THREATS F4
  near->changing.send_queue_bytes = 300'000;
  near->changing.back_off = {.first = 1h, .cap = 2h};
  near->changing.queue.timeout = 1s;
  std::atomic<bool> done{false};
  const auto certificate = authority_->issue({.domain = "far.example"});
  scripted_peer peer{[&](scripted_line& line) {
    line.external_login(certificate);
    done.wait(false);
  }};
  run_near(zone_of(peer));
  const std::string body(100'000, 'x');
  for (int i = 0; i < 300; ++i) {
    near->send("juliet@far.example", std::to_string(i), stanza_type::chat, body);
  }
  near->log.line({"s2s.closed", "cause=limit", "error=resource-constraint"});
  EXPECT_EQ(near->metric("comity_send_queue_overflows_total", {{"direction", "outbound"}}), 1);
  near->errors.wait(1);
  done = true;
  done.notify_all();
}

TEST_F(Links, EndWhatIsIdle) {
  near->changing.idle_timeout = 300ms;
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  const auto line = near->log.line({"s2s.closed", "direction=outbound"});
  EXPECT_TRUE(line.contains("cause=stream_timeout error= detail=idle")) << line;
  near->send("juliet@far.example", "2");
  EXPECT_EQ(far->got.wait(2).size(), 2U);
}

TEST_F(Links, LeaveBeforeThePeerSaysThatTheyAreIdle) {  // L03, XEP-0478 §4.1
  far->changing.idle_timeout = 1s;
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  const auto line = near->log.line({"s2s.closed", "direction=outbound"});
  EXPECT_TRUE(line.contains("cause=stream_timeout error= detail=idle")) << line;
  EXPECT_TRUE(far->log.line({"s2s.closed", "direction=inbound"}).contains("cause=peer_closed"));
}

TEST_F(Links, EndWhenTheProofExpires) {  // G12, RFC 6120 §13.7.2.3
  far = std::make_unique<our_end>(
      *authority_, dns,
      our_end::plan{.domain = "far.example",
                    .certificate = authority_->issue({.domain = "far.example", .from = -60, .until = 4})});
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  const auto line = near->log.line({"s2s.closed", "direction=outbound"});
  EXPECT_TRUE(line.contains("cause=cert_expired error=reset")) << line;
}

TEST_F(Links, EndWhenTheProofOfWhoCameExpires) {  // G12, the other way
  near = std::make_unique<our_end>(
      *authority_, dns,
      our_end::plan{.domain = "near.example",
                    .certificate = authority_->issue({.domain = "near.example", .from = -60, .until = 4})});
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  const auto line = far->log.line({"s2s.closed", "direction=inbound"});
  EXPECT_TRUE(line.contains("cause=cert_expired error=reset")) << line;
}

TEST_F(Links, TakeWhatABidirectionalStreamDidNotSendToAStreamOfTheirOwn) {  // XEP-0288; X8
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  for (int i = 0; i < 50; ++i) {
    far->send("romeo@near.example", std::to_string(i));
    if (i == 20) {
      near->federation().close("far.example", "by the operator");
    }
  }
  const auto got = ids(near->got.wait(50));
  ASSERT_EQ(got.size(), 50U);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(got[static_cast<std::size_t>(i)], std::to_string(i));
  }
  EXPECT_EQ(near->got.now().size(), 50U);
  EXPECT_TRUE(far->errors.now().empty());
}

// --- dialback keys ---------------------------------------------------------------------------------------------------

TEST_F(Links, MakeNoMoreConnectionsThanOneStreamMayCost) {  // THREATS D5: 32 for all that one stream wants verified
  far = std::make_unique<our_end>(*authority_, dns,
                                  our_end::plan{.domain = "far.example",
                                                .certificate = authority_->issue({.domain = "far.example"}),
                                                .trust = required_trust::dialback});
  // Each domain leads to eight dead addresses.
  std::string gone;
  {
    const scripted_peer dead{[](scripted_line&) {}};
    gone = dead.port();
  }
  std::string zone = usual_zone();
  for (int i = 0; i < 40; ++i) {
    const auto name = "d" + std::to_string(i) + ".evil.example";
    zone += "_xmpp-server._tcp." + name + " SRV 0 0 " + gone + " x.evil.example\n";
  }
  for (int i = 1; i <= 8; ++i) {
    zone += "x.evil.example A 127.0.0." + std::to_string(i) + "\n";
  }
  dns.zone(zone);
  far->run();
  const auto connect = [&] {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(far->port(method::direct_tls));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int s = ::socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return s;
  };
  scripted_line line{connect()};
  line.calls_tls("far.example");
  line.sends(
      "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
      "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='far.example' from='d0.evil.example'>");
  line.expects("</stream:features>");
  for (int i = 0; i < 40; ++i) {
    line.sends("<db:result from='d" + std::to_string(i) + ".evil.example' to='far.example'>key</db:result>");
  }
  for (int i = 0; i < 40; ++i) {
    line.expects("</db:result>");
  }
  EXPECT_LE(far->metric("comity_connection_attempts_total", {{"direction", "outbound"}}), 32);
  EXPECT_GT(far->metric("comity_connection_attempts_total", {{"direction", "outbound"}}), 8);
}

TEST_F(Links, ShareAStreamWithAnotherDomainOfTheSameServer) {  // J10, K02; J09 and K03 at the other end
  near = std::make_unique<our_end>(
      *authority_, dns,
      our_end::plan{
          .domain = "near.example", .certificate = authority_->issue({.domain = "near.example"}), .loops = 1});
  far = std::make_unique<our_end>(
      *authority_, dns,
      our_end::plan{.domain = "far.example",
                    .certificate = authority_->issue({.domain = "far.example", .more_names = {"rooms.far.example"}})});
  far->hosted_.insert("rooms.far.example");
  far->hosted_.insert("other.far.example");  // the certificate is not for this one
  std::string zone = usual_zone();
  for (const auto* name : {"rooms.far.example", "other.far.example"}) {
    zone += "_xmpp-server._tcp." + std::string{name} + " SRV 0 0 " + std::to_string(far->port(method::starttls)) +
            " xmpp.far.example\n";
  }
  run(zone);
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  near->send("hall@rooms.far.example", "2");
  EXPECT_THAT(ids(far->got.wait(2)), ElementsAre("1", "2"));
  EXPECT_EQ(near->metric("comity_connection_attempts_total", {{"direction", "outbound"}}), 1);
  near->log.line({"s2s.authorised", "peer=rooms.far.example"});

  near->send("hall@other.far.example", "3");
  EXPECT_EQ(ids(near->errors.wait(1)), std::vector<std::string>{"3"});
  EXPECT_EQ(near->metric("comity_connection_attempts_total", {{"direction", "outbound"}}), 2);

  // Both pairs lose the stream, and both have the next one.
  near->federation().close("far.example", "by the operator");
  near->log.line({"s2s.closed", "peer=far.example"});
  near->send("juliet@far.example", "4");
  far->got.wait(3);
  near->send("hall@rooms.far.example", "5");
  EXPECT_THAT(ids(far->got.wait(4)), ElementsAre("1", "2", "4", "5"));
  EXPECT_EQ(near->metric("comity_connection_attempts_total", {{"direction", "outbound"}}), 3);
}

TEST_F(Links, OpenAStreamWhereASharedOneDoesNotTakeTheFlow) {  // J08, J10
  near = std::make_unique<our_end>(
      *authority_, dns,
      our_end::plan{
          .domain = "near.example", .certificate = authority_->issue({.domain = "near.example"}), .loops = 1});
  const auto certificate = authority_->issue({.domain = "far.example", .more_names = {"rooms.far.example"}});
  awaited<std::string> told;
  std::atomic<int> streams{0};
  const auto script = [&](scripted_line& line) {
    const bool first = streams++ == 0;
    line.external_login(certificate, "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>",
                        first ? "far.example" : "rooms.far.example");
    told.put(line.expects("</message>"));
    if (first) {
      line.expects("</db:result>");
      line.sends(
          "<db:result from='rooms.far.example' to='near.example' type='error'><error type='cancel'>"
          "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>");
      told.put(line.expects("</message>"));
    }
  };
  scripted_peer peer{script, true};
  run_near(zone_of(peer) + "_xmpp-server._tcp.rooms.far.example SRV 0 0 " + peer.port() + " bad.far.example\n");
  near->send("juliet@far.example", "1");
  told.wait(1);
  near->send("hall@rooms.far.example", "2");
  EXPECT_TRUE(told.wait(2)[1].contains("id='2'"));
  near->send("juliet@far.example", "3");
  EXPECT_TRUE(told.wait(3)[2].contains("id='3'")) << "the stream that was asked is none the worse for it";
  EXPECT_EQ(peer.connections(), 2);
}

// --- the operator ----------------------------------------------------------------------------------------------------

TEST_F(Links, StopWithAWordToAllAndABounceForWhatWaits) {
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  dns.hold();
  near->send("benvolio@other.example", "2");
  near->send("benvolio@other.example", "3");
  ASSERT_TRUE(eventually([&] { return near->metric("comity_s2s_pending_stanzas") == 2; }));
  near->federation().stop();
  EXPECT_THAT(ids(near->errors.wait(2)), ElementsAre("2", "3"));
  near->log.line({"s2s.closed", "direction=outbound", "cause=shutdown", "error=system-shutdown"});
  far->log.line({"s2s.closed", "direction=inbound", "error=system-shutdown"});
  near->send("juliet@far.example", "4");
  const auto errors = near->errors.wait(3);
  EXPECT_EQ(errors[2]->own_error(), stanza_condition::remote_server_timeout);
  EXPECT_TRUE(eventually([&] { return near->connections().empty(); }));
}

TEST_F(Links, TellWhenAPeerShowsAnotherCertificate) {  // L11, RFC 7590 §3.6
  near->changing.idle_timeout = 1h;
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  near->federation().close("far.example", "by the operator");
  near->log.line({"s2s.closed", "peer=far.example"});
  near->sessions.clear();
  far.reset();
  far = end("far.example");
  dns.zone(usual_zone());
  far->run();
  near->send("juliet@far.example", "2");
  far->got.wait(1);
  near->log.line({"s2s.certificate_changed", "peer=far.example", "before=", "now="});
  EXPECT_EQ(near->log.count("s2s.certificate_changed"), 1U);
}

TEST_F(Links, AreListedWithTheirProof) {  // L10
  run(usual_zone());
  near->send("juliet@far.example", "1");
  far->got.wait(1);
  const auto ours = near->connections();
  ASSERT_EQ(ours.size(), 1U);
  EXPECT_EQ(ours[0].peer, "far.example");
  EXPECT_EQ(ours[0].domain, "near.example");
  EXPECT_EQ(ours[0].authentication, "EXTERNAL");
  EXPECT_EQ(ours[0].trust, "pkix");
  EXPECT_TRUE(ours[0].established);
  EXPECT_EQ(ours[0].tls_version, "TLSv1.3");
  const auto theirs = far->connections();
  ASSERT_EQ(theirs.size(), 1U);
  EXPECT_EQ(theirs[0].peer, "near.example");
  EXPECT_EQ(theirs[0].domain, "far.example");
  EXPECT_EQ(theirs[0].trust, "pkix");
}

}  // namespace
}  // namespace comity::connection
