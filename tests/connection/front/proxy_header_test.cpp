// PROXY headers of both versions (proxy-protocol.txt), right, wrong and in pieces.
#include "connection/front/proxy_header.hpp"

#include <gtest/gtest.h>

namespace comity::connection {
namespace {

using status = proxy_header_reading::status;

const std::string signature{"\r\n\r\n\0\r\nQUIT\n", 12};

std::string version_2(unsigned version_and_command, unsigned family, const std::string& content) {
  return signature + static_cast<char>(version_and_command) + static_cast<char>(family) +
         static_cast<char>(content.size() >> 8U) + static_cast<char>(content.size() & 0xffU) + content;
}
const std::string of_ipv4{"\xc0\0\2\1\xc0\0\2\2\xc8\x22\1\xbb", 12};  // 192.0.2.1:51234 to 192.0.2.2:443

std::string client_of(const proxy_header_reading& read) {
  return read.client ? read.client->ip.text() + " " + std::to_string(read.client->port) : "none";
}
std::string told(const std::string& bytes) {
  const auto read = read_proxy_header(bytes);
  EXPECT_EQ(read.is, status::complete) << bytes;
  EXPECT_EQ(read.size, bytes.size());
  return client_of(read);
}
status outcome(const std::string& bytes) {
  return read_proxy_header(bytes).is;
}

TEST(ProxyHeader, OfVersion1NamesTheClient) {  // §2.1
  EXPECT_EQ(told("PROXY TCP4 192.0.2.1 192.0.2.2 51234 443\r\n"), "192.0.2.1 51234");
  EXPECT_EQ(told("PROXY TCP6 2001:db8::1 2001:db8::2 51234 443\r\n"), "2001:db8::1 51234");
  EXPECT_EQ(told("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "0.0.0.0 0");
  EXPECT_EQ(told("PROXY UNKNOWN\r\n"), "none");
  EXPECT_EQ(told("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), "none");
}

TEST(ProxyHeader, OfVersion1IsRefusedForAnySlip) {
  for (const auto* line : {"PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
                           "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
                           "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
                           "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
                           "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n"}) {
    EXPECT_EQ(outcome(line), status::malformed) << line;
  }
}

TEST(ProxyHeader, OfVersion1IsNoLongerThanItsLine) {  // L-1, L, L+1
  const auto line = [](std::size_t length) {
    std::string made = "PROXY UNKNOWN ";
    return made + std::string(length - made.size() - 2, 'x') + "\r\n";
  };
  EXPECT_EQ(outcome(line(proxy_line_most - 1)), status::complete);
  EXPECT_EQ(outcome(line(proxy_line_most)), status::complete);
  EXPECT_EQ(outcome(line(proxy_line_most + 1)), status::malformed);
}

TEST(ProxyHeader, OfVersion2NamesTheClient) {  // §2.2
  EXPECT_EQ(told(version_2(0x21, 0x11, of_ipv4)), "192.0.2.1 51234");
  const std::string of_ipv6 = std::string{"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16} +
                              std::string{"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2", 16} +
                              std::string{"\xc8\x22\1\xbb", 4};
  EXPECT_EQ(told(version_2(0x21, 0x21, of_ipv6)), "2001:db8::1 51234");
}

TEST(ProxyHeader, OfVersion2MayCarryMore) {  // TLVs: passed over, up to what is taken in all
  const auto with = [](std::size_t size) {
    return version_2(0x21, 0x11, of_ipv4 + std::string(size - 16 - of_ipv4.size(), 't'));
  };
  EXPECT_EQ(told(with(100)), "192.0.2.1 51234");
  EXPECT_EQ(told(with(proxy_header_most - 1)), "192.0.2.1 51234");
  EXPECT_EQ(told(with(proxy_header_most)), "192.0.2.1 51234");
  EXPECT_EQ(outcome(with(proxy_header_most + 1)), status::malformed);
}

TEST(ProxyHeader, MaySayThatTheProxySpeaksForItself) {
  const auto local = read_proxy_header(version_2(0x20, 0x11, of_ipv4));
  EXPECT_EQ(local.is, status::complete);
  EXPECT_TRUE(local.local);
  EXPECT_EQ(client_of(local), "none") << "addresses of LOCAL are to be ignored";
  EXPECT_TRUE(read_proxy_header(version_2(0x20, 0x00, "")).local);
  EXPECT_EQ(told(version_2(0x21, 0x00, "")), "none");                     // UNSPEC
  EXPECT_EQ(told(version_2(0x21, 0x31, std::string(216, '/'))), "none");  // UNIX
  EXPECT_FALSE(read_proxy_header(version_2(0x21, 0x00, "")).local);
}

TEST(ProxyHeader, OfVersion2IsRefusedForAnySlip) {
  EXPECT_EQ(outcome(version_2(0x11, 0x11, of_ipv4)), status::malformed);                // version 1 in binary
  EXPECT_EQ(outcome(version_2(0x31, 0x11, of_ipv4)), status::malformed);                // version 3
  EXPECT_EQ(outcome(version_2(0x22, 0x11, of_ipv4)), status::malformed);                // no such command
  EXPECT_EQ(outcome(version_2(0x21, 0x12, of_ipv4)), status::malformed);                // datagrams, over TCP
  EXPECT_EQ(outcome(version_2(0x21, 0x41, of_ipv4)), status::malformed);                // no such family
  EXPECT_EQ(outcome(version_2(0x21, 0x11, of_ipv4.substr(0, 11))), status::malformed);  // too short for its family
  EXPECT_EQ(outcome(version_2(0x21, 0x21, std::string(35, '\0'))), status::malformed);
}

TEST(ProxyHeader, OfAMappedAddressIsIpv4) {
  const std::string mapped = std::string(10, '\0') + std::string{"\xff\xff\xc0\0\2\1", 6};
  EXPECT_EQ(told(version_2(0x21, 0x21, mapped + mapped + std::string{"\xc8\x22\1\xbb", 4})), "192.0.2.1 51234");
}

TEST(ProxyHeader, IsReadWhereverItIsSplit) {
  for (const auto& header :
       {std::string{"PROXY TCP4 192.0.2.1 192.0.2.2 51234 443\r\n"}, std::string{"PROXY UNKNOWN\r\n"},
        version_2(0x21, 0x11, of_ipv4), version_2(0x20, 0, ""), version_2(0x21, 0x11, of_ipv4 + "more")}) {
    for (std::size_t size = 0; size < header.size(); ++size) {
      const auto read = read_proxy_header(header.substr(0, size));
      ASSERT_EQ(read.is, status::needs_more) << size;
      ASSERT_GT(read.size, size);
      ASSERT_LE(read.size, header.size());
    }
    const auto read = read_proxy_header(header + "<stream:stream");
    EXPECT_EQ(read.is, status::complete);
    EXPECT_EQ(read.size, header.size());
  }
}

TEST(ProxyHeader, IsNotWhatBeginsOtherwise) {
  for (const auto* bytes :
       {"<", "\x16\x03\x01", "GET / HTTP/1.1\r\n", "PROXYTCP4", "proxy TCP4", "\r\n\r\n\r\n", "\n"}) {
    EXPECT_EQ(outcome(bytes), status::absent) << bytes;
  }
}

TEST(ProxyHeader, AsWrittenIsRead) {
  const auto end = [](const char* ip, std::uint16_t port) { return ip_endpoint{*dns::address::parse(ip), port}; };
  for (const auto& [client, server] : {std::pair{"192.0.2.1", "192.0.2.2"}, std::pair{"2001:db8::1", "2001:db8::2"},
                                       std::pair{"192.0.2.1", "2001:db8::2"}, std::pair{"2001:db8::1", "192.0.2.2"}}) {
    EXPECT_EQ(told(proxy_header(end(client, 51234), end(server, 443))), std::string{client} + " 51234");
  }
  EXPECT_EQ(proxy_header(end("192.0.2.1", 51234), end("192.0.2.2", 443)), version_2(0x21, 0x11, of_ipv4));
}

}  // namespace
}  // namespace comity::connection
