// ClientHellos as OpenSSL writes them and as nobody should, whole and in pieces.
#include "tls/client_hello.hpp"

#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace comity::tls {
namespace {

using status = client_hello_reading::status;
using testing::ElementsAre;
using testing::IsEmpty;

std::string number(std::size_t n, std::size_t size) {
  std::string out;
  for (std::size_t i = size; i-- > 0;) {
    out += static_cast<char>(n >> (8 * i) & 0xffU);
  }
  return out;
}
std::string vector(std::size_t length_size, const std::string& content) {
  return number(content.size(), length_size) + content;
}
std::string extension(std::size_t type, const std::string& content) {
  return number(type, 2) + vector(2, content);
}
std::string sni(const std::string& name) {
  return extension(0, vector(2, number(0, 1) + vector(2, name)));
}
std::string alpn(const std::vector<std::string>& names) {
  std::string list;
  for (const auto& n : names) {
    list += vector(1, n);
  }
  return extension(16, vector(2, list));
}
std::string body(const std::string& extensions) {
  return number(0x0303, 2) + std::string(32, 'r') + vector(1, "session") + vector(2, number(0x1301, 2)) +
         vector(1, std::string(1, '\0')) + vector(2, extensions);
}
std::string message(const std::string& content) {
  return number(1, 1) + vector(3, content);
}
/// RFC 8446 §5.1, in fragments of `most` bytes.
std::string records(const std::string& content, std::size_t most = 16384) {
  std::string out;
  for (std::size_t at = 0; at < content.size(); at += most) {
    out += "\x16\x03\x01" + vector(2, content.substr(at, most));
  }
  return out;
}
std::string hello(const std::string& extensions) {
  return records(message(body(extensions)));
}

/// What an OpenSSL client sends first.
std::string of_openssl(const char* name, const std::string& protocols) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context.get()), &SSL_free};
  auto* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  if (name != nullptr) {
    SSL_set_tlsext_host_name(ssl.get(), name);
  }
  SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                      static_cast<unsigned>(protocols.size()));
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

TEST(ClientHello, OfOpensslSaysWhatItWants) {
  const auto read = read_client_hello(of_openssl("chat.example.org", vector(1, "xmpp-client") + vector(1, "h2")));
  ASSERT_EQ(read.is, status::complete);
  EXPECT_EQ(read.hello.server_name, "chat.example.org");
  EXPECT_THAT(read.hello.alpn, ElementsAre("xmpp-client", "h2"));
}

TEST(ClientHello, MayWantNothingInParticular) {
  const auto read = read_client_hello(of_openssl(nullptr, ""));
  ASSERT_EQ(read.is, status::complete);
  EXPECT_EQ(read.hello, client_hello{});
}

TEST(ClientHello, WithoutExtensionsIsOneToo) {  // TLS 1.2 and before
  auto content = body("");
  content.resize(content.size() - 2);
  const auto read = read_client_hello(records(message(content)));
  ASSERT_EQ(read.is, status::complete);
  EXPECT_EQ(read.hello, client_hello{});
}

/// However it is cut and whatever is there of it, the answer is the same, and `needed` is never more than comes.
void expect_same_in_pieces(const std::string& bytes, const client_hello& expected) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto read = read_client_hello(std::string_view{bytes}.substr(0, size));
    ASSERT_EQ(read.is, status::needs_more) << size;
    ASSERT_GT(read.needed, size);
    ASSERT_LE(read.needed, bytes.size());
  }
  for (const auto* behind : {"", "\x14\x03\x03\0\1\1", "anything"}) {
    const auto read = read_client_hello(bytes + behind);
    ASSERT_EQ(read.is, status::complete);
    ASSERT_EQ(read.hello, expected);
  }
}

TEST(ClientHello, IsReadWhereverItIsSplit) {
  const client_hello expected{"a.example", {"xmpp-server"}};
  const auto whole = message(body(sni("a.example") + alpn({"xmpp-server"})));
  for (std::size_t fragment = 1; fragment <= whole.size(); ++fragment) {
    expect_same_in_pieces(records(whole, fragment), expected);
  }
  expect_same_in_pieces(of_openssl("a.example", vector(1, "xmpp-server")), expected);
}

