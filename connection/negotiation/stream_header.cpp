#include "connection/negotiation/stream_header.hpp"

#include <algorithm>
#include <charconv>

#include "connection/negotiation/dialback.hpp"
#include "connection/xml/writer.hpp"
#include "tls/crypto.hpp"

namespace comity::connection {

namespace {

/// The major number of "1.0"; nullopt where it is no version (RFC 6120 §4.7.5: two integers around a dot).
std::optional<unsigned> major_version(std::string_view version) {
  const auto dot = version.find('.');
  if (dot == std::string_view::npos) {
    return std::nullopt;
  }
  const auto number = [](std::string_view digits) -> std::optional<unsigned> {
    unsigned n = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (digits.empty() || fault != std::errc{} || end != digits.data() + digits.size()) {
      return std::nullopt;
    }
    return n;
  };
  if (!number(version.substr(dot + 1))) {
    return std::nullopt;
  }
  return number(version.substr(0, dot));
}

/// Up to the quote behind the language.
std::string begin_header(std::string_view content_ns, stream_framing framing = stream_framing::tcp) {
  if (framing == stream_framing::websocket) {
    return "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' xml:lang='en";
  }
  std::string out = "<?xml version='1.0'?><stream:stream xmlns='";
  out += content_ns;
  out += "' xmlns:stream='http://etherx.jabber.org/streams";
  if (content_ns == xml::ns_server) {
    out += "' xmlns:db='jabber:server:dialback";
  }
  out += "' version='1.0' xml:lang='en";
  return out;
}

}  // namespace

std::expected<accepted_header, stream_condition> check_initial_header(const xml::stream_header& header,
                                                                      std::string_view content_ns,
                                                                      stream_framing framing) {
  using enum stream_condition;
  const bool framed = framing == stream_framing::websocket;
  // RFC 6120 §4.9.3.10: the stream's namespace or the content namespace is not one we have; RFC 7395 §3.3.2.
  if (framed ? header.ns != ns_framing : header.ns != xml::ns_streams || header.content_ns != content_ns) {
    return std::unexpected{invalid_namespace};
  }
  if (header.name != (framed ? "open" : "stream")) {
    return std::unexpected{bad_format};
  }
  // RFC 6120 §4.7.5: without a version the peer is older than 1.0 and knows no features; we have nothing for it (H08).
  // A higher major version is answered with ours.
  if (!header.has_version || major_version(header.version).value_or(0) < 1) {
    return std::unexpected{unsupported_version};
  }
  accepted_header accepted;
  if (!header.has_to) {
    return std::unexpected{improper_addressing};
  }
  const auto to = jid::parse(header.to);
  if (!to || to->has_localpart() || to->has_resource()) {
    return std::unexpected{improper_addressing};
  }
  accepted.local_domain = to->domainpart();
  if (header.has_from) {
    auto from = jid::parse(header.from);
    if (!from) {
      return std::unexpected{invalid_from};
    }
    accepted.from = std::move(*from);
  }
  return accepted;
}

std::expected<answered_header, stream_condition> check_response_header(const xml::stream_header& header) {
  using enum stream_condition;
  if (header.ns != xml::ns_streams || header.content_ns != xml::ns_server) {
    return std::unexpected{invalid_namespace};
  }
  if (header.name != "stream") {
    return std::unexpected{bad_format};
  }
  answered_header accepted;
  accepted.id = header.id;
  accepted.has_features = header.has_version && major_version(header.version).value_or(0) >= 1;
  accepted.dialback = std::ranges::any_of(header.namespaces, [](const auto& n) { return n.second == ns_dialback; });
  if (header.has_from && !header.from.empty()) {
    auto from = jid::parse(header.from);
    if (!from) {
      return std::unexpected{invalid_from};
    }
    accepted.from = std::move(*from);
  }
  return accepted;
}

std::string write(const initial_header& h) {
  std::string out = begin_header(xml::ns_server);
  out += "' from='";
  xml::append_attribute_value(out, h.from);
  out += "' to='";
  xml::append_attribute_value(out, h.to);
  out += "'>";
  return out;
}

std::string write(const response_header& h, stream_framing framing) {
  std::string out = begin_header(h.content_ns, framing);
  out += "' id='";
  out += h.id;
  out += "' from='";
  xml::append_attribute_value(out, h.from);
  if (!h.to.empty()) {
    out += "' to='";
    xml::append_attribute_value(out, h.to);
  }
  out += framing == stream_framing::websocket ? "'/>" : "'>";
  return out;
}

std::string start_of(std::string_view name, stream_framing framing) {
  std::string out = "<stream:";
  out += name;
  if (framing == stream_framing::websocket) {
    out += " xmlns:stream='http://etherx.jabber.org/streams'";
  }
  return out += '>';
}

std::string end_of_stream(stream_framing framing) {
  return std::string{framing == stream_framing::websocket ? "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
                                                          : stream_end};
}

std::string new_stream_id() {
  return tls::random_token(132);
}

std::string write_stream_error(stream_condition condition, std::string_view text, bool stanza_too_big,
                               stream_framing framing, std::string_view application) {
  static constexpr std::string_view ns = "urn:ietf:params:xml:ns:xmpp-streams";
  std::string out = start_of("error", framing);
  xml::writer w{out, xml::ns_client};
  w.leaf(to_string(condition), ns);
  if (!text.empty()) {
    w.open("text", ns).lang("en").text(text).close();
  }
  if (stanza_too_big) {
    w.leaf("stanza-too-big", "urn:xmpp:errors");
  }
  out += application;
  out += "</stream:error>";
  return out;
}

stream_condition condition_in(const xml::element& stream_error) {
  for (const auto child : stream_error.children()) {
    for (std::size_t i = 0; i < stream_condition_count; ++i) {
      const auto condition = static_cast<stream_condition>(i);
      if (child.is(to_string(condition), "urn:ietf:params:xml:ns:xmpp-streams")) {
        return condition;
      }
    }
  }
  return stream_condition::undefined_condition;
}

cause cause_of(stream_condition condition) noexcept {
  using enum stream_condition;
  return condition == host_unknown || condition == host_gone ? cause::host_unknown : cause::stream_error;
}

}  // namespace comity::connection
