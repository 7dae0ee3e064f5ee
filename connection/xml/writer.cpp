#include "connection/xml/writer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace comity::xml {

namespace {

constexpr std::string_view ns_of_xml = "http://www.w3.org/XML/1998/namespace";

// Which bytes must be replaced, and where.
constexpr std::uint8_t in_text = 1;
constexpr std::uint8_t in_attribute = 2;
constexpr auto replaced = [] {
  std::array<std::uint8_t, 256> table{};
  for (const char c : {'&', '<', '>', '\'', '"'}) {
    table.at(static_cast<unsigned char>(c)) = in_text | in_attribute;
  }
  // A bare CR would be read as LF (XML 1.0 §2.11); in attributes white space would be read as spaces (§3.3.3).
  table.at('\r') = in_text | in_attribute;
  table.at('\n') = in_attribute;
  table.at('\t') = in_attribute;
  return table;
}();

std::string_view replacement(char c) noexcept {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '\'':
      return "&apos;";
    case '"':
      return "&quot;";
    case '\r':
      return "&#xD;";
    case '\n':
      return "&#xA;";
    default:
      return "&#x9;";
  }
}

// Whether nothing is to be replaced, in text or attribute. Without a branch a byte, so that it is done many at a time.
bool nothing_replaced(std::string_view s) noexcept {
  unsigned found = 0;
  for (const char c : s) {
    const auto byte = static_cast<unsigned char>(c);
    found |= static_cast<unsigned>(byte < 0x20U) | static_cast<unsigned>(byte == '&') |
             static_cast<unsigned>(byte == '<') | static_cast<unsigned>(byte == '>') |
             static_cast<unsigned>(byte == '\'') | static_cast<unsigned>(byte == '"');
  }
  return found == 0;
}

void append_escaped(std::string& out, std::string_view s, std::uint8_t mask) {
  if (nothing_replaced(s)) [[likely]] {
    out += s;
    return;
  }
  const char* plain = s.data();
  const char* const end = s.data() + s.size();
  for (const char* p = plain; p != end; ++p) {
    if ((replaced.at(static_cast<unsigned char>(*p)) & mask) != 0) [[unlikely]] {
      out.append(plain, p);
      out += replacement(*p);
      plain = p + 1;
    }
  }
  out.append(plain, end);
}

// Octets of the character at the head of `s`, or 0 where XML 1.0 §2.2 has no such character.
std::size_t character_size(std::string_view s) noexcept {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < s.size() ? static_cast<unsigned char>(s[i]) : 0U;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const std::uint32_t first = byte(0);
  if (first < 0x80U) {
    return first >= 0x20U || first == '\t' || first == '\n' || first == '\r' ? 1 : 0;
  }
  if (first >= 0xc2U && first <= 0xdfU && follows(1)) {
    return 2;
  }
  if (first >= 0xe0U && first <= 0xefU && follows(1) && follows(2)) {
    const std::uint32_t c = ((first & 0xfU) << 12U) | ((byte(1) & 0x3fU) << 6U) | (byte(2) & 0x3fU);
    return c >= 0x800U && (c < 0xd800U || c > 0xdfffU) && c < 0xfffeU ? 3 : 0;
  }
  if (first >= 0xf0U && first <= 0xf4U && follows(1) && follows(2) && follows(3)) {
    const std::uint32_t c = ((first & 0x7U) << 18U) | ((byte(1) & 0x3fU) << 12U);
    return c >= 0x10000U && c <= 0x10ffffU ? 4 : 0;
  }
  return 0;
}

bool printable_ascii(std::string_view s) noexcept {
  unsigned bad = 0;  // without a branch a byte, so that it is done many bytes at a time
  for (const char c : s) {
    const auto byte = static_cast<unsigned char>(c);
    bad |= static_cast<unsigned>(byte < 0x20U) | static_cast<unsigned>(byte >= 0x80U);
  }
  return bad == 0;
}

// Text that has not come out of the parser may hold anything.
void append_checked(std::string& out, std::string_view s, std::uint8_t mask) {
  if (printable_ascii(s)) {
    append_escaped(out, s, mask);
    return;
  }
  while (!s.empty()) {
    std::size_t good = 0;
    std::size_t size = 0;
    while (good < s.size() && (size = character_size(s.substr(good))) != 0) {
      good += size;
    }
    append_escaped(out, s.substr(0, good), mask);
    s.remove_prefix(good);
    if (!s.empty()) {
      out += "\xef\xbf\xbd";
      s.remove_prefix(1);
    }
  }
}

}  // namespace

void append_text(std::string& out, std::string_view text) {
  append_checked(out, text, in_text);
}

void append_attribute_value(std::string& out, std::string_view value) {
  append_checked(out, value, in_attribute);
}

writer::writer(std::string& out, std::string_view around)
    : out_{out}, stack_{around}, around_length_{static_cast<std::uint32_t>(around.size())} {
}

