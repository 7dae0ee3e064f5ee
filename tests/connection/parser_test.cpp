#include "connection/xml/parser.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <string>

#include "connection/xml/writer.hpp"
#include "tests/connection/framed_stream.hpp"

namespace comity {
namespace {

using enum stream_condition;

const xml::stream_context client{.content_ns = "jabber:client", .namespaces = {}};

std::optional<stream_condition> parsed(std::string_view bytes, xml::document& out,
                                       const xml::stream_context& context = client) {
  xml::parser p;
  const auto result = p.element(bytes, context, out);
  return result ? std::nullopt : std::optional{result.error()};
}

std::optional<stream_condition> parsed(std::string_view bytes) {
  xml::document d;
  return parsed(bytes, d);
}

TEST(Parser, ReadsAStreamHeader) {  // RFC 6120 §4.7
  const auto h = xml::parser{}.header(
      "<?xml version='1.0' encoding='UTF-8'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
      "xmlns:stream='http://etherx.jabber.org/streams' to='a&amp;b' from='' id='7' version='1.0' xml:lang='de' "
      "db:to='other'>");
  ASSERT_TRUE(h);
  EXPECT_EQ(h->name, "stream");
  EXPECT_EQ(h->ns, xml::ns_streams);
  EXPECT_EQ(h->content_ns, "jabber:server");
  EXPECT_EQ(h->to, "a&b");
  EXPECT_TRUE(h->has_to);
  EXPECT_TRUE(h->has_from);
  EXPECT_EQ(h->from, "");
  EXPECT_EQ(h->id, "7");
  EXPECT_EQ(h->version, "1.0");
  EXPECT_TRUE(h->has_version);
  EXPECT_EQ(h->lang, "de");
  EXPECT_EQ(h->namespaces.size(), 3U);
}

TEST(Parser, ReadsTheOpenOfWebSocket) {  // RFC 7395 §3.4
  const auto h = xml::parser{}.header("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a' version='1.0'/>");
  ASSERT_TRUE(h);
  EXPECT_EQ(h->name, "open");
  EXPECT_EQ(h->ns, "urn:ietf:params:xml:ns:xmpp-framing");
}

TEST(Parser, RefusesAHeaderThatIsMoreOrLessThanOneTag) {
  xml::parser p;
  for (const std::string_view bad : {"", "<stream:stream", "<a><b>", "<a>text", "<a/><b/>", "<a></a><b>", "text"}) {
    const auto h = p.header(bad);
    ASSERT_FALSE(h) << bad;
    EXPECT_EQ(h.error(), not_well_formed) << bad;
  }
}

struct declared {
  const char* declaration;
  std::optional<stream_condition> answer;
};

TEST(Parser, HoldsTheXmlDeclarationToUtf8) {  // THREATS A3, RFC 6120 §11.6
  for (const declared& d :
       {declared{"<?xml version='1.0'?>", std::nullopt},
        declared{"<?xml version='1.0' encoding='UTF-8'?>", std::nullopt},
        declared{"<?xml version='1.0' encoding='utf-8' standalone='yes'?>", std::nullopt},
        declared{"<?xml version='1.0' encoding='ISO-8859-1'?>", unsupported_encoding},
        declared{"<?xml version='1.0' encoding='UTF-16'?>", unsupported_encoding},
        declared{"<?xml version='1.0' encoding='US-ASCII'?>", unsupported_encoding},
        declared{"<?xml version='1.0' standalone='no'?>", restricted_xml},
        declared{"<?xml encoding='UTF-8'?>", not_well_formed}, declared{"<?xml version=?>", not_well_formed}}) {
    EXPECT_EQ(judged(d.declaration + std::string{client_header}, 1), d.answer) << d.declaration;
  }
}

TEST(Parser, BuildsTheDocument) {
  xml::document d;
  ASSERT_EQ(parsed("<message to='a&amp;&#x62;' xml:lang='en'><body>x<![CDATA[<&]]>\r\n&lt;</body>"
                   "<p:y xmlns:p='urn:p' p:z='1' z='2'/><n xmlns=''/></message>",
                   d),
            std::nullopt);
  EXPECT_TRUE(d.root().is("message", "jabber:client"));
  EXPECT_EQ(d.root().attribute("to"), "a&b");
  EXPECT_EQ(d.root().attribute("lang", xml::ns_xml), "en");
  EXPECT_EQ(d.root().child_text("body", "jabber:client"), "x<&\n<");
  const xml::element y = d.root().child("y", "urn:p");
  EXPECT_EQ(y.attribute("z", "urn:p"), "1");
  EXPECT_EQ(y.attribute("z"), "2");
  EXPECT_TRUE(d.root().child("n", ""));
}

TEST(Parser, ReadsTheNameOfANamespaceAsAnyValue) {  // Namespaces in XML §2.3, XML 1.0 §3.3.3; THREATS A4
  xml::document d;
  ASSERT_EQ(parsed("<message><a xmlns='u&apos;&lt;&amp;>'/><p:b xmlns:p='&amp;&#38;amp;'/></message>", d),
            std::nullopt);
  EXPECT_TRUE(d.root().child("a", "u'<&>"));
  EXPECT_TRUE(d.root().child("b", "&&amp;"));
  std::string written;
  xml::writer{written, "jabber:client"}.copy(d.root());
  EXPECT_EQ("<message><a xmlns='u&apos;&lt;&amp;&gt;'/><b xmlns='&amp;&amp;amp;'/></message>", written);
}

TEST(Parser, TakesNothingButOneWholeElement) {
  for (const std::string_view bad :
       {"", " ", "<a/> ", " <a/>", "<a/><b/>", "<a>", "<a", "x", "<a/>x", "</stream:stream>", "</stream:stream><a/>",
        "<a/></stream:stream>", "<a/></stream:stream><stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
        "</root>", "<a/></root>", "<a/><", "<a></a>\n"}) {
    EXPECT_EQ(parsed(bad), not_well_formed) << bad;
  }
}

TEST(Parser, GoesOnAfterARefusal) {
  xml::parser p;
  xml::document d;
  EXPECT_FALSE(p.element("<a", client, d));
  EXPECT_TRUE(d.empty());
  ASSERT_TRUE(p.element("<b/>", client, d));
  EXPECT_EQ(d.root().name(), "b");
  EXPECT_FALSE(p.element("</stream:stream>", client, d));
  ASSERT_TRUE(p.element("<c/>", client, d));
  EXPECT_EQ(d.root().name(), "c");
}

TEST(Parser, KeepsContextsApart) {
  xml::parser p;
  xml::document d;
  ASSERT_TRUE(p.element("<a/>", client, d));
  EXPECT_EQ(d.root().ns(), "jabber:client");
  ASSERT_TRUE(p.element("<a/>", {.content_ns = "jabber:server", .namespaces = {}}, d));
  EXPECT_EQ(d.root().ns(), "jabber:server");
  ASSERT_TRUE(p.element("<db:a/>", {.content_ns = "jabber:server", .namespaces = {{"db", "urn:d&b"}}}, d));
  EXPECT_EQ(d.root().ns(), "urn:d&b");
  const auto unbound = p.element("<db:a/>", {.content_ns = "jabber:server", .namespaces = {}}, d);
  ASSERT_FALSE(unbound);
  EXPECT_EQ(unbound.error(), bad_namespace_prefix);
  ASSERT_TRUE(p.element("<a/>", {.content_ns = "", .namespaces = {}}, d));
  EXPECT_EQ(d.root().ns(), "");
}

TEST(Parser, TakesPrefixesAsTheHeaderDeclaredThem) {
  xml::parser p;
  const auto header = p.header(
      "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xmlns:stream='urn:other' "
      "xmlns:xml='http://www.w3.org/XML/1998/namespace'>");
  ASSERT_TRUE(header);
  const xml::stream_context context = xml::context_of(*header);
  EXPECT_FALSE(context.common());
  xml::document d;
  ASSERT_TRUE(p.element("<a xml:lang='de'><s:b/><stream:c/></a>", context, d));
  EXPECT_EQ(d.root().ns(), xml::ns_client);
  EXPECT_TRUE(d.root().child("b", xml::ns_streams));
  EXPECT_TRUE(d.root().child("c", "urn:other"));
  EXPECT_TRUE(xml::context_of(*p.header(client_header)).common());
}

TEST(Parser, BindsNoPrefixThatTheHeaderLeavesOut) {  // THREATS A7
  xml::parser p;
  const auto header = p.header("<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>");
  ASSERT_TRUE(header);
  xml::document d;
  const auto unbound = p.element("<stream:features/>", xml::context_of(*header), d);
  ASSERT_FALSE(unbound);
  EXPECT_EQ(unbound.error(), bad_namespace_prefix);
  EXPECT_TRUE(p.element("<s:features/>", xml::context_of(*header), d));
}

TEST(Parser, ForgetsDistinctNamesInTime) {  // THREATS A15: renewed many times over, and every stanza is answered
  xml::parser p;
  xml::document d;
  for (int i = 0; i < 50'000; ++i) {
    const std::string n = std::to_string(i);
    ASSERT_TRUE(p.element_by_expat("<e" + n + " a" + n + "=''/>", client, d));
    ASSERT_EQ(d.root().name(), "e" + n);
  }
}

TEST(Parser, RefusesPrefixesThatStandForFarMoreThanTheyTake) {  // THREATS A13
  const std::string ns(100'000, 'n');
  std::string uses;
  for (int i = 0; i < 4000; ++i) {
    uses += "<p:a/>";
  }
  const std::clock_t begin = std::clock();
  EXPECT_EQ(parsed("<m xmlns:p='" + ns + "'>" + uses + "</m>"), policy_violation);
  EXPECT_EQ(parsed("<m xmlns:p='http://jabber.org/protocol/pubsub'>" + uses + "</m>"), std::nullopt);
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 0.5);
}

// --- through framer and parser, whole and split at every byte ---

struct wire_case {
  const char* name;
  std::string content;  // behind an ordinary client's header
  std::optional<stream_condition> answer;
};

class WellFormedness : public testing::TestWithParam<wire_case> {};

TEST_P(WellFormedness, IsAnsweredByItsCondition) {
  EXPECT_EQ(judged_in_stream(GetParam().content), GetParam().answer);
}

std::string in_body(std::string_view bytes) {
  return std::string{"<message><body>"}.append(bytes) + "</body></message>";
}

INSTANTIATE_TEST_SUITE_P(A1, WellFormedness,
                         testing::Values(wire_case{"doctype", "<!DOCTYPE s [<!ENTITY a0 'lol'>]>", restricted_xml},
                                         wire_case{"entity_in_body", in_body("&a0;"), restricted_xml}),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    A2, WellFormedness,
    testing::Values(wire_case{"comment", in_body("<!-- x -->"), restricted_xml},
                    wire_case{"instruction", in_body("<?foo bar?>"), restricted_xml},
                    wire_case{"undefined_entity", in_body("&foo;"), restricted_xml},
                    wire_case{"undefined_entity_in_attribute", "<message id='&foo;'/>", restricted_xml},
                    wire_case{"predefined_entities", in_body("&lt;&gt;&amp;&apos;&quot;&#x20;&#65;"), std::nullopt},
                    wire_case{"declaration", "<?xml version='1.0'?>", restricted_xml}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    A4, WellFormedness,
    testing::Values(wire_case{"three_bytes_that_swallow_a_tag", in_body("\xeb\x3c\x3e"), not_well_formed},
                    wire_case{"in_tag_name", "<aaa\xeb/>", not_well_formed},
                    wire_case{"in_attribute", "<a b='\xeb\x3c\x3e'/>", not_well_formed},
                    wire_case{"overlong", in_body("\xc0\xbc"), not_well_formed},
                    wire_case{"surrogate", in_body("\xed\xa0\x80"), not_well_formed},
                    wire_case{"beyond_unicode", in_body("\xf4\x90\x80\x80"), not_well_formed},
                    wire_case{"noncharacter_fffe", in_body("\xef\xbf\xbe"), not_well_formed},
                    wire_case{"noncharacter_ffff", in_body("\xef\xbf\xbf"), not_well_formed},
                    wire_case{"reference_to_nul", in_body("&#0;"), not_well_formed},
                    wire_case{"reference_to_control", in_body("&#x1;"), not_well_formed},
                    wire_case{"reference_to_surrogate", in_body("&#xD800;"), not_well_formed},
                    wire_case{"raw_nul", in_body(std::string_view{"\0", 1}), not_well_formed},
                    wire_case{"raw_control", in_body("\x1f"), not_well_formed},
                    wire_case{"control_in_attribute", "<a b='\x01'/>", not_well_formed},
                    wire_case{"cdata_end_in_text", in_body("]]>"), not_well_formed},
                    wire_case{"less_in_attribute", "<a b='<'/>", not_well_formed},
                    wire_case{"good_utf8", in_body("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd"), std::nullopt}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(A6, WellFormedness,
                         testing::Values(wire_case{"newline", "<p:a xmlns:p='jabber:client\nmessage'/>", std::nullopt},
                                         wire_case{"separator", "<p:a xmlns:p='u\x01v'/>", not_well_formed},
                                         wire_case{"separator_reference", "<p:a xmlns:p='u&#x1;v'/>", not_well_formed},
                                         wire_case{"bar", "<p:a xmlns:p='u|v'/>", std::nullopt},
                                         wire_case{"form_feed", "<p:a xmlns:p='u\x0cv'/>", not_well_formed},
                                         wire_case{"space", "<p:a xmlns:p='jabber:client message'/>", std::nullopt}),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(A7, WellFormedness,
                         testing::Values(wire_case{"unbound", "<p:message/>", bad_namespace_prefix},
                                         wire_case{"unbound_attribute", "<message p:a='b'/>", bad_namespace_prefix},
                                         wire_case{"xml_rebound", "<message xmlns:xml='u'/>", bad_namespace_prefix},
                                         wire_case{"xmlns_bound", "<message xmlns:xmlns='u'/>", bad_namespace_prefix},
                                         wire_case{"prefix_undeclared", "<message xmlns:p=''/>", bad_namespace_prefix}),
                         [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(A8, WellFormedness,
                         testing::Values(wire_case{"text", "hello", bad_format},
                                         wire_case{"other_end_tag", "<message></iq>", not_well_formed},
                                         wire_case{"duplicate_attribute", "<message a='1' a='2'/>", not_well_formed},
                                         wire_case{"duplicate_by_namespace",
                                                   "<message xmlns:a='u' xmlns:b='u' a:x='' b:x=''/>", not_well_formed},
                                         wire_case{"stream_end_in_stanza", "<message></stream:stream></message>",
                                                   not_well_formed}),  // A5
                         [](const auto& tested) { return tested.param.name; });

TEST(StreamContent, AnUnboundStreamPrefixIsTold) {  // THREATS A7
  EXPECT_EQ(judged("<stream:stream xmlns='jabber:client'>", 1), bad_namespace_prefix);
}

TEST(StreamContent, ANewlineInANamespaceMakesNoStanzaOfIt) {  // THREATS A6
  std::vector<xml::document> stanzas;
  ASSERT_EQ(judged(std::string{client_header} + "<p:a xmlns:p='jabber:client\nmessage'/>", 1, &stanzas), std::nullopt);
  // XML 1.0 §3.3.3 reads the line end as a space; the name stays whole.
  EXPECT_EQ(stanzas.at(0).root().ns(), "jabber:client message");
  EXPECT_EQ(stanzas.at(0).root().name(), "a");
}

TEST(StreamContent, StreamLevelNamesInsideAStanzaAreReported) {  // THREATS A5
  for (const std::string_view content :
       {"<message><stream:stream/></message>", "<message><x><stream:error><a/></stream:error></x></message>",
        "<message><s:a xmlns:s='urn:ietf:params:xml:ns:xmpp-sasl'/></message>"}) {
    std::vector<xml::document> stanzas;
    ASSERT_EQ(judged(std::string{client_header}.append(content), 1, &stanzas), std::nullopt);
    EXPECT_TRUE(stanzas.at(0).forbidden_namespace()) << content;
  }
}

TEST(StreamContent, TheLargestLegalStanzasAreCheap) {  // THREATS A11, A13
  std::string children;
  for (int i = 0; i < 4999; ++i) {
    children += "<a/>";
  }
  std::string attributes;
  for (int i = 0; i < 192; ++i) {
    attributes += " p" + std::to_string(i % 64) + ":a" + std::to_string(i) + "='x'";
  }
  std::string declarations;
  for (int i = 0; i < 64; ++i) {
    declarations += " xmlns:p" + std::to_string(i) + "='urn:" + std::to_string(i) + "'";
  }
  std::string long_named = " xmlns:p='" + std::string(1024, 'n') + "'";
  for (int i = 0; i < 100; ++i) {
    long_named += " p:a" + std::to_string(i) + "='x'";
  }
  for (const std::string& stanza :
       {"<m>" + children + "</m>", "<m" + declarations + attributes + "/>", "<m" + long_named + "/>"}) {
    const std::clock_t begin = std::clock();
    EXPECT_EQ(judged(std::string{client_header} + stanza, 4096), std::nullopt);
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 0.2);  // 20 ms, with room for sanitizers
  }
}

}  // namespace
}  // namespace comity
