// connection/front/fatal_alert.hpp: a TLS client told that it will not be served, by who does not speak TLS to it.
#pragma once

#include <cstdint>
#include <span>

namespace comity::connection {

/// RFC 8446 §6.2.
enum class tls_alert : std::uint8_t { internal_error = 80, no_application_protocol = 120 };

/// The answer to a ClientHello, in clear as all is until then: takes off what has come (else closing would reset the
/// connection, and the alert with it), says it, and ends our side. The descriptor stays open. `scratch` is lent.
void send_fatal_alert(int socket, tls_alert, std::span<char> scratch) noexcept;

}  // namespace comity::connection
