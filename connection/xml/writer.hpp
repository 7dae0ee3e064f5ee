// connection/xml/writer.hpp: writes XML that is well-formed by construction.
//
// Appends to a string the caller owns. Namespaces are declared where they change: an element gets an xmlns only when it
// differs from that of the element around it, so the content of a stanza carries no jabber:client or jabber:server of
// its own and means the same on a client's and on a server's stream (RFC 6120 §4.8.3). Attribute and text values are
// escaped.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "connection/xml/document.hpp"

namespace comity::xml {

/// Appends `text` with & < > ' " escaped, fit for character data and for an attribute in either quotes; CR, LF and TAB
/// become character references inside attributes. What no XML may hold (bad UTF-8, control characters, U+FFFE, U+FFFF)
/// becomes U+FFFD, so that no text from elsewhere can make our own stream ill-formed.
void append_text(std::string& out, std::string_view text);
void append_attribute_value(std::string& out, std::string_view value);

class writer {
public:
  /// Writes into `out`; `around` is the namespace in force there ("" where none is).
  /// `out` must outlive the writer.
  explicit writer(std::string& out, std::string_view around = {});
  /// As newly made, with the memory it has.
  void restart() noexcept;

  /// Opens an element; an empty `ns` means that of the element around it. A `name` with a prefix ("stream:features")
  /// is written as it is: the caller knows the prefix to be declared on the stream, and `ns` is what it stands for.
  writer& open(std::string_view name, std::string_view ns);
  writer& attribute(std::string_view name, std::string_view value);
  writer& lang(std::string_view value);  // xml:lang, nothing when empty
  writer& text(std::string_view);
  writer& close();
  /// open + text + close.
  writer& leaf(std::string_view name, std::string_view ns, std::string_view text = {});
  /// A whole element, copied without recursion. Prefixes are not kept, namespaces are: an element without namespace
  /// gets xmlns='', an attribute with one a prefix declared on its element.
  writer& copy(element e);
  /// The children and character data of `e`, not its own tags.
  writer& copy_content(element e);
  /// Attributes of `e`, namespaced ones included, except those without namespace that are listed.
  writer& copy_attributes(element e, std::initializer_list<std::string_view> but);

private:
  /// The same for a value that has come out of the parser.
  void parsed_attribute(std::string_view name, std::string_view value);
  struct open_element {
    std::uint32_t name;  // where its name starts in stack_
    std::uint32_t ns;    // where its namespace starts in stack_; that of the element around it when it is the same
    std::uint32_t ns_length;
  };
  void begin(std::string_view name, std::string_view ns);
  void end_of_tag();
  [[nodiscard]] std::string_view current_namespace() const noexcept;

  std::string& out_;
  std::string stack_;  // `around`, then names and namespaces of the open elements
  std::vector<open_element> open_;
  std::uint32_t around_length_;
  bool in_tag_ = false;
};

}  // namespace comity::xml
