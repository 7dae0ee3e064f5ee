// Warnings of certificates that expire: at 30, 7 and 1 days, and when it has come; each once.
#include "server/certificates/expiry_warnings.hpp"

#include <gmock/gmock.h>

#include "fakes/fixed_clock.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;
using testing::ElementsAre;
using testing::IsEmpty;

class ExpiryWarnings : public testing::Test {
protected:
  [[nodiscard]] tls::loaded_certificate certificate(std::chrono::seconds left, days life = days{90},
                                                    const std::string& domain = "a.example") const {
    tls::loaded_certificate c;
    c.domain = domain;
    c.not_after = clock_.now() + left;
    c.not_before = c.not_after - life;
    c.sha256 = domain + std::to_string(c.not_after.time_since_epoch().count());
    return c;
  }
  /// "DOMAIN DAYS", with "expired" behind it.
  std::vector<std::string> said(const std::vector<tls::loaded_certificate>& all) {
    std::vector<std::string> out;
    for (const auto& w : warnings_.due(all, clock_.now())) {
      out.push_back(w.domain + " " + std::to_string(w.days) + (w.expired ? " expired" : ""));
    }
    return out;
  }

  fakes::fixed_clock clock_;
  expiry_warnings warnings_;
};

TEST_F(ExpiryWarnings, ComeOnceEachAtTheirDayAndNotASecondBefore) {
  const std::vector all{certificate(days{40})};
  for (const auto& [left, text] : {std::pair{30, "a.example 30"}, {7, "a.example 7"}, {1, "a.example 1"}}) {
    clock_.advance(
        all[0].not_after - days{left} - clock_.now() > 1s
            ? std::chrono::duration_cast<std::chrono::seconds>(all[0].not_after - days{left} - clock_.now()) - 1s
            : 0s);
    EXPECT_THAT(said(all), IsEmpty()) << left;
    EXPECT_EQ(warnings_.next(all, clock_.now(), 3600s), 1s);
    clock_.advance(1s);
    EXPECT_THAT(said(all), ElementsAre(text));
    EXPECT_THAT(said(all), IsEmpty());
  }
  clock_.advance(days{1} - 1s);
  EXPECT_THAT(said(all), IsEmpty());
  clock_.advance(1s);
  EXPECT_THAT(said(all), ElementsAre("a.example 0 expired"));
  clock_.advance(days{1});
  EXPECT_THAT(said(all), IsEmpty());
  EXPECT_EQ(warnings_.next(all, clock_.now(), 3600s), 3600s);
}

TEST_F(ExpiryWarnings, AtStartSayWhatHoldsAndNotWhatHeldBefore) {
  EXPECT_THAT(said({certificate(days{5})}), ElementsAre("a.example 5"));
}

TEST_F(ExpiryWarnings, AreOfEachHost) {
  EXPECT_THAT(said({certificate(days{5}), certificate(days{50}, days{90}, "b.example"),
                    certificate(12h, days{90}, "c.example")}),
              ElementsAre("a.example 5", "c.example 0"));
}

TEST_F(ExpiryWarnings, BeginAnewWithAnotherCertificate) {
  EXPECT_THAT(said({certificate(days{5})}), ElementsAre("a.example 5"));
  EXPECT_THAT(said({certificate(days{80})}), IsEmpty());
  EXPECT_THAT(said({certificate(days{6})}), ElementsAre("a.example 6"));
}

TEST_F(ExpiryWarnings, LeaveCertificatesAloneThatNeverHadSoLong) {
  const std::vector all{certificate(days{6}, days{6})};
  EXPECT_THAT(said(all), IsEmpty()) << "it is made for six days, and renewed within them";
  EXPECT_EQ(warnings_.next(all, clock_.now(), days{10}), days{5});
  clock_.advance(days{5});
  EXPECT_THAT(said(all), ElementsAre("a.example 1"));
}

TEST_F(ExpiryWarnings, AreNotRepeatedByAClockThatIsSetBack) {
  const std::vector all{certificate(days{5})};
  EXPECT_THAT(said(all), ElementsAre("a.example 5"));
  clock_.advance(-days{4});
  EXPECT_THAT(said(all), IsEmpty());
  clock_.advance(days{4});
  EXPECT_THAT(said(all), IsEmpty());
}

}  // namespace
}  // namespace comity::server
