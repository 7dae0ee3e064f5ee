#include "connection/stanza.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "connection/xml/parser.hpp"

namespace comity {

static std::ostream& operator<<(std::ostream& out, stanza_type t) {
  return out << to_string(t);
}

namespace {

const jid juliet = jid::parse("juliet@a.example/balcony").value();
const jid romeo = jid::parse("romeo@b.example/o'r&<c>hard").value();

xml::document parsed(std::string_view bytes, std::string_view content_ns = xml::ns_client) {
  xml::parser p;
  xml::document d;
  EXPECT_TRUE(p.element(bytes, {.content_ns = std::string{content_ns}, .namespaces = {}}, d)) << bytes;
  return d;
}

stanza_ref made(std::string_view bytes, const jid& from = {}, const jid& to = {}) {
  return stanza::make(parsed(bytes), from, to);
}

std::string wire(const stanza_ref& s) {
  std::string out;
  s->wire(out);
  return out;
}

void expect_same_facts(const stanza& a, const stanza& b) {
  EXPECT_EQ(a.kind(), b.kind());
  EXPECT_EQ(a.type(), b.type());
  EXPECT_EQ(a.from(), b.from());
  EXPECT_EQ(a.to(), b.to());
  EXPECT_EQ(a.id(), b.id());
  EXPECT_EQ(a.has_id(), b.has_id());
  EXPECT_EQ(a.lang(), b.lang());
  EXPECT_EQ(a.priority(), b.priority());
  EXPECT_EQ(a.flags().body, b.flags().body);
  EXPECT_EQ(a.flags().chat_state_only, b.flags().chat_state_only);
  EXPECT_EQ(a.flags().delay, b.flags().delay);
  EXPECT_EQ(a.wire_size(), b.wire_size());
}

TEST(Stanza, IsWrittenWithItsOwnAddressesAndEverythingElseKept) {  // THREATS F7, RFC 6120 §8.1
  const auto s = made(
      "<message from='spoof@x' to='y' type='chat' id='&lt;1' xml:lang='en' odd=\"a'b\" "
      "xmlns:p='urn:p' p:q='r'><body>hi</body><error type='cancel'/></message>",
      juliet, romeo);
  EXPECT_EQ(wire(s),
            "<message to='romeo@b.example/o&apos;r&amp;&lt;c&gt;hard' from='juliet@a.example/balcony' type='chat' "
            "id='&lt;1' xml:lang='en' odd='a&apos;b' xmlns:a0='urn:p' a0:q='r'><body>hi</body>"
            "<error type='cancel'/></message>");
  EXPECT_EQ(s->wire_size(), wire(s).size());
  EXPECT_EQ(s->id(), "<1");
  EXPECT_EQ(s->lang(), "en");
  EXPECT_EQ(s->from(), juliet);
  EXPECT_EQ(s->to(), romeo);
}

TEST(Stanza, LeavesOutAddressesThatAreEmpty) {
  EXPECT_EQ(wire(made("<presence from='a' to='b'/>")), "<presence/>");
  EXPECT_EQ(wire(made("<presence from='a' to='b'/>", juliet)), "<presence from='juliet@a.example/balcony'/>");
}

TEST(Stanza, IsNoneForAnotherElement) {
  EXPECT_EQ(made("<foo/>"), nullptr);
}

struct typed {
  const char* bytes;
  stanza_type type;
};

TEST(Stanza, ReadsTheTypeOfEachKind) {  // RFC 6120 §8.2.3, RFC 6121 §4.7.1, §5.2.2
  using enum stanza_type;
  for (const typed& t : {typed{"<message/>", normal},
                         typed{"<message type='normal'/>", normal},
                         typed{"<message type='chat'/>", chat},
                         typed{"<message type='groupchat'/>", groupchat},
                         typed{"<message type='headline'/>", headline},
                         typed{"<message type='error'/>", error},
                         typed{"<message type='other'/>", normal},
                         typed{"<message type='get'/>", normal},
                         typed{"<presence/>", available},
                         typed{"<presence type='available'/>", invalid},
                         typed{"<presence type='unavailable'/>", unavailable},
                         typed{"<presence type='subscribe'/>", subscribe},
                         typed{"<presence type='subscribed'/>", subscribed},
                         typed{"<presence type='unsubscribe'/>", unsubscribe},
                         typed{"<presence type='unsubscribed'/>", unsubscribed},
                         typed{"<presence type='probe'/>", probe},
                         typed{"<presence type='error'/>", error},
                         typed{"<presence type=''/>", invalid},
                         typed{"<presence type='invalid'/>", invalid},
                         typed{"<iq type='get'/>", get},
                         typed{"<iq type='set'/>", set},
                         typed{"<iq type='result'/>", result},
                         typed{"<iq type='error'/>", error},
                         typed{"<iq/>", invalid},
                         typed{"<iq type='chat'/>", invalid}}) {
    EXPECT_EQ(made(t.bytes)->type(), t.type) << t.bytes;
  }
}

TEST(Stanza, KeepsATypeItDoesNotKnowOnTheWire) {
  EXPECT_EQ(wire(made("<message type='other'/>")), "<message type='other'/>");
}

TEST(Stanza, ReadsThePriorityOfAvailablePresence) {  // RFC 6121 §4.7.2.3
  const auto priority = [](std::string_view text) {
    return made("<presence><priority>" + std::string{text} + "</priority></presence>")->priority();
  };
  EXPECT_EQ(made("<presence/>")->priority(), 0);
  EXPECT_EQ(priority("5"), 5);
  EXPECT_EQ(priority(" -1\n"), -1);
  EXPECT_EQ(priority("+7"), 7);
  EXPECT_EQ(priority("-128"), -128);
  EXPECT_EQ(priority("127"), 127);
  for (const char* const bad : {"128", "-129", "", "x", "1x", "+-1", "1.0", "99999999999999999999"}) {
    EXPECT_EQ(priority(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(made("<message/>")->priority(), std::nullopt);
}

TEST(Stanza, FindsTheChildrenThatRulesAskAbout) {
  EXPECT_TRUE(made("<message><body/></message>")->flags().body);
  EXPECT_FALSE(made("<message><body xmlns='urn:x'/></message>")->flags().body);
  EXPECT_FALSE(made("<message><x xmlns='urn:x'><body xmlns='jabber:client'/></x></message>")->flags().body);
  constexpr const char* state = "<active xmlns='http://jabber.org/protocol/chatstates'/>";
  const auto only_state = [&](std::string_view more) {
    return made("<message>" + std::string{state}.append(more) + "</message>")->flags().chat_state_only;
  };
  EXPECT_TRUE(only_state(""));
  EXPECT_TRUE(only_state("<thread>1</thread><no-store xmlns='urn:xmpp:hints'/>"));
  EXPECT_FALSE(only_state("<body>x</body>"));
  EXPECT_FALSE(made("<message><thread/></message>")->flags().chat_state_only);
  EXPECT_FALSE(made("<message/>")->flags().chat_state_only);
  EXPECT_TRUE(made("<message><delay xmlns='urn:xmpp:delay'/></message>")->flags().delay);
}

TEST(Stanza, MeansTheSameOnClientAndServerStreams) {  // RFC 6120 §4.8.3
  constexpr std::string_view bytes =
      "<message><body>x</body><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'/></forwarded>"
      "</message>";
  const auto s = stanza::make(parsed(bytes, xml::ns_server), {}, {});
  EXPECT_TRUE(s->flags().body);
  EXPECT_EQ(wire(s), bytes);
  EXPECT_TRUE(s->document()->root().is("message", xml::ns_client));
}

TEST(Stanza, ComesBackFromItsBytesInEveryFact) {
  for (const std::string_view bytes :
       {"<message id='' type='chat'><body>x &amp; y</body></message>", "<presence><priority>-3</priority></presence>",
        "<presence type='subscribe' id='1' xml:lang='fr'/>", "<iq type='get' id='a&#10;b'><q xmlns='urn:q'/></iq>",
        "<message><p:x xmlns:p='urn:x' p:y='z'/><z xmlns=''/>t</message>"}) {
    const auto s = made(bytes, juliet, romeo);
    const auto back = stanza::from_wire(wire(s));
    ASSERT_TRUE(back) << bytes;
    expect_same_facts(*s, *back);
    EXPECT_EQ(wire(back), wire(s));
  }
}

TEST(Stanza, DoesNotComeBackFromDamagedBytes) {
  for (const std::string_view bytes :
       {"", "<message", "<message></iq>", "<message/><message/>", "<foo/>", "<message to='@'/>", "<message from='a@'/>",
        "<message xmlns='jabber:server'/>"}) {
    EXPECT_EQ(stanza::from_wire(bytes), nullptr) << bytes;
  }
}

TEST(Stanza, SharesEverythingButTheAddressWhenReaddressed) {
  const auto s = made("<iq type='set' id='1'><q xmlns='urn:q'/></iq>", juliet, {});
  const auto other = s->readdressed(romeo);
  EXPECT_EQ(other->to(), romeo);
  EXPECT_TRUE(s->to().empty());
  EXPECT_EQ(other->document(), s->document());
  expect_same_facts(*other, *stanza::from_wire(wire(other)));
  EXPECT_EQ(wire(other->readdressed({})), wire(s));
}

TEST(Stanza, GoesToSeveralAtOnceAsItGoesToEach) {
  auto s = made("<presence id='p'><show>dnd</show><priority>-3</priority></presence>", juliet, romeo);
  const std::vector<jid> addresses{romeo, {}, juliet};
  std::vector<addressee_ref> to;
  for (const auto& each : addresses) {
    to.push_back(std::make_shared<const addressee>(each));
  }
  std::vector<stanza_ref> copies(to.size());
  s->readdressed(to, copies);
  std::vector<stanza_ref> alone;
  for (const auto& each : addresses) {
    alone.push_back(s->readdressed(each));
  }
  // Each lives as long as anybody has it, whatever becomes of the others and of the first.
  s.reset();
  to.clear();
  copies[1].reset();
  for (const std::size_t i : {0U, 2U}) {
    expect_same_facts(*copies[i], *alone[i]);
    EXPECT_EQ(wire(copies[i]), wire(alone[i]));
    EXPECT_EQ(wire(copies[i]).size(), copies[i]->wire_size());
  }
  EXPECT_EQ(wire(std::exchange(copies[0], nullptr)->readdressed(juliet)), wire(copies[2]));
}

TEST(Stanza, GoesToAsManyAtOnceAsItSays) {  // L-1, L
  const auto s = made("<presence/>", juliet);
  for (const auto count : {stanza::at_once - 1, stanza::at_once}) {
    const std::vector<addressee_ref> to(count, std::make_shared<const addressee>(romeo));
    std::vector<stanza_ref> copies(count);
    s->readdressed(to, copies);
    for (const auto& each : copies) {
      EXPECT_EQ(wire(each), wire(s->readdressed(romeo)));
    }
  }
}

TEST(Stanza, GivesItsDocument) {
  const auto iq = made("<iq type='get' id='1'><q xmlns='urn:q'/></iq>");
  EXPECT_EQ(iq->document(), iq->document()) << "kept";
  EXPECT_TRUE(iq->document()->root().child("q", "urn:q"));
  const auto message = made("<message><body>x</body></message>", juliet, romeo);
  EXPECT_EQ(message->document()->root().child_text("body", xml::ns_client), "x");
  EXPECT_EQ(message->document()->root().attribute("to"), romeo.text());
}

TEST(StanzaBuilder, MakesWhatTheBytesSay) {
  stanza_builder b{stanza_kind::message, stanza_type::headline, juliet, romeo, "x1", "de"};
  b.writer().leaf("body", xml::ns_client, "a<b").leaf("delay", "urn:xmpp:delay");
  const auto s = b.finish();
  EXPECT_TRUE(s->flags().body);
  EXPECT_TRUE(s->flags().delay);
  expect_same_facts(*s, *stanza::from_wire(wire(s)));

  stanza_builder p{stanza_kind::presence, stanza_type::available, juliet, {}, {}};
  p.writer().leaf("priority", xml::ns_client, "7");
  const auto presence = p.finish();
  EXPECT_EQ(presence->priority(), 7);
  EXPECT_FALSE(presence->has_id());
  EXPECT_EQ(wire(presence), "<presence from='juliet@a.example/balcony'><priority>7</priority></presence>");

  stanza_builder e{stanza_kind::iq, stanza_type::result, {}, juliet, "7"};
  const auto empty = e.finish();
  EXPECT_EQ(empty->document(), empty->document()) << "an IQ keeps its document";
  EXPECT_EQ(wire(empty), "<iq to='juliet@a.example/balcony' id='7' type='result'/>");
  expect_same_facts(*empty, *stanza::from_wire(wire(empty)));
}

TEST(StanzaBuilder, StaysWellFormedWhateverTextItIsGiven) {  // THREATS A4: text from elsewhere
  stanza_builder b{stanza_kind::message, stanza_type::normal, {}, {}, "\x01\xff"};
  b.writer().leaf("body", xml::ns_client, std::string_view{"a\0\xc0\xbc", 4});
  const auto s = b.finish();
  EXPECT_TRUE(s->flags().body);
  EXPECT_TRUE(stanza::from_wire(wire(s)));
}

TEST(ErrorReply, SwapsAddressesAndRepeatsTheRequest) {  // RFC 6120 §8.3.1
  const auto request = made("<iq type='get' id='1'><q xmlns='urn:q'/></iq>", juliet, romeo);
  const auto answer = error_reply(*request, stanza_condition::service_unavailable, "not <here>");
  EXPECT_EQ(wire(answer),
            "<iq to='juliet@a.example/balcony' from='romeo@b.example/o&apos;r&amp;&lt;c&gt;hard' id='1' type='error'>"
            "<q xmlns='urn:q'/><error type='cancel'>"
            "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>not &lt;here&gt;</text></error></iq>");
  EXPECT_EQ(answer->own_error(), stanza_condition::service_unavailable);
  EXPECT_EQ(answer->type(), stanza_type::error);
  EXPECT_EQ(request->own_error(), std::nullopt);
}

TEST(ErrorReply, LeavesOutTheContentOfMessages) {
  const auto answer =
      error_reply(*made("<message><body>x</body></message>", juliet), stanza_condition::resource_constraint, "modify",
                  {}, "stanza-too-big", "urn:xmpp:errors");
  EXPECT_EQ(wire(answer),
            "<message to='juliet@a.example/balcony' type='error'><error type='modify'>"
            "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<stanza-too-big xmlns='urn:xmpp:errors'/></error></message>");
}

TEST(ErrorReply, AnswersAnIqWithoutIdByAnEmptyOne) {  // RFC 6120 §8.3.1 rule 3
  EXPECT_EQ(error_reply(*made("<iq type='get'/>"), stanza_condition::bad_request)->has_id(), true);
}

TEST(ErrorReply, KnowsWhatIsInItAsWhoReadsItDoes) {
  const auto answer = error_reply(*made("<iq type='get' id='1'><delay xmlns='urn:xmpp:delay' stamp='x'/></iq>"),
                                  stanza_condition::bad_request);
  std::string bytes;
  answer->wire(bytes);
  EXPECT_TRUE(answer->flags().delay);
  EXPECT_TRUE(stanza::from_wire(bytes)->flags().delay);
}

TEST(ErrorReply, IsNeverMadeForAnErrorOrAResult) {  // RFC 6120 §8.3.1 rule 8, THREATS D8
  for (const char* const bytes : {"<iq type='error' id='1'/>", "<iq type='result' id='1'/>", "<message type='error'/>",
                                  "<presence type='error'/>"}) {
    EXPECT_EQ(error_reply(*made(bytes), stanza_condition::bad_request), nullptr) << bytes;
  }
}

TEST(ErrorReply, GivesEveryConditionItsRecommendedType) {
  const auto request = made("<message/>", juliet);
  for (std::size_t i = 0; i < stanza_condition_count; ++i) {
    const auto condition = static_cast<stanza_condition>(i);
    const auto answer = error_reply(*request, condition);
    const auto document = answer->document();  // the element below is a view into it
    const auto error = document->root().child("error", xml::ns_client);
    EXPECT_EQ(error.attribute("type"), error_type(condition));
    EXPECT_TRUE(error.child(to_string(condition), "urn:ietf:params:xml:ns:xmpp-stanzas"));
  }
}

TEST(WithoutForgedMarks, IsTheSameStanzaWhereThereAreNone) {  // THREATS F9
  const jid account = jid::parse("romeo@b.example").value();
  for (const auto* content :
       {"<body>x</body>", "<stanza-id xmlns='urn:xmpp:sid:0' by='room@b.example' id='1'/>",
        "<stanza-id xmlns='urn:x' by='romeo@b.example'/>", "<delay xmlns='urn:xmpp:delay' stamp='1'/>",
        "<x><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@b.example' id='1'/></x>"}) {
    const auto s = made(std::string{"<message>"} + content + "</message>", juliet, romeo);
    EXPECT_EQ(s, without_forged_marks(s, account)) << content;
  }
}

TEST(WithDelay, ReplacesOursAndKeepsOthers) {  // XEP-0203, THREATS F9
  const jid us = jid::parse("a.example").value();
  const auto s = made(
      "<message id='1' odd='2'><body>x</body><delay xmlns='urn:xmpp:delay' from='A.example' stamp='1'/>"
      "<delay xmlns='urn:xmpp:delay' from='b.example' stamp='2'/>"
      "<delay xmlns='urn:xmpp:delay' from='a.example' stamp='3'/>"
      "<delay xmlns='urn:xmpp:delay' stamp='4'/></message>",
      juliet, romeo);
  const auto delayed = with_delay(*s, us, "2026-11-24T16:00:00Z");
  EXPECT_EQ(wire(delayed),
            "<message to='romeo@b.example/o&apos;r&amp;&lt;c&gt;hard' from='juliet@a.example/balcony' id='1' odd='2'>"
            "<body>x</body><delay xmlns='urn:xmpp:delay' from='b.example' stamp='2'/>"
            "<delay xmlns='urn:xmpp:delay' stamp='4'/>"
            "<delay xmlns='urn:xmpp:delay' from='a.example' stamp='2026-11-24T16:00:00Z'/></message>");
  EXPECT_TRUE(delayed->flags().delay);
}

TEST(WithDelay, KeepsTheMarkOfOurOwnErrors) {
  const auto answer = error_reply(*made("<message/>", juliet), stanza_condition::gone);
  EXPECT_EQ(with_delay(*answer, romeo, "now")->own_error(), stanza_condition::gone);
}

}  // namespace
}  // namespace comity
