// When files that change are read, and which of their faults are said.
#include "server/certificates/settling.hpp"

#include <gmock/gmock.h>

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

const settling::clock::time_point start{1000s};
using faults = std::vector<std::string>;

TEST(Settling, LooksAtNothingUntilSomethingChanges) {
  settling s{{}};
  EXPECT_EQ(s.due(), std::nullopt);
}

TEST(Settling, LooksOnceChangesHaveCeased) {
  settling s{{}};
  s.changed(start);
  EXPECT_THAT(s.due(), Optional(start + 150ms));
  s.changed(start + 100ms);
  EXPECT_THAT(s.due(), Optional(start + 250ms));
  EXPECT_THAT(s.looked(start + 250ms, {}), IsEmpty());
  EXPECT_EQ(s.due(), std::nullopt);
}

TEST(Settling, LooksWithinHalfASecondHoweverOftenSomethingChanges) {
  settling s{{}};
  for (auto at = start; at < start + 490ms; at += 10ms) {
    s.changed(at);
  }
  EXPECT_THAT(s.due(), Optional(start + 500ms));
}

TEST(Settling, SaysNothingOfAPairThatIsHalfWritten) {
  settling s{{}};
  s.changed(start);
  EXPECT_THAT(s.looked(start + 150ms, {"the key does not fit"}), IsEmpty());
  s.changed(start + 1s);  // the key comes after the certificate
  EXPECT_THAT(s.due(), Optional(start + 1150ms));
  EXPECT_THAT(s.looked(start + 1150ms, {}), IsEmpty());
  EXPECT_EQ(s.due(), std::nullopt);
}

TEST(Settling, SaysAFaultThatStaysOnce) {
  settling s{{}};
  s.changed(start);
  EXPECT_THAT(s.looked(start + 150ms, {"bad"}), IsEmpty());
  EXPECT_THAT(s.due(), Optional(start + 2150ms));
  EXPECT_THAT(s.looked(start + 2150ms - 1ms, {"bad"}), IsEmpty());
  EXPECT_THAT(s.looked(start + 2150ms, {"bad"}), ElementsAre("bad"));
  EXPECT_EQ(s.due(), std::nullopt);
  // Whoever writes it again and again brings no storm of lines.
  for (auto at = start + 10s; at < start + 60s; at += 1s) {
    s.changed(at);
    EXPECT_THAT(s.looked(at + 150ms, {"bad"}), IsEmpty());
    EXPECT_EQ(s.due(), std::nullopt);
  }
}

TEST(Settling, SaysOnlyWhatIsNewAmongFaults) {
  settling s{{}};
  s.changed(start);
  (void)s.looked(start, {"one"});
  EXPECT_THAT(s.looked(start + 2s, {"one"}), ElementsAre("one"));
  s.changed(start + 3s);
  EXPECT_THAT(s.looked(start + 3s, {"one", "two"}), IsEmpty());
  EXPECT_THAT(s.looked(start + 5s, {"one", "two"}), ElementsAre("two"));
}

TEST(Settling, SaysAFaultAgainThatWasMendedBetween) {
  settling s{{}};
  for (const auto at : {start, start + 10s}) {
    s.changed(at);
    EXPECT_THAT(s.looked(at, {"bad"}), IsEmpty());
    EXPECT_THAT(s.looked(at + 2s, {"bad"}), ElementsAre("bad"));
    s.changed(at + 3s);
    EXPECT_THAT(s.looked(at + 3s, {}), IsEmpty());
  }
}

TEST(Settling, ForgetsDoubtsThatAReloadHasDispelled) {
  settling s{{}};
  s.changed(start);
  (void)s.looked(start, {"bad"});
  s.all_good();
  EXPECT_EQ(s.due(), std::nullopt);
}

}  // namespace
}  // namespace comity::server
