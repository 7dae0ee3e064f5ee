#include "connection/s2s/posh.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "tls/crypto.hpp"

namespace comity::connection::posh {

namespace {

using nlohmann::json;

/// RFC 7711 §3.1: base64 as of RFC 4648 §4; published documents leave the padding out at times, as its example does.
std::optional<std::string> hash_of(const json& value, tls::hash kind) {
  if (!value.is_string()) {
    return std::nullopt;
  }
  auto text = value.get<std::string>();
  text.append((4 - text.size() % 4) % 4, '=');
  auto bytes = tls::base64_decode(text);
  return bytes && bytes->size() == tls::digest_size(kind) ? bytes : std::nullopt;
}

/// A member that is there and is no such hash makes the document worthless: it was not made with care.
std::expected<fingerprint, std::string> fingerprint_of(const json& descriptor) {
  if (!descriptor.is_object()) {
    return std::unexpected("a fingerprint is no object");
  }
  fingerprint f;
  const auto take = [&](const char* name, tls::hash kind, std::string& into) {
    const auto at = descriptor.find(name);
    if (at == descriptor.end()) {
      return true;
    }
    auto bytes = hash_of(*at, kind);
    into = bytes.value_or(std::string{});
    return bytes.has_value();
  };
  if (!take("sha-256", tls::hash::sha256, f.sha256) || !take("sha-512", tls::hash::sha512, f.sha512)) {
    return std::unexpected("a fingerprint is no hash in base64");
  }
  return f;
}

std::expected<std::chrono::seconds, std::string> expiry_of(const json& document) {
  const auto at = document.find("expires");
  if (at == document.end() || !at->is_number_unsigned()) {
    return std::unexpected("expires is no whole number of seconds");
  }
  const auto seconds = at->get<std::uint64_t>();
  if (seconds == 0) {
    return std::unexpected("expires is 0: the document is not valid");  // RFC 7711 §3.1, §3.2 (K06)
  }
  return std::chrono::seconds{std::min<std::uint64_t>(seconds, static_cast<std::uint64_t>(expires_most.count()))};
}

}  // namespace

std::expected<document, std::string> read(std::string_view text) {
  if (text.size() > document_bytes) {
    return std::unexpected("the document is too large");
  }
  const auto parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) {
    return std::unexpected("this is no JSON object");
  }
  const auto expires = expiry_of(parsed);
  if (!expires) {
    return std::unexpected(expires.error());
  }
  const auto url = parsed.find("url");
  const auto listed = parsed.find("fingerprints");
  if ((url == parsed.end()) == (listed == parsed.end())) {
    return std::unexpected("there is to be either fingerprints or url");  // RFC 7711 §3.1
  }
  if (url != parsed.end()) {
    if (!url->is_string()) {
      return std::unexpected("url is no string");
    }
    return reference{.url = url->get<std::string>(), .expires = *expires};
  }
  if (!listed->is_array() || listed->empty() || listed->size() > fingerprints_most) {
    return std::unexpected("fingerprints is no array of fingerprints");
  }
  fingerprints all{.all = {}, .expires = *expires};
  for (const auto& descriptor : *listed) {
    auto one = fingerprint_of(descriptor);
    if (!one) {
      return std::unexpected(one.error());
    }
    // One of hashes that we do not know names nothing that we could compare.
    if (!one->sha256.empty() || !one->sha512.empty()) {
      all.all.push_back(std::move(*one));
    }
  }
  return all;
}

std::string url_of(std::string_view domain) {
  std::string url = "https://";
  url.append(domain).append("/.well-known/posh/xmpp-server.json");
  return url;
}

bool names(const fingerprints& announced, const fingerprint& certificate) {
  return std::ranges::any_of(announced.all, [&](const fingerprint& f) {
    return f.sha512.empty() ? f.sha256 == certificate.sha256 : f.sha512 == certificate.sha512;
  });
}

}  // namespace comity::connection::posh
