#include "connection/jid.hpp"

#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "connection/precis.hpp"

namespace comity {

static std::ostream& operator<<(std::ostream& out, jid_error e) {
  return out << to_string(e);
}

namespace {

using enum jid_error;

// The text of the JID, or the word for why it is none.
std::string outcome(std::string_view text) {
  const auto j = jid::parse(text);
  return j ? j->text() : std::string{to_string(j.error())};
}

std::string repeated(std::string_view what, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) {
    all += what;
  }
  return all;
}

struct example {
  std::string text;
  std::string outcome;
};

void expect_each(const std::vector<example>& examples) {
  for (const example& e : examples) {
    EXPECT_EQ(outcome(e.text), e.outcome) << e.text;
  }
}

TEST(Jid, TakesTheExamplesOfTheRfc) {  // RFC 7622 §3.5, table 1
  for (const char* const text :
       {"juliet@example.com", "juliet@example.com/foo", "juliet@example.com/foo bar", "juliet@example.com/foo@bar",
        "foo\\20bar@example.com", "fussball@example.com", "fu\u00dfball@example.com", "\u03c0@example.com",
        "\u03c3@example.com/foo", "\u03c2@example.com/foo", "king@example.com/\u265a", "example.com",
        "example.com/foobar", "a.example.com/b@example.net"}) {
    EXPECT_EQ(outcome(text), text);
  }
  EXPECT_EQ(outcome("\u03a3@example.com/foo"), "\u03c3@example.com/foo");
}

TEST(Jid, RefusesTheCounterexamplesOfTheRfc) {  // RFC 7622 §3.5, table 2
  expect_each({{"\"juliet\"@example.com", "bad localpart"},
               {"foo bar@example.com", "bad localpart"},
               // DEVIATION: table 2 calls this one illegal, but nothing in OpaqueString (RFC 8265 §4.2) forbids it.
               {"juliet@example.com/ foo", "juliet@example.com/ foo"},
               {"@example.com/", "empty part"},
               {"henry\u2163@example.com", "bad localpart"},
               {"\u265a@example.com", "bad localpart"},
               {"juliet@", "empty part"},
               {"/foobar", "empty part"}});
}

TEST(Jid, SplitsAtTheFirstSlashAndTheFirstAtBeforeIt) {  // RFC 7622 §3.1, §3.2
  const auto j = jid::parse("a@b/c@d/e");
  ASSERT_TRUE(j);
  EXPECT_EQ(j->localpart(), "a");
  EXPECT_EQ(j->domainpart(), "b");
  EXPECT_EQ(j->resourcepart(), "c@d/e");
  EXPECT_EQ(j->bare_text(), "a@b");
  EXPECT_EQ(j->bare().text(), "a@b");
  EXPECT_FALSE(j->bare().has_resource());
  EXPECT_EQ(outcome("a@b@c"), "bad domainpart");
  const auto d = jid::parse("b/a@c");
  ASSERT_TRUE(d);
  EXPECT_FALSE(d->has_localpart());
  EXPECT_EQ(d->domainpart(), "b");
  EXPECT_EQ(d->resourcepart(), "a@c");
}

TEST(Jid, RefusesEmptyParts) {
  for (const char* const text : {"", "@", "/", "@b", "a@", "a@/c", "b/", "a@b/", "a@b./", "."}) {
    EXPECT_EQ(outcome(text), "empty part") << text;
  }
  EXPECT_TRUE(jid{}.empty());
  EXPECT_FALSE(jid::make("", "", ""));
  EXPECT_EQ(jid::make("", "b", "")->text(), "b");
  EXPECT_EQ(jid::make("a", "b", "c")->text(), "a@b/c");
  EXPECT_EQ(jid::parse("a@b")->with_resource("").error(), empty_part);
}

TEST(Jid, FoldsCaseOfLocalAndDomainButNotOfResource) {
  expect_each({{"JULIET@Example.COM/Foo", "juliet@example.com/Foo"},
               {"\u00c9T\u00c9@B\u00dcCHER.example/\u00c9", "\u00e9t\u00e9@b\u00fccher.example/\u00c9"},
               {"\u0391\u03a3@b", "\u03b1\u03c2@b"}});  // a final sigma
  EXPECT_EQ(*jid::parse("JULIET@EXAMPLE.com"), *jid::parse("juliet@example.com"));
  EXPECT_EQ(std::hash<jid>{}(*jid::parse("JULIET@EXAMPLE.com")), std::hash<jid>{}(*jid::parse("juliet@example.com")));
}

TEST(Jid, RefusesTheEightCharactersInWhateverFormTheyCome) {  // RFC 7622 §3.3.1, THREATS D9
  for (const char c : std::string_view{"\"&':<>"}) {
    EXPECT_EQ(outcome(std::string{"a"} + c + "b@c"), "bad localpart") << c;
    EXPECT_EQ(outcome(std::string{"\u00e9"} + c + "b@c"), "bad localpart") << c;
  }
  // Through make() the separators themselves may arrive.
  for (const char* const local : {"a@b", "a/b", "\u00e9@", "\u00e9/", "\uff20", "a\uff0fb", "\uff02", "\uff1c"}) {
    EXPECT_EQ(jid::make(local, "c", "").error(), bad_localpart) << local;
  }
}

TEST(Jid, AnswersHomographsAndOddFormsAsThreatsListThem) {  // THREATS D9
  expect_each({{"\uff20@b", "bad localpart"},
               {"\uff21\uff22@b", "ab@b"},        // fullwidth letters are mapped
               {"a@b\uff0fc", "bad domainpart"},  // a fullwidth solidus is no separator
               {"\u212b@b", "bad localpart"},     // the angstrom sign is no letter of its own
               {"\ufb01@b", "bad localpart"},     // a ligature
               {"e\u0301@b", "\u00e9@b"},         // NFD becomes NFC
               {"\u0130@b", "i\u0307@b"},         // as without a Turkish locale
               {"\u0131@b", "\u0131@b"},
               {"I@b", "i@b"},
               {"a\u200db@c", "bad localpart"},  // ZWJ behind no virama
               {"\u0915\u094d\u200d\u0937@c", "\u0915\u094d\u200d\u0937@c"},
               {"\u200c@c", "bad localpart"},
               {"\u0628\u200c\u0628@c", "\u0628\u200c\u0628@c"},  // between joining letters
               {"\u0378@c", "bad localpart"},                     // unassigned
               {"c/\u0378", "bad resourcepart"},
               {"\u0640@c", "bad localpart"},
               {"a\u05d0@c", "bad localpart"},  // RFC 5893 §2 condition 5
               {"\u05d0a@c", "bad localpart"},  // condition 2
               {"1\u05d0@c", "bad localpart"},  // condition 1
               {"\u05d01@c", "\u05d01@c"},      // condition 3
               {"\u05d0\u0661@c", "\u05d0\u0661@c"},
               {"\u05d01\u0661@c", "bad localpart"},  // condition 4
               {"\u05d0-@c", "bad localpart"},        // condition 3
               {"\u0661\u06f1@c", "bad localpart"},
               {"\u06271\u06f1@c", "\u06271\u06f1@c"},
               {"l\u00b7l@c", "l\u00b7l@c"},
               {"a\u00b7l@c", "bad localpart"},
               {"\u30fb@c", "bad localpart"},
               {"\u30a2\u30fb@c", "\u30a2\u30fb@c"},
               {"\u05d0\u05f3@c", "\u05d0\u05f3@c"},
               {"\u05f3\u05d0@c", "bad localpart"},
               {"\u0375\u03b1@c", "\u0375\u03b1@c"},
               {"\u0375a@c", "bad localpart"},
               {"\u1100@c", "bad localpart"},  // old hangul jamo
               {"\U0001f600@c", "bad localpart"},
               {"c/\U0001f600", "c/\U0001f600"},
               {"a b@c", "bad localpart"},
               {"a\u00a0b@c", "bad localpart"},
               {"c/a\u00a0\u3000b", "c/a  b"},  // RFC 8265 §4.2.2 rule 2
               {"c/\u00ad", "bad resourcepart"},
               {"c/\t", "bad resourcepart"},
               {"c/\x7f", "bad resourcepart"},
               {"\x7f@c", "bad localpart"},
               {"c/\uff21", "c/\uff21"}});  // width stays in a resource
}

TEST(Jid, RefusesBadUtf8Anywhere) {  // THREATS A4
  for (const std::string_view bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    for (const std::string& text : {std::string{bad} + "@c", "a@" + std::string{bad}, "a@c/" + std::string{bad}}) {
      EXPECT_EQ(outcome(text), "bad UTF-8");
    }
  }
}

TEST(Jid, RefusesNulBytes) {
  EXPECT_EQ(jid::make(std::string_view{"a\0b", 3}, "c", "").error(), bad_localpart);
  EXPECT_EQ(jid::make("", std::string_view{"c\0d", 3}, "").error(), bad_domainpart);
  EXPECT_EQ(jid::make("", std::string_view{"[::1\0]", 6}, "").error(), bad_domainpart);
  EXPECT_EQ(jid::make("", "c", std::string_view{"\0", 1}).error(), bad_resource);
}

TEST(Jid, CountsOctetsAfterEnforcement) {  // RFC 7622 §3.1, THREATS D9
  for (const std::size_t size : {1022U, 1023U, 1024U}) {
    const bool fits = size <= 1023;
    EXPECT_EQ(jid::make(std::string(size, 'a'), "b", "").has_value(), fits);
    EXPECT_EQ(jid::make("a", "b", std::string(size, 'c')).has_value(), fits);
    const std::string domain = repeated(std::string(60, 'd') + ".", 16) + std::string(size - 976, 'd');
    EXPECT_EQ(enforce_domainpart(domain).has_value(), fits);
    EXPECT_EQ(enforce_domainpart("\u00fc." + domain.substr(3)).has_value(), fits);
    if (!fits) {
      EXPECT_EQ(jid::make(std::string(size, 'a'), "b", "").error(), too_long);
      EXPECT_EQ(jid::make("a", "b", std::string(size, 'c')).error(), too_long);
      EXPECT_EQ(enforce_domainpart(domain).error(), too_long);
    }
  }
  // Two octets each: 1022 and 1024.
  EXPECT_TRUE(jid::make(repeated("\u00e9", 511), "b", ""));
  EXPECT_EQ(jid::make(repeated("\u00e9", 512), "b", "").error(), too_long);
  EXPECT_EQ(jid::make("", "b", repeated("\u00e9", 512)).error(), too_long);
  // Cut in the middle of a character.
  EXPECT_EQ(jid::make(repeated("\u00e9", 512).substr(0, 1023), "b", "").error(), bad_utf8);
  // Longer before enforcement than after: three octets a fullwidth letter.
  EXPECT_EQ(jid::make(repeated("\uff41", 1023), "b", "")->localpart().size(), 1023U);
  EXPECT_EQ(jid::make(repeated("\uff41", 1024), "b", "").error(), too_long);
  EXPECT_EQ(jid::make(std::string(1'000'000, 'a'), "b", "").error(), too_long);
}

TEST(Jid, KeepsDomainsAsULabels) {  // RFC 7622 §3.2
  expect_each({{"Example.COM.", "example.com"},
               {"xn--bcher-kva.example", "b\u00fccher.example"},
               {"XN--BCHER-KVA.example", "b\u00fccher.example"},
               {"fa\u00df.example", "fa\u00df.example"},  // non-transitional
               {"xn--fa-hia.example", "fa\u00df.example"},
               {"b\u00fccher\u3002example", "b\u00fccher.example"},
               {"\uff42.example", "b.example"},
               {"127.0.0.1", "127.0.0.1"},
               {"localhost", "localhost"},
               {"1.example", "1.example"}});
}

TEST(Jid, RefusesWhatIsNoDomain) {  // RFC 7622 §3.2, RFC 5890 §2.3.1, THREATS D9
  for (const std::string& text : {std::string{"a..b"},
                                  std::string{".a"},
                                  std::string{"a.."},
                                  std::string{"-a"},
                                  std::string{"a-"},
                                  std::string{"a-.b"},
                                  std::string{"a.-b"},
                                  std::string{"a_b"},
                                  std::string{"a b"},
                                  std::string{"ab--c"},
                                  std::string{"xn--"},
                                  std::string{"xn--a"},
                                  std::string{"xn--0"},
                                  std::string{"xn--zzzzzz99"},
                                  std::string{"xn--example-"},
                                  std::string{"a!"},
                                  std::string{"\u2665.example"},
                                  std::string{"\U0001f600"},
                                  std::string{"\u0378"},
                                  std::string{"a\u200db"},
                                  std::string{"\u05d0a"},
                                  std::string{"a:5222"},
                                  std::string{"::1"},
                                  std::string(64, 'a'),
                                  repeated("\u00fc", 60)}) {
    EXPECT_EQ(outcome(text), "bad domainpart") << text;
  }
  EXPECT_EQ(outcome(std::string(63, 'a')), std::string(63, 'a'));
}

TEST(Jid, TakesIpLiteralsInOneSpelling) {  // RFC 7622 §3.2, RFC 3986 §3.2.2
  expect_each({{"[::1]", "[::1]"},
               {"a@[2001:DB8:0:0::1]/b", "a@[2001:db8::1]/b"},
               {"[::1", "bad domainpart"},
               {"[]", "bad domainpart"},
               {"[", "bad domainpart"},
               {"[1.2.3.4]", "bad domainpart"},
               {"[::1]x", "bad domainpart"},
               {"[fe80::1%25eth0]", "bad domainpart"},
               {"[v1.a]", "bad domainpart"}});
}

TEST(Jid, GivesALabelsForDns) {
  EXPECT_EQ(to_a_labels("b\u00fccher.example"), "xn--bcher-kva.example");
  EXPECT_EQ(to_a_labels("fa\u00df.example"), "xn--fa-hia.example");
  EXPECT_EQ(to_a_labels("example.com"), "example.com");
  EXPECT_EQ(to_a_labels("[::1]"), "[::1]");
}

TEST(Password, IsPreparedAsOpaqueString) {  // RFC 8265 §4.3
  EXPECT_EQ(*enforce_opaque_string("correct horse battery staple"), "correct horse battery staple");
  EXPECT_EQ(*enforce_opaque_string("Correct Horse Battery Staple"), "Correct Horse Battery Staple");
  EXPECT_EQ(*enforce_opaque_string("\u03c0\u00df\u00e5"), "\u03c0\u00df\u00e5");
  EXPECT_EQ(*enforce_opaque_string("Jack of \u2666s"), "Jack of \u2666s");
  EXPECT_EQ(*enforce_opaque_string("foo\u1680bar"), "foo bar");
  EXPECT_EQ(enforce_opaque_string("").error(), empty_part);
  EXPECT_EQ(enforce_opaque_string("my cat is a \tby").error(), bad_resource);
  EXPECT_EQ(enforce_opaque_string("\xff").error(), bad_utf8);
}

TEST(Password, IsPreparedBySaslprep) {  // RFC 4013 §3
  EXPECT_EQ(*saslprep("I\u00adX"), "IX");
  EXPECT_EQ(*saslprep("user"), "user");
  EXPECT_EQ(*saslprep("USER"), "USER");
  EXPECT_EQ(*saslprep("\u00aa"), "a");
  EXPECT_EQ(*saslprep("\u2168"), "IX");
  EXPECT_EQ(*saslprep("a\u00a0b"), "a b");
  EXPECT_EQ(saslprep("\u0007").error(), bad_resource);
  EXPECT_EQ(saslprep("\u06271").error(), bad_resource);
  EXPECT_EQ(saslprep("\u0221").error(), bad_resource);  // unassigned in Unicode 3.2: not in stored strings
  EXPECT_EQ(saslprep("").error(), empty_part);
  EXPECT_EQ(saslprep("\u00ad").error(), empty_part);
  EXPECT_EQ(saslprep("\xc3").error(), bad_utf8);
  EXPECT_TRUE(saslprep(repeated("\ufdfa", 100)));  // grows eighteenfold
}

// --- properties ---

// Strings of what people and attackers send; mostly short, so that a fair part is valid.
class random_text {
public:
  std::string operator()() {
    std::string text;
    const auto alphabet = draw(alphabets.size() + 2);
    const auto length = 1 + draw(6);
    for (std::uint32_t i = 0; i < length; ++i) {
      if (alphabet == alphabets.size() + 1) {
        text += static_cast<char>(draw(256));  // often no UTF-8 at all
      } else {
        // One alphabet mostly, strangers sometimes.
        const auto& from = alphabets[alphabet == alphabets.size() || draw(8) == 0 ? draw(alphabets.size()) : alphabet];
        append(text, from.first + draw(from.last - from.first + 1));
      }
    }
    return text;
  }

private:
  struct range {
    std::uint32_t first, last;
  };
  static constexpr std::array<range, 21> alphabets{
      {{0x20, 0x7e},     {'a', 'z'},         {'A', 'Z'},       {0x00, 0x1f},     {0xa0, 0xff},     {0x100, 0x24f},
       {0x300, 0x36f},   {0x370, 0x3ff},     {0x400, 0x4ff},   {0x590, 0x5ff},   {0x600, 0x6ff},   {0x900, 0x97f},
       {0x1100, 0x11ff}, {0x1e00, 0x1fff},   {0x2000, 0x206f}, {0x2100, 0x218f}, {0x3000, 0x30ff}, {0x4e00, 0x9fff},
       {0xff00, 0xffef}, {0x1f300, 0x1f6ff}, {0x0, 0x10ffff}}};

