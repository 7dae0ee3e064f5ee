// connection/negotiation/stanza_addressing.hpp: who may say what on a stream between servers (RFC 6120 §8.1.1.2,
// §8.1.2.2). Pure.
#pragma once

#include <variant>

#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "connection/negotiation/domain_flow.hpp"
#include "connection/xml/document.hpp"

namespace comity::connection {

struct addressed {
  jid from;
  jid to;
};
/// A `to` whose domain is right, and whose local or resource part is none: the sender is told, the stream goes on.
struct malformed_to {
  jid from;
};
/// A `from` of that kind: there is nobody to tell, and one user's odd name must not cost the others their stream.
struct malformed_from {};

using stanza_addressing = std::variant<addressed, malformed_to, malformed_from, stream_condition>;

/// Judges the addresses of a stanza against the flows towards us. A stream_condition ends the stream with that error:
/// improper_addressing (H04), invalid_from (H05), host_unknown (H06), not_authorized where no flow is authorised at all
/// (H07).
[[nodiscard]] stanza_addressing judge_addresses(const xml::element& stanza, const domain_flows& flows);

/// Is it a message, presence or iq in that content namespace?
[[nodiscard]] bool is_stanza(const xml::element&, std::string_view content_ns) noexcept;

}  // namespace comity::connection
