#include "connection/xml/framer.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace comity::xml {

// Between parts: `between`, and `closed` behind the end of the stream. All others are inside a part.
enum class framer::state : std::uint8_t {
  between,
  closed,
  failed,
  markup,            // behind '<'
  question,          // behind "<?": must go on "xml" and white space
  declaration,       // inside the XML declaration
  declaration_mark,  // behind '?' in it
  exclamation,       // behind "<!"
  cdata_open,        // inside "[CDATA["
  cdata,
  cdata_bracket,   // behind ']'
  cdata_brackets,  // behind "]]"
  text,
  tag_name,
  in_tag,  // white space inside a start tag, behind which an attribute may begin
  attribute_name,
  behind_attribute_name,
  before_value,
  double_quoted,
  single_quoted,
  behind_value,
  slash,  // behind '/' in a start tag
  end_tag_name,
  behind_end_tag_name,
};

namespace {

enum class byte_class : std::uint8_t { name, space, right, slash, equals, quote, bad };

constexpr auto classes = [] {
  std::array<byte_class, 256> table{};  // what is not said below may stand in a name, as far as framing goes
  for (std::size_t i = 0; i < 0x20; ++i) {
    table.at(i) = byte_class::bad;
  }
  for (const char c : {' ', '\t', '\r', '\n'}) {
    table.at(static_cast<unsigned char>(c)) = byte_class::space;
  }
  table.at('>') = byte_class::right;
  table.at('/') = byte_class::slash;
  table.at('=') = byte_class::equals;
  table.at('"') = byte_class::quote;
  table.at('\'') = byte_class::quote;
  table.at('<') = byte_class::bad;
  table.at('&') = byte_class::bad;
  return table;
}();

byte_class class_of(char c) noexcept {
  return classes[static_cast<unsigned char>(c)];
}

bool starts_name(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

// The first `wanted` in the range, or its end.
const char* find(const char* at, const char* end, char wanted) noexcept {
  const void* const found = std::memchr(at, wanted, static_cast<std::size_t>(end - at));
  return found == nullptr ? end : static_cast<const char*>(found);
}

// FNV-1a, enough to tell one tag from another: who finds a collision can only end its own stream by it.
constexpr std::uint64_t name_hash_seed = 0xcbf29ce484222325U;
std::uint64_t hash_on(std::uint64_t hash, const char* at, const char* end) noexcept {
  for (; at != end; ++at) {
    hash = (hash ^ static_cast<unsigned char>(*at)) * 0x100000001b3U;
  }
  return hash;
}

constexpr std::string_view declaration_start = "xml";
constexpr std::string_view cdata_start = "[CDATA[";
constexpr std::string_view xmlns = "xmlns";
constexpr std::uint8_t no_match = 0xff;

}  // namespace

bool framer::idle() const noexcept {
  return state_ == state::between || state_ == state::closed;
}

void framer::begin_document() noexcept {
  restart();
  opened_ = true;  // by nothing, so that no end tag and no element can have the name of a header
  document_ = true;
}

void framer::refuse(stream_condition condition, bool too_big) noexcept {
  state_ = state::failed;
  condition_ = condition;
  too_big_ = too_big;
}

frame framer::feed(std::string_view input) noexcept {
  const char* const begin = input.data();
  const char* at = begin;
  const char* const end = begin + input.size();
  complete_ = frame::kind::need_more;

  if (idle() && at != end) {
    at = between_parts(at, end);
  }
  if (complete_ == frame::kind::need_more && !idle() && state_ != state::failed) {
    // THREATS A10: no byte over the limit is ever looked at, and a part that fills the limit unfinished is refused
    // there, not at its end tag. RFC 6120 §13.12: policy-violation.
    const std::size_t room = part_limits_.stanza_bytes - std::min(size_, part_limits_.stanza_bytes);
    const char* const last = at + std::min(room, static_cast<std::size_t>(end - at));
    const char* const from = at;
    while (at != last && complete_ == frame::kind::need_more && state_ != state::failed) {
      at = inside_part(at, last);
    }
    size_ += static_cast<std::size_t>(at - from);
    if (complete_ == frame::kind::need_more && state_ != state::failed && size_ >= part_limits_.stanza_bytes) {
      refuse(stream_condition::policy_violation, true);
    }
  }

  frame found{.what = complete_, .bytes = static_cast<std::size_t>(at - begin)};
  if (state_ == state::failed) {
    found.what = frame::kind::error;
    found.condition = condition_;
    found.too_big = too_big_;
  } else if (complete_ != frame::kind::need_more && complete_ != frame::kind::whitespace) {
    size_ = 0;
  }
  return found;
}

// White space between parts is told as soon as the input ends, so that nobody has to hold it; a run of it is counted
// over as many inputs as it takes.
const char* framer::between_parts(const char* at, const char* end) noexcept {
  if (class_of(*at) == byte_class::space) {
    if (size_ == 0) {
      part_limits_ = limits_;
    }
    const std::size_t room = part_limits_.stanza_bytes - std::min(size_, part_limits_.stanza_bytes);
    const char* const last = at + std::min(room, static_cast<std::size_t>(end - at));
    const char* const stop = std::find_if(at, last, [](char c) { return class_of(c) != byte_class::space; });
    size_ += static_cast<std::size_t>(stop - at);
    if (stop == at) {
      refuse(stream_condition::policy_violation, true);  // THREATS A10: the run has filled the limit already
      return stop;
    }
    complete_ = frame::kind::whitespace;
    return stop;
  }
  part_limits_ = limits_;
  size_ = 0;
  if (*at == '<') {
    if (state_ == state::closed) {
      refuse(stream_condition::not_well_formed);
      return at + 1;
    }
    begin_markup();
    return at;  // inside_part takes and counts the '<'
  }
  const auto byte = static_cast<unsigned char>(*at);
  if (!opened_ && (byte == 0xfe || byte == 0xff)) {
    refuse(stream_condition::unsupported_encoding);  // THREATS A3: the byte order mark of UTF-16
  } else if (!opened_ || state_ == state::closed || byte < 0x20 || byte >= 0xfe) {
    // Something else than XML: HTTP, TLS, a UTF-8 byte order mark (policy), or bytes no XML text may have.
    refuse(stream_condition::not_well_formed);
  } else {
    refuse(stream_condition::bad_format);  // THREATS A8: text at stream level
  }
  return at + 1;
}

void framer::begin_markup() noexcept {
  state_ = state::text;
  elements_ = 0;
  depth_ = 0;
}

void framer::open_element() noexcept {
  state_ = state::tag_name;
  attributes_ = 0;
  namespaces_ = 0;
  tag_name_ = name_hash_seed;
  if (!opened_) {
    return;
  }
  // THREATS A11, A12: counted at the first byte of the name.
  if (++elements_ > part_limits_.elements || depth_ >= part_limits_.depth) {
    refuse(stream_condition::policy_violation);
  }
}

void framer::open_attribute() noexcept {
  state_ = state::attribute_name;
  token_ = 0;
  value_ = 0;
  declares_namespace_ = false;
  // THREATS A13: expat compares every attribute with the others before anybody hears of them.
  if (++attributes_ > part_limits_.attributes) {
    refuse(stream_condition::policy_violation);
  }
}

void framer::count_namespace() noexcept {
  declares_namespace_ = true;
  if (++namespaces_ > part_limits_.namespaces) {
    refuse(stream_condition::policy_violation);
  }
}

void framer::end_of_start_tag(bool self_closing) noexcept {
  if (!opened_) {
    if (self_closing) {
      refuse(stream_condition::bad_format);  // a stream that ends where it begins
      return;
    }
    opened_ = true;
    root_name_ = tag_name_;
    state_ = state::between;
    complete_ = frame::kind::stream_open;
    return;
  }
  if (!self_closing) {
    ++depth_;
  } else if (depth_ == 0) {
    state_ = state::between;
    complete_ = frame::kind::stanza;
    return;
  }
  state_ = state::text;
}

void framer::end_of_end_tag() noexcept {
  if (depth_ == 0) {
    // The parser never sees this tag, so that it names the root is known here or nowhere.
    if (tag_name_ != root_name_) {
      refuse(stream_condition::not_well_formed);
      return;
    }
    state_ = state::closed;
    complete_ = frame::kind::stream_close;
    return;
  }
  if (--depth_ == 0) {
    state_ = state::between;
    complete_ = frame::kind::stanza;
    return;
  }
  state_ = state::text;
}

bool framer::opens_declaration(char c) noexcept {
  if (token_ < declaration_start.size()) {
    return c == declaration_start.at(token_++);
  }
  if (class_of(c) != byte_class::space) {
    return false;
  }
  declared_ = true;
  state_ = state::declaration;
  return true;
}

const char* framer::inside_part(const char* at, const char* end) noexcept {
  switch (state_) {
    case state::between:
    case state::closed:
    case state::failed:
      return at;
    case state::text: {
      at = find(at, end, '<');
      if (at != end) {
        state_ = state::markup;
        ++at;
      }
      return at;
    }
    case state::markup: {
      const char c = *at++;
      if (starts_name(c)) {
        open_element();
        return at - 1;  // the name's first byte belongs to its hash
      }
      if (c == '/' && opened_) {
        state_ = state::end_tag_name;
        token_ = 0;
        tag_name_ = name_hash_seed;
      } else if (c == '!') {
        state_ = state::exclamation;
      } else if (c == '?') {
        state_ = state::question;
        token_ = 0;
        // RFC 6120 §11.1: no processing instruction anywhere; "<?xml" is one unless it comes first (THREATS A2).
        if (declared_ || (opened_ && (!document_ || depth_ != 0))) {
          refuse(stream_condition::restricted_xml);
        }
      } else {
        refuse(stream_condition::not_well_formed);
      }
      return at;
    }
    case state::question:
      if (!opens_declaration(*at++)) {
        refuse(stream_condition::restricted_xml);
      }
      return at;
    case state::declaration:
      at = find(at, end, '?');
      if (at != end) {
        state_ = state::declaration_mark;
        ++at;
      }
      return at;
    case state::declaration_mark:
      if (*at++ == '>') {
        state_ = state::between;
        complete_ = frame::kind::declaration;
      } else {
        refuse(stream_condition::not_well_formed);
      }
      return at;
    case state::exclamation: {
      const char c = *at++;
      if (c == '-' || c == 'D') {
        refuse(stream_condition::restricted_xml);  // RFC 6120 §11.1: comments and DTDs (THREATS A1, A2)
      } else if (c == '[' && depth_ != 0) {
        state_ = state::cdata_open;
        token_ = 1;
      } else if (c == '[' && opened_) {
        refuse(stream_condition::bad_format);  // character data at stream level
      } else {
        refuse(stream_condition::not_well_formed);
      }
      return at;
    }
    case state::cdata_open:
    case state::cdata:
    case state::cdata_bracket:
    case state::cdata_brackets:
      return in_cdata(at, end);
    case state::end_tag_name: {
      const char* const from = at;
      at = std::find_if(at, end, [](char c) { return class_of(c) != byte_class::name; });
      if (depth_ == 0) {
        tag_name_ = hash_on(tag_name_, from, at);
      }
      if (at != end) {
        state_ = state::behind_end_tag_name;
      }
      return at;
    }
    case state::behind_end_tag_name: {
      const byte_class c = class_of(*at++);
      if (c == byte_class::right) {
        end_of_end_tag();
      } else if (c != byte_class::space) {
        refuse(stream_condition::not_well_formed);
      }
      return at;
    }
    default:
      return in_start_tag(at, end);
  }
}

const char* framer::in_cdata(const char* at, const char* end) noexcept {
  switch (state_) {
    case state::cdata_open:
      if (*at++ != cdata_start.at(token_++)) {
        refuse(stream_condition::not_well_formed);
      } else if (token_ == cdata_start.size()) {
        state_ = state::cdata;
      }
      return at;
    case state::cdata:
      at = find(at, end, ']');
      if (at != end) {
        state_ = state::cdata_bracket;
        ++at;
      }
      return at;
    case state::cdata_bracket:
      state_ = *at++ == ']' ? state::cdata_brackets : state::cdata;
      return at;
    default: {  // cdata_brackets: "]]]" may still end the section
      const char c = *at++;
      if (c == '>') {
        state_ = state::text;
      } else if (c != ']') {
        state_ = state::cdata;
      }
      return at;
    }
  }
}

const char* framer::in_start_tag(const char* at, const char* end) noexcept {
  do {
    at = step_in_start_tag(at, end);
  } while (at != end && state_ >= state::tag_name && state_ <= state::slash);
  return at;
}

inline const char* framer::step_in_start_tag(const char* at, const char* end) noexcept {
  switch (state_) {
    case state::tag_name: {
      const char* const from = at;
      at = std::find_if(at, end, [](char c) { return class_of(c) != byte_class::name; });
      if (depth_ == 0) {
        tag_name_ = hash_on(tag_name_, from, at);
      }
      if (at != end) {
        state_ = state::behind_value;  // a tag's name and an attribute's value may be followed by the same
        if (opened_ && depth_ == 0 && tag_name_ == root_name_) {
          // THREATS A8: a stream inside the stream. Its end tag, which would make it an element, need never come.
          refuse(stream_condition::bad_format);
        }
      }
      return at;
    }
    case state::behind_value:
    case state::in_tag:
      switch (class_of(*at)) {
        case byte_class::space:
          state_ = state::in_tag;
          break;
        case byte_class::right:
          end_of_start_tag(false);
          break;
        case byte_class::slash:
          state_ = state::slash;
          break;
        case byte_class::name:
          if (state_ == state::in_tag) {
            open_attribute();
            return at;  // the name's first byte may be an 'x'
          }
          [[fallthrough]];
        default:
          refuse(stream_condition::not_well_formed);
      }
      return at + 1;
    case state::attribute_name: {
      const char* const stop = std::find_if(at, end, [](char c) { return class_of(c) != byte_class::name; });
      for (; at != stop && token_ <= xmlns.size(); ++at) {
        const char wanted = token_ < xmlns.size() ? xmlns[token_] : ':';
        token_ = *at == wanted ? static_cast<std::uint8_t>(token_ + 1U) : no_match;
      }
      if (stop != end) {
        state_ = state::behind_attribute_name;
        if (token_ == xmlns.size() || token_ == xmlns.size() + 1) {
          count_namespace();
        }
      }
      return stop;
    }
    case state::behind_attribute_name: {
      const byte_class c = class_of(*at++);
      if (c == byte_class::equals) {
        state_ = state::before_value;
      } else if (c != byte_class::space) {
        refuse(stream_condition::not_well_formed);
      }
      return at;
    }
    case state::before_value: {
      const char c = *at++;
      if (c == '"') {
        state_ = state::double_quoted;
      } else if (c == '\'') {
        state_ = state::single_quoted;
      } else if (class_of(c) != byte_class::space) {
        refuse(stream_condition::not_well_formed);
      }
      return at;
    }
    case state::double_quoted:
    case state::single_quoted: {
      const char* const from = at;
      at = find(at, end, state_ == state::double_quoted ? '"' : '\'');
      // THREATS A13: expat writes the name out for every attribute that uses its prefix, before anybody is asked; with
      // a long one, a few kilobytes of attributes would be 50 MB and 200 ms.
      if (declares_namespace_) {
        const auto room = part_limits_.namespace_bytes - std::min(value_, part_limits_.namespace_bytes);
        if (static_cast<std::size_t>(at - from) > room) {
          refuse(stream_condition::policy_violation);
          return from + room + 1;
        }
        value_ += static_cast<std::uint32_t>(at - from);
      }
      if (at != end) {
        state_ = state::behind_value;
        ++at;
      }
      return at;
    }
    default:  // slash
      if (*at++ == '>') {
        end_of_start_tag(true);
      } else {
        refuse(stream_condition::not_well_formed);
      }
      return at;
  }
}

}  // namespace comity::xml
