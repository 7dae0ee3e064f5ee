// connection/xml/document.hpp: a parsed XML element with everything in it, held flat.
//
// Nodes lie in one vector and all text in one string, so a document is built with few allocations, is moved between
// threads as a value, and is taken down without recursion however deep it is (THREATS A12). `element` is a view into
// a document and lives no longer than it; the views handed out are invalidated by changing or moving the document.
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace comity::xml {

class document;

/// An attribute as parsed; `ns` is empty for one without prefix. "xml:lang" has the XML namespace.
struct attribute_view {
  std::string_view ns;
  std::string_view name;
  std::string_view value;
};

/// A read-only view of one element. Cheap to copy. A default-made one is "no element" and tests false.
class element {
public:
  class child_iterator;
  struct child_range;

  element() = default;
  explicit operator bool() const noexcept { return document_ != nullptr; }

  [[nodiscard]] std::string_view name() const noexcept;
  [[nodiscard]] std::string_view ns() const noexcept;
  [[nodiscard]] bool is(std::string_view name, std::string_view ns) const noexcept;

  /// The value of an attribute without namespace; nullopt where it is absent (empty and absent differ).
  [[nodiscard]] std::optional<std::string_view> attribute(std::string_view name) const noexcept;
  [[nodiscard]] std::optional<std::string_view> attribute(std::string_view name, std::string_view ns) const noexcept;
  [[nodiscard]] std::size_t attribute_count() const noexcept;
  [[nodiscard]] attribute_view attribute_at(std::size_t) const noexcept;

  /// Child elements in document order; text between them is skipped.
  [[nodiscard]] child_range children() const noexcept;
  [[nodiscard]] std::size_t child_count() const noexcept;
  /// The first child of that name and namespace, or no element.
  [[nodiscard]] element child(std::string_view name, std::string_view ns) const noexcept;
  /// The first child element, or no element.
  [[nodiscard]] element first_child() const noexcept;
  /// The character data directly inside this element, concatenated.
  [[nodiscard]] std::string text() const;
  /// text() of the named child, or nullopt where there is no such child.
  [[nodiscard]] std::optional<std::string> child_text(std::string_view name, std::string_view ns) const;

private:
  friend class document;
  friend class writer;
  element(const document& d, std::uint32_t index) noexcept : document_{&d}, index_{index} {}
  const document* document_ = nullptr;
  std::uint32_t index_ = 0;
};

class document {
public:
  [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
  /// The outermost element; no element while empty().
  [[nodiscard]] element root() const noexcept { return empty() ? element{} : element{*this, 0}; }

  /// Forgets the content and keeps the capacity. Building is for the parser: open, attribute…, text or open…, close.
  void clear() noexcept;
  void open(std::string_view ns, std::string_view name);
  void attribute(std::string_view ns, std::string_view name, std::string_view value);
  void text(std::string_view);
  void close();

  /// True when an element below the root lies in a namespace that steers streams (RFC 6120 §4, §5, §6; RFC 7395): the
  /// streams, framing, TLS or SASL one. Such a stanza must not be relayed (THREATS A5): answer `policy-violation`.
  [[nodiscard]] bool forbidden_namespace() const noexcept { return forbidden_namespace_; }

  /// Renames namespace `from` to `to` on the root and on every element that hangs from it by elements so renamed: the
  /// content of a jabber:server stanza read as jabber:client (RFC 6120 §4.8.3). Forwarded stanzas inside keep theirs.
  void rename_content(std::string_view from, std::string_view to);

  /// Bytes held, capacity included, for limits on what is kept.
  [[nodiscard]] std::size_t capacity() const noexcept;

private:
  friend class element;
  friend class writer;
  static constexpr std::uint32_t none = 0xffffffffU;
  struct slice {
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
  };
  struct node {  // an element (name set) or a run of character data (is_text)
    slice ns;    // offset into text_
    slice name;  // element name, or the character data itself
    std::uint32_t parent = none;
    std::uint32_t next = none;  // next sibling
    std::uint32_t first_child = none;
    std::uint32_t last_child = none;
    std::uint32_t first_attribute = 0;
    std::uint32_t attribute_count = 0;
    bool is_text = false;
  };
  struct attribute_node {
    slice ns;
    slice name;
    slice value;
  };
  [[nodiscard]] std::string_view view(slice s) const noexcept {
    return std::string_view{text_}.substr(s.offset, s.length);
  }
  slice keep(std::string_view);
  slice keep_namespace(std::string_view);
  std::uint32_t append(node);

  std::vector<node> nodes_;
  std::vector<attribute_node> attributes_;
  std::string text_;
  std::array<slice, 8> recent_namespaces_{};  // already in text_: a namespace repeated costs no bytes
  std::uint8_t next_recent_ = 0;
  bool forbidden_namespace_ = false;
  std::uint32_t open_ = none;  // the element being built
};

class element::child_iterator {
public:
  using value_type = element;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::forward_iterator_tag;
  child_iterator() = default;
  child_iterator(const document* d, std::uint32_t index) noexcept : document_{d}, index_{index} {}
  element operator*() const noexcept;
  child_iterator& operator++() noexcept;
  child_iterator operator++(int) noexcept {
    auto old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const child_iterator& a, const child_iterator& b) noexcept { return a.index_ == b.index_; }

private:
  const document* document_ = nullptr;
  std::uint32_t index_ = 0xffffffffU;
};

struct element::child_range {
  child_iterator first;
  [[nodiscard]] child_iterator begin() const noexcept { return first; }
  [[nodiscard]] child_iterator end() const noexcept {
    return {};
  }  // NOLINT(readability-convert-member-functions-to-static)
};

}  // namespace comity::xml
