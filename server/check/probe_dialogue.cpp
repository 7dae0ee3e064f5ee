#include "server/check/probe_dialogue.hpp"

#include <utility>

#include "connection/negotiation/stream_header.hpp"
#include "connection/xml/writer.hpp"

namespace comity::check {

namespace {

constexpr std::string_view ns_tls = "urn:ietf:params:xml:ns:xmpp-tls";
/// Features of any server are far below this, and nobody can make us keep more.
constexpr std::size_t longest_part = std::size_t{64} * 1024;

using step = probe_dialogue::step;

step more() {
  return {.what = step::kind::more};
}

step done(probe_end end, std::string detail = {}) {
  return {.what = step::kind::done, .end = end, .detail = std::move(detail)};
}

}  // namespace

probe_dialogue::probe_dialogue(way as, std::string domain)
    : as_{as}, domain_{std::move(domain)}, framer_{{.stanza_bytes = longest_part}} {
}

std::string_view probe_dialogue::content_ns() const noexcept {
  return as_.service == dns::service::client ? xml::ns_client : xml::ns_server;
}

std::string probe_dialogue::header() const {
  std::string out = "<?xml version='1.0'?><stream:stream xmlns='";
  out += content_ns();
  out += "' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' to='";
  xml::append_attribute_value(out, domain_);
  return out + "'>";
}

void probe_dialogue::secured() {
  // RFC 6120 §5.4.3.3: nothing that came before TLS counts.
  secured_ = true;
  asked_ = false;
  framer_.restart();
  unread_.clear();
  fed_ = 0;
}

step probe_dialogue::on(std::string_view bytes) {
  unread_ += bytes;
  for (;;) {
    const auto found = framer_.feed(std::string_view{unread_}.substr(fed_));
    if (found.what == xml::frame::kind::need_more) {
      fed_ = unread_.size();
      return more();
    }
    const auto size = fed_ + found.bytes;
    auto next = part(found, std::string_view{unread_}.substr(0, size));
    unread_.erase(0, size);
    fed_ = 0;
    if (next.what != step::kind::more) {
      return next;
    }
  }
}

step probe_dialogue::part(const xml::frame& found, std::string_view bytes) {
  switch (found.what) {
    case xml::frame::kind::need_more:
    case xml::frame::kind::declaration:
    case xml::frame::kind::whitespace:
      return more();
    case xml::frame::kind::stream_open:
      return opened(bytes);
    case xml::frame::kind::stanza:
      return element(bytes);
    case xml::frame::kind::stream_close:
      return done(probe_end::stream_error, "it closes the stream");
    case xml::frame::kind::error:
      return done(probe_end::not_xmpp, "what it says is no XML stream");
  }
  return more();
}

step probe_dialogue::opened(std::string_view bytes) {
  const auto header = parser_.header(bytes);
  if (!header || header->ns != xml::ns_streams) {
    return done(probe_end::not_xmpp, "what it says is no XMPP stream");
  }
  context_ = xml::context_of(*header);
  if (header->content_ns != content_ns()) {
    return done(probe_end::not_xmpp, "its streams are of another kind");
  }
  return more();
}

step probe_dialogue::element(std::string_view bytes) {
  xml::document read;
  if (!parser_.element(bytes, context_, read)) {
    return done(probe_end::not_xmpp, "what it says is no XML stream");
  }
  const auto root = read.root();
  if (root.is("error", xml::ns_streams)) {
    const auto condition = connection::condition_in(root);
    return condition == stream_condition::host_unknown
               ? done(probe_end::host_unknown)
               : done(probe_end::stream_error, std::string{to_string(condition)});
  }
  if (asked_) {
    return root.is("proceed", ns_tls) ? step{.what = step::kind::begin_tls}
                                      : done(probe_end::no_starttls, "it does not proceed");
  }
  if (!root.is("features", xml::ns_streams)) {
    return done(probe_end::not_xmpp, "its stream begins without features");
  }
  if (secured_) {
    return done(probe_end::serves);
  }
  if (!root.child("starttls", ns_tls)) {
    return done(probe_end::no_starttls);
  }
  asked_ = true;
  return {.what = step::kind::send, .bytes = "<starttls xmlns='" + std::string{ns_tls} + "'/>"};
}

}  // namespace comity::check
