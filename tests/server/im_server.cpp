#include "tests/server/im_server.hpp"

#include <stdexcept>

#include "connection/xml/parser.hpp"

namespace comity::server {
namespace {

constexpr std::string_view ns_stanza_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";

std::string content_of(const stanza& s) {
  std::string wire;
  s.wire(wire);
  const auto begin = wire.find('>');
  if (begin == std::string::npos || wire[begin - 1] == '/') {
    return {};
  }
  auto content = wire.substr(begin + 1, wire.rfind("</") - begin - 1);
  for (auto at = content.find(" ver='"); at != std::string::npos; at = content.find(" ver='", at)) {
    content.erase(at, content.find('\'', at + 6) + 1 - at);
  }
  return content;
}

std::string error_of(const stanza& s) {
  const auto document = s.document();
  for (const auto child : document->root().children()) {
    if (child.name() == "error") {
      std::string text;
      for (const auto condition : child.children()) {
        if (condition.ns() == ns_stanza_errors && condition.name() != "text") {
          text += " !" + std::string{condition.name()};
        }
      }
      return text + " " + std::string{child.attribute("type").value_or("?")};
    }
  }
  return " !none";
}

}  // namespace

jid address(std::string_view text) {
  auto parsed = jid::parse(text);
  if (!parsed) {
    throw std::invalid_argument{"not a JID: " + std::string{text}};
  }
  return *parsed;
}

stanza_ref parse_stanza(std::string_view xml, const jid& from) {
  xml::parser parser;
  xml::document parsed;
  if (!parser.element(xml, {.content_ns = std::string{xml::ns_client}, .namespaces = {}}, parsed)) {
    throw std::invalid_argument{"not XML: " + std::string{xml}};
  }
  const auto to = parsed.root().attribute("to");
  const auto recipient = to ? address(*to) : jid{};
  return stanza::make(std::move(parsed), from, recipient);
}

std::string line(const stanza& s) {
  std::string text{to_string(s.kind())};
  text += " " + std::string{to_string(s.type())} + " " + s.from().text() + " -> " + s.to().text();
  if (s.has_id() && !s.id().starts_with("push-")) {
    text += " #" + s.id();
  }
  if (s.type() == stanza_type::error) {
    return text + error_of(s);
  }
  const auto content = content_of(s);
  return content.empty() ? text : text + " " + content;
}

im_server::im_server(options o) {
  for (const auto& user : o.users) {
    add_account(user + "@example.com");
  }
  router =
      std::make_unique<server::router>(router::collaborators{.store = store,
                                                             .outlet = outlet,
                                                             .homes = homes,
                                                             .log = log,
                                                             .now = clock.clock(),
                                                             .remote = o.federated ? &remote : nullptr,
                                                             .version = "1.2.3",
                                                             .limits = o.limits},
                                       std::vector<std::string>{"example.com", "other.example"}, o.resources_per_user);
}

void im_server::add_account(std::string_view user) {
  store.account_create(address(user), {}, [](auto) {});
  settle();
}

std::expected<jid, bind_failure> im_server::bind(connection::session_ref session, std::string_view user,
                                                 std::string wanted) {
  std::optional<std::expected<jid, bind_failure>> result;
  router->bind(session, address(user), std::move(wanted), [&](auto r) { result = std::move(r); });
  settle();
  return result.value();
}

client im_server::connect(std::string_view full) {
  const auto wanted = address(full);
  const auto session = new_session();
  const auto bound = bind(session, wanted.bare_text(), std::string{wanted.resourcepart()});
  return {.session = session, .full = bound.value()};
}

client im_server::login(std::string_view full) {
  const auto c = connect(full);
  says(c, "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>");
  says(c, "<presence/>");
  (void)hears(c);
  return c;
}

void im_server::disconnect(const client& c) {
  router->unbind(c.session, c.full);
  settle();
}

void im_server::says_without_settling(const client& c, std::string_view xml) {
  router->from_client(c.session, parse_stanza(xml, c.full));
}

void im_server::says(const client& c, std::string_view xml) {
  says_without_settling(c, xml);
  settle();
}

void im_server::remote_says(std::string_view from, std::string_view xml) {
  router->from_server(parse_stanza(xml, address(from)));
  settle();
}

std::vector<std::string> im_server::hears(const client& c) {
  std::vector<std::string> lines;
  for (const auto& s : outlet.take(c.session)) {
    lines.push_back(line(*s));
  }
  return lines;
}

void im_server::settle() {
  while (homes.turn() || store.run()) {
  }
}

void im_server::befriend(const client& a, const client& b) {
  const auto send = [&](const client& from, const client& to, std::string_view type) {
    says(from, "<presence to='" + to.full.bare().text() + "' type='" + std::string{type} + "'/>");
  };
  send(a, b, "subscribe");
  send(b, a, "subscribed");
  send(b, a, "subscribe");
  send(a, b, "subscribed");
  (void)hears(a);
  (void)hears(b);
}

}  // namespace comity::server
