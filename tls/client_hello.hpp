// tls/client_hello.hpp: what a TLS client says it wants, before anybody has answered it.
//
// Pure: reads the first bytes of a connection as they lie in the socket, so that a port can decide who is to speak TLS
// there and hand the connection on with nothing taken off. Nothing here is believed to be sound TLS: who speaks it
// checks that. Values and extensions that are not known (GREASE, RFC 8701; Encrypted Client Hello, whose outer hello is
// what counts here) are passed over. A second ClientHello, after a HelloRetryRequest, is between those who speak.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace comity::tls {

struct client_hello {
  std::string server_name;        // SNI as sent (RFC 6066 §3), "" for none
  std::vector<std::string> alpn;  // all that is offered, in its order (RFC 7301 §3.1); none for no offer
  friend bool operator==(const client_hello&, const client_hello&) = default;
};

/// Of the message itself, as OpenSSL has it; and of the records around it.
inline constexpr std::size_t client_hello_most = 16U * 1024U;
inline constexpr std::size_t client_hello_records_most = 2 * client_hello_most;

struct client_hello_reading {
  enum class status : std::uint8_t {
    needs_more,       // right so far
    complete,         // `hello` is what it says
    no_client_hello,  // these bytes begin something else
    too_long,
  };
  status is = status::needs_more;
  std::size_t needed = 0;  // needs_more: with fewer bytes from the start on, it cannot be complete
  client_hello hello;
};

/// `bytes` are the first ones of the connection, from its very beginning: any number of them, in any number of records
/// (RFC 8446 §5.1). With more of them, ask again.
[[nodiscard]] client_hello_reading read_client_hello(std::string_view bytes);

/// The first host_name in the data of a server_name extension; "" where there is none.
[[nodiscard]] std::string server_name_in(std::string_view extension);
/// The names in the data of an application_layer_protocol_negotiation extension, up to where it breaks off.
[[nodiscard]] std::vector<std::string> protocols_in(std::string_view extension);

}  // namespace comity::tls
