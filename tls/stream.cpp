#include "tls/stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <utility>

#include "tls/certificate_table.hpp"
#include "tls/client_state.hpp"
#include "tls/connection_state.hpp"
#include "tls/context_state.hpp"
#include "tls/failure.hpp"
#include "tls/policy.hpp"
#include "tls/session_cache.hpp"
#include "tls/socket_bio.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

namespace {

/// THREATS B4: more than any honest peer needs in one connection.
constexpr unsigned updates_allowed = 64;

int state_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

void on_message(int sent, int /*version*/, int content, const void* bytes, std::size_t size, SSL* ssl, void* /*arg*/) {
  auto* state = state_of(ssl);
  if (sent != 0 || content != SSL3_RT_HANDSHAKE || size == 0 || state == nullptr || !state->established) {
    return;
  }
  const auto type = *static_cast<const unsigned char*>(bytes);
  state->updates += type == SSL3_MT_KEY_UPDATE || type == SSL3_MT_NEWSESSION_TICKET ? 1 : 0;
  state->renegotiated = state->renegotiated || type == SSL3_MT_CLIENT_HELLO || type == SSL3_MT_HELLO_REQUEST;
}

/// Sees the extensions of the server's answer, before OpenSSL refuses any.
void on_extension(SSL* ssl, int /*client*/, int type, const unsigned char* bytes, int size, void* /*arg*/) {
  static constexpr std::size_t before_name = 3;  // the lengths of a list and of its only name
  auto* state = state_of(ssl);
  const std::string_view value{reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
  if (type == TLSEXT_TYPE_server_name) {
    state->peer->sni_acknowledged = true;  // RFC 6066 §3
  } else if (type == TLSEXT_TYPE_application_layer_protocol_negotiation && value.size() > before_name) {
    const auto selected = value.substr(before_name);
    if (std::ranges::find(state->alpn, selected) == state->alpn.end()) {
      auto& foreign = state->peer->foreign_protocol;
      foreign = '?';
      (void)contained(0, [&] {
        foreign = printable(selected);
        return 1;
      });
    }
  }
}

/// RFC 7301 §3.1: each name behind its length.
std::string protocol_list(std::span<const std::string_view> names) {
  std::string wire;
  for (const auto name : names) {
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return wire;
}

/// What the host presents, for this connection alone.
void present(SSL* ssl, SSL_CTX* host) {
  if (SSL_use_certificate(ssl, SSL_CTX_get0_certificate(host)) != 1 ||
      SSL_use_PrivateKey(ssl, SSL_CTX_get0_privatekey(host)) != 1 || SSL_set1_chain(ssl, served_issuers(host)) != 1) {
    throw std::runtime_error{"OpenSSL cannot present a certificate"};
  }
}

std::string_view selected_protocol(const SSL* ssl) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

/// Of whichever end is the server.
const X509* server_certificate(const SSL* ssl) {
  return SSL_is_server(ssl) == 1 ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
}

/// RFC 5929 §4.1: the signature's own, at least SHA-256; undefined for signatures without one hash of their own.
int end_point_digest(const X509* certificate) {
  int digest = NID_undef;
  if (certificate == nullptr || OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest, nullptr) != 1) {
    return NID_undef;
  }
  return digest == NID_md5 || digest == NID_sha1 ? NID_sha256 : digest;
}

/// What SSL_get_error is told by must not be left of an earlier call, of whomever. There is hardly ever anything, and
/// clearing takes longer than looking.
void forget_errors() {
  if (ERR_peek_error() != 0) {
    ERR_clear_error();
  }
}

bool would_block(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

}  // namespace

connection_state* state_of(const SSL* ssl) noexcept {
  return static_cast<connection_state*>(SSL_get_ex_data(ssl, state_index()));
}

bool attach(SSL* ssl, connection_state* state) noexcept {
  return SSL_set_ex_data(ssl, state_index(), state) == 1;
}

void stream::deleter::operator()(ssl_st* ssl) const noexcept {
  delete state_of(ssl);
  SSL_free(ssl);
}

stream::stream(int descriptor) noexcept : descriptor_{descriptor} {
}
stream::~stream() = default;
stream::stream(stream&&) noexcept = default;
stream& stream::operator=(stream&&) noexcept = default;

void stream::accept(const server_context& context, std::span<const std::string_view> alpn,
                    std::string_view default_domain, client_certificate certificate) {
  auto state = std::make_unique<connection_state>();
  state->table = context.current();
  state->tickets = &context.state_->tickets;
  state->alpn = alpn;
  state->default_domain = default_domain;
  const bool ask = certificate == client_certificate::requested;
  if (ask) {
    state->peer = std::make_unique<peer_state>();
  }
  auto* host = state->table->first();
  begin(host, std::move(state));
  SSL_set_verify(ssl_.get(), ask ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_set_accept_state(ssl_.get());
}

void stream::connect(const client_context& context, const connect_options& options) {
  auto state = std::make_unique<connection_state>();
  state->table = context.state_->ours.current();
  state->alpn = options.alpn;
  state->peer = std::make_unique<peer_state>();
  if (!is_ip_literal(options.server_name)) {
    state->sni = options.server_name;
  }
  const auto table = state->table;
  const auto sni = state->sni;
  begin(context.state_->context.get(), std::move(state));
  auto* ssl = ssl_.get();
  SSL_set_min_proto_version(ssl, static_cast<int>(SSL_CTX_get_min_proto_version(table->first())));
  if (auto* host = table->of(options.local_domain)) {
    present(ssl, host);
  }
  const auto protocols = protocol_list(options.alpn);
  if ((!sni.empty() && SSL_set_tlsext_host_name(ssl, sni.c_str()) != 1) ||
      SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()),
                          static_cast<unsigned>(protocols.size())) != 0) {
    throw std::runtime_error{"OpenSSL cannot name the peer"};
  }
  SSL_set_tlsext_debug_callback(ssl, on_extension);
  if (options.resume) {
    // A copy, since OpenSSL spoils its own where a connection ends without close_notify.
    const std::unique_ptr<SSL_SESSION, session_free> copy{SSL_SESSION_dup(options.resume->session_.get())};
    SSL_set_session(ssl, copy.get());  // where it does not fit, the handshake is a full one
  }
  SSL_set_connect_state(ssl);
}

void stream::begin(ssl_ctx_st* context, std::unique_ptr<connection_state> state) {
  const auto check = [](bool made) {
    if (!made) {
      throw std::runtime_error{"OpenSSL cannot make a connection"};
    }
  };
  decltype(ssl_) made{SSL_new(context)};
  check(made && attach(made.get(), state.get()));
  [[maybe_unused]] const auto* owned_by_made = state.release();
  auto* socket = new_socket_bio(descriptor_);
  check(socket != nullptr);
  SSL_set_bio(made.get(), socket, socket);
  SSL_set_msg_callback(made.get(), on_message);
  ssl_ = std::move(made);
}

io_result stream::outcome(int returned) {
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return {io_status::want_read, 0};
    case SSL_ERROR_WANT_WRITE:
      return {io_status::want_write, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {io_status::closed, 0};
    case SSL_ERROR_SYSCALL:
      return {io_status::truncated, 0};
    default:
      break;
  }
  const auto error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return {io_status::truncated, 0};
  }
  failure_ = std::make_unique<tls_failure>(failure_of(error, *state_of(ssl_.get())));
  return {io_status::failed, 0};
}

