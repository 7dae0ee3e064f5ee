// connection/s2s/inquiry.hpp: a search for `comityctl s2s explain`: the way to a remote domain as it is now, beside
// whatever stream there is, by the very dialler that our own traffic uses, and told step by step.
//
// Owned by the outbound_links of the pair's home loop; that loop's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "connection/s2s/dialler.hpp"
#include "connection/s2s/explanation.hpp"

namespace comity::connection {

class inquiry final : private dial_owner {
public:
  using teller = std::function<void(explained_step)>;

  /// `told` gets every step; `over` is called after the last one, which is the outcome, and may end this later, but not
  /// within. `health` outlives it.
  inquiry(const s2s_collaborators&, explain_request, endpoint_health& health, teller told, std::function<void()> over);

  void begin() { search_.begin(); }

private:
  void reached(outbound_stream& stream) override { stream.choose(); }
  void connected(outbound_stream&) override;
  void answered(const key_verdict&) override {}
  void tried(const attempt_record&) override;
  void failed(const dial_failure&) override;
  void planned(const dns::service_plan& plan) override { told_(explained::planned{plan}); }
  void located(const dns::target& t, const dns::endpoint_addresses& known) override {
    told_(explained::located{t, known});
  }
  void trying(const explained::trying& t) override { told_(t); }
  void called_off(const attempt_record& r) override { told_(explained::tried{.attempt = r, .called_off = true}); }
  void discovered() override { finish({}); }

  void finish(explained::outcome);

  teller told_;
  std::function<void()> over_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::uint32_t attempts_ = 0;
  std::optional<attempt_record> winner_;
  dialler search_;  // last: it goes first
};

}  // namespace comity::connection
