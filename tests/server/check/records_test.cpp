#include "server/check/records.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "fakes/certificate_builder.hpp"
#include "fakes/folder.hpp"
#include "server/check/running.hpp"
#include "server/http/well_known.hpp"
#include "tls/crypto.hpp"
#include "tls/dane.hpp"
#include "tls/key_file.hpp"
#include "tls/peer_certificate.hpp"

namespace {

using namespace comity;
using namespace comity::check;

const std::string key_a(64, 'a'), key_b(64, 'b'), key_c(64, 'c');

running_host usual() {
  return {.domain = "a.example",
          .target = "xmpp.a.example",
          .ports = {{.port = 5222, .address = "[::]:5222", .clients = true, .starttls = true},
                    {.port = 5223, .address = "[::]:5223", .clients = true, .direct_tls = true},
                    {.port = 5269, .address = "[::]:5269", .servers = true, .starttls = true},
                    {.port = 5270, .address = "[::]:5270", .servers = true, .direct_tls = true}},
          .keys = {{.domain = "a.example", .sha256 = key_a}},
          .issuer = "CN=R11,O=Let's Encrypt,C=US",
          .urls = {}};
}

TEST(Records, AreFourServicesAndAKeyForEachPort) {  // B20; XEP-0368, RFC 7673 §3.3
  EXPECT_EQ(zone_text(records_for(usual())),
            "; what a.example has to publish\n"
            "; clients by STARTTLS\n"
            "_xmpp-client._tcp.a.example.  3600 IN SRV  10 0 5222 xmpp.a.example.\n"
            "; clients by direct TLS\n"
            "_xmpps-client._tcp.a.example. 3600 IN SRV  5 0 5223 xmpp.a.example.\n"
            "; servers by STARTTLS\n"
            "_xmpp-server._tcp.a.example.  3600 IN SRV  10 0 5269 xmpp.a.example.\n"
            "; servers by direct TLS\n"
            "_xmpps-server._tcp.a.example. 3600 IN SRV  5 0 5270 xmpp.a.example.\n"
            "; a.example: its key\n"
            "_5222._tcp.xmpp.a.example.    3600 IN TLSA 3 1 1 " +
                key_a +
                "\n"
                "_5223._tcp.xmpp.a.example.    3600 IN TLSA 3 1 1 " +
                key_a +
                "\n"
                "_5269._tcp.xmpp.a.example.    3600 IN TLSA 3 1 1 " +
                key_a +
                "\n"
                "_5270._tcp.xmpp.a.example.    3600 IN TLSA 3 1 1 " +
                key_a +
                "\n"
                "; xmpp.a.example needs A and AAAA records of its own, and must not be a CNAME\n"
                "; TLSA records count in signed zones alone (DNSSEC); a key that is to come is published for two TTLs "
                "before it is used\n"
                "; CAA, where no other authority is to issue certificates for the domain: a.example. IN CAA 0 issue "
                "\"letsencrypt.org\"\n");
}

TEST(Records, SayWithADotThatAServiceIsOff) {  // RFC 2782
  auto host = usual();
  host.ports.erase(host.ports.begin() + 1, host.ports.end());
  host.issuer = "CN=our own";
  EXPECT_EQ(zone_text(records_for(host)),
            "; what a.example has to publish\n"
            "; clients by STARTTLS\n"
            "_xmpp-client._tcp.a.example.  3600 IN SRV  10 0 5222 xmpp.a.example.\n"
            "; clients by direct TLS: off\n"
            "_xmpps-client._tcp.a.example. 3600 IN SRV  0 0 0 .\n"
            "; servers by STARTTLS: off\n"
            "_xmpp-server._tcp.a.example.  3600 IN SRV  0 0 0 .\n"
            "; servers by direct TLS: off\n"
            "_xmpps-server._tcp.a.example. 3600 IN SRV  0 0 0 .\n"
            "; a.example: its key\n"
            "_5222._tcp.xmpp.a.example.    3600 IN TLSA 3 1 1 " +
                key_a +
                "\n"
                "; xmpp.a.example needs A and AAAA records of its own, and must not be a CNAME\n"
                "; TLSA records count in signed zones alone (DNSSEC); a key that is to come is published for two TTLs "
                "before it is used\n"
                "; CAA names who may issue certificates for the domain; yours is by \"CN=our own\"\n");
}

TEST(Records, ServeBothFromOnePort) {
  auto host = usual();
  host.ports = {{.port = 443, .address = "[::]:443", .clients = true, .servers = true, .direct_tls = true}};
  const auto all = records_for(host);
  ASSERT_EQ(all.records.size(), 5U);
  EXPECT_EQ(all.records[0].data, "0 0 0 .");
  EXPECT_EQ(all.records[1].data, "5 0 443 xmpp.a.example.");
  EXPECT_EQ(all.records[2].data, "0 0 0 .");
  EXPECT_EQ(all.records[3].data, "5 0 443 xmpp.a.example.");
  EXPECT_EQ(all.records[4].owner, "_443._tcp.xmpp.a.example") << "one for both";
}

TEST(Records, ListFurtherPortsOfAServiceBehindItsFirst) {
  auto host = usual();
  host.ports.push_back({.port = 443, .address = "[::]:443", .clients = true, .direct_tls = true});
  host.ports.push_back({.port = 443, .address = "0.0.0.0:443", .clients = true, .direct_tls = true});
  const auto all = records_for(host);
  ASSERT_EQ(all.records.size(), 10U);
  EXPECT_EQ(all.records[1].data, "5 0 5223 xmpp.a.example.");
  EXPECT_EQ(all.records[2].data, "6 0 443 xmpp.a.example.") << "once, whatever addresses it is opened at";
}

TEST(Records, PublishTheNextKeyAndThoseOfTheOtherHosts) {  // B20, RFC 7671 §8.1
  auto host = usual();
  host.ports.resize(1);
  host.keys.push_back({.domain = "a.example", .sha256 = key_b, .next = true});
  host.keys.push_back({.domain = "b.example", .sha256 = key_c});
  host.keys.push_back({.domain = "c.example", .sha256 = key_a});  // one certificate for both
  const auto all = records_for(host);
  ASSERT_EQ(all.records.size(), 7U);
  EXPECT_EQ(all.records[4].data, "3 1 1 " + key_a);
  EXPECT_EQ(all.records[5],
            (zone_record{"_5222._tcp.xmpp.a.example", "TLSA", "3 1 1 " + key_b, "a.example: its next key"}));
  EXPECT_EQ(all.records[6], (zone_record{"_5222._tcp.xmpp.a.example", "TLSA", "3 1 1 " + key_c, "b.example: its key"}));
}

TEST(Records, LeaveOutWhatNobodyOutsideReaches) {
  auto host = usual();
  host.ports = {{.port = 5222, .address = "127.0.0.1:5222", .clients = true, .starttls = true, .loopback = true}};
  const auto all = records_for(host);
  EXPECT_EQ(all.records.size(), 4U);
  EXPECT_EQ(all.records[0].data, "0 0 0 .");
  EXPECT_EQ(all.hints[0],
            "127.0.0.1:5222 is on the loopback interface and left out: publish the port of what stands in front of it, "
            "if anything does");
}

TEST(Records, HaveTheFilesOfAWebServerWhereThereAreWebSockets) {  // XEP-0156
  auto host = usual();
  host.urls = {"wss://xmpp.a.example/xmpp-websocket"};
  const auto all = records_for(host);
  ASSERT_EQ(all.files.size(), 2U);
  EXPECT_EQ(all.files[0], (web_file{"/.well-known/host-meta", http::host_meta_xml(host.urls)}));
  EXPECT_EQ(all.files[1], (web_file{"/.well-known/host-meta.json", http::host_meta_json(host.urls)}));
  EXPECT_TRUE(
      zone_text(all).contains("; the web server of a.example has to have, at /.well-known/host-meta:\n"
                              "; <?xml version=\"1.0\" encoding=\"utf-8\"?>\n"));
}

TEST(Records, ReplaceEachSetByNsupdate) {  // RFC 2136 §2.5
  auto host = usual();
  host.ports = {{.port = 443, .address = "[::]:443", .clients = true, .direct_tls = true}};
  host.keys.push_back({.domain = "a.example", .sha256 = key_b, .next = true});
  EXPECT_EQ(nsupdate_text(records_for(host)),
            "update delete _xmpp-client._tcp.a.example. SRV\n"
            "update add _xmpp-client._tcp.a.example. 3600 SRV 0 0 0 .\n"
            "update delete _xmpps-client._tcp.a.example. SRV\n"
            "update add _xmpps-client._tcp.a.example. 3600 SRV 5 0 443 xmpp.a.example.\n"
            "update delete _xmpp-server._tcp.a.example. SRV\n"
            "update add _xmpp-server._tcp.a.example. 3600 SRV 0 0 0 .\n"
            "update delete _xmpps-server._tcp.a.example. SRV\n"
            "update add _xmpps-server._tcp.a.example. 3600 SRV 0 0 0 .\n"
            "send\n"
            "update delete _443._tcp.xmpp.a.example. TLSA\n"
            "update add _443._tcp.xmpp.a.example. 3600 TLSA 3 1 1 " +
                key_a +
                "\n"
                "update add _443._tcp.xmpp.a.example. 3600 TLSA 3 1 1 " +
                key_b +
                "\n"
                "send\n");
}

// --- where the facts come from ---------------------------------------------------------------------------------------

TEST(DefaultTarget, IsTheMachineWhereItsNameIsAFullOne) {
  EXPECT_EQ(default_target("Mail7.Example.NET", "a.example"), "mail7.example.net");
  EXPECT_EQ(default_target("debian", "a.example"), "xmpp.a.example");
  EXPECT_EQ(default_target("localhost", "a.example"), "xmpp.a.example");
  EXPECT_EQ(default_target("localhost.localdomain", "a.example"), "xmpp.a.example");
  EXPECT_EQ(default_target("printer.local", "a.example"), "xmpp.a.example");
  EXPECT_EQ(default_target("", "a.example"), "xmpp.a.example");
}

class RunningHost : public ::testing::Test {
protected:
  static config::host_settings host(const std::string& domain, const tls::host_certificate& files) {
    config::host_settings h;
    h.domain = domain;
    h.certificate = files.certificate_file;
    h.private_key = files.private_key_file;
    return h;
  }
  static config::listen_settings port(config::address at, config::listen_protocol protocol, config::listen_tls tls) {
    config::listen_settings l;
    l.address = std::move(at);
    l.protocol = protocol;
    l.tls = tls;
    return l;
  }
  RunningHost() {
    for (const auto* domain : {"a.example", "xn--br-via.example"}) {
      certificates_.push_back(fakes::write_certificate(folder_.path(), {.domain = domain}));
    }
    settings_.hosts = {host("a.example", certificates_[0]), host("b\u00e4r.example", certificates_[1])};
    settings_.s2s.enabled = true;
    table_ = *tls::server_context::load(certificates_, tls::protocol_version::tls_1_2);
    ports_ = {port({"::", 5222}, config::listen_protocol::c2s, config::listen_tls::either),
              port({"::1", 443}, config::listen_protocol::any, config::listen_tls::direct)};
  }
  [[nodiscard]] std::string key_of(std::string_view domain) const {
    return tls::hex(tls::association_data(tls::served_credentials(*table_, domain), 1, 1));
  }
  [[nodiscard]] std::expected<running_host, std::string> facts(std::string_view domain, const wished& w) const {
    return running({.settings = settings_, .ports = ports_, .certificates = *table_}, domain, w);
  }
  [[nodiscard]] static std::vector<std::string> texts(const std::vector<own_key>& keys) {
    std::vector<std::string> all;
    for (const auto& k : keys) {
      all.push_back(k.domain + " " + k.sha256 + (k.next ? " next" : ""));
    }
    return all;
  }