io_result stream::handshake() {
  forget_errors();
  const int done = SSL_do_handshake(ssl_.get());
  if (done != 1) {
    return outcome(done);
  }
  auto* state = state_of(ssl_.get());
  if (state->peer && !state->peer->foreign_protocol.empty()) {  // by an OpenSSL that does not refuse it itself
    failure_ = std::make_unique<tls_failure>(failure_of(0, *state));
    return {io_status::failed, 0};
  }
  established_ = true;
  state->established = true;
  state->table.reset();  // the context in use is held by the SSL itself
  return {io_status::done, 0};
}

io_result stream::read(std::span<char> into) {
  if (!ssl_) {
    const auto n = ::recv(descriptor_, into.data(), into.size(), 0);
    if (n > 0) {
      return {io_status::done, static_cast<std::size_t>(n)};
    }
    if (n < 0 && would_block(errno)) {
      return {io_status::want_read, 0};
    }
    return {n == 0 ? io_status::closed : io_status::truncated, 0};
  }
  forget_errors();
  std::size_t got = 0;
  const int done = SSL_read_ex(ssl_.get(), into.data(), into.size(), &got);
  const auto* state = state_of(ssl_.get());
  if (state->renegotiated || state->updates > updates_allowed) {
    // RFC 6120 §5.3.5: who renegotiates where that is not supported loses the connection, without a word.
    const auto* why = state->renegotiated ? "the peer wants to renegotiate" : "too many key updates or tickets";
    failure_ = std::make_unique<tls_failure>(tls_failure{tls_failure::kind::other, why});
    return {io_status::failed, 0};
  }
  return done == 1 ? io_result{io_status::done, got} : outcome(done);
}

