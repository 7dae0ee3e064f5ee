// Any element as a stanza: what is written parses to the same stanza, by way of storage, another recipient, an error
// and a delay, and to the same tree for us, for expat and for libxml2 (THREATS A4, A5).
#include <string>
#include <string_view>

#include "connection/stanza.hpp"
#include "connection/xml/parser.hpp"
#include "tests/fuzz/oracle.hpp"
#include "tests/fuzz/other_parsers.hpp"

namespace {

using namespace comity;
using namespace comity::fuzz;

std::string wire(const stanza& s) {
  std::string out;
  s.wire(out);
  must(out.size() == s.wire_size());
  return out;
}

/// Whoever it is sent to reads what we have read, in whatever parser.
void reads_the_same(const stanza& s) {
  std::string alone;
  s.wire_alone(alone);
  must(alone.size() == s.wire_alone_size());
  static xml::parser parser;
  xml::document read;
  must(parser.element(wire(s), {.content_ns = std::string{xml::ns_client}, .namespaces = {}}, read).has_value());
  const auto ours = tree_of(read.root());
  must(tree_by_expat(alone) == ours);
  must(tree_by_libxml2(alone) == ours);
}

void comes_back(const stanza& s) {
  reads_the_same(s);
  const std::string bytes = wire(s);
  const auto back = stanza::from_wire(bytes);
  must(back != nullptr);
  must(wire(*back) == bytes);
  must(back->kind() == s.kind() && back->type() == s.type() && back->from() == s.from() && back->to() == s.to());
  must(back->id() == s.id() && back->has_id() == s.has_id() && back->lang() == s.lang());
  must(back->priority() == s.priority() && back->flags().body == s.flags().body);
  must(back->flags().chat_state_only == s.flags().chat_state_only && back->flags().delay == s.flags().delay);
  must(back->document()->forbidden_namespace() == s.document()->forbidden_namespace());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static xml::parser parser;
  static const jid from = jid::parse("juliet@a.example/b'<&>").value();
  static const jid to = jid::parse("romeo@b.example/\u00e9\"").value();
  const auto input = text(data, size);
  for (const auto content_ns : {xml::ns_client, xml::ns_server}) {
    xml::document d;
    if (!parser.element(input, {.content_ns = std::string{content_ns}, .namespaces = {{"p", "urn:p"}}}, d) ||
        d.root().ns() != content_ns) {
      continue;
    }
    const auto s = stanza::make(std::move(d), from, to);
    if (!s) {
      continue;
    }
    comes_back(*s);
    comes_back(*s->readdressed({}));
    if (const auto error = error_reply(*s, stanza_condition::gone, s->id())) {
      comes_back(*error);
      must(error_reply(*error, stanza_condition::gone) == nullptr);
    }
    const auto delayed = with_delay(*s, from, "2026-11-24T16:00:00Z");
    must(delayed != nullptr);
    must(wire(*with_delay(*delayed, from, "2026-11-24T16:00:00Z")) == wire(*delayed));
    comes_back(*delayed);
  }
  return 0;
}
