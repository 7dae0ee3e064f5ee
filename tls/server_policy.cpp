// The TLS policy of a server (RFC 9325) and the callbacks that choose by ClientHello.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <stdexcept>

#include "tls/certificate_table.hpp"
#include "tls/client_hello.hpp"
#include "tls/connection_state.hpp"
#include "tls/crypto.hpp"
#include "tls/policy.hpp"
#include "tls/ticket_keys.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

namespace {

constexpr std::size_t offers_kept = 8;
constexpr std::size_t offer_bytes_kept = 64;

std::string_view extension(SSL* ssl, unsigned type) {
  const unsigned char* bytes = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, type, &bytes, &size) != 1) {
    return {};
  }
  return {reinterpret_cast<const char*>(bytes), size};
}

/// The first few, cut short: enough to tell what kind of peer it is.
std::vector<std::string> offered_protocols(SSL* ssl) {
  auto names = protocols_in(extension(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation));
  names.resize(std::min(names.size(), offers_kept));
  for (auto& name : names) {
    name.resize(std::min(name.size(), offer_bytes_kept));
  }
  return names;
}

/// A server that goes by our TLSA records names the target of our SRV record, which need be no host of ours (RFC 7671
/// §3: answer by a default certificate). RFC 9325 §3.7 wants strange names refused so that no connection meant for
/// another service ends here: this one was spoken to by the name of a host of ours before TLS, or asks for our
/// protocol.
bool surely_for_us(const connection_state& state) {
  return state.peer && (state.table->of(state.default_domain) != nullptr ||
                        std::ranges::any_of(state.offered, [&](const std::string& name) {
                          return std::ranges::find(state.alpn, name) != state.alpn.end();
                        }));
}

/// Runs twice when a HelloRetryRequest comes between: it sets the same things again.
int take_client_hello(SSL* ssl, int* alert) {
  auto* state = state_of(ssl);
  state->sni = server_name_in(extension(ssl, TLSEXT_TYPE_server_name));
  state->offered = offered_protocols(ssl);
  auto* unnamed = state->table->of(state->default_domain);
  if (unnamed == nullptr) {
    unnamed = state->table->first();  // D11
  }
  auto* chosen = unnamed;
  if (!state->sni.empty() && !is_ip_literal(state->sni)) {
    chosen = state->table->of(state->sni);
    if (chosen == nullptr && surely_for_us(*state)) {
      chosen = unnamed;
    }
  }
  if (chosen == nullptr) {
    state->unknown_name = true;
    *alert = SSL_AD_UNRECOGNIZED_NAME;  // RFC 9325 §3.7 (D10)
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (SSL_set_SSL_CTX(ssl, chosen) == nullptr) {
    return SSL_CLIENT_HELLO_ERROR;  // another host's certificate would be served
  }
  if (state->peer) {
    // What a client proved by its certificate does not carry over to where none is asked for, nor to another host.
    const auto scope = digest(hash::sha256, std::string{state->table->domain_of(chosen)} + " by certificate");
    SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(scope.data()),
                               static_cast<unsigned>(scope.size()));
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

int on_client_hello(SSL* ssl, int* alert, void* /*argument*/) {
  *alert = SSL_AD_INTERNAL_ERROR;
  return contained(SSL_CLIENT_HELLO_ERROR, [&] { return take_client_hello(ssl, alert); });
}

int on_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size,
            void* /*argument*/) {
  auto* state = state_of(ssl);
  for (const auto ours : state->alpn) {
    for (std::string_view theirs{reinterpret_cast<const char*>(in), in_size}; !theirs.empty();) {
      // OpenSSL has checked that each name is as long as it says, and not empty.
      const auto name = theirs.substr(1, static_cast<unsigned char>(theirs[0]));
      if (name == ours) {
        *out = reinterpret_cast<const unsigned char*>(name.data());
        *out_size = static_cast<unsigned char>(name.size());
        return SSL_TLSEXT_ERR_OK;
      }
      theirs.remove_prefix(1 + name.size());
    }
  }
  state->no_overlap = true;
  return SSL_TLSEXT_ERR_ALERT_FATAL;  // RFC 7301 §3.2 (D06)
}

/// Fetched once: by EVP_aes_256_cbc() OpenSSL would look it up anew for every ticket.
const EVP_CIPHER* ticket_cipher() {
  static const EVP_CIPHER* const fetched = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return fetched;
}

int on_ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int sealing) {
  auto* state = state_of(ssl);
  if (state == nullptr || state->tickets == nullptr || (sealing != 0 && SSL_get_num_tickets(ssl) == 0)) {
    return 0;  // no ticket, a full handshake
  }
  ticket_keys::key key;
  bool renew = false;
  if (sealing != 0) {
    key = state->tickets->current();
    std::memcpy(name, key.name.data(), key.name.size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(ticket_cipher())) != 1) {
      return -1;
    }
  } else {
    const auto found = state->tickets->named(name);
    if (!found) {
      return 0;
    }
    key = found->key;
    renew = found->renew || SSL_version(ssl) == TLS1_3_VERSION;  // RFC 8446 §C.4: clients use a ticket once
  }
  std::array<char, 7> digest{"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), digest.size() - 1),
      OSSL_PARAM_construct_end()};
  const int ready = EVP_MAC_CTX_set_params(mac, parameters.data()) == 1 &&
                    (sealing != 0 ? EVP_EncryptInit_ex(cipher, ticket_cipher(), nullptr, key.aes.data(), iv)
                                  : EVP_DecryptInit_ex(cipher, ticket_cipher(), nullptr, key.aes.data(), iv)) == 1;
  return ready == 0 ? -1 : renew ? 2 : 1;
}

