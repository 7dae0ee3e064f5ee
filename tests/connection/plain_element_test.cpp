// What is read without expat, and that it reads as expat would read it.
#include "connection/xml/plain_element.hpp"

#include <gmock/gmock.h>

#include <array>
#include <string>

#include "connection/xml/parser.hpp"
#include "connection/xml/writer.hpp"

namespace comity::xml {
namespace {

constexpr std::array<std::string_view, 9> plain{
    "<message to='juliet@example.com/balcony' type='chat' id='m1'><body>Art thou not Romeo?</body></message>",
    "<a/>",
    "<presence\n  type=\"unavailable\"\t/>",
    "<iq type='get' id='1' to='a.example'><query xmlns='jabber:iq:roster' ver=''/></iq>",
    "<message xml:lang='de'><body xml:lang='fr'>\xc3\xa9t\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80</body ></message\n>",
    "<m a='>\"' b=\"'\"> &lt;&amp;&gt;&quot;&apos; ] ]] > ]]&gt;\t\n<x/>text<x>y</x></m>",
    "<m><d xmlns='urn:x'><e/><f xmlns='jabber:client'/></d><g/></m>",
    "<m xml='1' xmlnsx='2' lang='3' _.-9='4'/>",
    "<message xmlns='jabber:client'><x xmlns='http://etherx.jabber.org/streams'/></message>"};

std::string written(const document& d) {
  std::string out;
  writer{out, "none"}.copy(d.root());
  return out + (d.forbidden_namespace() ? " forbidden" : "");
}

/// What expat makes of it; "refused".
std::string by_expat(parser& p, std::string_view bytes, std::string_view content_ns) {
  document d;
  return p.element_by_expat(bytes, {.content_ns = std::string{content_ns}, .namespaces = {}}, d) ? written(d)
                                                                                                 : "refused";
}

bool is_plain(std::string_view bytes, document& d) {
  d.clear();
  return read_plain_element(bytes, ns_client, d);
}

TEST(PlainElement, ReadsAsExpatWouldReadIt) {
  parser p;
  for (const auto bytes : plain) {
    for (const auto content_ns : {ns_client, ns_server}) {
      document d;
      ASSERT_TRUE(read_plain_element(bytes, content_ns, d)) << bytes;
      EXPECT_EQ(by_expat(p, bytes, content_ns), written(d));
    }
  }
}

TEST(PlainElement, LeavesAllElseToExpat) {  // THREATS A1, A2, A4, A13; RFC 6120 §11.1
  for (const std::string_view bytes : {"",
                                       "a",
                                       "<",
                                       "<>",
                                       "<a",
                                       "<a>",
                                       "<a/",
                                       "<a/>b",
                                       "<a></b>",
                                       "<a></a></a>",
                                       "<a><b></a></b>",
                                       "</a>",
                                       "< a/>",
                                       "<a / >",
                                       "<1/>",
                                       "<\xc3\xa9/>",
                                       "<p:a/>",
                                       "<a p:b='1'/>",
                                       "<a xmlns:p='urn:p'/>",
                                       "<a xmlns=''/>",
                                       "<a xmlns='http://www.w3.org/2000/xmlns/'/>",
                                       "<a xmlns='http://www.w3.org/XML/1998/namespace'/>",
                                       "<a b='1' b='2'/>",
                                       "<a xmlns='u' xmlns='v'/>",
                                       "<a xml:lang='a' xml:lang='b'/>",
                                       "<a xml:space='preserve'/>",
                                       "<a xml:language='a'/>",
                                       "<a b='1'c='2'/>",
                                       "<a b = '1'/>",
                                       "<a b=1/>",
                                       "<a b/>",
                                       "<a b='1/>",
                                       "<a b='<'/>",
                                       "<a b='&amp;'/>",
                                       "<a b='\t'/>",
                                       "<a b='\n'/>",
                                       "<a>\r</a>",
                                       "<a>&#65;</a>",
                                       "<a>&x;</a>",
                                       "<a>&amp</a>",
                                       "<a>&</a>",
                                       "<a>]]></a>",
                                       "<a>\x01</a>",
                                       "<a>\xff</a>",
                                       "<a>\xc0\x80</a>",
                                       "<a>\xed\xa0\x80</a>",
                                       "<a>\xef\xbf\xbf</a>",
                                       "<a b='\xef\xbf\xbe'/>",
                                       "<a><!-- --></a>",
                                       "<a><?b?></a>",
                                       "<a><![CDATA[b]]></a>",
                                       "<!DOCTYPE a>",
                                       " <a/>",
                                       "<a/> "}) {
    document d;
    EXPECT_FALSE(is_plain(bytes, d)) << bytes;
  }
}

TEST(PlainElement, HasBoundsOfItsOwn) {  // L-1, L, L+1
  document d;
  for (const std::size_t size : {15U, 16U, 17U}) {
    std::string deep, wide = "<a";
    for (std::size_t i = 0; i < size; ++i) {
      deep = "<a>" + deep + "</a>";
      wide += " b" + std::to_string(i) + "=''";
    }
    EXPECT_EQ(size <= 16, is_plain(deep, d)) << size;
    EXPECT_EQ(size <= 16, is_plain(wide + "/>", d)) << size;
  }
  const std::string inside(1024, 'n');
  for (const std::size_t count : {63U, 64U, 65U}) {  // with the root, whose namespace is one of them
    std::string many = "<a xmlns='" + inside + "'>";
    for (std::size_t i = 1; i < count; ++i) {
      many += "<b/>";
    }
    EXPECT_EQ(count <= 64, is_plain(many + "</a>", d)) << count;
  }
}

TEST(PlainElement, OneByteChangedReadsAsExpatReadsItOrNotAtAll) {  // THREATS A4
  constexpr std::string_view bytes{"<>/='\" &;]x:\n\r\x01\x80\xc3", 17};
  parser p;
  std::size_t read = 0;
  document d;
  const auto held = [&](const std::string& changed) {
    if (is_plain(changed, d)) {
      ++read;
      ASSERT_EQ(by_expat(p, changed, ns_client), written(d)) << changed;
    }
  };
  for (const auto original : plain) {
    for (std::size_t at = 0; at < original.size(); ++at) {
      const std::string before{original.substr(0, at)};
      const std::string behind{original.substr(at + 1)};
      held(before + behind);
      for (const char c : bytes) {
        held(before + c + behind);
        held(before + c + original[at] + behind);
      }
    }
  }
  EXPECT_GT(read, 1000U);  // many changes of a text leave it plain
}

constexpr std::array<std::string_view, 4> plain_headers{
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
    "version='1.0' to='a.example'>",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" "
    "from=\"u@a.example\" id=\"7\" xml:lang=\"de\" >",
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' to='' from='\xc3\xa9' other='1' "
    "xmlns:stream='http://etherx.jabber.org/streams'>",
    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>"};

TEST(PlainHeader, ReadsAsExpatWouldReadIt) {  // RFC 6120 §4.7
  for (const auto bytes : plain_headers) {
    stream_header h;
    ASSERT_TRUE(read_plain_header(bytes, h)) << bytes;
    EXPECT_EQ(parser{}.header_by_expat(bytes), h) << bytes;
  }
}

TEST(PlainHeader, LeavesAllElseToExpat) {  // THREATS A3, A7
  const std::string streams = " xmlns:stream='http://etherx.jabber.org/streams'";
  for (const std::string& bytes : std::initializer_list<std::string>{
           "<stream:stream>", "<stream" + streams + ">", "<s:stream" + streams + ">", "<stream:stream" + streams + "/>",
           "<stream:stream" + streams + "> ", "<stream:stream" + streams, "<stream:stream" + streams + streams + ">",
           "<stream:streams" + streams + ">", "<stream:stream xmlns:stream='urn:x'>", "<stream:stream xmlns:stream=''>",
           "<stream:stream" + streams + " xmlns:p=''>", "<stream:stream" + streams + " xmlns:xml='urn:x'>",
           "<stream:stream" + streams + " xmlns:p='http://www.w3.org/2000/xmlns/'>",
           "<stream:stream" + streams + " xmlns=''>", "<stream:stream" + streams + " p:to='x'>",
           "<stream:stream" + streams + " to='&amp;'>", " <stream:stream" + streams + ">",
           "<?xml version='1.1'?><stream:stream" + streams + ">",
           "<?xml version='1.0' encoding='ISO-8859-1'?><stream:stream" + streams + ">"}) {
    stream_header h;
    EXPECT_FALSE(read_plain_header(bytes, h)) << bytes;
  }
}

TEST(PlainHeader, OneByteChangedReadsAsExpatReadsItOrNotAtAll) {
  std::size_t read = 0;
  for (const auto original : plain_headers) {
    for (std::size_t at = 0; at < original.size(); ++at) {
      for (const char c : {'<', '>', '/', '=', '\'', '"', ' ', '&', 'x', ':', '\n', '\r', '\x80'}) {
        for (const bool inserted : {false, true}) {
          const auto changed =
              std::string{original.substr(0, at)} + c + std::string{original.substr(at + (inserted ? 0U : 1U))};
          if (stream_header h; read_plain_header(changed, h)) {
            ++read;
            ASSERT_EQ(parser{}.header_by_expat(changed), h) << changed;
          }
        }
      }
    }
  }
  EXPECT_GT(read, 300U);
}

}  // namespace
}  // namespace comity::xml
