// server/http/well_known.hpp: the documents by which a domain says over HTTPS where and by which certificate its XMPP
// is served (XEP-0156, RFC 7711). Pure: values in, texts out.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "connection/s2s/posh.hpp"

namespace comity::http {

inline constexpr std::string_view websocket_path = "/xmpp-websocket";
inline constexpr std::string_view host_meta_path = "/.well-known/host-meta";
inline constexpr std::string_view host_meta_json_path = "/.well-known/host-meta.json";
inline constexpr std::string_view posh_client_path = "/.well-known/posh/xmpp-client.json";
inline constexpr std::string_view posh_server_path = "/.well-known/posh/xmpp-server.json";

/// "wss://example.org:5443/xmpp-websocket"; `host` in A-labels or an address without brackets.
[[nodiscard]] std::string websocket_url(std::string_view host, std::uint16_t port);

/// /.well-known/host-meta: an XRD that says at which URLs WebSocket is served (XEP-0156 §4, RFC 6415 §3).
[[nodiscard]] std::string host_meta_xml(const std::vector<std::string>& websocket_urls);
/// /.well-known/host-meta.json: the same as a JRD (RFC 6415 appendix A).
[[nodiscard]] std::string host_meta_json(const std::vector<std::string>& websocket_urls);

/// A fingerprints document for one certificate (RFC 7711 §3.1).
[[nodiscard]] std::string posh_document(const connection::posh::fingerprint&, std::chrono::seconds expires);

}  // namespace comity::http