/// OpenSSL's session keeps a client's certificate but not its issuers, without which it could not be judged again: they
/// go into the ticket beside it (F07). Where there is too much for a ticket, policy.cpp has seen to it that none is
/// made.
int on_new_ticket(SSL* ssl, void* /*argument*/) {
  const auto* state = state_of(ssl);
  const auto* issuers = state != nullptr && state->peer ? SSL_get_peer_cert_chain(ssl) : nullptr;
  if (sk_X509_num(issuers) <= 0) {  // in a resumed session they are there already
    return 1;
  }
  return contained(0, [&] {
    const auto der = to_der(issuers);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), der.data(), der.size());
  });
}

}  // namespace

std::string_view certificate_table::domain_of(const SSL_CTX* context) const {
  const auto found = std::ranges::find(contexts, context, &context_ptr::get);
  return found == contexts.end() ? std::string_view{}
                                 : loaded[static_cast<std::size_t>(found - contexts.begin())].domain;
}

SSL_CTX* certificate_table::of(std::string_view name) const {
  std::string lower{name};
  for (auto& c : lower) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (lower.ends_with('.')) {
    lower.pop_back();
  }
  const auto found = by_name.find(lower);
  return found == by_name.end() ? nullptr : contexts[found->second].get();
}

context_ptr new_server_context(protocol_version minimum) {
  context_ptr made{SSL_CTX_new(TLS_server_method())};
  if (!made) {
    throw std::runtime_error{"OpenSSL cannot make a context"};
  }
  auto* c = made.get();
  apply_policy(c);
  SSL_CTX_set_min_proto_version(c, minimum == protocol_version::tls_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
  SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_num_tickets(c, 1);
  if (SSL_CTX_set_tlsext_ticket_key_evp_cb(c, on_ticket) != 1 ||
      SSL_CTX_set_session_ticket_cb(c, on_new_ticket, nullptr, nullptr) != 1) {
    throw std::runtime_error{"OpenSSL refuses the TLS policy"};
  }
  SSL_CTX_set_client_hello_cb(c, on_client_hello, nullptr);
  SSL_CTX_set_alpn_select_cb(c, on_alpn, nullptr);
  return made;
}

}  // namespace comity::tls
