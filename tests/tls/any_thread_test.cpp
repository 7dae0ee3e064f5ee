// What is shared by all loops is used from all at once: for the thread sanitizer most of all.
#include <atomic>
#include <thread>

#include "dns/answer.hpp"
#include "tls/dane.hpp"
#include "tls/two_servers.hpp"

namespace comity::tls {
namespace {

class AnyThread : public TwoServers {};

TEST_F(AnyThread, ConnectsResumesAndJudges) {
  constexpr int threads = 4, rounds = 12;
  session_cache cache{8};
  const auto root = fakes::issue({.domain = "Root", .authority = true});
  const auto far = std::vector{
      fakes::write_certificate(directory_->path(), "far.example", fakes::issue({.domain = "far.example"}, &root))};
  far_server_.swap(server_context::load(far, protocol_version::tls_1_2).value());
  const auto store = trust_store::load({fakes::write(directory_->path(), "ca.pem", fakes::pem({root})), {}}).value();
  const std::array names{reference_identity::service_domain("far.example")};
  const auto leaf = served_credentials(*far_server_.current(), "far.example");
  const std::array records{dns::tlsa_record{3, 1, 1, association_data(leaf, 1, 1)}};
  const session_cache::key key{"near.example", "far.example", "far.example", 5270, true};
  std::atomic<int> connected = 0, resumed = 0, proven = 0, matched = 0;
  const auto connecting = [&] {
    for (int i = 0; i < rounds; ++i) {
      tls_pair talk;
      connected += talk.connect(client_, to_far(cache.take(key)), far_server_) ? 1 : 0;
      resumed += talk.client.facts().resumed ? 1 : 0;
      const auto peer = talk.client.peer();
      proven += judge_chain(peer, *store, {}).ok() && judge_chain(leaf, *store, {}).ok() ? 1 : 0;
      matched += judge_dane(peer, records, names, *store, {}).ok() && judge_dane(leaf, records, names, *store, {}).ok()
                     ? 1
                     : 0;
      cache.put(key, talk.client.take_session());
      if (i % 4 == 3) {
        near_server_.swap(server_context::load(near_, protocol_version::tls_1_2).value());
        far_server_.swap(server_context::load(far, protocol_version::tls_1_2).value());
      }
    }
  };
  std::vector<std::thread> all;
  all.reserve(threads);
  for (int i = 0; i < threads; ++i) {
    all.emplace_back(connecting);
  }
  for (auto& one : all) {
    one.join();
  }
  EXPECT_EQ(threads * rounds, connected);
  EXPECT_LT(0, resumed);
  EXPECT_EQ(threads * rounds, proven);
  EXPECT_EQ(threads * rounds, matched);
}

}  // namespace
}  // namespace comity::tls
