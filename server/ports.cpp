#include "server/ports.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace comity::server {

namespace {

using config::listen_protocol;
using config::listen_tls;
using connection::destination;
using connection::method;
using connection::scope;

std::vector<connection::address_block> blocks_of(const std::vector<std::string>& networks) {
  std::vector<connection::address_block> blocks;
  blocks.reserve(networks.size());
  for (const auto& text : networks) {
    blocks.push_back(*connection::address_block::parse(text));  // checked with the configuration
  }
  return blocks;
}

/// Where it is the same for all that comes in there.
std::optional<destination> only(listen_protocol protocol) {
  switch (protocol) {
    case listen_protocol::c2s:
      return destination::c2s;
    case listen_protocol::s2s:
      return destination::s2s;
    case listen_protocol::http:
      return destination::http;
    case listen_protocol::any:
      return std::nullopt;
  }
  return std::nullopt;
}

/// Whether what is asked there by HTTP is served by us, with ALPN or without.
bool takes_http(const config::listen_settings& l) {
  return l.protocol == listen_protocol::http ||
         (l.protocol == listen_protocol::any && std::ranges::any_of(l.alpn, [](const auto& route) {
            return route.second == "http" || route.second == "sniff";
          }));
}

std::vector<method> methods_of(listen_tls tls) {
  switch (tls) {
    case listen_tls::starttls:
      return {method::starttls};
    case listen_tls::direct:
      return {method::direct_tls};
    case listen_tls::either:
      return {method::starttls, method::direct_tls};
    case listen_tls::none:
      return {};
  }
  return {};
}

connection::front_opening opening_of(listen_tls tls) {
  switch (tls) {
    case listen_tls::starttls:
    case listen_tls::none:
      return connection::front_opening::clear;
    case listen_tls::direct:
      return connection::front_opening::tls;
    case listen_tls::either:
      return connection::front_opening::either;
  }
  return connection::front_opening::tls;
}

/// Whose connections count for clients that are not known when they come: those of proxies.
std::vector<connection::address_block> unadmitted(const config::listen_settings& port, const config::settings& all) {
  auto blocks = blocks_of(port.proxy_protocol);
  if (port.protocol == listen_protocol::http) {
    std::ranges::move(blocks_of(all.http.trusted_proxies), std::back_inserter(blocks));
  }
  return blocks;
}

/// Of a text that the configuration has checked.
connection::front_route route_of(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, destination>, 5> words{{{"c2s", destination::c2s},
                                                                                  {"s2s", destination::s2s},
                                                                                  {"http", destination::http},
                                                                                  {"sniff", destination::sniff},
                                                                                  {"refuse", destination::refuse}}};
  for (const auto& [word, to] : words) {
    if (text == word) {
      return {.to = to};
    }
  }
  text.remove_prefix(text.find(':') + 1);  // "forward:HOST:PORT"
  const auto colon = text.rfind(':');
  auto host = text.substr(0, colon);
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
  }
  connection::front_route forwarded{.to = destination::forward, .host = std::string{host}};
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), forwarded.port);
  return forwarded;
}

connection::front_routes routes_of(const config::listen_settings& port) {
  connection::front_routes routes;
  for (const auto& [name, text] : port.alpn) {
    if (name == "none") {
      routes.none = route_of(text);
    } else if (name == "other") {
      routes.other = route_of(text);
    } else {
      routes.by_protocol.emplace(name, route_of(text));
    }
  }
  for (const auto& [name, text] : port.sni) {
    routes.by_server_name.emplace(name, route_of(text));
  }
  return routes;
}

std::string_view word_of(listen_protocol protocol) {
  switch (protocol) {
    case listen_protocol::c2s:
      return "c2s";
    case listen_protocol::s2s:
      return "s2s";
    case listen_protocol::http:
      return "http";
    case listen_protocol::any:
      return "auto";
  }
  return "";
}

std::string_view word_of(listen_tls tls) {
  switch (tls) {
    case listen_tls::starttls:
      return "starttls";
    case listen_tls::direct:
      return "direct_tls";
    case listen_tls::either:
      return "either";
    case listen_tls::none:
      return "none";
  }
  return "";
}

}  // namespace

std::vector<connection::route> inbound_routes(const config::settings& s) {
  std::vector<connection::route> routes;
  const auto add = [&](scope who, listen_tls tls) {
    for (const auto m : methods_of(tls)) {
      routes.push_back({who, connection::direction::inbound, m});
    }
  };
  for (const auto& l : s.listeners) {
    if (l.protocol == listen_protocol::c2s || l.protocol == listen_protocol::any) {
      add(scope::c2s, l.tls);
    }
    if (l.protocol == listen_protocol::s2s || (l.protocol == listen_protocol::any && s.s2s.enabled)) {
      add(scope::s2s, l.tls);
    }
    if (takes_http(l)) {
      routes.push_back({scope::c2s, connection::direction::inbound, method::websocket});
    }
  }
  return routes;
}