void writer::restart() noexcept {
  stack_.resize(around_length_);
  open_.clear();
  in_tag_ = false;
}

std::string_view writer::current_namespace() const noexcept {
  const std::string_view all{stack_};
  return open_.empty() ? all.substr(0, around_length_) : all.substr(open_.back().ns, open_.back().ns_length);
}

void writer::end_of_tag() {
  if (in_tag_) {
    out_ += '>';
    in_tag_ = false;
  }
}

void writer::begin(std::string_view name, std::string_view ns) {
  end_of_tag();
  out_ += '<';
  out_ += name;
  const bool prefixed = name.find(':') != std::string_view::npos;
  open_element opened{.name = static_cast<std::uint32_t>(stack_.size()),
                      .ns = open_.empty() ? 0U : open_.back().ns,
                      .ns_length = open_.empty() ? around_length_ : open_.back().ns_length};
  // A prefix leaves the default namespace as it was, for the element's content too.
  const bool same = prefixed || ns == current_namespace();
  stack_ += name;
  if (!same) {
    out_ += " xmlns='";
    append_attribute_value(out_, ns);
    out_ += '\'';
    opened.ns = static_cast<std::uint32_t>(stack_.size());
    opened.ns_length = static_cast<std::uint32_t>(ns.size());
    stack_ += ns;
  }
  open_.push_back(opened);
  in_tag_ = true;
}

writer& writer::open(std::string_view name, std::string_view ns) {
  if (ns.empty()) {
    begin(name, std::string{current_namespace()});
  } else {
    begin(name, ns);
  }
  return *this;
}

writer& writer::attribute(std::string_view name, std::string_view value) {
  out_ += ' ';
  out_ += name;
  out_ += "='";
  append_attribute_value(out_, value);
  out_ += '\'';
  return *this;
}

void writer::parsed_attribute(std::string_view name, std::string_view value) {
  out_ += ' ';
  out_ += name;
  out_ += "='";
  append_escaped(out_, value, in_attribute);  // checked by the parser
  out_ += '\'';
}

writer& writer::lang(std::string_view value) {
  return value.empty() ? *this : attribute("xml:lang", value);
}

writer& writer::text(std::string_view s) {
  if (!s.empty()) {
    end_of_tag();
    append_text(out_, s);
  }
  return *this;
}

writer& writer::close() {
  const open_element closed = open_.back();
  open_.pop_back();
  if (in_tag_) {
    out_ += "/>";
    in_tag_ = false;
  } else {
    // The name ends where the element's own namespace starts, or where the stack does.
    const std::size_t end = closed.ns > closed.name ? closed.ns : stack_.size();
    out_ += "</";
    out_.append(stack_, closed.name, end - closed.name);
    out_ += '>';
  }
  stack_.resize(closed.name);
  return *this;
}

writer& writer::leaf(std::string_view name, std::string_view ns, std::string_view s) {
  return open(name, ns).text(s).close();
}

writer& writer::copy_attributes(element e, std::initializer_list<std::string_view> but) {
  // Prefixes generated for this element. One namespace gets one prefix, so a long name is declared once an element.
  std::vector<std::string_view> declared;
  for (std::size_t i = 0; i < e.attribute_count(); ++i) {
    const attribute_view a = e.attribute_at(i);
    if (a.ns.empty()) {
      if (std::ranges::find(but, a.name) == but.end()) {
        parsed_attribute(a.name, a.value);
      }
      continue;
    }
    if (a.ns == ns_of_xml) {
      attribute(std::string{"xml:"}.append(a.name), a.value);
      continue;
    }
    auto known = std::ranges::find(declared, a.ns);
    const std::string prefix = "a" + std::to_string(known - declared.begin());
    if (known == declared.end()) {
      declared.push_back(a.ns);
      attribute("xmlns:" + prefix, a.ns);
    }
    attribute(prefix + ':' + std::string{a.name}, a.value);
  }
  return *this;
}

writer& writer::copy(element e) {
  begin(e.name(), e.ns());
  copy_attributes(e, {});
  copy_content(e);
  return close();
}

// THREATS A12: walks by the links of the flat document; a tree of any depth needs no stack.
writer& writer::copy_content(element e) {
  const document& d = *e.document_;
  std::uint32_t at = d.nodes_[e.index_].first_child;
  while (at != document::none) {
    const document::node& n = d.nodes_[at];
    if (n.is_text) {
      end_of_tag();
      append_escaped(out_, d.view(n.name), in_text);  // checked by the parser
    } else {
      const element here{d, at};
      begin(here.name(), here.ns());
      copy_attributes(here, {});
      if (n.first_child != document::none) {
        at = n.first_child;
        continue;
      }
      close();
    }
    // Up through the elements that end here, to the next sibling.
    while (d.nodes_[at].next == document::none) {
      at = d.nodes_[at].parent;
      if (at == e.index_) {
        return *this;
      }
      close();
    }
    at = d.nodes_[at].next;
  }
  return *this;
}

}  // namespace comity::xml
