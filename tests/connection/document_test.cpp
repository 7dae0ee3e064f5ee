#include "connection/xml/document.hpp"

#include <gtest/gtest.h>

#include <string>

namespace comity::xml {
namespace {

document sample() {
  document d;
  d.open("jabber:client", "message");
  d.attribute("", "to", "a@b");
  d.attribute("", "id", "");
  d.attribute("http://www.w3.org/XML/1998/namespace", "lang", "de");
  d.text("one ");
  d.open("jabber:client", "body");
  d.text("hel");
  d.text("lo");
  d.close();
  d.text("two");
  d.open("urn:x", "x");
  d.close();
  d.close();
  return d;
}

TEST(Document, HandsOutWhatWasBuilt) {
  const document d = sample();
  const element root = d.root();
  EXPECT_TRUE(root.is("message", "jabber:client"));
  EXPECT_EQ(root.attribute_count(), 3U);
  EXPECT_EQ(root.attribute("to"), "a@b");
  EXPECT_EQ(root.attribute("lang"), std::nullopt);
  EXPECT_EQ(root.attribute("lang", "http://www.w3.org/XML/1998/namespace"), "de");
  EXPECT_EQ(root.child_count(), 2U);
  EXPECT_EQ(root.text(), "one two");
  EXPECT_EQ(root.child_text("body", "jabber:client"), "hello");
  EXPECT_EQ(root.first_child().name(), "body");
  EXPECT_TRUE(root.child("x", "urn:x"));
}

TEST(Document, TellsAnEmptyAttributeFromAnAbsentOne) {
  const document d = sample();
  EXPECT_EQ(d.root().attribute("id"), "");
  EXPECT_EQ(d.root().attribute("from"), std::nullopt);
}

TEST(Document, AnswersForNoElementAsForAnEmptyOne) {
  const element none = document{}.root();
  EXPECT_FALSE(none);
  EXPECT_EQ(none.name(), "");
  EXPECT_EQ(none.ns(), "");
  EXPECT_EQ(none.text(), "");
  EXPECT_EQ(none.attribute("a"), std::nullopt);
  EXPECT_EQ(none.child_count(), 0U);
  EXPECT_FALSE(none.first_child());
  EXPECT_FALSE(none.child("a", ""));
  EXPECT_EQ(none.child_text("a", ""), std::nullopt);
  EXPECT_FALSE(none.is("", ""));
}

TEST(Document, SurvivesBeingMovedAndIsEmptyOnceCleared) {
  document a = sample();
  const document b = std::move(a);
  EXPECT_EQ(b.root().child_text("body", "jabber:client"), "hello");
  document c = sample();
  const auto capacity = c.capacity();
  c.clear();
  EXPECT_TRUE(c.empty());
  EXPECT_FALSE(c.root());
  EXPECT_EQ(c.capacity(), capacity);
}

TEST(Document, KeepsARepeatedNamespaceOnce) {  // THREATS A13: memory stays near the size of what came in
  document d;
  const std::string ns(10'000, 'n');
  d.open(ns, "a");
  for (int i = 0; i < 1000; ++i) {
    d.open(ns, "b");
    d.close();
  }
  d.close();
  EXPECT_LT(d.capacity(), 300'000U);
}

TEST(Document, SaysWhenANamespaceThatSteersStreamsIsInside) {  // THREATS A5
  for (const char* const ns : {"http://etherx.jabber.org/streams", "urn:ietf:params:xml:ns:xmpp-framing",
                               "urn:ietf:params:xml:ns:xmpp-tls", "urn:ietf:params:xml:ns:xmpp-sasl"}) {
    document d;
    d.open(ns, "root");
    EXPECT_FALSE(d.forbidden_namespace()) << "a root may be of the stream itself";
    d.open("urn:x", "between");
    EXPECT_FALSE(d.forbidden_namespace());
    d.open(ns, "nested");
    d.close();
    d.close();
    d.close();
    EXPECT_TRUE(d.forbidden_namespace()) << ns;
    d.clear();
    EXPECT_FALSE(d.forbidden_namespace());
  }
}

TEST(Document, RenamesContentButNotWhatIsForwardedInside) {  // RFC 6120 §4.8.3
  document d;
  d.open("jabber:server", "message");
  d.open("jabber:server", "body");
  d.close();
  d.open("urn:xmpp:forward:0", "forwarded");
  d.open("jabber:server", "message");
  d.close();
  d.close();
  d.open("jabber:client", "odd");
  d.open("jabber:server", "inside");
  d.close();
  d.close();
  d.close();
  d.rename_content("jabber:server", "jabber:client");
  EXPECT_EQ(d.root().ns(), "jabber:client");
  EXPECT_TRUE(d.root().child("body", "jabber:client"));
  EXPECT_EQ(d.root().child("forwarded", "urn:xmpp:forward:0").first_child().ns(), "jabber:server");
  EXPECT_EQ(d.root().child("odd", "jabber:client").first_child().ns(), "jabber:server");
}

}  // namespace
}  // namespace comity::xml
