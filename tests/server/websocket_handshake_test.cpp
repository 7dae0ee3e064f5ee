// The opening handshake of WebSocket for XMPP, the documents that say where it is, and who is behind a proxy.
#include "server/http/websocket_handshake.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "connection/s2s/posh.hpp"
#include "server/http/forwarded_for.hpp"
#include "server/http/well_known.hpp"

namespace comity::http {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> any{"*"};

request sound() {
  request r{.method = "GET", .target = "/xmpp-websocket", .path = "/xmpp-websocket", .authority = "example.com"};
  r.from.secure = true;
  r.fields = {{"upgrade", "websocket"},
              {"connection", "Upgrade"},
              {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="},
              {"origin", "https://example.com"},
              {"sec-websocket-protocol", "xmpp"},
              {"sec-websocket-version", "13"}};
  return r;
}
request with(std::string_view name, std::string value) {
  auto r = sound();
  std::ranges::find(r.fields, name, &field::name)->value = std::move(value);
  return r;
}
request without(std::string_view name) {
  auto r = sound();
  std::erase_if(r.fields, [&](const field& f) { return f.name == name; });
  return r;
}

TEST(WebsocketHandshake, IsAnsweredAsTheSpecificationHasIt) {  // RFC 6455 §4.2.2, RFC 7395 §3.1
  const auto r = websocket_handshake(sound(), any);
  EXPECT_EQ(r.status, 101U);
  EXPECT_EQ(r.upgrade, "websocket");
  EXPECT_THAT(r.fields, testing::ElementsAre(field{"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
                                             field{"Sec-WebSocket-Protocol", "xmpp"}));
}

TEST(WebsocketHandshake, TakesWhatMayStandInItsFields) {  // RFC 6455 §4.2.1
  EXPECT_EQ(101U, websocket_handshake(with("upgrade", "h2c, WebSocket"), any).status);
  EXPECT_EQ(101U, websocket_handshake(with("connection", "keep-alive, upgrade"), any).status);
  EXPECT_EQ(101U, websocket_handshake(with("sec-websocket-protocol", "soap, xmpp"), any).status);
  auto two = with("sec-websocket-protocol", "soap");
  two.fields.push_back({"sec-websocket-protocol", "xmpp"});
  EXPECT_EQ(101U, websocket_handshake(two, any).status);
  two.fields.push_back({"sec-websocket-extensions", "permessage-deflate"});
  EXPECT_EQ(2U, websocket_handshake(two, any).fields.size());  // no extension is agreed to
}

TEST(WebsocketHandshake, AsksForAnUpgradeWhereThereIsNone) {  // RFC 9110 §15.5.22
  for (const auto& r : {without("upgrade"), without("connection"), with("upgrade", "websockets"),
                        with("connection", "keep-alive"), with("upgrade", "h2c")}) {
    const auto refused = websocket_handshake(r, any);
    EXPECT_EQ(426U, refused.status);
    EXPECT_EQ("websocket", refused.upgrade);
  }
  auto head = sound();
  head.method = "HEAD";
  EXPECT_EQ(426U, websocket_handshake(head, any).status);
  auto old = sound();
  old.minor_version = 0;
  EXPECT_EQ(426U, websocket_handshake(old, any).status);
}

TEST(WebsocketHandshake, SaysWhichVersionItSpeaks) {  // RFC 6455 §4.2.2, §4.4
  for (const auto& r : {with("sec-websocket-version", "8"), with("sec-websocket-version", "13, 8"),
                        with("sec-websocket-version", "013"), without("sec-websocket-version")}) {
    const auto refused = websocket_handshake(r, any);
    EXPECT_EQ(426U, refused.status);
    EXPECT_THAT(refused.fields, testing::ElementsAre(field{"Sec-WebSocket-Version", "13"}));
  }
}

TEST(WebsocketHandshake, TakesAKeyOfSixteenBytes) {  // RFC 6455 §4.2.1 (5); 15, 16, 17
  for (const auto* key : {"", "dGhlIHNhbXBsZSBub25jZQ", "MTIzNDU2Nzg5MDEyMzQ1", "MTIzNDU2Nzg5MDEyMzQ1Njc=",
                          "dGhlIHNhbXBsZSBub25jZQ==x", "dGhlIHNhbXBsZSBub25jZR==", "****IHNhbXBsZSBub25jZQ=="}) {
    EXPECT_EQ(400U, websocket_handshake(with("sec-websocket-key", key), any).status) << key;
  }
  EXPECT_EQ(101U, websocket_handshake(with("sec-websocket-key", "MTIzNDU2Nzg5MDEyMzQ1Ng=="), any).status);
  EXPECT_EQ(400U, websocket_handshake(without("sec-websocket-key"), any).status);
  auto two = sound();
  two.fields.push_back({"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="});
  EXPECT_EQ(400U, websocket_handshake(two, any).status);
}

TEST(WebsocketHandshake, SpeaksXmppAndNothingElse) {  // RFC 7395 §3.1
  for (const auto& r : {without("sec-websocket-protocol"), with("sec-websocket-protocol", ""),
                        with("sec-websocket-protocol", "XMPP"), with("sec-websocket-protocol", "xmpp2, soap")}) {
    EXPECT_EQ(400U, websocket_handshake(r, any).status);
  }
}

TEST(WebsocketHandshake, LetsInTheOriginsOfTheConfiguration) {  // RFC 6455 §10.2
  const std::vector<std::string> some{"https://chat.example.org", "http://127.0.0.1:8080"};
  EXPECT_EQ(101U, websocket_handshake(with("origin", "https://chat.example.org"), some).status);
  EXPECT_EQ(101U, websocket_handshake(with("origin", "HTTPS://Chat.example.org"), some).status);
  EXPECT_EQ(101U, websocket_handshake(with("origin", "http://127.0.0.1:8080"), some).status);
  EXPECT_EQ(101U, websocket_handshake(without("origin"), some).status);  // no browser
  for (const auto* other : {"https://example.com", "http://chat.example.org", "https://chat.example.org:444",
                            "https://chat.example.org.evil.example", "null", ""}) {
    EXPECT_EQ(403U, websocket_handshake(with("origin", other), some).status) << other;
  }
  auto two = with("origin", "https://chat.example.org");
  two.fields.push_back({"origin", "https://evil.example"});
  EXPECT_EQ(403U, websocket_handshake(two, some).status);
  EXPECT_EQ(403U, websocket_handshake(sound(), {}).status);
}

TEST(WebsocketHandshake, IsRefusedInClear) {  // THREATS B3
  auto r = sound();
  r.from.secure = false;
  EXPECT_EQ(403U, websocket_handshake(r, any).status);
}

TEST(WellKnown, SaysWhereWebsocketIs) {  // XEP-0156 §4
  const std::vector<std::string> urls{websocket_url("example.org", 443), websocket_url("example.org", 5443)};
  EXPECT_EQ(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
      "<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">\n"
      "  <Link rel=\"urn:xmpp:alt-connections:websocket\" href=\"wss://example.org/xmpp-websocket\"/>\n"
      "  <Link rel=\"urn:xmpp:alt-connections:websocket\" href=\"wss://example.org:5443/xmpp-websocket\"/>\n"
      "</XRD>\n",
      host_meta_xml(urls));
  const auto json = nlohmann::json::parse(host_meta_json(urls));
  ASSERT_EQ(2U, json["links"].size());
  EXPECT_EQ("urn:xmpp:alt-connections:websocket", json["links"][0]["rel"]);
  EXPECT_EQ("wss://example.org:5443/xmpp-websocket", json["links"][1]["href"]);
  EXPECT_EQ("wss://[2001:db8::1]:444/xmpp-websocket", websocket_url("2001:db8::1", 444));
  EXPECT_THAT(host_meta_xml({"a&<\""}), HasSubstr("href=\"a&amp;&lt;&quot;\""));
  EXPECT_EQ("{\"links\":[]}\n", host_meta_json({}));
}

TEST(WellKnown, HasFingerprintsThatOurOwnReaderTakes) {  // RFC 7711 §3.1
  namespace posh = connection::posh;
  const posh::fingerprint one{.sha256 = std::string(32, '\1'), .sha512 = std::string(64, '\2')};
  const auto read = posh::read(posh_document(one, std::chrono::hours{1}));
  ASSERT_TRUE(read);
  const auto& document = std::get<posh::fingerprints>(*read);
  EXPECT_EQ(document.all, std::vector{one});
  EXPECT_EQ(document.expires, std::chrono::hours{1});
}

TEST(ForwardedFor, IsReadFromItsEnd) {
  const std::vector proxies{*connection::address_block::parse("10.0.0.0/8"), *connection::address_block::parse("::1")};
  const auto peer = *dns::address::parse("10.0.0.1");
  const auto client = [&](const std::vector<std::string_view>& list) {
    return forwarded_client(list, peer, proxies).text();
  };
  EXPECT_EQ("10.0.0.1", client({}));
  EXPECT_EQ("192.0.2.7", client({"192.0.2.7"}));
  EXPECT_EQ("192.0.2.7", client({"198.51.100.1", "192.0.2.7"}));  // what a client invents stands before it
  EXPECT_EQ("192.0.2.7", client({"198.51.100.1", "192.0.2.7", "10.1.2.3", "::1"}));
  EXPECT_EQ("10.9.9.9", client({"10.9.9.9", "10.1.2.3"}));  // nobody but proxies
  for (const auto* text : {"192.0.2.7:51234", "::ffff:192.0.2.7", "[::ffff:192.0.2.7]:1"}) {
    EXPECT_EQ("192.0.2.7", client({text})) << text;
  }
  for (const auto* text : {"2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:51234"}) {
    EXPECT_EQ("2001:db8::7", client({text})) << text;
  }
  for (const auto* none : {"unknown", "_hidden", "[2001:db8::7", "[2001:db8::7]x", "192.0.2", "a:b:c", "[]", "\n"}) {
    EXPECT_EQ("10.1.2.3", client({"192.0.2.7", none, "10.1.2.3"})) << none;  // the last that is known
  }
}

}  // namespace
}  // namespace comity::http
