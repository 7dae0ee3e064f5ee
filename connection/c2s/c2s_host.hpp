// connection/c2s/c2s_host.hpp: what client streams need of the server around them, and the settings they run by.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "connection/jid.hpp"
#include "connection/negotiation/client_state.hpp"
#include "connection/negotiation/stream_feature.hpp"
#include "connection/negotiation/stream_management.hpp"
#include "connection/session_ref.hpp"
#include "connection/stanza.hpp"
#include "connection/xml/framer.hpp"

namespace comity::connection {

/// Implemented by the server; outlives every stream. Called on the stream's loop. Answers may come on any thread, or
/// before the call returns, or never (the stream's deadline covers it).
class c2s_host {
public:
  virtual ~c2s_host() = default;
  [[nodiscard]] virtual bool hosts(std::string_view domain) const = 0;
  /// `from` of our header where the client named no host of ours.
  [[nodiscard]] virtual std::string default_domain() const = 0;
  /// The loop of the user's account, where nothing that is said between the two crosses threads: a stream moves there
  /// once it is known whose it is. nullptr: it is as good where it is.
  [[nodiscard]] virtual class loop_connections* home(const jid& user) = 0;
  virtual void ask(find_keys, std::move_only_function<void(keys_answer)>) = 0;
  virtual void ask(check_password, std::move_only_function<void(password_answer)>) = 0;
  virtual void bind(session_ref, bind_resource, std::move_only_function<void(bind_answer)>) = 0;
  /// A stanza of a bound session, `from` set to its full JID.
  virtual void received(session_ref, stanza_ref) = 0;
  /// The stream of a bound session has ended; `broken`: without being closed, so that a session which may be resumed is
  /// kept (XEP-0198 §5).
  virtual void unbind(session_ref, const jid& full, bool broken) = 0;

  // --- stream management (XEP-0198) ----------------------------------------------------------------------------------

  virtual void resume(session_ref, resume_session, std::move_only_function<void(resume_answer)>) = 0;
  /// The answer has reached the client: what it has not got follows.
  virtual void resumed(session_ref, const jid& full) = 0;
  virtual void enable(session_ref, const jid& full, management::enable) = 0;
  /// How many stanzas of the session have been handled? In order with received().
  virtual void acknowledge(session_ref, const jid& full) = 0;
  /// The client has handled so many.
  virtual void acknowledged(session_ref, const jid& full, std::uint32_t handled) = 0;
  /// A stanza of a managed session that the stream has seen to itself; `reply`, or nullptr, is to be sent.
  virtual void answered(session_ref, const jid& full, stanza_ref reply) = 0;

  /// Whether the user looks at the client (XEP-0352); a bound session begins `active`. In order with received().
  virtual void indicated(session_ref, const jid& full, client_state) = 0;
};

/// One immutable set; a stream keeps the one it began with.
struct c2s_settings {
  xml::framer_limits before_authentication;
  xml::framer_limits after_authentication;
  std::chrono::milliseconds tls_timeout{};        // from accept or <proceed/> to a finished handshake
  std::chrono::milliseconds handshake_timeout{};  // from accept to an authenticated stream; then again until bound
  std::chrono::milliseconds linger_time{5000};    // after our last byte, for the client to close (RFC 6120 §4.4)
  std::size_t send_queue_bytes = 0;
  std::uint64_t bytes_per_second = 0;  // of what one peer sends; 0: as much as comes (L09)
};

}  // namespace comity::connection
