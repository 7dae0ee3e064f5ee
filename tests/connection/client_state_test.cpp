// Client State Indication (XEP-0352) as far as the stream goes: where it is offered, what is handed to the server.
#include "connection/negotiation/client_state.hpp"

#include "connection/client_stream.hpp"

namespace comity::connection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ClientState : public ClientStream {
protected:
  std::vector<std::string> told(std::size_t count) {
    for (;;) {
      on_loop([] {});
      const std::lock_guard hold{host_.lock};
      if (host_.managed.size() >= count) {
        return host_.managed;
      }
    }
  }
};

constexpr std::string_view offer = "<csi xmlns='urn:xmpp:csi:0'/>";
constexpr std::string_view inactive = "<inactive xmlns='urn:xmpp:csi:0'/>";
constexpr std::string_view active = "<active xmlns='urn:xmpp:csi:0'/>";

TEST_F(ClientState, IsOfferedToWhoHasAuthenticated) {  // §4.1
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example", "xmpp-client"));
  p->say(header());
  EXPECT_THAT(p->hear(features_end), Not(HasSubstr("csi")));
  p->say(plain("u", "pencil"));
  EXPECT_THAT(p->hear("/>"), HasSubstr("<success"));
  p->say(header());
  EXPECT_THAT(p->hear(features_end), HasSubstr(offer));
}

TEST_F(ClientState, IsHandedToTheServerInOrderAndNotAnswered) {  // §4.2
  auto p = logged_in(method::direct_tls);
  p->say(std::string{inactive} + "<r xmlns='urn:xmpp:sm:3'/>" + std::string{active} + "<r xmlns='urn:xmpp:sm:3'/>" +
         "<message to='@' id='1'/>");
  EXPECT_THAT(told(4), ElementsAre("inactive u@a.example/x", "r", "active u@a.example/x", "r"));
  EXPECT_THAT(p->hear("</message>"), testing::StartsWith("<message")) << "nothing came before it";
}

TEST_F(ClientState, IsNothingElse) {
  for (const auto* other : {"<asleep xmlns='urn:xmpp:csi:0'/>", "<inactive xmlns='urn:xmpp:csi:1'/>"}) {
    auto p = logged_in(method::direct_tls);
    p->say(other);
    EXPECT_THAT(p->hear_out(), HasSubstr("<unsupported-stanza-type")) << other;
  }
}

TEST_F(ClientState, IsNotForWhoHasNotAuthenticated) {  // THREATS C7
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example", "xmpp-client"));
  open(*p);
  p->say(inactive);
  EXPECT_THAT(p->hear_out(), HasSubstr("<not-authorized"));
}

}  // namespace
}  // namespace comity::connection
