// tests/connection/framed_stream.hpp: a whole stream through framer and parser, in pieces of any size.
#pragma once

#include <algorithm>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "connection/xml/document.hpp"
#include "connection/xml/framer.hpp"
#include "connection/xml/parser.hpp"

namespace comity::xml {

inline std::ostream& operator<<(std::ostream& out, frame::kind k) {
  constexpr const char* names[] = {"need_more",  "declaration",  "stream_open", "stanza",
                                   "whitespace", "stream_close", "error"};
  return out << names[static_cast<std::size_t>(k)];
}

}  // namespace comity::xml

namespace comity {

inline std::ostream& operator<<(std::ostream& out, stream_condition c) {
  return out << to_string(c);
}

inline constexpr std::string_view client_header =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.example' "
    "version='1.0'>";

struct part {
  xml::frame::kind kind;
  std::string text;
  friend bool operator==(const part&, const part&) = default;
  friend std::ostream& operator<<(std::ostream& out, const part& p) {
    return out << p.kind << " \"" << p.text.substr(0, 100) << '"';
  }
};

struct framed {
  std::vector<part> parts;  // runs of white space told in pieces are one
  std::optional<stream_condition> error;
  bool too_big = false;
  std::size_t consumed = 0;  // bytes looked at, up to the error
  bool idle = false;
  friend bool operator==(const framed&, const framed&) = default;
  friend std::ostream& operator<<(std::ostream& out, const framed& f) {
    for (const part& p : f.parts) {
      out << p << ", ";
    }
    return out << (f.error ? to_string(*f.error) : "no error") << (f.too_big ? " too big" : "") << " after "
               << f.consumed << (f.idle ? ", idle" : "");
  }
};

/// Feeds `input` in pieces of `chunk` bytes, as a connection would.
inline framed frame_all(std::string_view input, std::size_t chunk, xml::framer_limits limits = {}) {
  xml::framer framer{limits};
  framed all;
  std::string pending;
  for (std::size_t at = 0; at < input.size() && !all.error;) {
    std::string_view piece = input.substr(at, chunk);
    at += piece.size();
    while (!all.error) {
      const xml::frame f = framer.feed(piece);
      all.consumed += f.bytes;
      pending += piece.substr(0, f.bytes);
      piece.remove_prefix(f.bytes);
      if (f.what == xml::frame::kind::need_more) {
        break;
      }
      if (f.what == xml::frame::kind::error) {
        all.error = f.condition;
        all.too_big = f.too_big;
        break;
      }
      if (f.what == xml::frame::kind::whitespace && !all.parts.empty() && all.parts.back().kind == f.what) {
        all.parts.back().text += pending;
      } else {
        all.parts.push_back({f.what, pending});
      }
      pending.clear();
    }
  }
  all.idle = framer.idle();
  return all;
}

/// What a stream answers to `input`: the error of the framer or of the parser, whichever comes first, nothing when all
/// of it is accepted. Stanzas accepted are added to `stanzas`.
inline std::optional<stream_condition> judged(std::string_view input, std::size_t chunk,
                                              std::vector<xml::document>* stanzas = nullptr,
                                              xml::framer_limits limits = {}) {
  const framed f = frame_all(input, chunk, limits);
  xml::parser parser;
  xml::stream_context context{.content_ns = "jabber:client", .namespaces = {}};
  std::string declaration;
  for (const part& p : f.parts) {
    if (p.kind == xml::frame::kind::declaration) {
      declaration = p.text;
    } else if (p.kind == xml::frame::kind::stream_open) {
      const auto header = parser.header(declaration + p.text);
      if (!header) {
        return header.error();
      }
      context = xml::context_of(*header);
    } else if (p.kind == xml::frame::kind::stanza) {
      xml::document d;
      const auto parsed = parser.element(p.text, context, d);
      if (!parsed) {
        return parsed.error();
      }
      if (stanzas != nullptr) {
        stanzas->push_back(std::move(d));
      }
    }
  }
  return f.error;
}

/// judged() behind an ordinary client's header, whole and split at every byte; the two must agree.
inline std::optional<stream_condition> judged_in_stream(std::string_view content) {
  const std::string input = std::string{client_header}.append(content);
  const auto whole = judged(input, input.size());
  const auto split = judged(input, 1);
  return whole == split ? whole : std::optional{stream_condition::internal_server_error};
}

}  // namespace comity
