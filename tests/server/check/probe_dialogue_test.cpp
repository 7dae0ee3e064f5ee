#include "server/check/probe_dialogue.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace {

using namespace comity;
using namespace comity::check;
using kind = probe_dialogue::step::kind;

constexpr way starttls{dns::service::server, false}, direct{dns::service::server, true};
constexpr std::string_view header =
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    "version='1.0' id='1' from='a.example'>";
constexpr std::string_view with_starttls =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
constexpr std::string_view without = "<stream:features/>";
constexpr std::string_view proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

std::string operator+(std::string_view a, std::string_view b) {
  return std::string{a}.append(b);
}

std::string error(std::string_view condition) {
  return header + ("<stream:error><" + std::string{condition} +
                   " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
}

TEST(ProbeDialogue, OpensAStreamToTheDomainAsNobody) {  // RFC 6120 §4.7
  EXPECT_EQ(probe_dialogue(starttls, "a.example").header(),
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
            "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' to='a.example'>");
  EXPECT_TRUE(probe_dialogue({dns::service::client, false}, "a.example").header().contains("xmlns='jabber:client'"));
}

TEST(ProbeDialogue, GoesThroughStarttlsToTheFeaturesBehindIt) {  // RFC 6120 §5.4
  probe_dialogue d{starttls, "a.example"};
  const auto asks = d.on(header + with_starttls);
  EXPECT_EQ(asks.what, kind::send);
  EXPECT_EQ(asks.bytes, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  EXPECT_EQ(d.on(proceed).what, kind::begin_tls);
  d.secured();
  EXPECT_EQ(d.on(header).what, kind::more);
  const auto end = d.on(without);
  EXPECT_EQ(end.what, kind::done);
  EXPECT_EQ(end.end, probe_end::serves);
}

TEST(ProbeDialogue, TakesBytesOneByOne) {
  probe_dialogue d{direct, "a.example"};
  d.secured();
  const auto all = header + without;
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    ASSERT_EQ(d.on(all.substr(i, 1)).what, kind::more) << i;
  }
  EXPECT_EQ(d.on(all.substr(all.size() - 1)).end, probe_end::serves);
}

TEST(ProbeDialogue, TakesNothingForTheFeaturesBehindTls) {  // RFC 6120 §5.4.3.3, THREATS B1
  probe_dialogue d{starttls, "a.example"};
  (void)d.on(header + with_starttls);
  EXPECT_EQ(d.on(proceed + (header + without)).what, kind::begin_tls);
  d.secured();
  EXPECT_EQ(d.on("").what, kind::more) << "what was injected is gone";
}

struct ending {
  const char* name;
  std::string bytes;
  probe_end end;
  std::string detail;
};
void PrintTo(const ending& e, std::ostream* out) {
  *out << e.name;
}

class ProbeEndings : public ::testing::TestWithParam<ending> {};

TEST_P(ProbeEndings, AreTold) {
  probe_dialogue d{starttls, "a.example"};
  const auto end = d.on(GetParam().bytes);
  EXPECT_EQ(end.what, kind::done);
  EXPECT_EQ(end.end, GetParam().end);
  EXPECT_EQ(end.detail, GetParam().detail);
}

INSTANTIATE_TEST_SUITE_P(
    All, ProbeEndings,
    ::testing::Values(
        ending{"no STARTTLS", header + without, probe_end::no_starttls, ""},
        ending{"a web server", "HTTP/1.1 400 Bad Request\r\n", probe_end::not_xmpp, "what it says is no XML stream"},
        ending{"a TLS alert", std::string_view{"\x15\x03\x01\x00\x02\x02\x46", 7} + std::string_view{},
               probe_end::not_xmpp, "what it says is no XML stream"},
        ending{"another XML", "<html xmlns='http://www.w3.org/1999/xhtml'>", probe_end::not_xmpp,
               "what it says is no XMPP stream"},
        ending{"streams of clients",
               "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
               probe_end::not_xmpp, "its streams are of another kind"},
        ending{"no features", header + "<iq/>", probe_end::not_xmpp, "its stream begins without features"},
        ending{"broken features", header + "<stream:features></stream:other>", probe_end::not_xmpp,
               "what it says is no XML stream"},
        ending{"the domain of others", error("host-unknown"), probe_end::host_unknown, ""},
        ending{"an error", error("policy-violation"), probe_end::stream_error, "policy-violation"},
        ending{"an end", header + "</stream:stream>", probe_end::stream_error, "it closes the stream"},
        ending{"too much", header + ("<stream:features>" + std::string(std::size_t{64} * 1024, ' ')),
               probe_end::not_xmpp, "what it says is no XML stream"}),
    [](const auto& info) {
      std::string name{info.param.name};
      std::ranges::replace(name, ' ', '_');
      return name;
    });

TEST(ProbeDialogue, HearsThatTlsIsRefused) {  // RFC 6120 §5.4.2.2
  probe_dialogue d{starttls, "a.example"};
  (void)d.on(header + with_starttls);
  const auto end = d.on("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  EXPECT_EQ(end.end, probe_end::no_starttls);
  EXPECT_EQ(end.detail, "it does not proceed");
}

}  // namespace
