// What a peer's chain comes to, for one domain after another: looked at once, and anew where that may be otherwise.
#include "connection/s2s/peer_evidence.hpp"

#include <gmock/gmock.h>

#include "fakes/certificate_builder.hpp"
#include "fakes/folder.hpp"

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using fakes::issue;
using fakes::issued;
using trust::chain_verdict;
using trust::name_match;

class Examiner : public ::testing::Test {
protected:
  std::shared_ptr<const tls::trust_store> trusting(const issued& authority) {
    return tls::trust_store::load({fakes::write(folder_.path(), "ca.pem", fakes::pem({authority})), {}}).value();
  }
  examiner of(const fakes::certificate_plan& plan) {
    return examiner{fakes::presented(issue(plan, &root_)), tls::peer_role::client};
  }
  examined examine(examiner& peer, std::string_view domain, std::chrono::seconds later = {}) {
    return peer.examine(domain, {}, required_trust::certificate, store_, now_ + later);
  }
  chain_verdict chain(examiner& peer, std::chrono::seconds later = {}) {
    return examine(peer, "a.example", later).evidence.chain;
  }

  fakes::folder folder_;
  issued root_ = issue({.domain = "Root", .authority = true});
  std::shared_ptr<const tls::trust_store> store_ = trusting(root_);
  // Whole seconds, as certificates have them.
  examiner::clock::time_point now_ = std::chrono::floor<std::chrono::seconds>(examiner::clock::now());
};

TEST_F(Examiner, HoldsOneChainAgainstManyDomains) {  // THREATS D5
  auto peer = of({.domain = "a.example", .more_names = {"b.example"}});
  for (const auto& [domain, match] : {std::pair{"a.example", name_match::service},
                                      {"b.example", name_match::service},
                                      {"c.example", name_match::none}}) {
    const auto found = examine(peer, domain);
    EXPECT_EQ(chain_verdict::trusted, found.evidence.chain) << domain;
    EXPECT_EQ(match, found.evidence.name) << domain;
    EXPECT_TRUE(found.expires) << domain;
  }
}

TEST_F(Examiner, LooksAtTheChainAnewAfterAWhile) {  // L-1, L
  auto peer = of({.domain = "a.example", .from = 1});
  EXPECT_EQ(chain_verdict::not_yet_valid, chain(peer));
  EXPECT_EQ(chain_verdict::not_yet_valid, chain(peer, examiner::judged_for - 1s)) << "what was found out holds";
  EXPECT_EQ(chain_verdict::trusted, chain(peer, examiner::judged_for));
}

TEST_F(Examiner, LooksAtTheChainAnewWhereTheClockWentBack) {
  auto peer = of({.domain = "a.example", .from = -60});
  EXPECT_EQ(chain_verdict::trusted, chain(peer));
  EXPECT_EQ(chain_verdict::not_yet_valid, chain(peer, -120s));
}

TEST_F(Examiner, TakesNothingForGoodThatHasExpiredMeanwhile) {  // G12
  auto peer = of({.domain = "a.example", .until = 5});
  const auto expires = examine(peer, "a.example").expires;
  ASSERT_TRUE(expires);
  const auto left = std::chrono::floor<std::chrono::seconds>(*expires - now_);
  ASSERT_LT(left, examiner::judged_for);
  EXPECT_EQ(chain_verdict::trusted, chain(peer, left - 1s));
  EXPECT_EQ(chain_verdict::expired, chain(peer, left + 1s));
}

TEST_F(Examiner, LooksAtTheChainAnewWhereTheAuthoritiesAreOthers) {
  auto peer = of({.domain = "a.example"});
  EXPECT_EQ(chain_verdict::trusted, chain(peer));
  store_ = trusting(issue({.domain = "Another", .authority = true}));
  EXPECT_EQ(chain_verdict::untrusted, chain(peer));
  store_ = trusting(root_);
  EXPECT_EQ(chain_verdict::trusted, chain(peer));
}

TEST_F(Examiner, HasNothingToSayForAPeerThatPresentedNothing) {
  examiner peer;
  const auto found = examine(peer, "a.example");
  EXPECT_EQ(chain_verdict::missing, found.evidence.chain);
  EXPECT_EQ(name_match::none, found.evidence.name);
  EXPECT_FALSE(found.expires);
}

}  // namespace
}  // namespace comity::connection
