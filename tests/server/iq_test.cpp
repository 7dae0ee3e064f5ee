// IQ rules (RFC 6120 §8.2.3, RFC 6121 §8.5) and the protocols the server answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "connection/xml/document.hpp"
#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class Iqs : public testing::Test {
protected:
  /// juliet asks; the one answer.
  std::string ask(std::string_view type, std::string_view to, std::string_view payload) {
    return asks(juliet, type, to, payload);
  }
  std::string asks(const client& who, std::string_view type, std::string_view to, std::string_view payload) {
    const auto address_of = to.empty() ? std::string{} : " to='" + std::string{to} + "'";
    server.says(who, "<iq id='q' type='" + std::string{type} + "'" + address_of + ">" + std::string{payload} + "</iq>");
    const auto heard = server.hears(who);
    EXPECT_EQ(heard.size(), 1U) << "exactly one answer";
    return heard.empty() ? "none" : heard.front();
  }
  static std::string error_of(std::string_view whom, std::string_view what) {
    return "iq error " + std::string{whom} + " -> juliet@example.com/balcony #q !" + std::string{what};
  }
  im_server server{im_server::options{.federated = true}};
  client juliet = server.login("juliet@example.com/balcony");
};

constexpr std::string_view ping = "<ping xmlns='urn:xmpp:ping'/>";
constexpr std::string_view info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
constexpr std::string_view items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
constexpr std::string_view strange = "<query xmlns='urn:example:strange'/>";

TEST_F(Iqs, AnswersToOneselfArriveOnceAndAreNotAnswered) {  // RFC 6121 §8.5.3.1, THREATS D8
  for (const std::string type : {"result", "error"}) {
    server.says(juliet, "<iq id='q' type='" + type + "' to='juliet@example.com/balcony'/>");
    EXPECT_THAT(server.hears(juliet), ElementsAre(StartsWith("iq " + type + " juliet@example.com/balcony -> juliet@")));
    server.says(juliet, "<iq id='q' type='" + type + "' to='juliet@example.com'/>");
    EXPECT_THAT(server.hears(juliet), IsEmpty());
  }
}

TEST_F(Iqs, MalformedOnesAreBadRequests) {  // THREATS F10, RFC 6120 §8.2.3
  const auto hears_of = [&](std::string_view xml) {
    server.says(juliet, xml);
    return server.hears(juliet);
  };
  for (const std::string to : {"", " to='example.com'", " to='juliet@example.com'", " to='nobody@example.com'",
                               " to='romeo@example.com/x'", " to='example.net'"}) {
    EXPECT_THAT(hears_of("<iq type='get'" + to + "><ping xmlns='urn:xmpp:ping'/></iq>"),
                ElementsAre(HasSubstr("!bad-request modify")))
        << "no id" << to;
    EXPECT_THAT(hears_of("<iq type='get' id='q'" + to + "/>"), ElementsAre(HasSubstr("#q !bad-request modify")))
        << "no child" << to;
    EXPECT_THAT(hears_of("<iq type='set' id='q'" + to + "><a xmlns='x'/><b xmlns='x'/></iq>"),
                ElementsAre(HasSubstr("#q !bad-request modify")))
        << "two children" << to;
    EXPECT_THAT(hears_of("<iq type='foo' id='q'" + to + "><ping xmlns='urn:xmpp:ping'/></iq>"),
                ElementsAre(HasSubstr("#q !bad-request modify")))
        << "unknown type" << to;
    EXPECT_THAT(hears_of("<iq id='q'" + to + "><ping xmlns='urn:xmpp:ping'/></iq>"),
                ElementsAre(HasSubstr("#q !bad-request modify")))
        << "no type" << to;
  }
  EXPECT_THAT(server.hears_remote(), IsEmpty());
}

TEST_F(Iqs, MalformedOnesFromOtherServersAreBadRequestsToo) {
  server.remote_says("friend@example.net", "<iq type='get' id='q' to='juliet@example.com'/>");
  server.remote_says("friend@example.net", "<iq type='foo' id='r' to='juliet@example.com'><a xmlns='x'/></iq>");
  EXPECT_THAT(server.hears_remote(), ElementsAre(HasSubstr("#q !bad-request"), HasSubstr("#r !bad-request")));
}