  fakes::folder folder_;
  std::vector<tls::host_certificate> certificates_;
  config::settings settings_;
  std::shared_ptr<const tls::certificate_table> table_;
  std::vector<config::listen_settings> ports_;
};

TEST_F(RunningHost, KnowsItsPorts) {
  const auto host = *facts("a.example", {});
  ASSERT_EQ(host.ports.size(), 2U);
  EXPECT_TRUE(host.ports[0].serves({dns::service::client, false}));
  EXPECT_TRUE(host.ports[0].serves({dns::service::client, true}));
  EXPECT_FALSE(host.ports[0].serves({dns::service::server, false}));
  EXPECT_FALSE(host.ports[0].loopback);
  EXPECT_TRUE(host.ports[1].serves({dns::service::server, true}));
  EXPECT_TRUE(host.ports[1].loopback);
  EXPECT_EQ(host.ports[1].address, "[::1]:443");
  settings_.s2s.enabled = false;
  EXPECT_FALSE(facts("a.example", {})->ports[1].servers);
}

TEST_F(RunningHost, TellsWhereItsWebsocketIsReached) {  // XEP-0156
  EXPECT_TRUE(facts("a.example", {})->urls.empty());    // nobody reaches that port
  ports_.push_back(port({"::", 443}, config::listen_protocol::any, config::listen_tls::direct));
  ports_.back().alpn = {{"http/1.1", "http"}};
  ports_.push_back(port({"192.0.2.1", 5443}, config::listen_protocol::http, config::listen_tls::direct));
  EXPECT_EQ(facts("a.example", {.target = "x.a.example", .next_key_hex = {}})->urls,
            (std::vector<std::string>{"wss://x.a.example/xmpp-websocket", "wss://x.a.example:5443/xmpp-websocket"}));
}

TEST_F(RunningHost, HasItsOwnKeyAloneUnderItsOwnName) {
  const auto host = *facts("xn--br-via.example", {.target = "x.xn--br-via.example", .next_key_hex = {}});
  EXPECT_EQ(texts(host.keys), std::vector{"xn--br-via.example " + key_of("xn--br-via.example")});
}

TEST_F(RunningHost, SharesTheKeysOfANameThatAllHostsHave) {
  const auto host = *facts("xn--br-via.example", {.target = "machine.example.net", .next_key_hex = {}});
  EXPECT_EQ(texts(host.keys),
            (std::vector{"xn--br-via.example " + key_of("xn--br-via.example"), "a.example " + key_of("a.example")}));
}

TEST_F(RunningHost, FindsTheNextKeyBesideTheCurrentOne) {  // B20
  auto beside = certificates_[0].private_key_file;
  beside += ".next";
  std::filesystem::copy_file(certificates_[1].private_key_file, beside);
  const auto found = *facts("a.example", {.target = "x.a.example", .next_key_hex = {}});
  EXPECT_EQ(texts(found.keys),
            (std::vector{"a.example " + key_of("a.example"), "a.example " + key_of("xn--br-via.example") + " next"}));
  const auto given = *facts("a.example", {.target = "x.a.example", .next_key_hex = key_c});
  EXPECT_EQ(texts(given.keys).back(), "a.example " + key_c + " next") << "what is asked for goes first";
  fakes::write(folder_.path(), beside.filename(), "no key\n");
  EXPECT_EQ(facts("a.example", {.target = "x.a.example", .next_key_hex = {}}).error(),
            beside.string() +
                " holds no key; it has to be a PEM file with a private key without a password, or a public one");
}

TEST_F(RunningHost, IsOneOfOurs) {
  EXPECT_EQ(facts("b.example", {}).error(),
            "'b.example' is not served here; use a domain of a [[host]] in the configuration");
}

TEST(KeyFile, IsReadWhetherPrivateOrPublic) {
  const fakes::folder folder;
  const auto made = fakes::issue({.domain = "a.example"});
  const auto host = fakes::write_certificate(folder.path(), "a.example", made);
  const auto expected = tls::digest(tls::hash::sha256, made.key_der());
  EXPECT_EQ(*tls::public_key_sha256(host.private_key_file), expected);
  const auto pem = "-----BEGIN PUBLIC KEY-----\n" + tls::base64_encode(made.key_der()) + "\n-----END PUBLIC KEY-----\n";
  EXPECT_EQ(*tls::public_key_sha256(fakes::write(folder.path(), "public", pem)), expected);
  EXPECT_EQ(tls::public_key_sha256(folder.path() / "none").error(),
            "cannot be read: No such file or directory; it has to be a PEM file that the server's user may read");
}

}  // namespace
