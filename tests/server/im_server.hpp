// tests/server/im_server.hpp: a router with everything around it faked, and clients that speak XML to it.
//
// Nothing runs by itself: `settle` turns loops and store until both are idle, and the verbs call it. What clients hear
// is written as one line a stanza, so that a test reads as a dialogue:
//   "presence subscribe romeo@example.com -> juliet@example.com #s1 <status>hi</status>"
//   "iq error example.com -> juliet@example.com/balcony #q1 !service-unavailable cancel"
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"
#include "connection/stanza.hpp"
#include "server/router.hpp"
#include "tests/fakes/fixed_clock.hpp"
#include "tests/fakes/manual_homes.hpp"
#include "tests/fakes/recording_outlet.hpp"
#include "tests/fakes/stepped_store.hpp"

namespace comity::server {

/// The JID, which must be one.
[[nodiscard]] jid address(std::string_view text);
/// The stanza of that XML, as the stream makes it from what a client sent.
[[nodiscard]] stanza_ref parse_stanza(std::string_view xml, const jid& from);
/// One line, see above. Ids of roster pushes and versions are left out.
[[nodiscard]] std::string line(const stanza&);

class silent_log final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return false; }
  void write(log::level, std::string_view, std::initializer_list<log::field>) noexcept override {}
};

/// Federation, as far as the router sees it.
class recording_remote final : public remote_route {
public:
  void send(stanza_ref s) override { sent.push_back(line(*s)); }
  std::vector<std::string> sent;
};

struct client {
  connection::session_ref session;
  jid full;
};

class im_server {
public:
  struct options {
    std::vector<std::string> users{"juliet", "romeo", "nurse"};
    account_limits limits = {};
    std::uint32_t resources_per_user = 10;
    bool federated = false;
  };
  im_server() : im_server(options{}) {}
  explicit im_server(options);

  void add_account(std::string_view user);
  /// Binds that resource; the test fails where it is refused.
  client connect(std::string_view full);
  std::expected<jid, bind_failure> bind(connection::session_ref, std::string_view user, std::string wanted);
  connection::session_ref new_session() { return {.loop = 0, .id = ++last_session_}; }
  /// connect, roster get, initial presence; what that brought is thrown away.
  client login(std::string_view full);
  void disconnect(const client&);

  /// Sends, and lets everything come to rest.
  void says(const client&, std::string_view xml);
  /// Sends only.
  void says_without_settling(const client&, std::string_view xml);
  /// A stanza from a remote domain.
  void remote_says(std::string_view from, std::string_view xml);
  /// What the client was sent since last asked.
  std::vector<std::string> hears(const client&);
  std::vector<std::string> hears_remote() { return std::exchange(remote.sent, {}); }
  void settle();
  /// Makes `a` and `b` subscribed to each other, through the protocol; both must be logged in.
  void befriend(const client& a, const client& b);

  fakes::stepped_store store;
  fakes::recording_outlet outlet;
  fakes::manual_homes homes;
  fakes::fixed_clock clock;
  silent_log log;
  recording_remote remote;
  std::unique_ptr<server::router> router;

private:
  std::uint64_t last_session_ = 0;
};

}  // namespace comity::server