io_result stream::write(std::string_view bytes) {
  if (!ssl_) {
    const auto n = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      return {io_status::done, static_cast<std::size_t>(n)};
    }
    return {would_block(errno) ? io_status::want_write : io_status::truncated, 0};
  }
  forget_errors();
  std::size_t put = 0;
  const int done = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &put);
  return done == 1 ? io_result{io_status::done, put} : outcome(done);
}

bool stream::pending() const noexcept {
  return ssl_ && SSL_has_pending(ssl_.get()) == 1;
}

io_result stream::close_notify() {
  if (!ssl_ || !established_ || failure_) {
    return {io_status::done, 0};
  }
  auto* state = state_of(ssl_.get());
  if (state->said_goodbye) {
    return {io_status::done, 0};  // another call would wait for the peer's
  }
  forget_errors();
  const int done = SSL_shutdown(ssl_.get());
  state->said_goodbye = done >= 0;
  return done >= 0 ? io_result{io_status::done, 0} : outcome(done);
}

const tls_failure& stream::failure() const noexcept {
  static const tls_failure none;
  return failure_ ? *failure_ : none;
}

tls_facts stream::facts() const {
  tls_facts f;
  f.version = SSL_get_version(ssl_.get());
  f.cipher = SSL_get_cipher_name(ssl_.get());
  f.alpn = selected_protocol(ssl_.get());
  const auto* state = state_of(ssl_.get());
  f.sni = state->sni;
  f.resumed = SSL_session_reused(ssl_.get()) == 1;
  f.sni_acknowledged = state->peer && state->peer->sni_acknowledged;
  if (const auto presented = peer()) {
    f.peer = summary(presented);
  }
  return f;
}

peer_credentials stream::peer() const {
  auto* leaf = established_ ? SSL_get0_peer_certificate(ssl_.get()) : nullptr;
  if (leaf == nullptr) {
    return {};
  }
  const auto* issuers = SSL_get_peer_cert_chain(ssl_.get());
  void* kept = nullptr;
  std::size_t size = 0;
  if (issuers == nullptr && SSL_is_server(ssl_.get()) == 1 &&
      SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl_.get()), &kept, &size) == 1 && size > 0) {
    return hold(leaf, from_der({static_cast<const char*>(kept), size}).get());
  }
  return hold(leaf, issuers);
}

std::shared_ptr<const session> stream::take_session() {
  auto* state = ssl_ ? state_of(ssl_.get()) : nullptr;
  return state != nullptr && state->peer && state->peer->given
             ? std::make_shared<const session>(state->peer->given.release())
             : nullptr;
}

std::vector<std::string> stream::alpn_offered() const {
  return ssl_ ? state_of(ssl_.get())->offered : std::vector<std::string>{};
}

bool stream::secrets_are_of_this_connection() const {
  return SSL_version(ssl_.get()) >= TLS1_3_VERSION || SSL_get_extms_support(ssl_.get()) == 1;
}

bool stream::has_exporter_binding() const {
  // RFC 9266 §4.2: without extended master secret the value is not bound to this connection alone.
  return established_ && secrets_are_of_this_connection();
}

std::string stream::exporter_binding() const {
  static constexpr std::string_view label = "EXPORTER-Channel-Binding";
  if (!has_exporter_binding()) {
    return {};
  }
  std::string out(32, '\0');
  if (SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(out.data()), out.size(), label.data(),
                                 label.size(), nullptr, 0, 1) != 1) {
    return {};
  }
  return out;
}

bool stream::has_end_point_binding() const {
  return established_ && end_point_digest(server_certificate(ssl_.get())) != NID_undef;
}

std::string stream::end_point_binding() const {
  const auto* certificate = established_ ? server_certificate(ssl_.get()) : nullptr;
  const int digest = end_point_digest(certificate);
  if (digest == NID_undef) {
    return {};
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_get_digestbynid(digest), sum.data(), &size) != 1) {
    return {};
  }
  return {reinterpret_cast<const char*>(sum.data()), size};
}

std::string stream::unique_binding() const {
  // RFC 9266 §3: not defined for TLS 1.3. RFC 7627 §1: without extended master secret two connections can share it.
  if (!established_ || SSL_version(ssl_.get()) >= TLS1_3_VERSION || !secrets_are_of_this_connection()) {
    return {};
  }
  // The client's Finished comes first, but in a resumed handshake the server's (RFC 5246 §7.3).
  std::array<char, EVP_MAX_MD_SIZE> finished{};
  const auto first = SSL_session_reused(ssl_.get()) == 1 ? &SSL_get_finished : &SSL_get_peer_finished;
  const std::size_t size = first(ssl_.get(), finished.data(), finished.size());
  return {finished.data(), size};
}

}  // namespace comity::tls
