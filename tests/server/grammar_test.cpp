// THREATS F13: for every handler, well-formed requests with each attribute and each child removed, doubled, emptied or
// made nonsense. Nothing may crash, every get and set is answered exactly once, and the server goes on as before.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "connection/xml/parser.hpp"
#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

/// An element that can be changed and written; "name='value'" pairs and children.
struct node {
  std::string name;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<node> children;
  std::string text;

  [[nodiscard]] std::string written() const {
    std::string out = "<" + name;
    for (const auto& [n, v] : attributes) {
      out += " " + n + "='" + v + "'";
    }
    out += ">" + text;
    for (const auto& c : children) {
      out += c.written();
    }
    return out + "</" + name + ">";
  }
};

node read(xml::element e, std::string_view around) {
  node n{.name = std::string{e.name()}, .attributes = {}, .children = {}, .text = e.text()};
  if (e.ns() != around) {
    n.attributes.emplace_back("xmlns", e.ns());
  }
  for (std::size_t i = 0; i < e.attribute_count(); ++i) {
    const auto a = e.attribute_at(i);
    n.attributes.emplace_back(a.name, a.value);
  }
  for (const auto c : e.children()) {
    n.children.push_back(read(c, e.ns()));
  }
  return n;
}

node read(std::string_view xml) {
  xml::parser parser;
  xml::document parsed;
  EXPECT_TRUE(parser.element(xml, {.content_ns = std::string{xml::ns_client}, .namespaces = {}}, parsed)) << xml;
  return read(parsed.root(), xml::ns_client);
}

/// Calls `use` with every variation of one place in `n`; `root` is the whole.
void vary(node& root, node& n, const std::function<void(const std::string&)>& use) {
  const auto shown = [&] { use(root.written()); };
  for (std::size_t i = 0; i < n.attributes.size(); ++i) {
    const auto kept = n.attributes;
    n.attributes.erase(n.attributes.begin() + static_cast<std::ptrdiff_t>(i));
    shown();
    n.attributes = kept;
    for (const auto* value : {"", " ", "a@b", "\xef\xbf\xbd", "-1", "99999999999999999999", "remove", "error", "set"}) {
      if (n.attributes[i].first != "to" || std::string_view{value} == "a@b") {  // the stream sees to malformed JIDs
        n.attributes[i].second = value;
        shown();
      }
    }
    n.attributes = kept;
  }
  for (std::size_t i = 0; i < n.children.size(); ++i) {
    const auto kept = n.children;
    n.children.erase(n.children.begin() + static_cast<std::ptrdiff_t>(i));
    shown();
    n.children = kept;
    n.children.insert(n.children.begin(), kept[i]);
    shown();
    n.children = kept;
    n.children[i].children.clear();
    n.children[i].text.clear();
    shown();
    n.children[i] = node{.name = "other", .attributes = {}, .children = {}, .text = {}};
    shown();
    n.children = kept;
    vary(root, n.children[i], use);
  }
  const auto text = n.text;
  n.text = std::string(2000, 'x');
  shown();
  n.text = text;
}

const std::vector<std::string_view> grammar{
    "<iq type='get' id='i' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='get' id='i' to='example.com'><query xmlns='jabber:iq:version'/></iq>",
    "<iq type='get' id='i' to='example.com'><time xmlns='urn:xmpp:time'/></iq>",
    "<iq type='get' id='i' to='example.com'><query xmlns='jabber:iq:last'/></iq>",
    "<iq type='get' id='i' to='romeo@example.com'><query xmlns='jabber:iq:last'/></iq>",
    "<iq type='get' id='i' to='example.com'><query xmlns='http://jabber.org/protocol/disco#info' node='n'/></iq>",
    "<iq type='get' id='i' to='romeo@example.com'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    "<iq type='get' id='i'><vCard xmlns='vcard-temp'/></iq>",
    "<iq type='set' id='i'><vCard xmlns='vcard-temp'><FN>J</FN><N><FAMILY>C</FAMILY></N></vCard></iq>",
    "<iq type='set' id='i'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
    "<iq type='get' id='i'><query xmlns='jabber:iq:roster' ver='1'/></iq>",
    "<iq type='set' id='i'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com' name='N'><group>A</group>"
    "<group>B</group></item></query></iq>",
    "<iq type='set' id='i'><query xmlns='jabber:iq:roster'><item jid='romeo@example.com' subscription='remove'/>"
    "</query></iq>",
    "<iq type='set' id='i' to='romeo@example.com/orchard'><query xmlns='urn:example:strange'><a/></query></iq>",
};

class Grammar : public testing::TestWithParam<std::string_view> {};

TEST_P(Grammar, EveryVariationOfARequestIsAnsweredExactlyOnce) {  // THREATS F13, F10
  im_server server;
  const auto juliet = server.login("juliet@example.com/balcony");
  const auto romeo = server.login("romeo@example.com/orchard");
  auto root = read(GetParam());
  std::size_t tried = 0;
  vary(root, root, [&](const std::string& xml) {
    ++tried;
    const auto s = parse_stanza(xml, juliet.full);
    server.says(juliet, xml);
    std::size_t answers = 0;
    for (const auto& heard : server.outlet.take(juliet.session)) {
      answers += heard->kind() == stanza_kind::iq &&
                         (heard->type() == stanza_type::result || heard->type() == stanza_type::error)
                     ? 1U
                     : 0U;
    }
    const bool answerable = s->type() != stanza_type::result && s->type() != stanza_type::error;
    EXPECT_EQ(answers, answerable ? 1U : 0U) << xml;
  });
  EXPECT_GT(tried, 10U);
  (void)server.hears(romeo);
  server.says(juliet, "<iq type='get' id='after' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
  EXPECT_EQ(server.hears(juliet).size(), 1U) << "the server goes on";
}

INSTANTIATE_TEST_SUITE_P(Requests, Grammar, testing::ValuesIn(grammar));

TEST(GrammarOfPresenceAndMessages, VariationsLeaveTheServerWorking) {  // THREATS F13
  const std::vector<std::string_view> stanzas{
      "<presence id='p'><show>away</show><status>s</status><priority>1</priority></presence>",
      "<presence id='p' to='romeo@example.com' type='subscribe'><status>s</status></presence>",
      "<presence id='p' to='romeo@example.com' type='subscribed'/>",
      "<presence id='p' to='romeo@example.com' type='unsubscribe'/>",
      "<presence id='p' to='romeo@example.com' type='unsubscribed'/>",
      "<presence id='p' to='romeo@example.com' type='probe'/>",
      "<presence id='p' to='romeo@example.com/orchard' type='unavailable'/>",
      "<message id='m' to='romeo@example.com' type='chat'><subject>s</subject><body>b</body><thread>t</thread>"
      "</message>",
      "<message id='m' to='nurse@example.com' type='headline'><delay xmlns='urn:xmpp:delay' from='example.com' "
      "stamp='9999-99-99T99:99:99Z'>x</delay></message>",
  };
  im_server server;
  const auto juliet = server.login("juliet@example.com/balcony");
  const auto romeo = server.login("romeo@example.com/orchard");
  for (const auto xml : stanzas) {
    auto root = read(xml);
    vary(root, root, [&](const std::string& variation) { server.says(juliet, variation); });
  }
  (void)server.hears(juliet);
  (void)server.hears(romeo);
  server.says(juliet, "<message to='romeo@example.com/orchard'><body>still here</body></message>");
  EXPECT_EQ(server.hears(romeo).size(), 1U);
}

}  // namespace
}  // namespace comity::server
