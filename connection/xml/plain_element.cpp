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

class reader {
public:
  reader(std::string_view bytes, std::string_view content_ns, document& out) noexcept
      : all_{bytes}, at_{bytes.data()}, end_{bytes.data() + bytes.size()}, content_ns_{content_ns}, out_{out} {}

  [[nodiscard]] bool read() {
    do {
      if (!take('<') || !(is('/') ? end_tag() : start_tag())) {
        return false;
      }
    } while (depth_ > 0 && text());
    return depth_ == 0 && at_ == end_;
  }

private:
  struct level {
    std::string_view name;
    std::string_view ns;  // the default one inside
  };
  struct attribute {
    std::string_view name;  // as written
    std::string_view value;
  };

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

  /// Past the end of the run of bytes that are of `mask`, or of characters beyond ASCII.
  void skip(unsigned mask) {
    while (is_of(mask) || (is_of(beyond_ascii) && characters())) {
      ++at_;
    }
  }

  /// Whether all that is beyond ASCII are characters of XML (XML 1.0 §2.2). Asked once, of everything.
  [[nodiscard]] bool characters() {
    if (!judged_) {
      judged_ = true;
      characters_ = judge_utf8(all_) == utf8::valid && !all_.contains("\xef\xbf\xbe") && !all_.contains("\xef\xbf\xbf");
    }
    return characters_;
  }

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

  [[nodiscard]] bool start_tag() {
    const auto element = name();
    auto ns = depth_ == 0 ? content_ns_ : levels_[depth_ - 1].ns;
    std::size_t count = 0;
    bool spaced = skip_space();
    while (!is('>') && !is('/')) {
      if (!spaced || count == attribute_limit || !read_attribute(attributes_[count])) {
        return false;
      }
      const auto& read = attributes_[count];
      const auto before = std::span{attributes_}.first(count);
      if (std::ranges::find(before, read.name, &attribute::name) != before.end()) {
        return false;
      }
      if (read.name == "xmlns") {
        // What must not be declared, and what takes the default away, is not for here.
        if (read.value.empty() || read.value.starts_with("http://www.w3.org/")) {
          return false;
        }
        ns = read.value;
      }
      ++count;
      spaced = skip_space();
    }
    expansion_ += ns.size();
    const bool empty = take('/');
    if (element.empty() || !take('>') || depth_ == depth_limit || expansion_ > expansion_limit) {
      return false;
    }
    out_.open(ns, element);
    for (const auto& a : std::span{attributes_}.first(count)) {
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

  [[nodiscard]] bool read_attribute(attribute& into) {
    const auto* const from = at_;
    const auto first = name();
    if (first.empty() || (first == "xml" && is(':') && !take(":lang"))) {
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

  [[nodiscard]] bool end_tag() {
    ++at_;
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
      const auto* const from = at_;
      skip(in_text);
      if (at_ != from) {
        out_.text({from, at_});
      } else if (is('>')) {
        if (at_[-1] == ']' && at_[-2] == ']') {  // XML 1.0 §2.4; a tag stands before all text
          return false;
        }
        out_.text({at_++, 1});
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

  std::string_view all_;
  const char* at_;
  const char* end_;
  std::string_view content_ns_;
  document& out_;
  std::array<level, depth_limit> levels_;
  std::array<attribute, attribute_limit> attributes_;
  std::size_t depth_ = 0;
  std::size_t expansion_ = 0;
  bool judged_ = false;
  bool characters_ = false;
};

}  // namespace

bool read_plain_element(std::string_view bytes, std::string_view content_ns, document& out) {
  return reader{bytes, content_ns, out}.read();
}

}  // namespace comity::xml
