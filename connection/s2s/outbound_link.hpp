// connection/s2s/outbound_link.hpp: one pair of domains (ours, theirs) as seen from our side: what waits, the search
// for a stream, and the stream that serves it.
//
// The link survives its streams. What a lost stream had not begun to write is kept and goes out on the next one; what
// it had is gone, so nothing is sent twice. Every stanza given to it is either handed to a stream or bounced, once
// (THREATS D6, D8). It also asks the other domain, as the authoritative server of dialback, about keys. Owned by the
// outbound_links of the pair's home loop; that loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/s2s/dialler.hpp"
#include "connection/s2s/stanza_queue.hpp"
#include "connection/session_ref.hpp"
#include "connection/timer_wheel.hpp"

namespace comity::connection {

class outbound_links;

class outbound_link final : private dial_owner, private timer_wheel::entry {
public:
  using clock = timer_wheel::clock;
  using key_done = std::move_only_function<void(key_verdict)>;

  outbound_link(outbound_links& all, domain_flow flow);
  ~outbound_link() override;

  [[nodiscard]] const domain_flow& flow() const noexcept { return flow_; }

  void send(stanza_ref);
  /// Asks the other domain about a key that somebody gave us in its name (XEP-0220 §2.1.2). Never on a stream that it
  /// opened (XEP-0288 §2.2).
  void verify(verify_key, std::shared_ptr<connect_budget>, key_done);

  // A bidirectional stream of theirs, on any loop, may serve this link (XEP-0288).
  void offered(session_ref, std::optional<std::uint32_t> max_bytes);
  /// It will not any more: it had taken so many of our stanzas, and these it has not written.
  void withdrawn(std::uint64_t stream, std::size_t taken, std::vector<stanza_ref> unwritten);
  /// A stanza of ours found it gone.
  void returned(stanza_ref);

  // The stream of its own, or one that it shares.
  void authorised(outbound_stream&);
  void refused();
  [[nodiscard]] bool uses(std::uint64_t stream) const noexcept {
    return stream != 0 && (stream_ == stream || asked_ == stream);
  }
  /// The stream that carries this link, where it is one that we opened; 0 where there is none.
  [[nodiscard]] std::uint64_t stream() const noexcept { return stream_; }
  void answered(const key_verdict&) override;
  void lost(std::uint64_t stream, stream_ending);

  /// Bounces what waits, and ends the search for a stream.
  void give_up(cause, const std::string& text);
  /// Nothing is waiting or under way.
  [[nodiscard]] bool idle() const noexcept;
  /// Its last search failed, and it is left alone for a while.
  [[nodiscard]] bool backs_off() const noexcept { return backs_off_; }
  /// How it stands, for the operator.
  void describe(explained::asked&) const;

private:
  struct question {
    verify_key key;
    std::shared_ptr<connect_budget> budget;
    key_done done;
    clock::time_point deadline;
    std::uint64_t asked = 0;  // the stream that it was asked on, 0 as long as there is none
  };
  struct borrowed {  // a bidirectional stream of theirs
    session_ref stream;
    std::optional<std::uint32_t> max_bytes;
    std::size_t handed = 0;
  };

  void reached(outbound_stream&) override;
  void connected(outbound_stream&) override;
  void tried(const attempt_record&) override;
  [[nodiscard]] bool shares(const dns::target&, const dns::address&, const endpoint_facts&) override;
  void failed(const dial_failure&) override;
  void expired() override;

  void pump();
  void flush();
  void take_back();
  void dial();
  void drop_dialler();
  void ask(outbound_stream&);
  [[nodiscard]] outbound_stream* stream_of(std::uint64_t id) const;
  [[nodiscard]] bool carried() const noexcept { return stream_ != 0 || borrowed_; }
  /// Those that come one by one are of interest to few; `level` says so.
  void bounce(const std::vector<stanza_ref>&, cause, stanza_condition, std::string_view text,
              log::level level = log::level::info);
  template <typename Which>
  void refuse_questions(stanza_condition, Which);
  void arm();
  void count_pending();
  void count_back_off(clock::time_point now);

  outbound_links& all_;
  domain_flow flow_;
  stanza_queue queue_;
  std::vector<question> questions_;
  std::unique_ptr<dialler> dialler_;
  std::shared_ptr<connect_budget> dial_budget_;  // of that search; none where stanzas wait for it
  std::uint64_t reached_ = 0;                    // the stream that it has found, and that waits for what is wanted
  bool chosen_ = false;                          // that is to carry stanzas
  std::uint64_t asked_ = 0;                      // a stream of other pairs that is to take ours too
  std::uint64_t stream_ = 0;                     // that we opened, established
  std::optional<borrowed> borrowed_;
  std::size_t awaited_ = 0;            // stanzas that are on their way back from another loop
  std::vector<stanza_ref> returning_;  // until all of them are here
  back_off back_off_;
  bool backs_off_ = false;  // as outbound_links has counted it
  dial_failure last_;
  std::size_t counted_ = 0;  // in the gauge
};

}  // namespace comity::connection
