#include "connection/front/alpn_router.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace comity::connection {

namespace {

constexpr std::array<std::pair<std::string_view, alpn_offer>, 4> preferred{{{"xmpp-client", alpn_offer::xmpp_client},
                                                                            {"xmpp-server", alpn_offer::xmpp_server},
                                                                            {"h2", alpn_offer::http},
                                                                            {"http/1.1", alpn_offer::http}}};

bool holds(std::span<const std::string> offered, std::string_view name) {
  return std::ranges::find(offered, name) != offered.end();
}

/// RFC 6066 §3: DNS names, whose case does not matter.
std::string folded(std::string_view name) {
  std::string lower{name};
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); });
  if (lower.ends_with('.')) {
    lower.pop_back();
  }
  return lower;
}

}  // namespace

const front_route& route_of(const tls::client_hello& hello, const front_routes& routes) {
  if (const auto named = routes.by_server_name.find(folded(hello.server_name)); named != routes.by_server_name.end()) {
    return named->second;
  }
  if (hello.alpn.empty()) {
    return routes.none;
  }
  for (const auto& [name, offer] : preferred) {
    const auto known = routes.by_protocol.find(name);
    if (known != routes.by_protocol.end() && holds(hello.alpn, name)) {
      return known->second;
    }
  }
  const auto any = std::ranges::find_if(routes.by_protocol, [&](const auto& r) { return holds(hello.alpn, r.first); });
  return any != routes.by_protocol.end() ? any->second : routes.other;
}

alpn_offer class_of(std::span<const std::string> offered) {
  if (offered.empty()) {
    return alpn_offer::none;
  }
  const auto* const known = std::ranges::find_if(preferred, [&](const auto& p) { return holds(offered, p.first); });
  return known != preferred.end() ? known->second : alpn_offer::other;
}

}  // namespace comity::connection
