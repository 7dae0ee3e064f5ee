// connection/negotiation/events.hpp: what happens to a stream under negotiation, and what its machine wants done.
//
// Plain values, shared by the machine of the receiving entity (negotiator) and that of the initiating one (initiator).
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "connection/negotiation/stream_feature.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

namespace event {
struct header {
  xml::stream_header stream;
};
struct element {
  xml::element root;  // lives for the call
};
struct peer_closed {};  // </stream:stream>
struct broken {         // what came is no XML stream, or over a limit
  stream_condition condition = stream_condition::not_well_formed;
  bool too_big = false;
};
struct tls_done {
  channel_bindings bindings;
};
struct tls_failed {
  connection::cause cause = cause::tls_alert;
  std::string text;
};
/// Receiving: bytes that are no TLS stood where the ClientHello was due, before <proceed/> went out. Initiating: bytes
/// stood behind <proceed/>, where the peer has nothing to say before our ClientHello.
struct tls_refused {};
struct answered {
  connection::answer answer;
};
struct timed_out {};
struct dismissed {  // we end it: shutdown, an operator, a conflict, or nothing more to do
  std::optional<stream_condition> condition = stream_condition::undefined_condition;  // nullopt: no stream error
  connection::cause cause = cause::shutdown;
  std::string text;
  std::string application = {};  // as of step::end
};
struct gone {               // the transport ended without a closing tag
  std::string tls_failure;  // what TLS found wrong, where that ended it
};

// --- initiating entity only ------------------------------------------------------------------------------------------

struct judged {  // the answer to action::judge; never `needs_posh`
  trust::verdict verdict;
};
struct chosen {};    // of the streams under way to the peer, this one is to authenticate
struct wants_flow {  // stanzas of one more pair of domains are to go this way (XEP-0220 §2.6)
  domain_flow flow;
  proof by = proof::none;  // what proves the peer to be its target; none: what proved the first
};
struct verify {  // ask this peer, as the authoritative server of the flow's sender, about a key (XEP-0220 §2.1.2)
  verify_key key;
};
}  // namespace event

namespace action {
struct send {
  std::string bytes;
};
/// RFC 6120 §5.4.3: `proceed` goes out in clear, and the next byte each way is TLS. Where bytes that are no TLS have
/// come already, nothing of it happens: the driver says event::tls_refused instead (THREATS B1). The initiating entity
/// has nothing to send, and says tls_refused where any byte has come behind <proceed/> (THREATS B2).
struct start_tls {
  std::string proceed;
};
struct restart_stream {};  // RFC 6120 §4.3.3: parser, unread bytes and offers are dropped; a header comes next
struct ask {
  connection::question question;
};
struct refused {  // authentication was refused; the stream goes on
  connection::cause cause = cause::auth_rejected;
  std::string what;
  std::string user;
  bool guess = false;  // what proves them was judged, and is wrong (THREATS C8)
};
struct authenticated {
  jid user;
  mechanism by = mechanism::unknown;
};
struct established {
  jid full;
  bool resumed = false;  // with what the session had
};
/// The last action: flush what was sent, then close. `phase` is where the negotiation stood.
struct finish {
  connection::cause cause = cause::internal;
  connection::phase phase = phase::stream;
  std::optional<stream_condition> sent;      // the stream error we sent
  std::optional<stream_condition> received;  // the one the peer sent
  std::string text;                          // for the log
  bool abrupt = false;                       // nothing more can be said: close the transport at once
};

// --- streams between servers -----------------------------------------------------------------------------------------

/// From now on stanzas may go from the flow's sender to its target. On a receiving stream that is towards us, and with
/// facts().bidi the other way as well; on an initiating one it is away from us, and with facts().bidi towards us too.
struct flow_authorised {
  domain_flow flow;
  proof by = proof::none;  // of the peer
  authorised_by how = authorised_by::external;
};
/// The element just fed is a stanza of an authorised flow, with these addresses: the driver makes it, and hands it on,
/// or, with `refusal`, sends that stanza error to its sender.
struct received {
  jid from;
  jid to;
  std::optional<stanza_condition> refusal;
};
struct ignored {  // unsolicited and without consequence (THREATS D1); for the log
  std::string what;
};

// --- initiating entity only ------------------------------------------------------------------------------------------

struct judge {};     // the peer's certificate is known: decide what it proves and say event::judged
struct verified {};  // header and features of a proven peer are in: event::chosen and event::verify are welcome
/// The flow will not be authorised on this stream (J08), which ends where it was the first. `bounce` is what senders of
/// its stanzas are to be told, if nothing else is tried.
struct flow_refused {
  domain_flow flow;
  connection::cause cause = cause::auth_rejected;
  stanza_condition bounce = stanza_condition::remote_server_timeout;
  std::string text;
};
struct key_verified {  // the answer to event::verify
  key_verdict answer;
};
}  // namespace action

}  // namespace comity::connection
