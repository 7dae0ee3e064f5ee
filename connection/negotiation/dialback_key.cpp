#include "connection/negotiation/dialback_key.hpp"

#include "tls/crypto.hpp"

namespace comity::connection {

namespace {

constexpr std::string_view white_space = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

}  // namespace

tls::secret new_dialback_secret() {
  return tls::secret{tls::random_bytes(32)};
}

std::string dialback_key(std::string_view secret, const domain_flow& flow, std::string_view stream_id) {
  // XEP-0185 §2: receiving server, originating server, stream id.
  std::string text;
  text.reserve(flow.target.size() + flow.sender.size() + stream_id.size() + 2);
  text.append(flow.target).append(" ").append(flow.sender).append(" ").append(stream_id);
  const tls::secret digest{tls::digest(tls::hash::sha256, secret)};
  const tls::secret key{tls::hex(digest.reveal())};
  return tls::hex(tls::hmac(tls::hash::sha256, key.reveal(), text));
}

bool is_dialback_key(std::string_view key, std::string_view secret, const domain_flow& flow,
                     std::string_view stream_id) {
  return tls::equal_constant_time(trimmed(key), dialback_key(secret, flow, stream_id));
}

}  // namespace comity::connection
