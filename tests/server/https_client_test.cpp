// The HTTPS client: bounded, verified, and connecting only where it is told to.
#include "server/http/https_client.hpp"

#include <gtest/gtest.h>

#include <future>

#include "fakes/certificate_builder.hpp"
#include "fakes/https_server.hpp"
#include "fakes/tls_dialogue.hpp"

namespace comity::server::http {
namespace {

const std::vector<dns::address> loopback{*dns::address::parse("127.0.0.1")};

class HttpsClient : public testing::Test {
protected:
  fetched get(https_client& client, const std::string& url, const std::vector<dns::address>& at = loopback) {
    const auto parsed = parse_https_url(url);
    EXPECT_TRUE(parsed) << url;
    std::promise<fetched> come;
    client.get(*parsed, at, [&](fetched f) { come.set_value(std::move(f)); });
    return come.get_future().get();
  }
  [[nodiscard]] std::string url(const std::string& path, const std::string& host = "a.example") const {
    return "https://" + host + ":" + std::to_string(server_.port()) + path;
  }

  fakes::folder folder_;
  tls::host_certificate certificate_ = fakes::write_certificate(folder_.path(), {.domain = "a.example"});
  fakes::https_server server_{certificate_};
};

// K05, RFC 7711 §3: the server's certificate is verified for the host, whatever address it was reached at.
TEST_F(HttpsClient, GetsADocumentFromTheAddressGiven) {
  https_client client{{.ca_file = certificate_.certificate_file}};
  server_.answer("/doc", fakes::https_server::ok("{}"));
  const auto got = get(client, url("/doc"));
  EXPECT_EQ(got.status, 200U) << got.error;
  EXPECT_EQ(got.body, "{}");
  ASSERT_EQ(server_.requests().size(), 1U);
  EXPECT_NE(server_.requests()[0].find("Host: a.example:"), std::string::npos);
}

// K05
TEST_F(HttpsClient, RefusesACertificateOfAnotherHost) {
  https_client client{{.ca_file = certificate_.certificate_file}};
  const auto got = get(client, url("/doc", "b.example"));
  EXPECT_EQ(got.status, 0U);
  EXPECT_FALSE(got.error.empty());
  EXPECT_TRUE(server_.requests().empty());
}

// K05
TEST_F(HttpsClient, RefusesACertificateOfAnUnknownAuthority) {
  const auto other = fakes::write_certificate(folder_.path(), {.domain = "c.example"});
  https_client client{{.ca_file = other.certificate_file}};
  EXPECT_EQ(get(client, url("/doc")).status, 0U);
  client.ca_file(certificate_.certificate_file);
  EXPECT_EQ(get(client, url("/doc")).status, 404U);
}

TEST_F(HttpsClient, FollowsNoRedirectButSaysWhereTo) {
  https_client client{{.ca_file = certificate_.certificate_file}};
  server_.answer("/doc", "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
  const auto got = get(client, url("/doc"));
  EXPECT_EQ(got.status, 302U);
  EXPECT_EQ(got.location, url("/other"));
  EXPECT_EQ(server_.requests().size(), 1U);
}

TEST_F(HttpsClient, TakesABodyUpToItsLimit) {
  https_client client{{.ca_file = certificate_.certificate_file, .body_bytes = 100}};
  for (const std::size_t size : {99U, 100U}) {
    server_.answer("/doc", fakes::https_server::ok(std::string(size, 'x')));
    EXPECT_EQ(get(client, url("/doc")).body.size(), size);
  }
  server_.answer("/doc", fakes::https_server::ok(std::string(101, 'x')));
  EXPECT_EQ(get(client, url("/doc")).status, 0U);
}

TEST_F(HttpsClient, GivesUpWhenTheTimeIsUp) {
  // Connections are taken by the kernel, and nobody answers.
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(silent, reinterpret_cast<const sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(silent, 4), 0);
  ::getsockname(silent, reinterpret_cast<sockaddr*>(&at), &size);
  https_client client{{.ca_file = certificate_.certificate_file, .timeout = std::chrono::milliseconds{50}}};
  const auto got = get(client, "https://a.example:" + std::to_string(ntohs(at.sin_port)) + "/");
  EXPECT_EQ(got.status, 0U);
  EXPECT_FALSE(got.error.empty());
  ::close(silent);
}

TEST_F(HttpsClient, NeverAsksAnybodyElseWhereAHostIs) {
  https_client client{{.ca_file = certificate_.certificate_file}};
  EXPECT_EQ(get(client, "https://localhost:" + std::to_string(server_.port()) + "/", {}).error,
            "the host has no address");
}

TEST_F(HttpsClient, RunsWorkOnItsThreadInOrder) {
  https_client client{{}};
  std::promise<std::thread::id> first;
  std::promise<std::thread::id> second;
  client.post([&] { first.set_value(std::this_thread::get_id()); });
  client.post([&] { second.set_value(std::this_thread::get_id()); });
  const auto id = first.get_future().get();
  EXPECT_EQ(id, second.get_future().get());
  EXPECT_NE(id, std::this_thread::get_id());
}

TEST(HttpsUrl, IsAbsoluteAndHttps) {
  const auto plain = parse_https_url("https://a.example/x?y=z");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "a.example");
  EXPECT_EQ(plain->port, 443);
  EXPECT_EQ(plain->text, "https://a.example/x?y=z");
  const auto literal = parse_https_url("https://[2001:db8::1]:8443/");
  ASSERT_TRUE(literal);
  EXPECT_EQ(literal->host, "2001:db8::1");
  EXPECT_EQ(literal->port, 8443);
  using namespace std::string_view_literals;
  for (const auto wrong :
       {""sv, "a.example"sv, "/x"sv, "http://a.example/"sv, "ftp://a.example/"sv, "file:///etc/passwd"sv, "https://"sv,
        "https://u:p"
        "@a.example/"sv,
        "https://a.example/#f"sv, "https://a.example:0x1/"sv, "https://a.example:99999/"sv, "https://a.example/\0"sv,
        "https://a b.example/"sv, "https://a.example\r\nX: y/"sv}) {
    EXPECT_FALSE(parse_https_url(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace comity::server::http
