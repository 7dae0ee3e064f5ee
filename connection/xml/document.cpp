#include "connection/xml/document.hpp"

#include <algorithm>

namespace comity::xml {

namespace {

constexpr std::array<std::string_view, 4> steering_namespaces{
    "http://etherx.jabber.org/streams", "urn:ietf:params:xml:ns:xmpp-framing", "urn:ietf:params:xml:ns:xmpp-tls",
    "urn:ietf:params:xml:ns:xmpp-sasl"};

}  // namespace

std::string_view element::name() const noexcept {
  return document_ == nullptr ? std::string_view{} : document_->view(document_->nodes_[index_].name);
}

std::string_view element::ns() const noexcept {
  return document_ == nullptr ? std::string_view{} : document_->view(document_->nodes_[index_].ns);
}

bool element::is(std::string_view name, std::string_view ns) const noexcept {
  return document_ != nullptr && this->name() == name && this->ns() == ns;
}

std::optional<std::string_view> element::attribute(std::string_view name) const noexcept {
  return attribute(name, {});
}

std::optional<std::string_view> element::attribute(std::string_view name, std::string_view ns) const noexcept {
  for (std::size_t i = 0; i < attribute_count(); ++i) {
    const attribute_view a = attribute_at(i);
    if (a.name == name && a.ns == ns) {
      return a.value;
    }
  }
  return std::nullopt;
}

std::size_t element::attribute_count() const noexcept {
  return document_ == nullptr ? 0U : document_->nodes_[index_].attribute_count;
}

attribute_view element::attribute_at(std::size_t i) const noexcept {
  const auto& a = document_->attributes_[document_->nodes_[index_].first_attribute + i];
  return {.ns = document_->view(a.ns), .name = document_->view(a.name), .value = document_->view(a.value)};
}

element::child_range element::children() const noexcept {
  if (document_ == nullptr) {
    return {};
  }
  auto i = document_->nodes_[index_].first_child;
  while (i != document::none && document_->nodes_[i].is_text) {
    i = document_->nodes_[i].next;
  }
  return {child_iterator{document_, i}};
}

std::size_t element::child_count() const noexcept {
  const child_range range = children();
  return static_cast<std::size_t>(std::distance(range.begin(), range.end()));
}

element element::child(std::string_view name, std::string_view ns) const noexcept {
  const child_range range = children();
  const auto found = std::find_if(range.begin(), range.end(), [&](const element& e) { return e.is(name, ns); });
  return found == range.end() ? element{} : *found;
}

element element::first_child() const noexcept {
  const child_range range = children();
  return range.begin() == range.end() ? element{} : *range.begin();
}

std::string element::text() const {
  std::string all;
  if (document_ != nullptr) {
    for (auto i = document_->nodes_[index_].first_child; i != document::none; i = document_->nodes_[i].next) {
      if (document_->nodes_[i].is_text) {
        all += document_->view(document_->nodes_[i].name);
      }
    }
  }
  return all;
}

std::optional<std::string> element::child_text(std::string_view name, std::string_view ns) const {
  const element found = child(name, ns);
  return found ? std::optional{found.text()} : std::nullopt;
}

element element::child_iterator::operator*() const noexcept {
  return element{*document_, index_};
}

element::child_iterator& element::child_iterator::operator++() noexcept {
  do {
    index_ = document_->nodes_[index_].next;
  } while (index_ != document::none && document_->nodes_[index_].is_text);
  return *this;
}

void document::clear() noexcept {
  nodes_.clear();
  attributes_.clear();
  text_.clear();
  recent_namespaces_ = {};
  next_recent_ = 0;
  forbidden_namespace_ = false;
  open_ = none;
}

document::slice document::keep(std::string_view s) {
  const slice kept{.offset = static_cast<std::uint32_t>(text_.size()), .length = static_cast<std::uint32_t>(s.size())};
  text_ += s;
  return kept;
}

document::slice document::keep_namespace(std::string_view ns) {
  if (ns.empty()) {
    return {};
  }
  const auto* const known = std::ranges::find_if(recent_namespaces_, [&](slice s) { return view(s) == ns; });
  if (known != recent_namespaces_.end()) {
    return *known;
  }
  const slice kept = keep(ns);
  recent_namespaces_.at(next_recent_) = kept;
  next_recent_ = static_cast<std::uint8_t>((next_recent_ + 1U) % recent_namespaces_.size());
  return kept;
}

std::uint32_t document::append(node n) {
  const auto index = static_cast<std::uint32_t>(nodes_.size());
  n.parent = open_;
  if (open_ != none) {
    node& around = nodes_[open_];
    (around.last_child == none ? around.first_child : nodes_[around.last_child].next) = index;
    around.last_child = index;
  }
  nodes_.push_back(n);
  return index;
}

void document::open(std::string_view ns, std::string_view name) {
  // THREATS A5: told here, once, rather than searched for at every place that relays.
  if (open_ != none && std::ranges::find(steering_namespaces, ns) != steering_namespaces.end()) {
    forbidden_namespace_ = true;
  }
  node n;
  n.ns = keep_namespace(ns);
  n.name = keep(name);
  n.first_attribute = static_cast<std::uint32_t>(attributes_.size());
  open_ = append(n);
}

void document::attribute(std::string_view ns, std::string_view name, std::string_view value) {
  attribute_node a;
  a.ns = keep_namespace(ns);
  a.name = keep(name);
  a.value = keep(value);
  attributes_.push_back(a);
  ++nodes_[open_].attribute_count;
}

void document::text(std::string_view s) {
  const std::uint32_t last = nodes_[open_].last_child;
  // A parser reports a run of text in pieces; pieces that lie end to end become one node.
  if (last != none && nodes_[last].is_text && nodes_[last].name.offset + nodes_[last].name.length == text_.size()) {
    nodes_[last].name.length += static_cast<std::uint32_t>(s.size());
    text_ += s;
    return;
  }
  node n;
  n.is_text = true;
  n.name = keep(s);
  append(n);
}

void document::close() {
  open_ = nodes_[open_].parent;
}

void document::rename_content(std::string_view from, std::string_view to) {
  if (root().ns() != from) {
    return;
  }
  const slice renamed = keep(to);  // of its own, so that its offset tells the renamed from the others
  // Parents stand before their children, so one pass in order sees every parent decided.
  for (node& n : nodes_) {
    const bool below_renamed = n.parent == none || nodes_[n.parent].ns.offset == renamed.offset;
    if (!n.is_text && below_renamed && view(n.ns) == from) {
      n.ns = renamed;
    }
  }
  recent_namespaces_ = {};
}

std::size_t document::capacity() const noexcept {
  return (nodes_.capacity() * sizeof(node)) + (attributes_.capacity() * sizeof(attribute_node)) + text_.capacity();
}

}  // namespace comity::xml