  std::uint32_t draw(std::size_t below) { return static_cast<std::uint32_t>(source_() % below); }
  static void append(std::string& text, std::uint32_t c) {
    if (c < 0x80) {
      text += static_cast<char>(c);
    } else if (c < 0x800) {
      text += static_cast<char>(0xc0U | (c >> 6U));
      text += static_cast<char>(0x80U | (c & 0x3fU));
    } else if (c < 0x10000) {
      text += static_cast<char>(0xe0U | (c >> 12U));
      text += static_cast<char>(0x80U | ((c >> 6U) & 0x3fU));
      text += static_cast<char>(0x80U | (c & 0x3fU));
    } else {
      text += static_cast<char>(0xf0U | (c >> 18U));
      text += static_cast<char>(0x80U | ((c >> 12U) & 0x3fU));
      text += static_cast<char>(0x80U | ((c >> 6U) & 0x3fU));
      text += static_cast<char>(0x80U | (c & 0x3fU));
    }
  }

  std::mt19937_64 source_{20'251'124};
};

TEST(JidProperty, EnforcementIsIdempotent) {  // THREATS D9: over 10^6 strings
  random_text any;
  std::array<std::size_t, 3> accepted{};
  for (int i = 0; i < 1'000'002; ++i) {
    const std::string s = any();
    std::expected<jid, jid_error> once = std::unexpected{empty_part};
    const auto which = static_cast<std::size_t>(i % 3);
    once = which == 0 ? jid::make(s, "b", "") : which == 1 ? jid::make("", s, "") : jid::make("", "b", s);
    if (!once) {
      continue;
    }
    ++accepted.at(which);
    const auto again = jid::make(once->localpart(), once->domainpart(), once->resourcepart());
    ASSERT_TRUE(again) << once->text();
    ASSERT_EQ(*again, *once);
    // The text means the parts it was made of.
    const auto parsed = jid::parse(once->text());
    ASSERT_TRUE(parsed) << once->text();
    ASSERT_EQ(parsed->text(), once->text());
    ASSERT_EQ(parsed->localpart(), once->localpart());
    ASSERT_EQ(parsed->domainpart(), once->domainpart());
    ASSERT_EQ(parsed->resourcepart(), once->resourcepart());
  }
  // A generator that produces nothing valid would prove nothing.
  for (const std::size_t count : accepted) {
    EXPECT_GT(count, 50'000U);
  }
}

TEST(JidProperty, TheAsciiPathAgreesWithIcu) {
  std::mt19937_64 source{7};
  std::size_t accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string s;
    constexpr std::string_view domain_like = "abzAZ019-.-xnXN";
    for (auto left = 1 + (source() % 8); left > 0; --left) {
      s += i % 2 == 0 ? static_cast<char>(1 + (source() % 127)) : domain_like[source() % domain_like.size()];
    }
    if (s.ends_with('.') || s.front() == '[') {
      continue;  // told apart before either path
    }
    const auto domain = enforce_domainpart(s);
    const auto by_idna = precis::to_u_labels(s);
    ASSERT_EQ(domain.has_value(), by_idna.has_value()) << s;
    const auto local = jid::make(s, "b", "");
    const auto by_username = precis::username_case_mapped(s);
    const bool forbidden = s.find_first_of("\"&'/:<>@") != std::string::npos;
    ASSERT_EQ(local.has_value(), by_username.has_value() && !forbidden) << s;
    const auto resource = jid::make("", "b", s);
    const auto by_opaque = precis::opaque_string(s);
    ASSERT_EQ(resource.has_value(), by_opaque.has_value()) << s;
    if (domain) {
      ++accepted;
      ASSERT_EQ(*domain, *by_idna);
    }
    if (local) {
      ASSERT_EQ(local->localpart(), *by_username);
    }
    if (resource) {
      ASSERT_EQ(resource->resourcepart(), *by_opaque);
    }
  }
  EXPECT_GT(accepted, 20'000U);
}

}  // namespace
}  // namespace comity
