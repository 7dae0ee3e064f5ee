#include "connection/xml/writer.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>
#include <string>

#include "connection/xml/parser.hpp"

namespace comity::xml {
namespace {

std::string copied(std::string_view bytes, std::string_view content_ns = ns_client) {
  parser p;
  document d;
  EXPECT_TRUE(p.element(bytes, {.content_ns = std::string{content_ns}, .namespaces = {}}, d)) << bytes;
  std::string out;
  writer{out, content_ns}.copy(d.root());
  return out;
}

TEST(Writer, DeclaresNamespacesWhereTheyChange) {
  std::string out;
  writer w{out, ns_client};
  w.open("iq", ns_client).attribute("type", "get").open("query", "jabber:iq:roster");
  w.leaf("item", "", "x").leaf("body", ns_client).close().open("tail", ns_client).close().close();
  EXPECT_EQ(out,
            "<iq type='get'><query xmlns='jabber:iq:roster'><item>x</item><body xmlns='jabber:client'/></query>"
            "<tail/></iq>");
}

TEST(Writer, LeavesTheDefaultNamespaceToAPrefixedName) {
  std::string out;
  writer w{out, ns_client};
  w.open("stream:features", ns_streams).leaf("bind", "urn:ietf:params:xml:ns:xmpp-bind").leaf("x", "").close();
  EXPECT_EQ(out, "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><x/></stream:features>");
}

TEST(Writer, EscapesTextAndAttributes) {
  std::string out;
  writer w{out};
  w.open("a", "").attribute("b", "<&>'\"\r\n\t").lang("").lang("de").text("<&>'\"\r\n\t]]>").close();
  EXPECT_EQ(out,
            "<a b='&lt;&amp;&gt;&apos;&quot;&#xD;&#xA;&#x9;' "
            "xml:lang='de'>&lt;&amp;&gt;&apos;&quot;&#xD;\n\t]]&gt;</a>");
}

TEST(Writer, ReplacesWhatXmlCannotHold) {
  for (const auto& [bad, good] : std::initializer_list<std::pair<std::string, std::string>>{
           {std::string{"a\0b", 3},
            "a\xef\xbf\xbd"
            "b"},
           {"\x1b", "\xef\xbf\xbd"},
           {"\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd"},
           {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
           {"\xef\xbf\xbe<", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd&lt;"},
           {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
           {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
           {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbd",
            "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbd"}}) {
    std::string text;
    append_text(text, bad);
    EXPECT_EQ(text, good);
    std::string value;
    append_attribute_value(value, bad);
    EXPECT_EQ(value, good);
    parser p;
    document d;
    EXPECT_TRUE(p.element("<a b='" + value + "'>" + text + "</a>", {.content_ns = "", .namespaces = {}}, d));
  }
}

TEST(Writer, CopiesMeaningNotPrefixes) {
  EXPECT_EQ(copied("<message a='1'  xml:lang=\"en\"><body>&lt;<![CDATA[&]]></body></message>"),
            "<message a='1' xml:lang='en'><body>&lt;&amp;</body></message>");
  EXPECT_EQ(copied("<p:a xmlns:p='urn:p'><p:b/><c/></p:a>"), "<a xmlns='urn:p'><b/><c xmlns='jabber:client'/></a>");
  EXPECT_EQ(copied("<a><b xmlns=''><c/></b><d/></a>"), "<a><b xmlns=''><c/></b><d/></a>");
  EXPECT_EQ(copied("<a xmlns:p='urn:p' xmlns:q='urn:q' p:x='1' q:x='2' p:y='3' x='4'/>"),
            "<a xmlns:a0='urn:p' a0:x='1' xmlns:a1='urn:q' a1:x='2' a0:y='3' x='4'/>");
}

TEST(Writer, GivesBackTheSameBytesOfItsOwnOutput) {
  for (const std::string_view bytes :
       {"<a/>", "<a>x<b/>y<c><d/></c>z</a>", "<p:a xmlns:p='urn:p' p:b='&#10;'><x xmlns=''/></p:a>",
        "<a><b><c><d/></c></b><e><f/></e></a>"}) {
    const std::string once = copied(bytes);
    EXPECT_EQ(copied(once), once);
  }
}

TEST(Writer, LeavesOutTheAttributesNamed) {
  parser p;
  document d;
  ASSERT_TRUE(p.element("<a to='1' xmlns:p='u' p:to='2' from='3' id='4'/>", {.content_ns = "", .namespaces = {}}, d));
  std::string out;
  writer{out}.open("a", "").copy_attributes(d.root(), {"to", "from"}).close();
  EXPECT_EQ(out, "<a xmlns:a0='u' a0:to='2' id='4'/>");
}

TEST(Writer, CopiesContentWithoutItsOwnTags) {
  parser p;
  document d;
  ASSERT_TRUE(p.element("<a>x<b><c/></b>y</a>", {.content_ns = "", .namespaces = {}}, d));
  std::string out;
  writer{out}.open("z", "").copy_content(d.root()).close();
  EXPECT_EQ(out, "<z>x<b><c/></b>y</z>");
}

// Runs on a thread whose stack would not bear a recursion over a deep tree.
void on_small_stack(std::function<void()> work) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256UL * 1024UL), 0);
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* w) -> void* {
                  (*static_cast<std::function<void()>*>(w))();
                  return nullptr;
                },
                &work),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(Writer, CopiesAndTakesDownAnyDepthOnASmallStack) {  // THREATS A12
  constexpr std::size_t depth = 100'000;
  std::string out;
  on_small_stack([&] {
    document d;
    for (std::size_t i = 0; i < depth; ++i) {
      d.open("urn:a", "a");
    }
    for (std::size_t i = 0; i < depth; ++i) {
      d.close();
    }
    writer{out, "urn:a"}.copy(d.root());
    const document moved = std::move(d);
    EXPECT_EQ(moved.root().child_count(), 1U);
  });
  EXPECT_EQ(out.size(), ((depth - 1) * (3U + 4U)) + 4U);
}

TEST(Parser, ParsesAnyDepthOnASmallStack) {  // THREATS A12: were the framer's limit ever to be lifted
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) {
    bytes += "<a>";
  }
  for (int i = 0; i < 100'000; ++i) {
    bytes += "</a>";
  }
  on_small_stack([&] {
    parser p;
    document d;
    EXPECT_TRUE(p.element(bytes, {.content_ns = "", .namespaces = {}}, d));
  });
}

}  // namespace
}  // namespace comity::xml
