// What an operator is told of the way to another server: every step of the search that our own traffic uses.
#include <gmock/gmock.h>

#include "connection/s2s/attempt_history.hpp"
#include "connection/s2s/near_and_far.hpp"

namespace comity::connection {
namespace {

/// The steps of one kind.
template <typename Step>
std::vector<Step> of_kind(const std::vector<explained_step>& all) {
  std::vector<Step> found;
  for (const auto& s : all) {
    if (const auto* it = std::get_if<Step>(&s)) {
      found.push_back(*it);
    }
  }
  return found;
}

class Explanations : public NearAndFar {
protected:
  [[nodiscard]] std::string usual_zone() const {
    return far->srv(method::starttls, "xmpp.far.example") + far->srv(method::direct_tls, "xmpp.far.example", 2) +
           "xmpp.far.example A 127.0.0.1\n";
  }
  void run(const std::string& zone) {
    dns.zone(zone);
    far->run();
    near->run();
  }
  /// All steps, up to the outcome.
  std::vector<explained_step> explain(explain_request what) {
    awaited<std::vector<explained_step>> told;
    auto steps = std::make_shared<std::vector<explained_step>>();
    near->federation().explain(std::move(what), [steps, &told](explained_step s) {
      steps->push_back(std::move(s));
      if (std::holds_alternative<explained::outcome>(steps->back())) {
        told.put(*steps);
      }
    });
    const auto all = told.wait(1);
    return all.empty() ? std::vector<explained_step>{} : all.front();
  }
  const domain_flow flow{"near.example", "far.example"};
};

TEST_F(Explanations, TellEveryStepOfTheWay) {
  run("_xmpps-server._tcp.far.example SRV 0 0 1 gone.far.example\n_xmpps-server._tcp.far.example SRV 9 0 0 "
      "old.example\n"
      "gone.far.example A 127.0.0.1\n" +
      usual_zone());
  const auto all = explain({.flow = flow});
  ASSERT_FALSE(all.empty());
  ASSERT_TRUE(std::holds_alternative<explained::asked>(all.front()));
  EXPECT_EQ(std::get<explained::asked>(all.front()).flow, flow);
  EXPECT_FALSE(std::get<explained::asked>(all.front()).connected);

  const auto queries = of_kind<dns::traced_query>(all);
  ASSERT_GE(queries.size(), 2U);
  EXPECT_EQ(queries[0].asked.name, "_xmpp-server._tcp.far.example");
  EXPECT_EQ(queries[0].got.result, dns::outcome::records);

  const auto plans = of_kind<explained::planned>(all);
  ASSERT_EQ(plans.size(), 1U);
  EXPECT_EQ(plans[0].plan.groups.at(0).at(0).source, dns::endpoint_source::srv_xmpps);
  ASSERT_EQ(plans[0].plan.dropped.size(), 1U);
  EXPECT_EQ(plans[0].plan.dropped[0].why, dns::drop_reason::no_port);

  const auto trying = of_kind<explained::trying>(all);
  const auto tried = of_kind<explained::tried>(all);
  ASSERT_EQ(trying.size(), 2U);
  ASSERT_EQ(tried.size(), 2U);
  EXPECT_EQ(trying[0].number, 1U);
  EXPECT_EQ(tried[0].attempt.number, 1U);
  EXPECT_EQ(tried[0].attempt.cause, cause::tcp_refused);
  EXPECT_EQ(tried[0].attempt.phase, phase::tcp);
  EXPECT_EQ(tried[0].attempt.method, method::direct_tls);

  const auto& won = tried[1].attempt;
  EXPECT_EQ(won.cause, std::nullopt);
  EXPECT_EQ(won.proof, "pkix");
  EXPECT_EQ(won.sni, "far.example");
  EXPECT_TRUE(won.tls.starts_with("TLSv1.3")) << won.tls;
  ASSERT_TRUE(won.more && won.more->certificate && won.more->judged);
  EXPECT_THAT(won.more->certificate->names, testing::Contains("DNS:far.example"));
  EXPECT_EQ(won.more->judged->chain, trust::chain_verdict::trusted);
  EXPECT_EQ(won.more->judged->name, trust::name_match::service);
  EXPECT_THAT(won.more->features, testing::Contains("mechanism EXTERNAL"));
  std::vector<phase> phases;
  for (const auto& p : won.more->phases) {
    phases.push_back(p.phase);
    EXPECT_GE(p.took.count(), 0);
  }
  EXPECT_EQ(phases, (std::vector{phase::tcp, phase::stream, phase::tls, phase::authentication}));

  const auto& end = std::get<explained::outcome>(all.back());
  EXPECT_EQ(end.cause, std::nullopt);
  EXPECT_EQ(end.attempts, 2U);
  ASSERT_TRUE(end.winner);
  EXPECT_EQ(end.winner->number, 2U);
}

TEST_F(Explanations, OfADryRunDialNothing) {
  run(usual_zone());
  const auto all = explain({.flow = flow, .dry_run = true});
  EXPECT_TRUE(of_kind<explained::trying>(all).empty());
  ASSERT_EQ(of_kind<explained::located>(all).size(), 2U);
  EXPECT_FALSE(of_kind<explained::located>(all)[0].known.v4.empty());
  const auto& end = std::get<explained::outcome>(all.back());
  EXPECT_EQ(end.cause, std::nullopt);
  EXPECT_FALSE(end.winner);
}

TEST_F(Explanations, GoByOneMethodWhereThatIsAskedFor) {
  run(usual_zone());
  const auto all = explain({.flow = flow, .only = method::direct_tls});
  const auto plan = of_kind<explained::planned>(all).at(0).plan;
  ASSERT_EQ(plan.groups.size(), 1U);
  EXPECT_TRUE(plan.groups[0][0].direct_tls);
  ASSERT_EQ(plan.dropped.size(), 1U);
  EXPECT_EQ(plan.dropped[0].why, dns::drop_reason::other_method);
  EXPECT_EQ(std::get<explained::outcome>(all.back()).winner->method, method::direct_tls);
}

TEST_F(Explanations, EndInTheDnsWithItsCause) {
  run("!bogus _xmpp-server._tcp.far.example SRV\n" + usual_zone());
  for (const bool dry_run : {false, true}) {
    const auto all = explain({.flow = flow, .dry_run = dry_run});
    const auto& end = std::get<explained::outcome>(all.back());
    EXPECT_EQ(end.cause, cause::dns_bogus);
    EXPECT_EQ(end.phase, phase::dns);
    EXPECT_EQ(end.attempts, 0U);
  }
}

TEST_F(Explanations, HaveTheLastAttemptsOfOurOwn) {
  run("!bogus _xmpp-server._tcp.far.example SRV\n" + usual_zone());
  near->send("juliet@far.example", "1");
  EXPECT_EQ(near->errors.wait(1).size(), 1U);
  const auto asked = std::get<explained::asked>(explain({.flow = flow}).front());
  EXPECT_EQ(asked.failed_searches, 1U);
  ASSERT_EQ(asked.history.size(), 1U);
  EXPECT_EQ(asked.history[0].cause, cause::dns_bogus);
  EXPECT_EQ(asked.history[0].address, "");
}

TEST(AttemptHistory, IsBoundedInAttemptsPairsAndText) {  // THREATS D5
  attempt_history all{2};
  attempt_record one;
  one.detail = std::string(attempt_history::text_most + 1, 'x');
  one.more.emplace();
  for (std::size_t i = 0; i <= attempt_history::kept; ++i) {
    one.number = static_cast<std::uint32_t>(i);
    all.note({"a", "b"}, one);
  }
  const auto kept = all.of({"a", "b"});
  ASSERT_EQ(kept.size(), attempt_history::kept);
  EXPECT_EQ(kept.front().number, 1U);  // the oldest went
  EXPECT_EQ(kept.front().detail.size(), attempt_history::text_most);
  EXPECT_FALSE(kept.front().more);
  all.note({"a", "c"}, one);
  EXPECT_EQ(all.pairs(), 2U);
  all.note({"a", "b"}, one);
  all.note({"a", "d"}, one);  // the third: "c" was quiet for longest
  EXPECT_EQ(all.pairs(), 2U);
  EXPECT_TRUE(all.of({"a", "c"}).empty());
  EXPECT_FALSE(all.of({"a", "b"}).empty());
}

}  // namespace
}  // namespace comity::connection
