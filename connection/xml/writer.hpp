// connection/xml/writer.hpp: writes XML that is well-formed by construction.
//
// Appends to a string the caller owns. Namespaces are declared where they change: an element gets an xmlns only when it
// differs from that of the element around it, so the content of a stanza carries no jabber:client or jabber:server of
// its own and means the same on a client's and on a server's stream (RFC 6120 §4.8.3). Attribute and text values are
// escaped.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "connection/xml/document.hpp"

namespace comity::xml {

/// Appends `text` with & < > ' " escaped, fit for character data and for an attribute in either quotes; CR, LF and TAB
/// become character references inside attributes.
void append_text(std::string& out, std::string_view text);
void append_attribute_value(std::string& out, std::string_view value);

class writer {
public:
  /// Writes into `out`; `around` is the namespace in force there ("" where none is).
  explicit writer(std::string& out, std::string_view around = {});

  writer& open(std::string_view name, std::string_view ns);  // ns "" : that of the element around it
  writer& attribute(std::string_view name, std::string_view value);
  writer& lang(std::string_view value);  // xml:lang, nothing when empty
  writer& text(std::string_view);
  writer& close();
  /// open + text + close.
  writer& leaf(std::string_view name, std::string_view ns, std::string_view text = {});
  /// A whole element, copied without recursion. Namespaces `from` and `to` are the pair of content namespaces that
  /// count as the same: an element in `from` is written as if it were in `to`.
  writer& copy(element e);
  /// The children and character data of `e`, not its own tags.
  writer& copy_content(element e);
  /// Attributes of `e`, namespaced ones included, except those without namespace that are listed.
  writer& copy_attributes(element e, std::initializer_list<std::string_view> but);

private:
  void finish_tag();
  std::string& out_;
  std::vector<std::string> names_;       // open elements
  std::vector<std::string> namespaces_;  // namespace in force in each
  bool in_tag_ = false;
};

}  // namespace comity::xml
