#include "server/http/well_known.hpp"

#include <nlohmann/json.hpp>

#include "tls/crypto.hpp"

namespace comity::http {

namespace {

constexpr std::string_view websocket_relation = "urn:xmpp:alt-connections:websocket";
constexpr std::uint16_t https_port = 443;

std::string in_attribute(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

std::string websocket_url(std::string_view host, std::uint16_t port) {
  std::string url = "wss://";
  url += host.contains(':') ? "[" + std::string{host} + "]" : std::string{host};
  if (port != https_port) {
    url += ":" + std::to_string(port);
  }
  return url.append(websocket_path);
}

std::string host_meta_xml(const std::vector<std::string>& websocket_urls) {
  std::string xml =
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n"
      "<XRD xmlns=\"http://docs.oasis-open.org/ns/xri/xrd-1.0\">\n";
  for (const auto& url : websocket_urls) {
    xml.append("  <Link rel=\"").append(websocket_relation).append("\" href=\"").append(in_attribute(url));
    xml.append("\"/>\n");
  }
  return xml + "</XRD>\n";
}

std::string host_meta_json(const std::vector<std::string>& websocket_urls) {
  auto links = nlohmann::json::array();
  for (const auto& url : websocket_urls) {
    links.push_back({{"rel", websocket_relation}, {"href", url}});
  }
  return nlohmann::json{{"links", std::move(links)}}.dump() + "\n";
}

std::string posh_document(const connection::posh::fingerprint& certificate, std::chrono::seconds expires) {
  const nlohmann::json one{{"sha-256", tls::base64_encode(certificate.sha256)},
                           {"sha-512", tls::base64_encode(certificate.sha512)}};
  return nlohmann::json{{"fingerprints", nlohmann::json::array({one})}, {"expires", expires.count()}}.dump() + "\n";
}

}  // namespace comity::http
