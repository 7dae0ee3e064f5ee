// connection/negotiation/stream_header.hpp: checking a peer's stream header and writing ours (RFC 6120 §4.7, §4.8).
// Pure.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "connection/stream_framing.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/document.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

/// A header that passed: whom it is for and who says to have sent it.
struct accepted_header {
  std::string local_domain;  // enforced `to`
  std::optional<jid> from;
};

/// Checks an initial header of a client stream, or the <open/> of RFC 7395 §3.4 in its place. The order of checks is
/// that of RFC 6120 §4.7–4.9: namespaces, version, then addresses. Whether the domain is hosted is the caller's
/// question. The error is the stream error to send.
[[nodiscard]] std::expected<accepted_header, stream_condition> check_initial_header(
    const xml::stream_header&, std::string_view content_ns, stream_framing = stream_framing::tcp);

/// Our header in answer (RFC 6120 §4.7.1–4.7.4), XML declaration included, or <open/>. On a stream between servers it
/// declares the prefix "db" (XEP-0220 §2.3).
struct response_header {
  std::string_view content_ns;
  std::string_view from;  // the domain the peer asked for where we host it, else our first one
  std::string_view to;    // the peer's `from`, "" where it gave none
  std::string_view id;
};
[[nodiscard]] std::string write(const response_header&, stream_framing = stream_framing::tcp);

/// Our header of a stream to another server (RFC 6120 §4.7, H01): both domains, no id.
struct initial_header {
  std::string_view from;
  std::string_view to;
};
[[nodiscard]] std::string write(const initial_header&);

/// A response header that passed.
struct answered_header {
  std::string id;            // "" where the peer gave none
  std::optional<jid> from;   // the domain it speaks for, where it said so
  bool has_features = true;  // false: older than 1.0, no features will come (RFC 6120 §4.7.5)
  bool dialback = false;     // it declares the namespace of dialback (XEP-0220 §2.3)
};
/// Checks the header of the server that was called. The error is the stream error to send.
[[nodiscard]] std::expected<answered_header, stream_condition> check_response_header(const xml::stream_header&);

/// An unpredictable stream id, fresh for each header (RFC 6120 §4.7.3): 132 bits.
[[nodiscard]] std::string new_stream_id();

/// <stream:error> with that condition (RFC 6120 §4.9), without the closing tag of the stream.
[[nodiscard]] std::string write_stream_error(stream_condition, std::string_view text, bool stanza_too_big,
                                             stream_framing = stream_framing::tcp, std::string_view application = {});

/// The start tag of <stream:NAME>, where the prefix is declared by nothing else (RFC 7395 §3.3.3) with its declaration.
[[nodiscard]] std::string start_of(std::string_view name, stream_framing);

/// The condition inside a <stream:error/> of the peer; undefined_condition where we know none of it.
[[nodiscard]] stream_condition condition_in(const xml::element& stream_error);
/// Why a stream failed that such an error, sent or received, ended.
[[nodiscard]] cause cause_of(stream_condition) noexcept;

inline constexpr std::string_view stream_end = "</stream:stream>";
/// The end of a stream; RFC 7395 §3.6: <close/>.
[[nodiscard]] std::string end_of_stream(stream_framing);

}  // namespace comity::connection
