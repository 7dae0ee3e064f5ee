// connection/s2s/outbound_links.hpp: the links whose home is one loop, and the streams between them and their peers.
//
// Established streams report here, and it tells the link that each matter concerns. Loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "connection/s2s/attempt_history.hpp"
#include "connection/s2s/back_off.hpp"
#include "connection/s2s/inquiry.hpp"
#include "connection/s2s/outbound_link.hpp"
#include "connection/s2s/outbound_stream.hpp"
#include "connection/s2s/s2s_collaborators.hpp"

namespace comity::connection {

class outbound_links final : public stream_owner {
public:
  /// Links that are there only because their last search failed, and are left alone for a while: more of them are not
  /// kept, since users and peers may name as many domains as they like.
  static constexpr std::size_t failures_kept = 4096;

  /// `budget` outlives it.
  outbound_links(s2s_collaborators, queue_budget& budget);
  ~outbound_links() override;

  /// The link of that pair, made where there is none.
  [[nodiscard]] outbound_link& of(const domain_flow&);
  [[nodiscard]] outbound_link* find(const domain_flow&) noexcept;
  /// A link may have become idle; it goes at the end of the turn where it has, and has no failure to remember.
  void look_at(const domain_flow&);
  /// One link more, or one less, is left alone for a while.
  void backs_off(bool more) noexcept { more ? ++failed_ : --failed_; }

  /// Tells every step, the first before it returns, and then goes on by itself.
  void explain(const explain_request&, inquiry::teller);
  void close(std::string_view remote, const std::string& text);
  void stop();
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

  /// An established stream to that endpoint that may take the flow too: from the same domain of ours, to a server that
  /// answers dialback errors and whose certificate is the flow's target's as well (J10, K02).
  struct shared {
    outbound_stream& stream;
    proof by;  // of the flow's target
  };
  [[nodiscard]] std::optional<shared> sharable(const domain_flow&, const dns::target&, const dns::address&,
                                               const endpoint_facts&);

  [[nodiscard]] const s2s_collaborators& with() const noexcept { return with_; }
  [[nodiscard]] endpoint_health& health() noexcept { return health_; }
  [[nodiscard]] attempt_history& history() noexcept { return history_; }
  [[nodiscard]] queue_budget& budget() noexcept { return budget_; }
  [[nodiscard]] std::size_t size() const noexcept { return links_.size(); }

  // stream_owner, of established streams
  void verified(outbound_stream&) override {}  // they are past that
  void authorised(outbound_stream&, const action::flow_authorised&) override;
  void refused(outbound_stream&, const action::flow_refused&) override;
  void answered(outbound_stream&, const key_verdict&) override;
  void ended(outbound_stream&, stream_ending) override;

private:
  [[nodiscard]] bool to_go(const outbound_link&) const;

  s2s_collaborators with_;
  queue_budget& budget_;
  endpoint_health health_;
  std::size_t failed_ = 0;  // of the links; outlives them
  std::map<domain_flow, std::unique_ptr<outbound_link>> links_;
  attempt_history history_;
  std::map<std::uint64_t, std::unique_ptr<inquiry>> inquiries_;
  std::uint64_t inquired_ = 0;
  bool stopped_ = false;
};

}  // namespace comity::connection
