// tests/bench/load/client.hpp: one simulated client, from connect() to a bound session, and what it gets then.
//
// It reads no XML: it looks for the few words of each step, so that it costs the generator little. Against the floor,
// which speaks none, it stands ready as soon as TLS does. Owned by the scenario; lives on the poller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "bench/load/scram_client.hpp"
#include "bench/wire/poller.hpp"
#include "bench/wire/tls_socket.hpp"

struct ssl_session_st;

namespace comity::bench {

enum class mechanism { scram, plain };

/// Where a client goes, and what it says there.
struct target {
  std::string host = "127.0.0.1";
  std::uint16_t port = 5223;
  std::string domain = "bench.test";
  std::string password = "bench";
  mechanism login = mechanism::scram;
  bool floor = false;               // no XMPP there
  std::size_t sessions_a_user = 1;  // u0 has one in any case
  int send_buffer = 0;              // bytes that the kernel holds for a client until the server reads; 0: as it likes
};

/// Nobody listens there.
struct connection_refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class client final : public pollable {
public:
  enum class stage {
    connecting,
    handshake,
    opening,    // the first stream's features are awaited
    challenge,  // SCRAM: the server's challenge
    proof,      // the outcome of authentication
    reopening,  // the second stream's features
    binding,
    online,
    failed,
  };
  struct events {
    std::function<void(client&)> secured = {};              // TLS stands; the client goes on by itself
    std::function<void(client&)> online = {};               // bound, or on the floor ready
    std::function<void(client&, std::string&)> bytes = {};  // once online: what has come; takes off what it has used
    std::function<void(client&)> ended = {};                // failed, or thrown out; not after close()
  };
  /// Connects from an address of 127.0.0.0/8 of its own; throws connection_refused where that is known at once.
  /// `session` may be nullptr. All references outlive it.
  client(poller&, ssl_ctx_st* context, const target&, std::size_t number, const events&,
         ssl_session_st* session = nullptr);
  ~client() override;

  void ready(bool readable, bool writable) override;

  void send(std::string_view bytes);
  /// Gathers what is sent until uncork(), which writes it in one go.
  void cork() { corked_ = true; }
  void uncork();
  /// Ends in order: our closing tag where there is a stream, close_notify, FIN. Nothing is called any more.
  void close();

  [[nodiscard]] stage at() const noexcept { return stage_; }
  [[nodiscard]] std::size_t number() const noexcept { return number_; }
  [[nodiscard]] const std::string& jid() const noexcept { return jid_; }
  [[nodiscard]] ssl_st* ssl() const noexcept { return tls_.ssl(); }
  /// Whether bytes wait for the connection to take them.
  [[nodiscard]] bool waits() const noexcept { return tls_.wants_write(); }
  /// Where it was when it failed; `connecting`: nobody listened.
  [[nodiscard]] stage failed_at() const noexcept { return failed_at_; }
  /// Why it failed.
  [[nodiscard]] const std::string& why() const noexcept { return why_; }
  [[nodiscard]] std::string user() const {
    return "u" + std::to_string((number_ + target_.sessions_a_user - 1) / target_.sessions_a_user);
  }

private:
  static int connect_from(const target&, std::size_t number);
  void fail(std::string why);
  void take_steps();
  void open_stream();
  void authenticate();
  void want();
  /// The bytes up to and with `word`, taken off what has come; nullopt while it is not there.
  std::optional<std::string> until(std::string_view word);

  poller& poller_;
  const target& target_;
  std::size_t number_;
  const events& events_;
  tls_socket tls_;
  stage stage_ = stage::connecting;
  stage failed_at_ = stage::connecting;
  bool registered_ = true;
  bool waits_ = true;  // for writability
  bool corked_ = false;
  std::string incoming_, outgoing_, jid_, why_;
  std::unique_ptr<scram_client> scram_;
};

}  // namespace comity::bench
