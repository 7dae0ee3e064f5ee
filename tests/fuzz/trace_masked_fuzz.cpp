// What an operator may see of a stream (THREATS G8): wherever a secret can stand, a canary is put, and it must not come
// out, whatever is around it and wherever the text is cut. All that our writer writes can be read to its end; all that
// comes out is fit for a terminal.
//
// Input: a byte that says whether bodies are asked for, one for where the text is cut, then an element, or anything.
#include <array>
#include <string>

#include "connection/xml/parser.hpp"
#include "connection/xml/writer.hpp"
#include "server/printable.hpp"
#include "server/trace/masked.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::fuzz;

constexpr std::string_view canary = "CANARY";

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> all) {
  return std::ranges::find(all, name) != all.end();
}

bool says_something(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") != std::string_view::npos;
}

/// What of an element is nobody's but its owner's, by the specifications.
struct place {
  bool secret = false;         // SASL, keys, passwords, tokens
  bool peoples = false;        // what a stanza says
  bool private_field = false;  // XEP-0004 §3.3
};

/// Copies `e` with a canary in each of its secrets.
class planting {
public:
  explicit planting(bool bodies) : bodies_{bodies} {}

  xml::document of(xml::element root) {
    place at;
    at.secret = is_one_of(root.name(), {"auth", "challenge", "response", "success", "result", "verify"});
    at.peoples = is_one_of(root.name(), {"message", "presence", "iq"});
    copy(root, at, 0);
    return std::move(out_);
  }
  [[nodiscard]] unsigned planted() const { return planted_; }

private:
  void copy(xml::element e, place at, unsigned depth) {
    at.secret |= is_one_of(e.name(), {"password", "digest", "secret", "token", "initial-response", "additional-data",
                                      "header"}) ||
                 (at.private_field && e.name() == "value");
    at.private_field = false;
    at.peoples &= !is_one_of(e.name(), {"error", "show", "priority"});
    out_.open(e.ns(), e.name());
    for (std::size_t i = 0; i < e.attribute_count(); ++i) {
      const auto a = e.attribute_at(i);
      at.private_field |= e.name() == "field" && a.ns.empty() &&
                          ((a.name == "type" && a.value == "text-private") ||
                           (a.name == "var" &&
                            (a.value.contains("password") || a.value.contains("secret") || a.value.contains("token"))));
      out_.attribute(a.ns, a.name, is_one_of(a.name, {"password", "token", "secret"}) ? plant() : a.value);
    }
    const auto said = e.text();
    out_.text((at.secret || (at.peoples && !bodies_)) && says_something(said) ? plant() : std::string_view{said});
    if (depth < 64) {
      for (const auto child : e.children()) {
        copy(child, at, depth + 1);
      }
    }
    out_.close();
  }
  std::string_view plant() {
    ++planted_;
    return canary;
  }

  xml::document out_;
  bool bodies_;
  unsigned planted_ = 0;
};

void fit_for_a_terminal(std::string_view text) {
  while (!text.empty()) {
    const auto c = first_character(text);
    must(c.length > 0 && !is_control(c.code));
    text.remove_prefix(c.length);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  const trace::masking how{.bodies = (take_byte(input) & 1U) != 0, .most = take_byte(input) * 8U};
  fit_for_a_terminal(trace::masked(input, how));

  static xml::parser parser;
  static const xml::stream_context context{.content_ns = std::string{xml::ns_client},
                                           .namespaces = {{"db", "jabber:server:dialback"}}};
  xml::document d;
  if (input.contains(canary) || !parser.element(input, context, d)) {
    return 0;
  }
  planting plants{how.bodies};
  const auto with_secrets = plants.of(d.root());
  std::string wire;
  xml::writer{wire, xml::ns_client}.copy(with_secrets.root());
  const auto whole = trace::masked(wire, {.bodies = how.bodies, .most = wire.size()});
  must(!whole.contains(canary));
  must(whole.ends_with('>'));  // not given up before its end
  must(how.bodies || plants.planted() == 0 || whole.contains("[masked]") || whole.contains(" bytes]"));
  fit_for_a_terminal(whole);
  // Twice on one line, as two parts of a stream: the first leaves nothing behind.
  must(!trace::masked(wire + wire, {.bodies = how.bodies, .most = 2 * wire.size()}).contains(canary));
  for (const auto most : {how.most, wire.size() / 2, wire.size() - 1}) {
    const auto part = trace::masked(wire, {.bodies = how.bodies, .most = most});
    must(!part.contains(canary));
    fit_for_a_terminal(part);
  }
  return 0;
}
