// connection/s2s/server_stream.hpp: what streams between servers have in common, in both directions, between the bytes
// (stream_driver) and the machine that negotiates (negotiator, initiator).
//
// Performs the actions that both machines have, asks what either needs to know (who the peer is by its certificate,
// what a dialback key's own server says of it), hands stanzas to the server, and ends a stream that has been silent for
// too long or whose proof has expired. Loop thread only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connection/negotiation/negotiator.hpp"
#include "connection/s2s/peer_prover.hpp"
#include "connection/s2s/s2s_collaborators.hpp"
#include "connection/stream_driver.hpp"

namespace comity::connection {

class connect_budget;

/// What we take from an authenticated server, as it is told (XEP-0478).
[[nodiscard]] stream_limits limits_of(const s2s_settings&) noexcept;

/// Events in the order in which they come up, those included that come up while one is being handled.
template <typename Event>
class event_pump {
public:
  template <typename Handle>
  void happen(Event e, Handle handle) {
    waiting_.push_back(std::move(e));
    if (std::exchange(busy_, true)) {
      return;
    }
    while (!waiting_.empty()) {
      auto next = std::move(waiting_.front());
      waiting_.erase(waiting_.begin());
      handle(std::move(next));
    }
    busy_ = false;
  }

private:
  std::vector<Event> waiting_;
  bool busy_ = false;
};

class server_stream : public stream_driver {
public:
  void dismiss(stream_condition, cause, std::string text) final;
  void fault(std::string_view what) noexcept final;
  /// Ends it without a stream error. What the peer has sent by then, and sends until it has heard of it, is still taken
  /// (RFC 6120 §4.4).
  void leave(cause, std::string text);

protected:
  server_stream(const s2s_collaborators&, std::shared_ptr<const s2s_settings>, setup);

  // --- what the derived stream is told -------------------------------------------------------------------------------

  /// For its machine.
  virtual void happen(negotiation_event) = 0;
  /// Nothing more is sent, for that reason; once. What is queued and not written is to go another way.
  virtual void over(const action::finish&) = 0;
  /// The domain at the other end, "" as long as that is not known.
  [[nodiscard]] virtual std::string_view remote() const = 0;
  [[nodiscard]] virtual std::string_view local() const = 0;

  // --- actions that both machines have -------------------------------------------------------------------------------

  void perform(action::send&);
  void perform(action::start_tls& a) { upgrade(std::move(a.proceed)); }
  void perform(action::restart_stream&) { restart(); }
  void perform(action::ask&);
  void perform(action::refused&);
  void perform(action::received&);
  void perform(action::ignored&);
  void perform(action::finish&);

  /// The first flow is authorised: from now on it counts as established, and only silence ends it, ours before the peer
  /// would say so itself by `theirs`. `began` is when setting it up did.
  void established(clock::time_point began, const action::flow_authorised&, const stream_limits& theirs);
  [[nodiscard]] bool peer_known() const noexcept final { return established_; }
  /// Something was said that keeps it from being idle.
  void heard() noexcept { last_heard_ = clock::now(); }
  /// G12: the stream is to end when the proof of the peer does.
  void proof_expires(std::optional<std::chrono::system_clock::time_point>);
  /// How the peer was proven, for the operator.
  [[nodiscard]] connection_info describe_server() const;

  /// Makes a function that may be called on any thread, once: `then` runs on this loop, provided that this still is.
  template <typename Answer>
  [[nodiscard]] std::move_only_function<void(Answer)> back_here(std::move_only_function<void(Answer)> then) {
    return [&loop = loop(), id = id(), then = std::move(then)](Answer answer) mutable {
      loop.loop().post([&loop, id, then = std::move(then), answer = std::move(answer)]() mutable {
        loop.on(id, [&](live_connection& c) {
          auto& self = static_cast<server_stream&>(c);
          if (!self.ended()) {
            then(std::move(answer));
            self.advance();
          }
        });
      });
    };
  }

  [[nodiscard]] const s2s_collaborators& with() const noexcept { return with_; }
  [[nodiscard]] const s2s_settings& settings() const noexcept { return *settings_; }
  /// The prover of what the peer presented; TLS must stand.
  [[nodiscard]] peer_prover& prover();

private:
  void take_header(xml::stream_header&& header) final { happen(event::header{std::move(header)}); }
  void take_close() final { happen(event::peer_closed{}); }
  void take_fault(stream_condition condition, bool too_big) final { happen(event::broken{condition, too_big}); }
  void take_element(xml::document&) final;
  void tls_done() final;
  void tls_failed(const tls::tls_failure&) final;
  void tls_refused() final { happen(event::tls_refused{}); }
  void timed_out() final;
  void gone() final { happen(event::gone{wire().tls().failure().text}); }

  void ask(prove_peer&);
  void ask(verify_key&);
  template <typename Question>
  void ask(Question&) {}  // those of clients
  void account(const action::finish&);
  void say_over(const action::finish&);
  void arm_idle();

  s2s_collaborators with_;
  std::shared_ptr<const s2s_settings> settings_;
  std::unique_ptr<peer_prover> prover_;
  xml::document* taken_ = nullptr;  // the element being taken
  bool established_ = false;
  bool accounted_ = false;
  bool over_said_ = false;
  bool unproven_told_ = false;
  std::optional<action::finish> leaving_;  // our closing tag is out, the peer's is awaited
  authorised_by how_ = authorised_by::external;
  proof proof_ = proof::none;
  clock::time_point last_heard_;
  clock::duration idle_after_{};
  std::optional<clock::time_point> expires_;
  std::shared_ptr<connect_budget> verify_budget_;  // what its questions may cost us (THREATS D5)
};

}  // namespace comity::connection
