// tls/stream.hpp: a non-blocking socket's bytes, in clear or under TLS, for both STARTTLS and direct TLS.
//
// Knows no event loop: every call does what can be done at once and says what readiness to wait for, so an idle TLS
// connection costs what OpenSSL itself holds. The descriptor is borrowed: the owner keeps it open for longer than this
// and closes it afterwards. One thread at a time; the owner's loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tls/peer_certificate.hpp"

struct ssl_st;
struct ssl_ctx_st;

namespace comity::tls {

class client_context;
class server_context;
class session;
struct connection_state;

enum class io_status : std::uint8_t {
  done,        // `bytes` were moved, or the step is complete
  want_read,   // wait until the socket is readable, then call again
  want_write,  // wait until it is writable, then call again
  closed,      // the peer ended it in order: close_notify under TLS, FIN in clear
  truncated,   // FIN or reset without close_notify under TLS (THREATS B10), or a reset in clear
  failed,      // TLS failed; failure() says how
};
struct io_result {
  io_status status = io_status::done;
  std::size_t bytes = 0;
};

/// What went wrong in TLS, in the terms an operator needs.
struct tls_failure {
  enum class kind : std::uint8_t {
    none,
    no_application_protocol,  // ALPN without overlap: we sent the alert (RFC 7301 §3.2), or the server did, or it
                              // selected what we had not offered (RFC 9325 §3.8)
    unrecognized_name,        // SNI of no host of ours: we sent the alert (RFC 9325 §3.7)
    protocol_version,         // nothing in common from TLS 1.2 up
    no_shared_cipher,
    certificate_limits,  // the peer's certificates are more than we look at (THREATS B7): we sent the alert
    peer_alert,          // the peer sent a fatal alert; `text` names it
    not_tls,             // the bytes are no TLS at all
    other,
  };
  kind what = kind::none;
  std::string text;  // one line without control characters
};

/// What is known of an established TLS connection.
struct tls_facts {
  std::string version;  // "TLSv1.3"
  std::string cipher;   // "TLS_AES_256_GCM_SHA384"
  std::string alpn;     // the selected protocol, "" for none
  std::string sni;      // as sent, "" for none
  bool resumed = false;
  bool sni_acknowledged = false;            // by the server that we connected to (RFC 6066 §3, D10)
  std::optional<certificate_summary> peer;  // where it presented a certificate
};

/// Whether the client is asked for a certificate. Any is accepted here, and none too: peer() holds it to be judged.
enum class client_certificate : std::uint8_t { not_requested, requested };

/// How a connection that we open begins. What is referred to is used during connect() alone, but for the literals.
struct connect_options {
  std::string_view server_name;            // SNI, A-labels; none is sent for "" and for an IP literal (RFC 6066 §3)
  std::span<const std::string_view> alpn;  // offered, preferred first (literals); may be empty
  std::string_view local_domain;           // A-labels; its certificate is presented where the server asks for one
  std::shared_ptr<const session> resume;   // or nullptr
};

class stream {
public:
  /// Clear text on `descriptor`, which must be non-blocking.
  explicit stream(int descriptor) noexcept;
  ~stream();
  stream(stream&&) noexcept;
  stream& operator=(stream&&) noexcept;

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] bool encrypted() const noexcept { return established_; }

  /// Starts TLS as the server; then call handshake() until it says done. Bytes the socket still holds belong to TLS.
  /// `alpn` lists what may be selected, preferred first (literals); an offer without overlap ends in
  /// no_application_protocol, no offer at all is accepted (XEP-0368 §4). Takes the certificates now in force from
  /// `context`, which outlives this; a ClientHello without SNI gets that of `default_domain` (A-labels) where there is
  /// one, else the first host's. So does one with a name that is not ours where a certificate is requested, and
  /// `default_domain` or the ALPN offer says that we are meant; all others with such a name end in unrecognized_name.
  /// Sessions made with a certificate requested do not resume where none is, nor the other
  /// way round.
  void accept(const server_context& context, std::span<const std::string_view> alpn,
              std::string_view default_domain = {}, client_certificate = client_certificate::not_requested);

  /// Starts TLS as the client; then as after accept(). `context` outlives this. A server's selection by ALPN that was
  /// not offered fails the handshake, none at all is accepted (RFC 9325 §3.8, XEP-0368 §4). There is no second try with
  /// less: a failure is final (F02, RFC 9325 §3.1.3).
  void connect(const client_context& context, const connect_options&);

  /// One step of the handshake: done, want_read, want_write, closed, truncated or failed.
  [[nodiscard]] io_result handshake();

  /// Reads what is there. done with bytes > 0; want_read when there is nothing; never blocks.
  [[nodiscard]] io_result read(std::span<char> into);
  /// Writes what fits. done with bytes ≤ size (0 < bytes), or want_write/want_read. After a want_* the next call must
  /// start with the same bytes (it may bring more).
  [[nodiscard]] io_result write(std::string_view bytes);
  /// True when decrypted bytes wait inside OpenSSL, so that read() gives bytes though the socket is not readable.
  [[nodiscard]] bool pending() const noexcept;
  /// Sends close_notify (RFC 6120 §4.4). done once sent; the peer's own arrives through read() as closed.
  [[nodiscard]] io_result close_notify();

  [[nodiscard]] const tls_failure& failure() const noexcept;
  /// After the handshake.
  [[nodiscard]] tls_facts facts() const;
  /// After the handshake: what the peer presented, in this connection or, where it is resumed, in the first one.
  [[nodiscard]] peer_credentials peer() const;
  /// The newest session that the server gave since the last call, or nullptr. Servers give them after the handshake,
  /// mostly before their first bytes are read.
  [[nodiscard]] std::shared_ptr<const session> take_session();
  /// The first few application protocols that the peer offered, also where the handshake failed; none without TLS.
  [[nodiscard]] std::vector<std::string> alpn_offered() const;

  /// tls-exporter (RFC 9266): 32 bytes, or empty where it must not be used (TLS 1.2 without extended master secret).
  [[nodiscard]] std::string exporter_binding() const;
  /// Whether that is not "", without making it.
  [[nodiscard]] bool has_exporter_binding() const;
  /// tls-server-end-point (RFC 5929 §4.1) of the server's certificate; empty where undefined.
  [[nodiscard]] std::string end_point_binding() const;
  [[nodiscard]] bool has_end_point_binding() const;
  /// tls-unique (RFC 5929 §3): the handshake's first Finished message, or empty where it must not be used (TLS 1.3, and
  /// TLS 1.2 without extended master secret).
  [[nodiscard]] std::string unique_binding() const;

private:
  /// RFC 7627: true in every TLS 1.3.
  [[nodiscard]] bool secrets_are_of_this_connection() const;
  struct deleter {
    void operator()(ssl_st*) const noexcept;
  };
  void begin(ssl_ctx_st* context, std::unique_ptr<connection_state>);
  [[nodiscard]] io_result outcome(int returned);

  int descriptor_;
  bool established_ = false;
  std::unique_ptr<ssl_st, deleter> ssl_;
  std::unique_ptr<tls_failure> failure_;
};

}  // namespace comity::tls
