#include "connection/xml/framer.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <string>

#include "tests/connection/framed_stream.hpp"

namespace comity {
namespace {

using kind = xml::frame::kind;
using enum stream_condition;

const std::string header{client_header};

std::string repeated(std::string_view what, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) {
    all += what;
  }
  return all;
}

// The same outcome for every way of cutting the input in pieces of one size.
framed framed_any_way(const std::string& input, xml::framer_limits limits = {}) {
  const framed whole = frame_all(input, input.size(), limits);
  for (std::size_t chunk = 1; chunk < std::min<std::size_t>(input.size(), 200); ++chunk) {
    EXPECT_EQ(frame_all(input, chunk, limits), whole) << "in pieces of " << chunk;
  }
  return whole;
}

TEST(Framer, TellsThePartsOfAStreamApart) {
  const std::string declaration = "<?xml version='1.0'?>";
  const std::string stanza = "<message to='a>b' type=\"c'>\"><body>hi <![CDATA[</body>]]]]> ]]></body><x/></message>";
  const framed f =
      framed_any_way(declaration + header + " \n" + stanza + "<presence/>\t<iq></iq></stream:stream \n>\n");
  EXPECT_EQ(f.error, std::nullopt);
  EXPECT_TRUE(f.idle);
  EXPECT_EQ(f.parts, (std::vector<part>{{kind::declaration, declaration},
                                        {kind::stream_open, header},
                                        {kind::whitespace, " \n"},
                                        {kind::stanza, stanza},
                                        {kind::stanza, "<presence/>"},
                                        {kind::whitespace, "\t"},
                                        {kind::stanza, "<iq></iq>"},
                                        {kind::stream_close, "</stream:stream \n>"},
                                        {kind::whitespace, "\n"}}));
}

TEST(Framer, ReturnsAtTheFirstCompletePart) {
  xml::framer f{{}};
  EXPECT_EQ(f.feed(header + "<a/><b/>").bytes, header.size());
  EXPECT_TRUE(f.opened());
  const xml::frame first = f.feed("<a/><b/>");
  EXPECT_EQ(first.what, kind::stanza);
  EXPECT_EQ(first.bytes, 4U);
}

TEST(Framer, IsIdleBetweenPartsAndOnlyThere) {
  xml::framer f{{}};
  EXPECT_TRUE(f.idle());
  (void)f.feed("<");
  EXPECT_FALSE(f.idle());
  (void)f.feed(header.substr(1));
  EXPECT_TRUE(f.idle());
  EXPECT_EQ(f.feed(" ").what, kind::whitespace);  // told at once, so that nothing is held for it
  EXPECT_TRUE(f.idle());
  (void)f.feed("<a>");
  EXPECT_FALSE(f.idle());
}

TEST(Framer, TakesACompleteStanzaWithItsLastByteWhereverItIsSplit) {  // THREATS A14, section 0 finding 1
  const std::string stanza = "<message to='a'><body a=\"b\">c<![CDATA[d]]></body></message>";
  for (std::size_t split = 1; split < stanza.size(); ++split) {
    xml::framer f{{}};
    (void)f.feed(header);
    ASSERT_EQ(f.feed(std::string_view{stanza}.substr(0, split)).what, kind::need_more);
    const xml::frame rest = f.feed(std::string_view{stanza}.substr(split));
    ASSERT_EQ(rest.what, kind::stanza);
    ASSERT_EQ(rest.bytes, stanza.size() - split);
  }
}

TEST(Framer, StaysInErrorOnceInError) {
  xml::framer f{{}};
  EXPECT_EQ(f.feed("x").condition, not_well_formed);
  const xml::frame again = f.feed(header);
  EXPECT_EQ(again.what, kind::error);
  EXPECT_EQ(again.condition, not_well_formed);
  EXPECT_FALSE(f.idle());
}

TEST(Framer, RestartsAsNewlyMade) {  // RFC 6120 §4.3.3
  xml::framer f{{.stanza_bytes = 1000}};
  (void)f.feed("<?xml version='1.0'?>");
  (void)f.feed(header);
  (void)f.feed("<half");
  f.restart();
  EXPECT_TRUE(f.idle());
  EXPECT_FALSE(f.opened());
  EXPECT_EQ(f.feed("<?xml version='1.0'?>").what, kind::declaration);
  EXPECT_EQ(f.feed(header).what, kind::stream_open);
}

// --- limits, each at L-1, L, L+1 ---

struct sized {
  const char* name;
  std::string before, filler, after;  // before + filler… + after is one part
};

class FramerSize : public testing::TestWithParam<sized> {};

TEST_P(FramerSize, LetsTheLimitPassAndNotOneByteMore) {  // THREATS A10
  constexpr std::size_t limit = 400;
  const sized& s = GetParam();
  for (const std::size_t size : {limit - 1, limit, limit + 1, limit + 2, 4 * limit}) {
    const std::string stanza = s.before + repeated(s.filler, size - s.before.size() - s.after.size()) + s.after;
    ASSERT_EQ(stanza.size(), size);
    const framed f = framed_any_way(header + stanza + "<next/>", {.stanza_bytes = limit});
    if (size <= limit) {
      EXPECT_EQ(f.error, std::nullopt) << size;
      EXPECT_EQ(f.parts.back().text, "<next/>");
    } else {
      EXPECT_EQ(f.error, policy_violation) << size;
      EXPECT_TRUE(f.too_big);
      EXPECT_LE(f.consumed, header.size() + limit + 1);  // long before the end tag comes
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, FramerSize,
                         testing::Values(sized{"body", "<message><body>", "x", "</body></message>"},
                                         sized{"attribute", "<message id='", "x", "'/>"},
                                         sized{"opening_tag", "<message", "x", "/>"},
                                         sized{"attribute_name", "<message ", "x", "='y'/>"},
                                         sized{"white_space_in_tag", "<message", " ", "/>"},
                                         sized{"end_tag", "<message></message", " ", ">"},
                                         sized{"cdata", "<message><![CDATA[", "]", "]]></message>"},
                                         sized{"white_space_between", "", " ", ""}),
                         [](const auto& tested) { return tested.param.name; });

TEST(Framer, HoldsHeaderAndDeclarationToTheLimitToo) {  // THREATS A9, A10
  constexpr std::size_t limit = 300;
  for (const std::size_t size : {limit - 1, limit, limit + 1}) {
    const std::string long_header = header.substr(0, header.size() - 1) + repeated(" ", size - header.size()) + ">";
    const std::string long_declaration = "<?xml version='1.0'" + repeated(" ", size - 21) + "?>";
    ASSERT_EQ(long_declaration.size(), size);
    const auto expected = size <= limit ? std::nullopt : std::optional{policy_violation};
    EXPECT_EQ(framed_any_way(long_header, {.stanza_bytes = limit}).error, expected);
    EXPECT_EQ(framed_any_way(long_declaration + header, {.stanza_bytes = limit}).error, expected);
    EXPECT_EQ(framed_any_way(repeated("\n", size) + header, {.stanza_bytes = limit}).error, expected);
  }
}

TEST(Framer, CountsWhiteSpaceOverManyReads) {  // THREATS A10
  xml::framer f{{.stanza_bytes = 300}};
  (void)f.feed(header);
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(f.feed(" ").what, kind::whitespace);
  }
  const xml::frame last = f.feed(" ");
  EXPECT_EQ(last.condition, policy_violation);
  EXPECT_TRUE(last.too_big);
}

TEST(Framer, AppliesNewLimitsFromTheNextPartOn) {
  xml::framer f{{.stanza_bytes = 300, .depth = 2}};
  (void)f.feed(header);
  (void)f.feed("<a><b>");
  f.limits({.stanza_bytes = 300, .depth = 1});
  EXPECT_EQ(f.feed("</b><c/></a>").what, kind::stanza);
  EXPECT_EQ(f.feed("<a><b>").condition, policy_violation);
}

TEST(Framer, RefusesDepthOverTheLimitAtTheFirstByteOfTheName) {  // THREATS A12
  for (const std::uint32_t depth : {63U, 64U, 65U}) {
    const framed f = framed_any_way(header + repeated("<a>", depth) + repeated("</a>", depth), {.depth = 64});
    EXPECT_EQ(f.error, depth <= 64 ? std::nullopt : std::optional{policy_violation});
    EXPECT_FALSE(f.too_big);
    if (depth > 64) {
      EXPECT_EQ(f.consumed, header.size() + (64 * 3) + 1);
    }
  }
  const framed open_ended = frame_all(header + repeated("<a>", 87'350), 4096);
  EXPECT_EQ(open_ended.error, policy_violation);
}

TEST(Framer, RefusesElementsOverTheLimit) {  // THREATS A11
  for (const std::uint32_t count : {4U, 5U, 6U}) {
    const framed f = framed_any_way(header + "<m>" + repeated("<a/>", count - 1) + "</m><m/>", {.elements = 5});
    EXPECT_EQ(f.error, count <= 5 ? std::nullopt : std::optional{policy_violation});
  }
  EXPECT_EQ(frame_all(header + "<m>" + repeated("<a/>", 4999) + "</m>", 999).error, std::nullopt);
  EXPECT_EQ(frame_all(header + "<m>" + repeated("<a/>", 5000) + "</m>", 999).error, policy_violation);
}

TEST(Framer, RefusesAttributesOverTheLimitPerElement) {  // THREATS A13
  for (const std::size_t count : {255U, 256U, 257U}) {
    std::string tag;
    for (std::size_t i = 0; i < count; ++i) {
      tag += " a" + std::to_string(i) + "='x'";
    }
    const framed f = framed_any_way(header + "<m a='1'><n" + tag + "/></m>");
    EXPECT_EQ(f.error, count <= 256 ? std::nullopt : std::optional{policy_violation});
  }
}

TEST(Framer, RefusesNamespacesOverTheLimitPerElement) {  // THREATS A13
  for (const std::size_t count : {63U, 64U, 65U}) {
    std::string tag = " xmlns = 'd' xmlnsa='no' xml:lang='no' xmln='no'";
    for (std::size_t i = 1; i < count; ++i) {
      tag += " xmlns:a" + std::to_string(i) + "='x'";
    }
    const framed f = framed_any_way(header + "<m xmlns='1'><n" + tag + "/></m>");
    EXPECT_EQ(f.error, count <= 64 ? std::nullopt : std::optional{policy_violation}) << count;
  }
}

TEST(Framer, RefusesANamespaceNameOverTheLimit) {  // THREATS A13
  for (const std::size_t size : {1023U, 1024U, 1025U, 5000U}) {
    for (const std::string_view declared : {" xmlns='", " xmlns:p = '"}) {
      const std::string before = header + "<m id='" + std::string(2000, 'i') + "'" + std::string{declared};
      const framed f = framed_any_way(before + std::string(size, 'n') + "' x='" + std::string(2000, 'x') + "'/>");
      EXPECT_EQ(f.error, size <= 1024 ? std::nullopt : std::optional{policy_violation}) << size;
      if (size > 1024) {
        EXPECT_EQ(f.consumed, before.size() + 1025);
      }
    }
  }
}

// --- what it refuses by itself ---

struct refusal {
  const char* name;
  std::string input;
  stream_condition condition;
  std::size_t told_after;  // bytes of input looked at
};

class FramerRefusal : public testing::TestWithParam<refusal> {};

TEST_P(FramerRefusal, NamesTheConditionAtTheFirstTellingByte) {
  const refusal& r = GetParam();
  const framed f = framed_any_way(r.input);
  EXPECT_EQ(f.error, r.condition);
  EXPECT_EQ(f.consumed, r.told_after);
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, FramerRefusal,
    testing::Values(
        // THREATS A1, A2
        refusal{"doctype_before_header", "<!DOCTYPE s [<!ENTITY a 'lol'>]>" + header, restricted_xml, 3},
        refusal{"doctype_in_stream", header + "<!DOCTYPE s>", restricted_xml, header.size() + 3},
        refusal{"doctype_in_stanza", header + "<m><!DOCTYPE s></m>", restricted_xml, header.size() + 6},
        refusal{"comment", header + "<!-- x -->", restricted_xml, header.size() + 3},
        refusal{"comment_in_stanza", header + "<m><!-- x --></m>", restricted_xml, header.size() + 6},
        refusal{"comment_before_header", "<!-- x -->" + header, restricted_xml, 3},
        refusal{"instruction", header + "<?foo bar?>", restricted_xml, header.size() + 2},
        refusal{"instruction_in_stanza", header + "<m><?foo bar?></m>", restricted_xml, header.size() + 5},
        refusal{"instruction_before_header", "<?foo bar?>" + header, restricted_xml, 3},
        refusal{"stylesheet", "<?xml-stylesheet href='x'?>" + header, restricted_xml, 6},
        refusal{"second_declaration", "<?xml version='1.0'?><?xml version='1.0'?>", restricted_xml, 23},
        refusal{"declaration_in_stream", header + "<?xml version='1.0'?>", restricted_xml, header.size() + 2},
        // THREATS A3
        refusal{"utf16_big_endian", std::string{"\xfe\xff\0<", 4}, unsupported_encoding, 1},
        refusal{"utf16_little_endian", std::string{"\xff\xfe<\0", 4}, unsupported_encoding, 1},
        refusal{"utf16_without_mark", std::string{"<\0s\0", 4}, not_well_formed, 2},
        refusal{"utf8_mark", "\xef\xbb\xbf" + header, not_well_formed, 1},
        // THREATS A8, B9
        refusal{"text_in_stream", header + "hello", bad_format, header.size() + 1},
        refusal{"cdata_in_stream", header + "<![CDATA[x]]>", bad_format, header.size() + 3},
        refusal{"http", "GET / HTTP/1.1\r\n", not_well_formed, 1}, refusal{"tls", "\x16\x03\x01", not_well_formed, 1},
        refusal{"end_tag_first", "</stream:stream>", not_well_formed, 2},
        refusal{"wrong_end_tag", header + "</stream:strea>", not_well_formed, header.size() + 15},
        refusal{"longer_end_tag", header + "</stream:streams>", not_well_formed, header.size() + 17},
        refusal{"stream_without_content", "<stream:stream/>", bad_format, 16},
        refusal{"stream_in_stream", header + "<stream:stream to='a'>", bad_format, header.size() + 14},  // THREATS A8
        refusal{"behind_the_end", header + "</stream:stream><a/>", not_well_formed, header.size() + 17},
        refusal{"no_space_between_attributes", header + "<m a='b'c='d'/>", not_well_formed, header.size() + 9},
        refusal{"attribute_without_value", header + "<m a/>", not_well_formed, header.size() + 5},
        refusal{"attribute_without_quotes", header + "<m a=b/>", not_well_formed, header.size() + 6},
        refusal{"tag_in_tag", header + "<m <a/>", not_well_formed, header.size() + 4},
        refusal{"half_cdata", header + "<m><![CDATE[", not_well_formed, header.size() + 11},
        refusal{"empty_tag", header + "<>", not_well_formed, header.size() + 2}),
    [](const auto& tested) { return tested.param.name; });

TEST(Framer, ToleratesWhiteSpaceLeftOverBeforeTheDeclaration) {
  const framed f = framed_any_way("\r\n<?xml version='1.0'?>\n" + header);
  EXPECT_EQ(f.error, std::nullopt);
  EXPECT_EQ(f.parts.size(), 4U);
}

TEST(Framer, TakesLinearTimeHoweverTheBytesDribbleIn) {  // THREATS A14
  const std::string input = header + "<m a='" + std::string(262'000, 'x') + "'/>";
  const auto cpu = [&](std::size_t chunk) {
    const std::clock_t begin = std::clock();
    xml::framer f{{}};
    for (std::size_t at = 0; at < input.size(); at += chunk) {
      std::string_view piece = std::string_view{input}.substr(at, chunk);
      while (f.feed(piece).what == kind::stream_open) {
        piece.remove_prefix(header.size() - std::min(at, header.size()));
      }
    }
    return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  };
  // A quarter million calls of a state machine, against seconds for a tokenizer that starts each token anew.
  EXPECT_LT(cpu(1), 0.5);
}

}  // namespace
}  // namespace comity
