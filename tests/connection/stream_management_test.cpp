// Stream management (XEP-0198) as far as the stream goes: what is read, what is handed to the server, how a session
// goes on with another stream.
#include "connection/client_stream.hpp"

namespace comity::connection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ManagedClientStream : public ClientStream {
protected:
  /// What the server was told, once there is so much of it.
  std::vector<std::string> told(std::size_t count) {
    for (;;) {
      on_loop([] {});
      const std::lock_guard hold{host_.lock};
      if (host_.managed.size() >= count) {
        return host_.managed;
      }
    }
  }
  std::unique_ptr<xmpp_peer> authenticated() {
    auto p = connect(method::direct_tls);
    EXPECT_TRUE(p->start_tls("a.example", "xmpp-client"));
    open(*p);
    authenticate(*p);
    return p;
  }
  static std::string resume(std::string_view id, std::string_view h) {
    return "<resume xmlns='urn:xmpp:sm:3' previd='" + std::string{id} + "' h='" + std::string{h} + "'/>";
  }
};

TEST_F(ManagedClientStream, HandsCommandsAndCountsToTheServer) {
  auto p = logged_in(method::direct_tls);
  p->say(
      "<enable xmlns='urn:xmpp:sm:3' resume='1' max='60'/><r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='4'/>");
  EXPECT_THAT(told(3), ElementsAre("enable resume max 60", "r", "a 4"));
  // What the stream sees to by itself is counted by the server all the same.
  p->say("<message to='@' id='1'/><iq type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>");
  const auto all = told(5);
  EXPECT_THAT(all[3], HasSubstr("jid-malformed"));
  EXPECT_THAT(all[4], HasSubstr("type='result'"));
}

TEST_F(ManagedClientStream, SaysHowItEnded) {
  auto p = logged_in(method::direct_tls);
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(told(1), ElementsAre("broken"));
  auto q = logged_in(method::direct_tls);
  dismiss(stream_condition::system_shutdown);  // to be resumed when the server is back
  EXPECT_THAT(told(2), ElementsAre("broken", "broken"));
  auto r = logged_in(method::direct_tls);
  r->say("</stream:stream>");
  EXPECT_EQ("</stream:stream>", r->hear_out());
  EXPECT_THAT(told(2), ElementsAre("broken", "broken"));
}

TEST_F(ManagedClientStream, GoesOnWithASessionInPlaceOfBinding) {
  auto p = authenticated();
  p->say(resume("unknown", "0"));
  EXPECT_THAT(p->hear("</failed>"), HasSubstr("<item-not-found"));
  p->say(resume("known", "-1"));
  EXPECT_THAT(p->hear("</failed>"), HasSubstr("<bad-request"));
  p->say(resume("known", "7"));
  EXPECT_THAT(p->hear("/>"), HasSubstr("<resumed xmlns='urn:xmpp:sm:3' previd='known' h='3'/>"));
  EXPECT_THAT(told(1), ElementsAre("resumed u@a.example/balcony"));
  p->say("<message to='v@b.example' id='1'/>");
  while (received().empty()) {
    on_loop([] {});
  }
  EXPECT_THAT(received()[0], HasSubstr("from='u@a.example/balcony'"));
  p->say(resume("known", "7"));
  EXPECT_THAT(p->hear("</failed>"), HasSubstr("<unexpected-request"));  // THREATS F1
}

TEST_F(ManagedClientStream, KnowsAResumptionThatNamesNoNamespace) {  // as QXmpp 1.4 sends it
  auto p = authenticated();
  p->say("<resume h='7' previd='known'/>");
  EXPECT_THAT(p->hear("/>"), HasSubstr("<resumed xmlns='urn:xmpp:sm:3' previd='known' h='3'/>"));
  auto q = authenticated();
  q->say("<resume/>");  // this could be anything
  EXPECT_THAT(q->hear_out(), HasSubstr("<not-authorized"));
}

TEST_F(ManagedClientStream, MayBindWhereThereIsNothingToResume) {
  auto p = authenticated();
  p->say(resume("unknown", "0"));
  EXPECT_THAT(p->hear("</failed>"), HasSubstr("<item-not-found"));
  bind_resource(*p);
}

TEST_F(ManagedClientStream, HearsWhatWasHandledOfASessionThatIsOver) {
  auto p = authenticated();
  p->say(resume("ended", "0"));
  EXPECT_THAT(p->hear("</failed>"), HasSubstr("<failed xmlns='urn:xmpp:sm:3' h='3'><item-not-found"));
  bind_resource(*p);
}

TEST_F(ManagedClientStream, EndsForWhoResumesWithMoreThanWasSent) {  // THREATS F2
  auto p = authenticated();
  p->say(resume("known", "8"));
  EXPECT_THAT(p->hear_out(), HasSubstr("<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                                       "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='8' send-count='7'/>"));
}

TEST_F(ManagedClientStream, TakesNoCommandsBeforeItsTime) {  // THREATS F1
  auto p = connect(method::direct_tls);
  EXPECT_TRUE(p->start_tls("a.example", "xmpp-client"));
  open(*p);
  p->say(resume("known", "0"));
  EXPECT_THAT(p->hear("</failed>"), HasSubstr("<unexpected-request"));
  authenticate(*p);
  for (const auto* early : {"<enable xmlns='urn:xmpp:sm:3'/>", "<r xmlns='urn:xmpp:sm:3'/>"}) {
    p->say(early);
    EXPECT_THAT(p->hear("</failed>"), HasSubstr("<unexpected-request"));
  }
}

TEST_F(ManagedClientStream, EndsForWhatIsNoCount) {  // THREATS F2
  for (const auto* h : {"", " h=''", " h='-1'", " h='4294967296'", " h='abc'", " h='1 '"}) {
    auto p = logged_in(method::direct_tls);
    p->say("<a xmlns='urn:xmpp:sm:3'" + std::string{h} + "/>");
    EXPECT_THAT(p->hear_out(), HasSubstr("<policy-violation")) << h;
  }
}

}  // namespace
}  // namespace comity::connection
