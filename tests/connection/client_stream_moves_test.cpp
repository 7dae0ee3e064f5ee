// A client's stream that goes on on the loop of its account.
#include "connection/client_stream.hpp"

namespace comity::connection {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class MovingClient : public ClientStream, public ::testing::WithParamInterface<method> {
protected:
  void SetUp() override {
    ClientStream::SetUp();
    host_.home_loop = &there_;
    running_there_ = std::thread{[this] { elsewhere_.run(); }};
  }
  void TearDown() override {
    elsewhere_.stop();
    running_there_.join();
    there_.clear();
    ClientStream::TearDown();
  }
  std::unique_ptr<xmpp_peer> secured() {
    auto p = connect(GetParam());
    if (GetParam() == method::starttls) {
      secure(*p);
    } else {
      EXPECT_TRUE(p->start_tls("a.example", "xmpp-client"));
      open(*p);
    }
    return p;
  }
  /// Says a message and waits until the server has it; the loop from which it came.
  std::uint32_t heard_from(xmpp_peer& p) {
    const auto before = received().size();
    p.say(hello);
    while (received().size() == before) {
      std::this_thread::yield();
    }
    const std::lock_guard hold{host_.lock};
    return host_.last.loop;
  }
  double open_connections() { return sample("comity_connections", {to_string(GetParam()).data()}); }

  loop elsewhere_{1, metrics_.cell(1)};
  loop_connections there_{elsewhere_};
  std::thread running_there_;
};
INSTANTIATE_TEST_SUITE_P(Methods, MovingClient, ::testing::Values(method::starttls, method::direct_tls),
                         [](const auto& of) { return std::string{to_string(of.param)}; });

TEST_P(MovingClient, IsWhereItsAccountIsOnceItIsBound) {
  auto p = logged_in(GetParam());
  EXPECT_EQ(1U, heard_from(*p));
  EXPECT_EQ(0U, all_.size());
  EXPECT_EQ(1U, there_.size());
  EXPECT_EQ(1, open_connections());
  p->say("</stream:stream>");
  EXPECT_THAT(p->hear_out(), HasSubstr("</stream:stream>"));
  p->hang_up();
  while (there_.size() != 0 || limits_.addresses() != 0) {
    std::this_thread::yield();
  }
  EXPECT_THAT(unbound(), ElementsAre("u@a.example/x"));
  EXPECT_EQ(0, open_connections());
}

TEST_P(MovingClient, TakesWhatTheClientSaidAheadWithIt) {
  auto p = secured();
  p->say(plain("u", "pencil") + header());
  EXPECT_THAT(p->hear("/>"), HasSubstr("<success"));
  p->hear(features_end);
  bind_resource(*p);
  EXPECT_EQ(1U, heard_from(*p));
}

TEST_P(MovingClient, StaysWhereABindingIsAwaited) {
  host_.holding = true;
  auto p = secured();
  p->say(plain("u", "pencil") + header() + std::string{bind});
  release_held();  // of the password
  release_held();  // of the resource
  EXPECT_THAT(p->hear("</iq>"), HasSubstr("<jid>u@a.example/x</jid>"));
  EXPECT_EQ(0U, heard_from(*p));
  EXPECT_EQ(1U, all_.size());
}

TEST_P(MovingClient, KeepsItsDeadline) {
  settings_.handshake_timeout = 200ms;
  auto p = secured();
  p->say(plain("u", "pencil"));
  EXPECT_THAT(p->hear_out(), HasSubstr("<connection-timeout"));
}

TEST_P(MovingClient, KeepsItsRate) {  // L09
  settings_.bytes_per_second = 40'000;
  auto p = logged_in(GetParam());
  const auto begun = std::chrono::steady_clock::now();
  p->say("<message to='u@b.example'><body>" + std::string(50'000, 'x') + "</body></message>");
  EXPECT_EQ(1U, heard_from(*p));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 200ms);
}

}  // namespace
}  // namespace comity::connection
