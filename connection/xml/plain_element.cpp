#include "connection/xml/plain_element.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "connection/utf8.hpp"
#include "connection/xml/parser.hpp"

namespace comity::xml {

namespace {

constexpr std::size_t depth_limit = 16;
constexpr std::size_t attribute_limit = 16;
// Of namespaces written out at every element (THREATS A13): far below what expat's side allows any stanza.
constexpr std::size_t expansion_limit = 64U * 1024U;

// What a byte may be.
constexpr std::uint8_t name_start = 1;
constexpr std::uint8_t name_part = 2;
constexpr std::uint8_t in_text = 4;   // but '>', which "]]>" ends with
constexpr std::uint8_t in_value = 8;  // quotes included
constexpr std::uint8_t space = 16;    // but CR, which would be read as LF
constexpr std::uint8_t beyond_ascii = 32;
constexpr auto classes = [] {
  std::array<std::uint8_t, 256> table{};
  for (unsigned c = 0x20; c < 0x80; ++c) {
    table.at(c) = in_text | in_value;
  }
  for (unsigned c = 0x80; c < 0x100; ++c) {
    table.at(c) = beyond_ascii;
  }
  for (unsigned c = 'a'; c <= 'z'; ++c) {
    table.at(c) |= name_start | name_part;
    table.at(c - 'a' + 'A') |= name_start | name_part;
  }
  for (unsigned c = '0'; c <= '9'; ++c) {
    table.at(c) |= name_part;
  }
  table.at('_') |= name_start | name_part;
  table.at('-') |= name_part;
  table.at('.') |= name_part;
  table.at('\t') = in_text | space;  // in a value it would be read as a space
  table.at('\n') = in_text | space;
  table.at(' ') |= space;
  table.at('<') = 0;
  table.at('&') = 0;
  table.at('>') = in_value;
  return table;
}();

struct reference {
  std::string_view written;
  std::string_view meant;
};
constexpr std::array<reference, 5> references{
    {{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&quot;", "\""}, {"&apos;", "'"}}};

constexpr std::array<std::string_view, 4> declarations{"<?xml version='1.0'?>", "<?xml version=\"1.0\"?>",
                                                       "<?xml version='1.0' encoding='UTF-8'?>",
                                                       "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"};

/// What must not be declared, and what takes a declaration away, is not for here.
bool may_be_declared(std::string_view ns) noexcept {
  return !ns.empty() && !ns.starts_with("http://www.w3.org/");
}

struct attribute {
  std::string_view name;  // as written
  std::string_view value;
};

/// What tags are made of.
class tag_reader {
public:
  explicit tag_reader(std::string_view bytes) noexcept
      : all_{bytes}, at_{bytes.data()}, end_{bytes.data() + bytes.size()} {}

  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }

  [[nodiscard]] bool is(char c) const noexcept { return at_ != end_ && *at_ == c; }
  [[nodiscard]] bool is_of(unsigned mask) const noexcept {
    return at_ != end_ && (classes[static_cast<unsigned char>(*at_)] & mask) != 0;
  }
  [[nodiscard]] bool take(char c) noexcept {
    const bool there = is(c);
    at_ += there ? 1 : 0;
    return there;
  }
  [[nodiscard]] bool take(std::string_view s) noexcept {
    const bool there = std::string_view{at_, end_}.starts_with(s);
    at_ += there ? s.size() : 0;
    return there;
  }
  bool skip_space() noexcept {
    const auto* const from = at_;
    while (is_of(space)) {
      ++at_;
    }
    return at_ != from;
  }

  /// The run of bytes that are of `mask`, or of characters beyond ASCII.
  std::string_view run(unsigned mask) {
    const auto* const from = at_;
    while (is_of(mask) || (is_of(beyond_ascii) && characters())) {
      ++at_;
    }
    return {from, at_};
  }
  /// The three bytes before this one, which there must be: a tag, at least.
  [[nodiscard]] std::string_view last_three() const noexcept { return {at_ - 3, 3}; }

  /// "" where none stands here.
  [[nodiscard]] std::string_view name() noexcept {
    const auto* const from = at_;
    if (is_of(name_start)) {
      do {
        ++at_;
      } while (is_of(name_part));
    }
    return {from, at_};
  }

  /// All up to the end of the tag, no two of one name. False where there are too many, or one is not plain.
  [[nodiscard]] bool read_attributes() {
    bool spaced = skip_space();
    for (count_ = 0; !is('>') && !is('/'); ++count_) {
      if (!spaced || count_ == attribute_limit || !read_attribute(attributes_[count_]) ||
          std::ranges::find(attributes(), attributes_[count_].name, &attribute::name) != attributes().end()) {
        return false;
      }
      spaced = skip_space();
    }
    return true;
  }
  [[nodiscard]] std::span<const attribute> attributes() const noexcept { return std::span{attributes_}.first(count_); }

private:
  [[nodiscard]] bool read_attribute(attribute& into) {
    const auto* const from = at_;
    if (name().empty() || (take(':') && name().empty())) {
      return false;
    }
    into.name = {from, at_};
    const char quote = take("='") ? '\'' : '"';
    if (quote == '"' && !take("=\"")) {
      return false;
    }
    const auto* const begin = at_;
    while (!is(quote) && (is_of(in_value) || (is_of(beyond_ascii) && characters()))) {
      ++at_;
    }
    into.value = {begin, at_};
    return take(quote);
  }

