// connection/s2s/outbound_stream.hpp: one attempt at one address of a remote domain, and, should it win, the stream it
// becomes.
//
// STARTTLS and direct TLS are the same path. It negotiates as far as the peer's features under a TLS whose certificate
// has been judged, says so, and waits to be told what for it is wanted. Owned by its loop's loop_connections, so it is
// known to others by its number; whom it reports to is told it, and is replaced when an attempt becomes a link's
// stream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/negotiation/initiator.hpp"
#include "connection/s2s/explanation.hpp"
#include "connection/s2s/peer_evidence.hpp"
#include "connection/s2s/server_stream.hpp"
#include "tls/session_cache.hpp"

namespace comity::connection {

class outbound_stream;

/// How a stream ended.
struct stream_ending {
  connection::cause cause = cause::internal;
  connection::phase phase = phase::stream;
  std::optional<stream_condition> received;  // the stream error that the peer sent
  std::string text;
  bool abrupt = false;                        // without a closing tag of either side
  std::optional<stream_condition> sent = {};  // the one that we sent
  std::vector<stanza_ref> unwritten;          // not a byte of these has gone out, in their order
};

/// Whom an outbound stream reports to. Called on its loop.
class stream_owner {
public:
  virtual ~stream_owner() = default;
  /// Header and features of a peer that may go on are in: choose(), verify() or abandon() it.
  virtual void verified(outbound_stream&) = 0;
  virtual void authorised(outbound_stream&, const action::flow_authorised&) = 0;
  virtual void refused(outbound_stream&, const action::flow_refused&) = 0;
  virtual void answered(outbound_stream&, const key_verdict&) = 0;
  /// The last it hears of it.
  virtual void ended(outbound_stream&, stream_ending) = 0;
};

class outbound_stream final : public server_stream {
public:
  /// Where it goes, and what it has to prove there.
  struct call {
    domain_flow flow;  // from our domain to the one that is called
    required_trust trust{};
    dns::target target;
    endpoint_facts endpoint;
    dns::address address;
    clock::time_point began;  // the first SYN
  };

  /// Takes over a connected, non-blocking socket. `owner` outlives it, or lets go of it.
  outbound_stream(const s2s_collaborators&, std::shared_ptr<const s2s_settings>, call, int descriptor, stream_owner*);
  ~outbound_stream() override;

  /// Once it is in its loop.
  void begin();
  void owner(stream_owner* o) noexcept { owner_ = o; }

  // What an owner may want of it; each may lead to more reports before it returns.
  void choose();
  void verify(verify_key);
  /// Stanzas of one more pair are to go this way, where takes_other_targets() says so; `by` proves its target.
  void want(domain_flow, proof by);
  /// Not wanted any more; nothing is reported.
  void abandon();
  /// Queues a stanza of an authorised flow. False: the peer is too slow for it, so it stays the caller's, who keeps it
  /// and then calls give_up().
  [[nodiscard]] bool take(const stanza_ref&);
  /// THREATS F4: ends the stream of a peer that reads too slowly. Perhaps not before the caller has returned.
  void give_up();

  [[nodiscard]] const call& called() const noexcept { return call_; }
  [[nodiscard]] bool takes_other_targets() const noexcept { return machine_.takes_other_targets(); }
  [[nodiscard]] const domain_flows& authorised() const noexcept { return machine_.authorised(); }
  /// The largest stanza that the peer takes (XEP-0478); nullopt where it did not say.
  [[nodiscard]] std::optional<std::uint32_t> max_bytes() const noexcept {
    return machine_.facts().peer_limits.max_bytes;
  }
  /// What the peer presented, held against whichever domain it may serve too. Nothing before TLS.
  [[nodiscard]] examiner& peer() noexcept { return peer_; }
  /// What is known of the attempt so far.
  [[nodiscard]] attempt_record record() const;

  // live_connection
  [[nodiscard]] connection_info info() const override { return describe_server(); }
  void send(stanza_ref) override {}  // links call take()

private:
  [[nodiscard]] bool paused() const override { return machine_.paused(); }
  [[nodiscard]] std::string_view remote() const override { return call_.flow.target; }
  [[nodiscard]] std::string_view local() const override { return call_.flow.sender; }
  void begin_tls(connection::wire&) override;
  void happen(negotiation_event) override;
  void over(const action::finish&) override;
  void phase_ended(phase p, clock::duration took) override { note_phase(p, took); }

  void note_phase(phase, clock::duration);
  void note_features(const xml::element&);
  using server_stream::perform;
  void perform(action::judge&);
  void perform(action::verified&);
  void perform(action::flow_authorised&);
  void perform(action::flow_refused&);
  void perform(action::key_verified&);
  void perform(initiator_actions);
  void drive(initiator_event);
  void judge(trust::posh_outcome);
  [[nodiscard]] tls::session_cache::key session_key() const;
  void keep_session();

  call call_;
  stream_owner* owner_;
  initiator machine_;
  event_pump<initiator_event> events_;
  examiner peer_;
  examined examined_;
  std::optional<trust::verdict> verdict_;
  std::optional<stream_ending> ending_;
  std::vector<phase_time> phases_;
  std::vector<std::string> features_;  // that the peer offered last, until established
  bool overflowed_ = false;
};

}  // namespace comity::connection
