// connection/s2s/dialler.hpp: one search for a stream to a remote domain: discovery, attempts by dial_schedule's order,
// and the winner.
//
// A failure in any phase, from the DNS to authentication, goes on to the next endpoint, and its cause is kept. Owned by
// who wants the stream; its loop's thread. Destroying it calls off everything that is under way. No callback comes
// within begin(); within any callback it may be destroyed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "connection/negotiation/domain_flow.hpp"
#include "connection/s2s/back_off.hpp"
#include "connection/s2s/connect_budget.hpp"
#include "connection/s2s/explanation.hpp"
#include "connection/s2s/outbound_stream.hpp"
#include "connection/s2s/s2s_collaborators.hpp"

namespace comity::connection {

struct dial_failure {
  connection::cause cause = cause::internal;  // of the last attempt
  connection::phase phase = phase::dns;
  std::string text;
  /// What senders are told, where the peer's own answer says it better than the cause.
  std::optional<stanza_condition> bounce;
};

class dial_owner {
public:
  virtual ~dial_owner() = default;
  /// The winner may go on: choose() it, verify() by it, or both. May come again, should that one fail.
  virtual void reached(outbound_stream&) = 0;
  /// Its flow is authorised: it is the owner's from now on, and the dialler has nothing more to do.
  virtual void connected(outbound_stream&) = 0;
  virtual void answered(const key_verdict&) = 0;
  /// Also of a search that ends in the DNS, where there is no address.
  virtual void tried(const attempt_record&) = 0;
  /// A connection to that very endpoint is about to be opened. True where the flow is asked for on a stream that is
  /// there already; what comes of that is the owner's to
  /// say, by destroying the dialler or by not_shared().
  [[nodiscard]] virtual bool shares(const dns::target&, const dns::address&, const endpoint_facts&) { return false; }
  /// Nothing is left to try.
  virtual void failed(const dial_failure&) = 0;

  // For whoever looks on; none of it may destroy the dialler.
  virtual void planned(const dns::service_plan&) {}
  virtual void located(const dns::target&, const dns::endpoint_addresses&) {}
  virtual void trying(const explained::trying&) {}
  virtual void called_off(const attempt_record&) {}
  /// Of wish::discover_only: there is an endpoint that could be dialled.
  virtual void discovered() {}
};

class dialler {
public:
  struct wish {
    domain_flow flow;
    std::shared_ptr<connect_budget> budget = nullptr;  // none: as many connections as a domain is worth
    bool discover_only = false;                        // ends in discovered() or failed(), and nothing is dialled
    std::optional<method> only = {};                   // endpoints of the other method are left out
    std::function<void(const dns::traced_query&)> answered = {};  // told each question to the DNS with its answer
  };

  /// `health` and `owner` outlive it.
  dialler(const s2s_collaborators&, wish, endpoint_health& health, dial_owner& owner);
  ~dialler();
  dialler(const dialler&) = delete;
  dialler& operator=(const dialler&) = delete;

  void begin();
  /// The stream that was to be shared does not take the flow.
  void not_shared();

private:
  struct state;
  std::shared_ptr<state> state_;  // shared with what is posted, which finds it gone
};

}  // namespace comity::connection
