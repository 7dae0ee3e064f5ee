// Any element as one of dialback (XEP-0220): what is understood is written so that it is understood the same, and
// nothing that is no domain is taken for one.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "connection/negotiation/dialback.hpp"
#include "connection/xml/parser.hpp"

namespace {

using namespace comity;

void must(bool holds) {
  if (!holds) {
    std::abort();
  }
}

const xml::stream_context context{.content_ns = std::string{xml::ns_server},
                                  .namespaces = {{"db", std::string{connection::ns_dialback}}}};

bool is_domain(const std::string& text) {
  const auto address = jid::parse(text);
  return address && address->text() == text && !address->has_localpart() && !address->has_resource();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using type = connection::dialback_element::type;
  static xml::parser parser;
  xml::document d;
  if (!parser.element({reinterpret_cast<const char*>(data), size}, context, d)) {
    return 0;
  }
  const auto read = connection::read_dialback(d.root());
  if (!read) {
    return 0;
  }
  must(is_domain(read->flow.sender) && is_domain(read->flow.target));
  if (read->says == type::unknown) {
    return 0;  // never written
  }
  xml::document again;
  must(parser.element(connection::write(*read), context, again).has_value());
  const auto back = connection::read_dialback(again.root());
  must(back.has_value());
  must(back->what == read->what && back->says == read->says && back->flow == read->flow);
  must(back->key == read->key && back->condition == read->condition);
  must(read->what == connection::dialback_element::kind::result || back->id == read->id);
  return 0;
}
