// server/check/port_probe.hpp: one connection to one address, to learn what speaks there (probe_dialogue over a
// socket).
//
// Made and destroyed on the thread of its loop; destroying it calls it off. It asks nobody whether the address may be
// dialled: the operator asks about names of his own, and no address comes from a stranger.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "connection/loop.hpp"
#include "dns/answer.hpp"
#include "server/check/findings.hpp"
#include "tls/client_context.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::check {

class port_probe {
public:
  struct question {
    way as;
    std::string domain;  // A-labels
    dns::address address;
    std::uint16_t port = 0;
    std::chrono::milliseconds time{};  // for all of it
  };
  struct outcome {
    probe_end end = probe_end::silent;
    std::string detail = {};
    bool connected = false;  // something took the connection
    bool alpn_confirmed = false;
    tls::peer_credentials peer = {};  // nothing where it did not come to TLS
  };
  using completion = std::move_only_function<void(outcome)>;

  /// Begins at once; `done` is called once, never within this. It may destroy this. `tls` outlives this.
  port_probe(connection::loop&, const tls::client_context& tls, question, completion done);
  ~port_probe();
  port_probe(const port_probe&) = delete;
  port_probe& operator=(const port_probe&) = delete;

private:
  struct state;
  std::shared_ptr<state> state_;  // shared with the waits under way
};

}  // namespace comity::check