TEST_F(Iqs, UnknownPayloadsAreServiceUnavailable) {  // RFC 6120 §8.4, RFC 6121 §8.5.2.1.3
  for (const auto* to : {"", "example.com", "juliet@example.com", "nurse@example.com", "nobody@example.com",
                         "nobody@example.com/x", "nurse@example.com/x", "example.com/x"}) {
    for (const auto* type : {"get", "set"}) {
      EXPECT_EQ(ask(type, to, strange), error_of(to, "service-unavailable cancel"));
    }
  }
}

TEST_F(Iqs, WrongDirectionIsServiceUnavailable) {
  EXPECT_EQ(ask("set", "example.com", info), error_of("example.com", "service-unavailable cancel"));
}

TEST_F(Iqs, RequestToAResourceNeedsSharedPresence) {  // RFC 6121 §8.5.3.1
  const auto romeo = server.login("romeo@example.com/orchard");
  EXPECT_EQ(ask("get", "romeo@example.com/orchard", strange),
            error_of("romeo@example.com/orchard", "service-unavailable cancel"));
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  server.befriend(juliet, romeo);
  server.says(juliet, "<iq id='q' type='get' to='romeo@example.com/orchard'><query xmlns='urn:example:strange'/></iq>");
  EXPECT_THAT(server.hears(romeo), ElementsAre("iq get juliet@example.com/balcony -> romeo@example.com/orchard #q "
                                               "<query xmlns='urn:example:strange'/>"));
  server.says(romeo, "<iq id='q' type='result' to='juliet@example.com/balcony'/>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("iq result romeo@example.com/orchard -> juliet@example.com/balcony #q"));
}

TEST_F(Iqs, RequestIsDeliveredWhereTheResourceSentDirectedPresence) {  // RFC 6121 §8.5.3.1
  const auto romeo = server.login("romeo@example.com/orchard");
  server.says(romeo, "<presence to='juliet@example.com'/>");
  (void)server.hears(juliet);
  server.says(juliet, "<iq id='q' type='get' to='romeo@example.com/orchard'><query xmlns='urn:example:strange'/></iq>");
  EXPECT_THAT(server.hears(romeo), ElementsAre(StartsWith("iq get")));
}

TEST_F(Iqs, OwnResourcesReachEachOther) {
  const auto chamber = server.connect("juliet@example.com/chamber");
  server.says(juliet,
              "<iq id='q' type='get' to='juliet@example.com/chamber'><query xmlns='urn:example:strange'/></iq>");
  EXPECT_THAT(server.hears(chamber), ElementsAre(StartsWith("iq get")));
}

TEST_F(Iqs, ResultNobodyWaitsForVanishes) {  // THREATS F10, D8
  server.says(juliet, "<iq id='push-1-0' type='result'/>");
  server.says(juliet, "<iq id='x' type='result' to='juliet@example.com'/>");
  server.says(juliet, "<iq id='x' type='result' to='example.com'/>");
  server.says(juliet, "<iq id='x' type='error' to='nobody@example.com'/>");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST_F(Iqs, AnswerComesFromWhomItWasAskedOf) {  // RFC 6120 §8.1.2.1
  EXPECT_EQ(ask("get", "", ping), "iq result  -> juliet@example.com/balcony #q");
  EXPECT_EQ(ask("get", "juliet@example.com", ping), "iq result juliet@example.com -> juliet@example.com/balcony #q");
  EXPECT_EQ(ask("get", "example.com", ping), "iq result example.com -> juliet@example.com/balcony #q");
  EXPECT_EQ(ask("get", "other.example", ping), "iq result other.example -> juliet@example.com/balcony #q");
}

TEST_F(Iqs, PingOfSomebodyElsesAccountTellsNothing) {  // XEP-0199 §7
  EXPECT_EQ(ask("get", "nurse@example.com", ping), error_of("nurse@example.com", "service-unavailable cancel"));
  EXPECT_EQ(ask("get", "nobody@example.com", ping), error_of("nobody@example.com", "service-unavailable cancel"));
}

TEST_F(Iqs, VersionNamesTheServerAndNoOperatingSystem) {  // XEP-0092
  EXPECT_EQ(ask("get", "example.com", "<query xmlns='jabber:iq:version'/>"),
            "iq result example.com -> juliet@example.com/balcony #q <query xmlns='jabber:iq:version'>"
            "<name>Comity</name><version>1.2.3</version></query>");
}

TEST_F(Iqs, TimeIsUtc) {  // XEP-0202
  EXPECT_EQ(ask("get", "example.com", "<time xmlns='urn:xmpp:time'/>"),
            "iq result example.com -> juliet@example.com/balcony #q <time xmlns='urn:xmpp:time'><tzo>+00:00</tzo>"
            "<utc>2026-01-02T03:04:05Z</utc></time>");
}

// XEP-0030.

/// The features among an answer of disco#info.
std::set<std::string> features_in(const std::string& answer) {
  std::set<std::string> features;
  constexpr std::string_view mark = "<feature var='";
  for (auto at = answer.find(mark); at != std::string::npos; at = answer.find(mark, at + 1)) {
    const auto begin = at + mark.size();
    features.insert(answer.substr(begin, answer.find('\'', begin) - begin));
  }
  return features;
}

TEST_F(Iqs, ServerSaysWhatItServes) {  // XEP-0030 §3.1
  const auto answer = ask("get", "example.com", info);
  EXPECT_THAT(answer, HasSubstr("<identity category='server' type='im' name='Comity'/>"));
  EXPECT_THAT(features_in(answer),
              ElementsAre("http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
                          "jabber:iq:last", "jabber:iq:version", "msgoffline", "urn:xmpp:blocking",
                          "urn:xmpp:carbons:2", "urn:xmpp:ping", "urn:xmpp:time", "vcard-temp"));
}

TEST_F(Iqs, EveryFeatureOfTheServerIsServed) {
  for (const auto& feature : features_in(ask("get", "example.com", info))) {
    if (feature == "msgoffline" || feature == "urn:xmpp:blocking" || feature == "urn:xmpp:carbons:2" ||
        feature == "vcard-temp") {
      continue;  // served to accounts
    }
    const auto* name = feature == "urn:xmpp:ping" ? "ping" : feature == "urn:xmpp:time" ? "time" : "query";
    EXPECT_THAT(ask("get", "example.com", "<" + std::string{name} + " xmlns='" + feature + "'/>"),
                StartsWith("iq result"))
        << feature;
  }
}

TEST_F(Iqs, AccountTellsItsOwnerAndItsSubscribers) {  // XEP-0030 §8
  const auto own = ask("get", "", info);
  EXPECT_THAT(own, HasSubstr("<identity category='account' type='registered'/>"));
  EXPECT_THAT(
      features_in(own),
      ElementsAre("http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "jabber:iq:last",
                  "jabber:iq:roster", "urn:xmpp:blocking", "urn:xmpp:carbons:2", "urn:xmpp:ping", "vcard-temp"));
  const auto romeo = server.login("romeo@example.com/orchard");
  EXPECT_EQ(ask("get", "romeo@example.com", info), error_of("romeo@example.com", "service-unavailable cancel"));
  EXPECT_EQ(ask("get", "nobody@example.com", info), error_of("nobody@example.com", "service-unavailable cancel"));
  server.befriend(juliet, romeo);
  EXPECT_THAT(ask("get", "romeo@example.com", info), HasSubstr("category='account'"));
}

TEST_F(Iqs, NodesAreNotFound) {  // XEP-0030 §3.2
  EXPECT_EQ(ask("get", "example.com", "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>"),
            error_of("example.com", "item-not-found cancel"));
  EXPECT_EQ(ask("get", "example.com", "<query xmlns='http://jabber.org/protocol/disco#items' node='x'/>"),
            error_of("example.com", "item-not-found cancel"));
  EXPECT_EQ(ask("get", "", "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>"),
            error_of("", "item-not-found cancel"));
}

TEST_F(Iqs, ItemsAreNoneAndTellNothing) {  // XEP-0030 §4, §8
  for (const auto* to : {"example.com", "juliet@example.com", "nurse@example.com", "nobody@example.com"}) {
    EXPECT_EQ(ask("get", to, items),
              "iq result " + std::string{to} + " -> juliet@example.com/balcony #q " + std::string{items});
  }
}

// XEP-0054.

TEST_F(Iqs, CardIsKeptAsItCameAndShownToAll) {  // XEP-0054 §3.1, §3.2
  const std::string card =
      "<vCard xmlns='vcard-temp'><FN>Juliet &lt;3</FN><x xmlns='urn:example:x' a='&amp;'>y</x></vCard>";
  EXPECT_EQ(ask("set", "", card), "iq result  -> juliet@example.com/balcony #q");
  EXPECT_EQ(ask("get", "", "<vCard xmlns='vcard-temp'/>"), "iq result  -> juliet@example.com/balcony #q " + card);
  const auto romeo = server.login("romeo@example.com/orchard");
  server.disconnect(juliet);
  EXPECT_EQ(asks(romeo, "get", "juliet@example.com", "<vCard xmlns='vcard-temp'/>"),
            "iq result juliet@example.com -> romeo@example.com/orchard #q " + card);
}

TEST_F(Iqs, CardThatIsNotThere) {  // XEP-0054 §3.1
  EXPECT_EQ(ask("get", "", "<vCard xmlns='vcard-temp'/>"), error_of("", "item-not-found cancel"));
  EXPECT_EQ(ask("get", "nurse@example.com", "<vCard xmlns='vcard-temp'/>"),
            error_of("nurse@example.com", "service-unavailable cancel"));
  EXPECT_EQ(ask("get", "nobody@example.com", "<vCard xmlns='vcard-temp'/>"),
            error_of("nobody@example.com", "service-unavailable cancel"));
}

TEST_F(Iqs, CardOfAnotherIsNotOursToSet) {  // XEP-0054 §3.2
  EXPECT_EQ(ask("set", "nurse@example.com", "<vCard xmlns='vcard-temp'><FN>x</FN></vCard>"),
            error_of("nurse@example.com", "forbidden auth"));
}

TEST_F(Iqs, CardIsAcknowledgedWhenItIsStored) {
  server.store.fail = true;
  EXPECT_EQ(ask("set", "", "<vCard xmlns='vcard-temp'/>"), error_of("", "internal-server-error cancel"));
}

// XEP-0012.

constexpr std::string_view last = "<query xmlns='jabber:iq:last'/>";

TEST_F(Iqs, ServerTellsItsUptime) {  // XEP-0012 §3
  server.clock.advance(std::chrono::seconds{86});
  EXPECT_THAT(ask("get", "example.com", last), HasSubstr("<query xmlns='jabber:iq:last' seconds='86'/>"));
}

TEST_F(Iqs, LastActivityIsForSubscribersOnly) {  // XEP-0012 §4, RFC 6121 §8.1
  const auto romeo = server.login("romeo@example.com/orchard");
  EXPECT_EQ(ask("get", "romeo@example.com", last), error_of("romeo@example.com", "forbidden auth"));
  EXPECT_EQ(ask("get", "nobody@example.com", last), error_of("nobody@example.com", "forbidden auth"))
      << "and the error does not tell who exists";
  server.befriend(juliet, romeo);
  EXPECT_THAT(ask("get", "romeo@example.com", last), HasSubstr("seconds='0'"));
  server.says(romeo, "<presence type='unavailable'><status>Gone fishing</status></presence>");
  server.disconnect(romeo);
  (void)server.hears(juliet);
  server.clock.advance(std::chrono::seconds{903});
  EXPECT_THAT(ask("get", "romeo@example.com", last), HasSubstr("seconds='903'>Gone fishing</query>"));
}

TEST_F(Iqs, LastActivityIsReadOnceItIsWritten) {
  const auto romeo = server.login("romeo@example.com/orchard");
  server.befriend(juliet, romeo);
  (void)server.hears(juliet);
  const std::size_t calls = server.store.calls;
  server.says_without_settling(romeo, "<presence type='unavailable'/>");
  server.router->unbind(romeo.session, romeo.full);
  server.says_without_settling(juliet, "<iq type='get' id='q' to='romeo@example.com'>" + std::string{last} + "</iq>");
  server.homes.turn();
  EXPECT_EQ(server.store.calls, calls + 1) << "reading may overtake writing: it is not asked for yet";
  server.settle();
  EXPECT_THAT(server.hears(juliet), testing::Contains(HasSubstr("seconds='0'")));
}

TEST_F(Iqs, LastActivityOfAnOwnerWhoIsThereIsZero) {
  EXPECT_THAT(ask("get", "", last), HasSubstr("seconds='0'"));
}

}  // namespace
}  // namespace comity::server
