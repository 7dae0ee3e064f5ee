#include "tests/fuzz/other_parsers.hpp"

#include <expat.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace comity::fuzz {

namespace {

/// One element. Attributes have no order; character data is what is directly inside, joined.
struct tree {
  std::string ns, name, text;
  std::set<std::string> attributes;
  std::vector<std::string> children;

  void attribute(std::string_view its_ns, std::string_view its_name, std::string_view value) {
    attributes.insert(quoted(its_ns) + quoted(its_name) + quoted(value));
  }
  [[nodiscard]] std::string written() const {
    std::string out = "(" + quoted(ns) + quoted(name) + "[";
    for (const auto& a : attributes) {
      out += a + ";";
    }
    out += "]" + quoted(text);
    for (const auto& c : children) {
      out += c;
    }
    return out + ")";
  }
  /// With its length in front, so that nothing can be taken for another thing.
  static std::string quoted(std::string_view s) { return std::to_string(s.size()) + ":" + std::string{s}; }
};

/// Expat's, by its events.
struct building {
  std::vector<tree> open;
  std::string done;
};

std::pair<std::string_view, std::string_view> split(const XML_Char* name) {
  const std::string_view s{name};
  const auto at = s.find('\x01');
  return at == std::string_view::npos ? std::pair{std::string_view{}, s} : std::pair{s.substr(0, at), s.substr(at + 1)};
}

std::string_view view(const xmlChar* s) {
  return s == nullptr ? std::string_view{} : std::string_view{reinterpret_cast<const char*>(s)};
}

std::string written(const xmlNode& n) {
  tree t{.ns = std::string{n.ns == nullptr ? "" : view(n.ns->href)},
         .name = std::string{view(n.name)},
         .text = {},
         .attributes = {},
         .children = {}};
  for (const auto* a = n.properties; a != nullptr; a = a->next) {
    std::string value;
    for (const auto* part = a->children; part != nullptr; part = part->next) {
      value += view(part->content);
    }
    t.attribute(a->ns == nullptr ? "" : view(a->ns->href), view(a->name), value);
  }
  for (const auto* c = n.children; c != nullptr; c = c->next) {
    if (c->type == XML_ELEMENT_NODE) {
      t.children.push_back(written(*c));
    } else {
      t.text += view(c->content);
    }
  }
  return t.written();
}

}  // namespace

std::string tree_of(xml::element e) {
  tree t{.ns = std::string{e.ns()}, .name = std::string{e.name()}, .text = e.text(), .attributes = {}, .children = {}};
  for (std::size_t i = 0; i < e.attribute_count(); ++i) {
    const auto a = e.attribute_at(i);
    t.attribute(a.ns, a.name, a.value);
  }
  for (const auto c : e.children()) {
    t.children.push_back(tree_of(c));
  }
  return t.written();
}

std::optional<std::string> tree_by_expat(std::string_view document) {
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser{XML_ParserCreateNS("UTF-8", '\x01'),
                                                                            &XML_ParserFree};
  building b;
  XML_SetUserData(parser.get(), &b);
  XML_SetElementHandler(
      parser.get(),
      [](void* p, const XML_Char* qualified, const XML_Char** attributes) {
        const auto [ns, name] = split(qualified);
        tree t{.ns = std::string{ns}, .name = std::string{name}, .text = {}, .attributes = {}, .children = {}};
        for (; *attributes != nullptr; attributes += 2) {
          const auto [attribute_ns, attribute] = split(attributes[0]);
          t.attribute(attribute_ns, attribute, attributes[1]);
        }
        static_cast<building*>(p)->open.push_back(std::move(t));
      },
      [](void* p, const XML_Char*) {
        auto& self = *static_cast<building*>(p);
        auto done = self.open.back().written();
        self.open.pop_back();
        if (self.open.empty()) {
          self.done = std::move(done);
        } else {
          self.open.back().children.push_back(std::move(done));
        }
      });
  XML_SetCharacterDataHandler(parser.get(), [](void* p, const XML_Char* s, int length) {
    static_cast<building*>(p)->open.back().text.append(s, static_cast<std::size_t>(length));
  });
  if (XML_Parse(parser.get(), document.data(), static_cast<int>(document.size()), XML_TRUE) == XML_STATUS_ERROR) {
    return std::nullopt;
  }
  return std::move(b.done);
}

std::optional<std::string> tree_by_libxml2(std::string_view document) {
  // XML_PARSE_NOENT, or libxml2 leaves "&#38;" for "&amp;" in the names of namespaces, which are normalised like any
  // attribute's value (Namespaces in XML §2.3, XML 1.0 §3.3.3). There is nothing else for it to replace: no DTD.
  const std::unique_ptr<xmlDoc, decltype(&xmlFreeDoc)> read{
      xmlReadMemory(document.data(), static_cast<int>(document.size()), nullptr, "UTF-8",
                    XML_PARSE_NOENT | XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING),
      &xmlFreeDoc};
  const auto* root = read ? xmlDocGetRootElement(read.get()) : nullptr;
  return root == nullptr ? std::nullopt : std::optional{written(*root)};
}

}  // namespace comity::fuzz
