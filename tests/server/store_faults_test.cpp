// THREATS X5: the store refuses one call, for every call that a day in the life of two users makes. Each request is
// still answered exactly once, and afterwards everything works.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/survived.hpp"
#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

/// Says it and counts the answers.
void asks(im_server& server, const client& c, std::string_view xml) {
  server.says(c, xml);
  std::size_t answers = 0;
  for (const auto& s : server.outlet.take(c.session)) {
    answers += s->kind() == stanza_kind::iq && (s->type() == stanza_type::result || s->type() == stanza_type::error);
  }
  EXPECT_EQ(answers, 1U) << xml;
}

/// Binds, at the second try where the first is refused.
client binds(im_server& server, std::string_view full) {
  const auto wanted = address(full);
  const auto session = server.new_session();
  const auto bind = [&] { return server.bind(session, wanted.bare_text(), std::string{wanted.resourcepart()}); };
  auto bound = bind();
  if (!bound) {
    EXPECT_EQ(stanza_condition::internal_server_error, bound.error().condition);
    bound = bind();
  }
  return {.session = session, .full = bound.value()};
}

void a_day(im_server& server) {
  const auto juliet = binds(server, "juliet@example.com/balcony");
  asks(server, juliet, "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>");
  server.says(juliet, "<presence/>");
  (void)server.hears(juliet);
  asks(server, juliet,
       "<iq type='set' id='2'><query xmlns='jabber:iq:roster'><item jid='romeo@example.com'/></query></iq>");
  server.says(juliet, "<presence to='romeo@example.com' type='subscribe'/>");
  server.says(juliet, "<message to='romeo@example.com' type='chat'><body>hi</body></message>");
  asks(server, juliet, "<iq type='set' id='3'><vCard xmlns='vcard-temp'><FN>J</FN></vCard></iq>");
  asks(server, juliet, "<iq type='get' id='4' to='romeo@example.com'><vCard xmlns='vcard-temp'/></iq>");
  asks(server, juliet, "<iq type='get' id='5' to='romeo@example.com'><query xmlns='jabber:iq:last'/></iq>");
  const auto romeo = binds(server, "romeo@example.com/orchard");
  server.says(romeo, "<presence/>");
  server.says(romeo, "<presence to='juliet@example.com' type='subscribed'/>");
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  server.says(juliet, "<presence to='romeo@example.com' type='probe'/>");
  asks(server, juliet, "<iq type='get' id='b1'><blocklist xmlns='urn:xmpp:blocking'/></iq>");
  asks(server, juliet,
       "<iq type='set' id='b2'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.com'/></block></iq>");
  asks(server, juliet, "<iq type='set' id='b3'><unblock xmlns='urn:xmpp:blocking'/></iq>");
  server.disconnect(romeo);
  (void)server.hears(juliet);
  asks(server, juliet,
       "<iq type='set' id='6'><query xmlns='jabber:iq:roster'><item jid='romeo@example.com' subscription='remove'/>"
       "</query></iq>");
  server.disconnect(juliet);
}

TEST(StoreFaults, OneRefusedCallIsOneCleanErrorWhereverItFalls) {  // THREATS X5
  std::size_t calls = 0;
  {
    im_server server;
    a_day(server);
    calls = server.store.calls;
  }
  ASSERT_GT(calls, 20U);
  fakes::survived faults{"refused calls", "X5"};
  for (std::size_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE("call " + std::to_string(n));
    im_server server;
    server.store.fail_only = server.store.calls + n;
    a_day(server);
    server.store.fail_only = 0;
    const auto juliet = server.login("juliet@example.com/after");
    const auto romeo = server.login("romeo@example.com/after");
    asks(server, juliet, "<iq type='set' id='b4'><unblock xmlns='urn:xmpp:blocking'/></iq>");
    server.says(juliet, "<message to='romeo@example.com'><body>well</body></message>");
    EXPECT_THAT(server.hears(romeo), testing::Contains(testing::HasSubstr("<body>well</body>")));
    asks(server, juliet,
         "<iq type='set' id='7'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com'/></query></iq>");
    faults.one_more();
  }
}

TEST(StoreFaults, StoreThatNeverAnswersStopsNobodyElse) {  // THREATS X4
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto nurse = server.login("nurse@example.com/room");
  const auto juliet = server.login("juliet@example.com/balcony");
  server.says_without_settling(juliet, "<presence to='romeo@example.com' type='subscribe'/>");
  server.homes.turn();
  server.says_without_settling(romeo, "<message to='nurse@example.com'><body>hi</body></message>");
  server.homes.turn();
  EXPECT_THAT(server.hears(nurse), testing::SizeIs(1));
}

}  // namespace
}  // namespace comity::server
