// connection/negotiation/dialback_key.hpp: keys of server dialback (XEP-0185).
//
// A key proves, to nobody but who has the secret, that its holder was given that stream id by the receiving server. No
// state is kept of keys sent: the same function makes one and judges it. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "connection/negotiation/domain_flow.hpp"
#include "tls/secret.hpp"

namespace comity::connection {

/// A fresh secret of 256 random bits, one for the process (XEP-0185 §2, THREATS D2).
[[nodiscard]] tls::secret new_dialback_secret();

/// HMAC-SHA256(hex(SHA256(secret)), target SP sender SP stream id), in lower-case hexadecimal (XEP-0185 §2). Domains
/// hold no space, so no two triples share their text whatever the peer's stream id is (THREATS D2).
[[nodiscard]] std::string dialback_key(std::string_view secret, const domain_flow&, std::string_view stream_id);

/// Is `key` that of the flow and stream id? White space around it does not matter (peers indent); the time it takes
/// tells nothing of where it differs.
[[nodiscard]] bool is_dialback_key(std::string_view key, std::string_view secret, const domain_flow&,
                                   std::string_view stream_id);

}  // namespace comity::connection
