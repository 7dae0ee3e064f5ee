#include "server/held_back.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view room = "<x xmlns='http://jabber.org/protocol/muc#user'>";

stanza_ref said(const std::string& xml, std::string_view from = "romeo@example.com/orchard") {
  return parse_stanza(xml, address(from));
}

std::string presence(const std::string& attributes, const std::string& content = {}) {
  return "<presence " + attributes + ">" + content + "</presence>";
}
std::string message(const std::string& attributes, const std::string& content) {
  return "<message " + attributes + ">" + content + "</message>";
}
std::string carbon(const std::string& direction, const std::string& content) {
  return message("type='chat'", "<" + direction + " xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" +
                                    "<message xmlns='jabber:client' type='chat'>" + content +
                                    "</message></forwarded></" + direction + ">");
}

TEST(HeldBack, MayWait) {  // XEP-0352 §3.2
  const std::string composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
  const std::string event = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>";
  for (const auto& waits :
       {presence(""), presence("type='unavailable'"), presence("", "<show>away</show>"),
        presence("", std::string{room} + "<item affiliation='none' role='participant'/></x>"),
        presence("", std::string{room} + "<status code='100'/></x>"), message("type='chat'", composing),
        message("type='groupchat'", composing), message("", composing + "<thread>t</thread>"),
        message("type='chat'", composing + "<no-store xmlns='urn:xmpp:hints'/>"), carbon("sent", composing),
        carbon("received", composing + "<thread>t</thread>"), message("type='headline'", event), message("", event)}) {
    EXPECT_TRUE(may_wait(*said(waits))) << waits;
  }
  for (const auto& comes :
       {presence("type='subscribe'"),
        presence("type='subscribed'"),
        presence("type='unsubscribe'"),
        presence("type='unsubscribed'"),
        presence("type='probe'"),
        presence("type='error'"),
        presence("", std::string{room} + "<item/><status code='110'/></x>"),
        presence("type='unavailable'", std::string{room} + "<status code='307'/><status code='110'/></x>"),
        message("type='chat'", "<body>hi</body>"),
        message("type='chat'", "<body>hi</body>" + composing),
        message("type='error'", composing),
        message("", ""),
        message("type='headline'", "<body>news</body>" + event),
        message("type='groupchat'", "<subject>s</subject>"),
        message("", "<received xmlns='urn:xmpp:receipts' id='1'/>"),
        message("", composing + "<received xmlns='urn:xmpp:receipts' id='1'/>"),
        carbon("sent", "<body>hi</body>"),
        carbon("received", composing + "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"),
        carbon("sent", ""),
        message("", "<sent xmlns='urn:xmpp:carbons:2'/>"),
        std::string{"<iq type='result' id='1'/>"},
        std::string{"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"}}) {
    EXPECT_FALSE(may_wait(*said(comes))) << comes;
  }
}

TEST(HeldBack, KeepsTheOrderAndTheNewestPresenceOfEach) {
  const auto composing = message("type='chat' id='1'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>");
  held_back held;
  std::size_t octets = 0;
  for (const auto& s : {said(presence("id='old'")), said(presence("id='garden'"), "romeo@example.com/garden"),
                        said(composing), said(composing), said(presence("id='new' type='unavailable'"))}) {
    held.hold({s, {}, nullptr});
    octets += s->wire_size();
  }
  EXPECT_EQ(4U, held.size());
  EXPECT_EQ(octets - said(presence("id='old'"))->wire_size(), held.octets());
  std::vector<std::string> ids;
  for (const auto& e : held.release()) {
    ids.push_back(e.stanza->id());
  }
  EXPECT_THAT(ids, ElementsAre("garden", "1", "1", "new"));
  EXPECT_EQ(0U, held.size());
  EXPECT_EQ(0U, held.octets());
  EXPECT_THAT(held.release(), IsEmpty());
}

TEST(HeldBack, IsLostOnlyWhereNobodyElseHasIt) {
  const auto s = said(message("", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>"));
  const auto shared = std::make_shared<managed_stream::copies>();
  held_back phone, tablet;
  phone.hold({s, {}, shared});
  tablet.hold({s, {}, shared});
  EXPECT_EQ(2U, shared->outstanding);
  EXPECT_THAT(phone.take_lost(), IsEmpty()) << "the tablet may get it";
  EXPECT_THAT(tablet.take_lost(), testing::SizeIs(1));
  EXPECT_EQ(0U, shared->outstanding);
  phone.hold({s, {}, nullptr});
  EXPECT_THAT(phone.take_lost(), testing::SizeIs(1));
  phone.hold({s, {}, shared});
  EXPECT_THAT(phone.take_lost(), IsEmpty()) << "somebody has it";
  phone.hold({s, {}, shared});
  EXPECT_THAT(phone.release(), testing::SizeIs(1));
  EXPECT_EQ(0U, shared->outstanding) << "whoever sends it counts it";
}

}  // namespace
}  // namespace comity::server