TEST(ClientHello, PassesOverGreaseAndEncryptedHello) {  // RFC 8701, draft-ietf-tls-esni: the outer hello counts
  const std::string grease{"\x1a\x1a", 2};
  const auto read =
      read_client_hello(hello(extension(0x1a1a, "") + extension(0xfe0d, std::string(300, 'e')) +
                              alpn({grease, "xmpp-client"}) + sni("outer.example") + extension(0xfafa, "x")));
  ASSERT_EQ(read.is, status::complete);
  EXPECT_EQ(read.hello.server_name, "outer.example");
  EXPECT_THAT(read.hello.alpn, ElementsAre(grease, "xmpp-client"));
}

TEST(ClientHello, KeepsNamesOfAnyBytes) {  // RFC 7301 §3.1: opaque
  const auto read = read_client_hello(hello(alpn({std::string(255, '\xff'), std::string{"\0", 1}})));
  ASSERT_EQ(read.is, status::complete);
  EXPECT_THAT(read.hello.alpn, ElementsAre(std::string(255, '\xff'), std::string("\0", 1)));
}

TEST(ClientHello, OfAllLengthsUpToTheLimit) {  // L-1, L, L+1
  const auto of_length = [](std::size_t length) {
    const auto rest = body(extension(21, "")).size();
    return message(body(extension(21, std::string(length - rest, '\0'))));
  };
  EXPECT_EQ(read_client_hello(records(of_length(client_hello_most - 1))).is, status::complete);
  EXPECT_EQ(read_client_hello(records(of_length(client_hello_most))).is, status::complete);
  EXPECT_EQ(read_client_hello(records(of_length(client_hello_most + 1))).is, status::too_long);
  // It is refused by its own word, before it has come.
  EXPECT_EQ(read_client_hello(records(of_length(client_hello_most + 1)).substr(0, 9)).is, status::too_long);
  // And so are records that hold next to nothing.
  EXPECT_EQ(read_client_hello(records(of_length(client_hello_most), 1)).is, status::too_long);
}

TEST(ClientHello, IsNotWhatBeginsOtherwise) {
  for (const auto* bytes :
       {"<", "GET / HTTP/1.1\r\n", "PROXY TCP4", "\x15\x03\x03", "\x16\x02", "\x80\x2e\x01\x03\x01"}) {
    EXPECT_EQ(read_client_hello(bytes).is, status::no_client_hello) << bytes;
  }
  EXPECT_EQ(read_client_hello(records(number(2, 1) + vector(3, "server"))).is, status::no_client_hello);
  EXPECT_EQ(read_client_hello(std::string{"\x16\x03\x01\0\0", 5}).is, status::no_client_hello) << "an empty fragment";
  EXPECT_EQ(read_client_hello("\x16\x03\x01\x40\x01").is, status::no_client_hello) << "a fragment over 2^14";
}

TEST(ClientHello, IsNotWhatBreaksItsOwnLengths) {
  const auto whole = body(sni("a.example") + alpn({"h2"}));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    if (size == whole.size() - 2 - (sni("a.example") + alpn({"h2"})).size()) {
      continue;  // exactly without extensions
    }
    EXPECT_EQ(read_client_hello(records(message(whole.substr(0, size)))).is, status::no_client_hello) << size;
  }
  EXPECT_EQ(read_client_hello(records(message(whole + "x"))).is, status::no_client_hello);
}

TEST(ClientHello, TakesNoNameFromABrokenExtension) {
  EXPECT_EQ(server_name_in(""), "");
  EXPECT_EQ(server_name_in(vector(2, number(1, 1) + vector(2, "other type"))), "");
  EXPECT_EQ(server_name_in(vector(2, number(0, 1) + number(9, 2) + "short")), "");
  EXPECT_THAT(protocols_in(""), IsEmpty());
  EXPECT_THAT(protocols_in(number(99, 2) + vector(1, "h2")), IsEmpty());
  EXPECT_THAT(protocols_in(vector(2, vector(1, "h2") + number(9, 1) + "short")), ElementsAre("h2"));
}

}  // namespace
}  // namespace comity::tls