std::vector<std::uint16_t> websocket_ports(const std::vector<config::listen_settings>& opened) {
  std::vector<std::uint16_t> all;
  for (const auto& l : opened) {
    const auto web = l.alpn.find("http/1.1");
    const bool served = (l.protocol == listen_protocol::http && l.tls == listen_tls::direct) ||
                        (l.protocol == listen_protocol::any && web != l.alpn.end() && web->second == "http");
    const bool loopback = l.address.host == "::1" || l.address.host.starts_with("127.");
    if (served && !loopback && l.proxy_protocol.empty() && std::ranges::find(all, l.address.port) == all.end()) {
      all.push_back(l.address.port);
    }
  }
  return all;
}

std::shared_ptr<const connection::front_settings> front_of(const config::listen_settings& port,
                                                           const config::settings& all) {
  const bool stream = port.protocol == listen_protocol::c2s || port.protocol == listen_protocol::s2s;
  if (stream && port.tls != listen_tls::either && port.proxy_protocol.empty()) {
    return nullptr;
  }
  connection::front_settings s;
  s.proxies = blocks_of(port.proxy_protocol);
  s.opens_with = opening_of(port.tls);
  s.only = only(port.protocol);
  s.routes = routes_of(port);
  s.introduces = port.forward_proxy_header;
  s.clear_http = blocks_of(all.http.trusted_proxies);
  s.tls_timeout = all.limits.tls_timeout;
  s.handshake_timeout = all.limits.handshake_timeout;
  s.before_authentication.stanza_bytes = all.limits.unauthenticated_bytes;
  s.before_authentication.attributes = all.limits.element_attributes;
  return std::make_shared<const connection::front_settings>(std::move(s));
}

ports::ports(collaborators with, connection::front_takers takers) : with_{with}, takers_{std::move(takers)} {
}
ports::~ports() = default;

std::expected<std::unique_ptr<ports>, std::string> ports::open(collaborators with, const config::settings& all,
                                                               connection::front_takers takers) {
  std::unique_ptr<ports> made{new ports{with, std::move(takers)}};
  for (const auto& l : all.listeners) {
    auto& port = *made->ports_.emplace_back(std::make_unique<ports::port>());
    port.as = l;
    port.front = front_of(l, all);
    const connection::route usual{l.protocol == listen_protocol::s2s ? scope::s2s : scope::c2s,
                                  connection::direction::inbound,
                                  l.tls == listen_tls::starttls ? method::starttls : method::direct_tls};
    auto listening = connection::listener::open(
        {with.loops.loop(0), with.limits, with.log}, l.address.host, l.address.port, usual,
        [self = made.get(), &port](connection::accepted_socket s) { self->take(port, std::move(s)); },
        unadmitted(l, all));
    if (!listening) {
      return std::unexpected{"cannot listen on " + config::to_string(l.address) + ": " + listening.error()};
    }
    port.listener = std::move(*listening);
    port.number = port.listener->port();
    with.log.write(log::level::info, "listener.open",
                   {{"address", config::to_string({l.address.host, port.listener->port()})},
                    {"scope", word_of(l.protocol)},
                    {"method", word_of(l.tls)}});
  }
  return made;
}

std::vector<config::listen_settings> ports::opened() const {
  std::vector<config::listen_settings> all;
  all.reserve(ports_.size());
  for (const auto& p : ports_) {
    all.push_back(p->as);
    all.back().address.port = p->number;
  }
  return all;
}

void ports::start() {
  for (const auto& p : ports_) {
    p->listener->start();
  }
}

void ports::close() {
  for (const auto& p : ports_) {
    p->listener->close();
  }
}

void ports::configure(const config::settings& all) {
  for (const auto& p : ports_) {
    auto next = front_of(p->as, all);
    with_.loops.loop(0).post(
        [&listener = *p->listener, blocks = unadmitted(p->as, all)]() mutable { listener.proxies(std::move(blocks)); });
    const std::lock_guard lock{lock_};
    p->front = std::move(next);
  }
}

std::shared_ptr<const connection::front_settings> ports::front(const port& p) {
  const std::lock_guard lock{lock_};
  return p.front;
}

/// On the first loop.
void ports::take(port& from, connection::accepted_socket socket) {
  auto& where = with_.loops.least_busy();
  auto serve = [this, &from, &where, socket = std::move(socket)]() mutable {
    if (auto settings = front(from)) {
      connection::serve_front({where, with_.limits, with_.tls, with_.log, takers_}, std::move(settings),
                              std::move(socket));
    } else {
      takers_.of (*only(from.as.protocol))(where, std::move(socket));
    }
  };
  if (where.loop().in_this_thread()) {
    serve();
  } else {
    where.loop().post(std::move(serve));
  }
}

}  // namespace comity::server