  /// Whether all that is beyond ASCII are characters of XML (XML 1.0 §2.2). Asked once, of everything.
  [[nodiscard]] bool characters() {
    if (!judged_) {
      judged_ = true;
      characters_ = judge_utf8(all_) == utf8::valid && !all_.contains("\xef\xbf\xbe") && !all_.contains("\xef\xbf\xbf");
    }
    return characters_;
  }

  std::string_view all_;
  const char* at_;
  const char* end_;
  std::array<attribute, attribute_limit> attributes_;
  std::size_t count_ = 0;
  bool judged_ = false;
  bool characters_ = false;
};

class element_reader : private tag_reader {
public:
  element_reader(std::string_view bytes, std::string_view content_ns, document& out) noexcept
      : tag_reader{bytes}, content_ns_{content_ns}, out_{out} {}

  [[nodiscard]] bool read() {
    do {
      if (!take('<') || !(take('/') ? end_tag() : start_tag())) {
        return false;
      }
    } while (depth_ > 0 && text());
    return depth_ == 0 && at_end();
  }

private:
  struct level {
    std::string_view name;
    std::string_view ns;  // the default one inside
  };

  [[nodiscard]] bool start_tag() {
    const auto element = name();
    if (element.empty() || !read_attributes()) {
      return false;
    }
    auto ns = depth_ == 0 ? content_ns_ : levels_[depth_ - 1].ns;
    for (const auto& a : attributes()) {
      if (a.name == "xmlns") {
        ns = a.value;
        if (!may_be_declared(ns)) {
          return false;
        }
      } else if (a.name.contains(':') && a.name != "xml:lang") {
        return false;
      }
    }
    expansion_ += ns.size();
    const bool empty = take('/');
    if (!take('>') || depth_ == depth_limit || expansion_ > expansion_limit) {
      return false;
    }
    out_.open(ns, element);
    for (const auto& a : attributes()) {
      if (a.name == "xml:lang") {
        out_.attribute(ns_xml, "lang", a.value);
      } else if (a.name != "xmlns") {
        out_.attribute({}, a.name, a.value);
      }
    }
    if (empty) {
      out_.close();
    } else {
      levels_[depth_++] = {.name = element, .ns = ns};
    }
    return true;
  }

  [[nodiscard]] bool end_tag() {
    if (depth_ == 0 || name() != levels_[depth_ - 1].name) {
      return false;
    }
    skip_space();
    --depth_;
    out_.close();
    return take('>');
  }

  /// Up to the next tag.
  [[nodiscard]] bool text() {
    while (!is('<')) {
      if (const auto plain = run(in_text); !plain.empty()) {
        out_.text(plain);
      } else if (take('>')) {
        if (last_three() == "]]>") {  // XML 1.0 §2.4
          return false;
        }
        out_.text(">");
      } else {
        const auto* const meant = std::ranges::find_if(references, [this](const auto& r) { return take(r.written); });
        if (meant == references.end()) {
          return false;
        }
        out_.text(meant->meant);
      }
    }
    return true;
  }

  std::string_view content_ns_;
  document& out_;
  std::array<level, depth_limit> levels_;
  std::size_t depth_ = 0;
  std::size_t expansion_ = 0;
};

/// Whether the attribute is one that a plain header may have, and what it says there.
bool take_header_attribute(const attribute& a, stream_header& h) {
  static constexpr std::string_view declaration = "xmlns:";
  const auto says = [&a](std::string& text, bool& has) {
    text = a.value;
    has = true;
    return true;
  };
  if (a.name == "xmlns") {
    h.content_ns = a.value;
    h.namespaces.emplace_back(std::string_view{}, a.value);
    return may_be_declared(a.value);
  }
  if (a.name.starts_with(declaration)) {
    const auto prefix = a.name.substr(declaration.size());
    h.namespaces.emplace_back(prefix, a.value);
    return !prefix.starts_with("xml") && may_be_declared(a.value);
  }
  if (a.name == "to") {
    return says(h.to, h.has_to);
  }
  if (a.name == "from") {
    return says(h.from, h.has_from);
  }
  if (a.name == "version") {
    return says(h.version, h.has_version);
  }
  if (a.name == "id") {
    h.id = a.value;
  } else if (a.name == "xml:lang") {
    h.lang = a.value;
  }
  return a.name == "xml:lang" || !a.name.contains(':');
}

}  // namespace

bool read_plain_element(std::string_view bytes, std::string_view content_ns, document& out) {
  return element_reader{bytes, content_ns, out}.read();
}

bool read_plain_header(std::string_view bytes, stream_header& out) {
  tag_reader r{bytes};
  if (std::ranges::any_of(declarations, [&r](std::string_view d) { return r.take(d); })) {
    r.skip_space();
  }
  if (!r.take("<stream:stream") || !r.read_attributes() || !r.take('>') || !r.at_end() ||
      !std::ranges::all_of(r.attributes(), [&out](const auto& a) { return take_header_attribute(a, out); })) {
    return false;
  }
  out.name = "stream";
  out.ns = ns_streams;
  return std::ranges::find(out.namespaces, std::pair{std::string{"stream"}, std::string{ns_streams}}) !=
         out.namespaces.end();
}

}  // namespace comity::xml
