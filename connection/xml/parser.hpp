// connection/xml/parser.hpp: validates one complete part of a stream and builds its document (expat inside).
//
// One parser serves a whole loop: it is held inside a synthetic stream root and is given one complete element at a
// time, found by `framer`, from any connection whose stream header declares the usual namespaces. After each element it
// must stand at depth 1 with every byte consumed, else the element is refused and the expat parser inside is thrown
// away. It is also renewed after a bounded number of input bytes, since expat never frees the names it has seen
// (THREATS A15). Plain elements and headers, which most are, are read without expat (plain_element.hpp). Belongs to one
// loop; not thread-safe.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/errors.hpp"
#include "connection/xml/document.hpp"

namespace comity::xml {

inline constexpr std::string_view ns_xml = "http://www.w3.org/XML/1998/namespace";
inline constexpr std::string_view ns_streams = "http://etherx.jabber.org/streams";
inline constexpr std::string_view ns_client = "jabber:client";
inline constexpr std::string_view ns_server = "jabber:server";

/// A stream header (RFC 6120 §4.7), or the `<open/>` of RFC 7395. Texts as sent, nothing enforced.
struct stream_header {
  std::string name;        // "stream"
  std::string ns;          // namespace of the root element
  std::string content_ns;  // the default namespace in force inside the root
  std::string to, from, id, version, lang;
  bool has_to = false, has_from = false, has_version = false;
  /// Namespace declarations of the root, as (prefix, uri); the default one has an empty prefix.
  std::vector<std::pair<std::string, std::string>> namespaces;
  friend bool operator==(const stream_header&, const stream_header&) = default;
};

/// The root a stanza is parsed inside: what its stream header declared. Nearly all streams declare the usual two
/// namespaces and share one root a loop; a stream that declares other prefixes has one of its own.
struct stream_context {
  std::string content_ns;
  /// Declared prefixes, but for the default one and for "stream" where it stands for the streams namespace.
  std::vector<std::pair<std::string, std::string>> namespaces;
  /// "stream" stands for the streams namespace.
  bool binds_stream = true;
  [[nodiscard]] bool common() const noexcept { return namespaces.empty() && binds_stream; }
  /// Nothing is declared around it: each element is a document of its own (RFC 7395 §3.3.3).
  [[nodiscard]] bool bare() const noexcept { return content_ns.empty() && namespaces.empty() && !binds_stream; }
};

/// The context that a header sets up for what comes behind it.
[[nodiscard]] stream_context context_of(const stream_header&);

class parser {
public:
  parser();
  ~parser();
  parser(parser&&) noexcept;
  parser& operator=(parser&&) noexcept;

  /// Parses a stream header's start tag, with or without an XML declaration before it. The error is the stream error to
  /// send: not_well_formed, bad_namespace_prefix, unsupported_encoding, restricted_xml.
  [[nodiscard]] std::expected<stream_header, stream_condition> header(std::string_view bytes);
  /// The same, by expat alone: what the reading of plain headers is held against.
  [[nodiscard]] std::expected<stream_header, stream_condition> header_by_expat(std::string_view bytes);

  /// Parses one complete element, as the framer found it, into `out` (cleared first).
  [[nodiscard]] std::expected<void, stream_condition> element(std::string_view bytes, const stream_context& context,
                                                              document& out);
  /// The same, by expat alone: what the reading of plain elements is held against.
  [[nodiscard]] std::expected<void, stream_condition> element_by_expat(std::string_view bytes,
                                                                       const stream_context& context, document& out);

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::xml
