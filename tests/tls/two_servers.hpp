// tests/tls/two_servers.hpp: two servers of ours, one connecting to the other, or to one that does what ours would not.
#pragma once

#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include "fakes/certificate_builder.hpp"
#include "fakes/quiet_socket.hpp"
#include "fakes/tls_dialogue.hpp"
#include "fakes/tls_pair.hpp"
#include "tls/certificate_table.hpp"
#include "tls/session_cache.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

using fakes::tls_pair;

class TwoServers : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<fakes::folder>();
    const auto& at = directory_->path();
    near_ = {fakes::write_certificate(at, {.domain = "near.example", .by_authority = true}),
             fakes::write_certificate(at, {.domain = "second.example"})};
    far_ = {fakes::write_certificate(at, {.domain = "far.example", .by_authority = true}),
            fakes::write_certificate(at, {.domain = "other.example", .rsa_bits = 2048})};
  }
  static void TearDownTestSuite() { directory_.reset(); }
  void SetUp() override { load(near_, far_); }
  void load(const std::vector<host_certificate>& near, const std::vector<host_certificate>& far,
            protocol_version near_minimum = protocol_version::tls_1_2,
            protocol_version far_minimum = protocol_version::tls_1_2) {
    near_server_.swap(server_context::load(near, near_minimum).value());
    far_server_.swap(server_context::load(far, far_minimum).value());
  }
  static connect_options to_far(std::shared_ptr<const session> resume = nullptr) {
    return {.server_name = "far.example",
            .alpn = tls_pair::xmpp_server,
            .local_domain = "near.example",
            .resume = std::move(resume)};
  }
  /// The SSL of a server that does what ours would not.
  struct rogue {
    rogue() : context{SSL_CTX_new(TLS_server_method()), &SSL_CTX_free} {
      SSL_CTX_set_security_level(context.get(), 0);
      SSL_CTX_use_certificate_chain_file(context.get(), far_[0].certificate_file.c_str());
      SSL_CTX_use_PrivateKey_file(context.get(), far_[0].private_key_file.c_str(), SSL_FILETYPE_PEM);
    }
    io_result meet(stream& client, int descriptor) {
      ssl.reset(SSL_new(context.get()));
      fakes::attach_socket(ssl.get(), descriptor);
      io_result says{io_status::want_read, 0};
      for (int i = 0; i < 20 && says.status == io_status::want_read; ++i) {
        says = client.handshake();
        SSL_accept(ssl.get());
      }
      return says;
    }
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, &SSL_free};
  };
  /// A socket pair whose one end our stream has.
  struct wire {
    wire() { EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data())); }
    ~wire() {
      ::close(ends[0]);
      ::close(ends[1]);
    }
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;
    std::array<int, 2> ends{};
  };

  /// Fingerprints, leaf first.
  static std::vector<std::string> chain_of(const peer_credentials& peer) {
    std::vector<std::string> sums{sha256_of(peer.inside().leaf.get())};
    for (int i = 0; i < sk_X509_num(peer.inside().issuers.get()); ++i) {
      sums.push_back(sha256_of(sk_X509_value(peer.inside().issuers.get(), i)));
    }
    return sums;
  }

  static inline std::unique_ptr<fakes::folder> directory_;
  static inline std::vector<host_certificate> near_, far_;
  server_context near_server_, far_server_;
  client_context client_{near_server_};
  tls_pair talk_;
};
}  // namespace comity::tls
