// connection/xml/framer.hpp: finds where the parts of an XML stream begin and end (RFC 6120 §4), before any parser
// runs.
//
// A byte state machine: linear, no allocation, a few dozen bytes of state, fed in pieces of any size and never looking
// at a byte twice. It keeps no bytes: the caller owns the buffer and is told offsets. It enforces size, depth, element
// and attribute limits while bytes come in, so nothing over a limit is ever buffered or parsed (THREATS A10–A14), and
// it refuses DTDs, comments and processing instructions at their first bytes (RFC 6120 §11.1, THREATS A1, A2). It is no
// validator: what it passes must still be accepted by `parser`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "connection/errors.hpp"

namespace comity::xml {

struct framer_limits {
  std::size_t stanza_bytes = 256U * 1024U;  // one element from < to >, or a run of white space between stanzas
  std::uint32_t depth = 64;                 // levels, the stanza itself being level 1
  std::uint32_t elements = 5000;            // elements in one stanza, itself included
  std::uint32_t attributes = 256;           // attributes of one element, namespace declarations included
  std::uint32_t namespaces = 64;            // namespace declarations of one element
  std::uint32_t namespace_bytes = 1024;     // the name that one of them declares, as written
};

/// What the framer found. `bytes` is always how much of the fed input belongs to what is told.
struct frame {
  enum class kind : std::uint8_t {
    need_more,     // all input looked at; keep it and feed what comes next (only the new bytes)
    declaration,   // an XML declaration, complete (only before the stream header)
    stream_open,   // the stream header's start tag, complete
    stanza,        // one complete top-level element
    whitespace,    // white space between stanzas (keep-alive); may be dropped
    stream_close,  // </stream:stream>, complete
    error,         // `condition` says which stream error (RFC 6120 §4.9.3); the framer must not be fed again
  };
  kind what = kind::need_more;
  std::size_t bytes = 0;  // input bytes consumed by this call, counted from its start
  stream_condition condition = stream_condition::undefined_condition;
  bool too_big = false;  // with policy_violation: add <stanza-too-big xmlns='urn:xmpp:errors'/>
};

class framer {
public:
  explicit framer(framer_limits limits) noexcept : limits_{limits}, part_limits_{limits} {}

  /// Looks at `input`, which follows what was fed before, up to the end of the first complete part. Call again with the
  /// rest until it says need_more.
  [[nodiscard]] frame feed(std::string_view input) noexcept;

  /// True between parts: nothing unfinished is pending (so the caller's buffer may be released).
  [[nodiscard]] bool idle() const noexcept;
  /// True once the stream header's start tag has been seen.
  [[nodiscard]] bool opened() const noexcept { return opened_; }

  /// New limits apply from the next part on (before and after authentication).
  void limits(framer_limits l) noexcept { limits_ = l; }
  /// A stream restart (RFC 6120 §4.3.3): as newly made, with the same limits.
  void restart() noexcept { *this = framer{limits_}; }
  /// What comes next is a document of its own (RFC 7395 §3.3.3): an XML declaration, if any, then one element, which is
  /// told as a stanza. The limits are those that are set now.
  void begin_document() noexcept;
  [[nodiscard]] const framer_limits& limits() const noexcept { return limits_; }

private:
  enum class state : std::uint8_t;

  // Each looks at the bytes from `at` to `end` and returns where it stopped: behind the last byte it took.
  const char* between_parts(const char* at, const char* end) noexcept;
  const char* inside_part(const char* at, const char* end) noexcept;
  const char* in_start_tag(const char* at, const char* end) noexcept;
  const char* step_in_start_tag(const char* at, const char* end) noexcept;
  const char* in_cdata(const char* at, const char* end) noexcept;
  void begin_markup() noexcept;
  bool opens_declaration(char) noexcept;
  void open_element() noexcept;
  void open_attribute() noexcept;
  void count_namespace() noexcept;
  void end_of_start_tag(bool self_closing) noexcept;
  void end_of_end_tag() noexcept;
  void refuse(stream_condition, bool too_big = false) noexcept;

  framer_limits limits_;         // for the next part
  framer_limits part_limits_;    // for the one that is coming in
  std::size_t size_ = 0;         // bytes of the part so far, or of white space in a row
  std::uint64_t root_name_ = 0;  // hash of the stream header's name, which its end tag must repeat
  std::uint64_t tag_name_ = 0;   // of the tag at stream level that is coming in
  std::uint32_t depth_ = 0;      // open elements of the stanza
  std::uint32_t elements_ = 0;
  std::uint32_t attributes_ = 0;
  std::uint32_t namespaces_ = 0;
  std::uint32_t value_ = 0;  // bytes of the value of a namespace declaration
  state state_{};
  std::uint8_t token_ = 0;  // how much of a fixed text ("<?xml", "[CDATA[", "xmlns") has matched
  frame::kind complete_ = frame::kind::need_more;
  stream_condition condition_ = stream_condition::undefined_condition;
  bool too_big_ = false;
  bool declares_namespace_ = false;  // the attribute that is coming in
  bool opened_ = false;
  bool declared_ = false;  // an XML declaration has been seen
  bool document_ = false;  // begin_document() was called: there is no header
};

}  // namespace comity::xml
