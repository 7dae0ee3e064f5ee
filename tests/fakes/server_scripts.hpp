// tests/fakes/server_scripts.hpp: the negotiation of streams between servers as dialogues, from either end.
//
// Here is example.org (and example.net, both hosted), there is peer.example; enemy.example is not allowed.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/negotiation/dialback_key.hpp"
#include "connection/negotiation/initiator.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "connection/s2s/features.hpp"
#include "tests/fakes/machine_script.hpp"

namespace comity::fakes {

inline constexpr std::string_view our_secret = "ours";
inline const cn::domain_flow peer_to_us{.sender = "peer.example", .target = "example.org"};
inline const cn::domain_flow us_to_peer{.sender = "example.org", .target = "peer.example"};

inline cn::trust::verdict proven(cn::proof by = cn::proof::pkix) {
  return {cn::trust::accepted{by}, "proven"};
}
inline cn::trust::verdict takes_dialback() {
  return {cn::trust::needs_dialback{}, "dialback may do"};
}
inline cn::trust::verdict unproven(cn::cause why = cn::cause::cert_untrusted) {
  return {cn::trust::refused{why}, "no"};
}

inline cn::domain_rules our_rules() {
  return {.hosts = [](std::string_view d) { return d == "example.org" || d == "example.net"; },
          .allows = [](std::string_view d) { return d != "enemy.example"; }};
}

/// A header of a server, as a peer sends it; `id` makes it a response. Dialback is declared.
inline cn::event::header server_header(std::string from, std::string to, std::string id = {}) {
  xml::stream_header h;
  h.name = "stream";
  h.ns = xml::ns_streams;
  h.content_ns = xml::ns_server;
  h.version = "1.0";
  h.has_version = true;
  h.has_to = !to.empty();
  h.to = std::move(to);
  h.has_from = !from.empty();
  h.from = std::move(from);
  h.id = std::move(id);
  h.namespaces = {{"", "jabber:server"}, {"stream", "http://etherx.jabber.org/streams"}};
  h.namespaces.emplace_back("db", "jabber:server:dialback");
  return {std::move(h)};
}

/// peer.example has come to us.
class receiving_script : public machine_script<receiving_script, cn::negotiator, cn::negotiation_event> {
public:
  static constexpr std::string_view content_ns = xml::ns_server;

  explicit receiving_script(cn::method method = cn::method::starttls) : method_{method} {}

  receiving_script& feeds_header(std::string from = "peer.example", std::string to = "example.org") {
    return feeds_event(server_header(std::move(from), std::move(to)));
  }
  receiving_script& feeds_proof(cn::trust::verdict v, cn::domain_flow flow = peer_to_us) {
    return feeds_answer(cn::peer_proof{std::move(flow), v});
  }
  receiving_script& feeds_verdict(std::expected<bool, stanza_condition> valid, cn::domain_flow flow = peer_to_us,
                                  std::string id = "id") {
    return feeds_answer(cn::key_verdict{std::move(flow), std::move(id), valid});
  }
  /// Up to the features under TLS, for a peer of which that is known.
  receiving_script& secures(const cn::trust::verdict& v) {
    if (method_ == cn::method::starttls) {
      feeds_header().expects({"send <?xml", "send <stream:features><starttls"});
      feeds_element("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").expects({"start_tls <proceed"});
    }
    feeds_tls().expects({"restart"});
    feeds_header().expects({"send <?xml", "ask proof of peer.example to example.org"});
    return feeds_proof(v).expects({v.accepted()
                                       ? "send <stream:features><mechanisms "
                                         "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
                                       : "send <stream:features><dialback"});
  }
  receiving_script& authenticates() {
    return feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>cGVlci5leGFtcGxl</auth>")
        .expects({"send <success", "authenticated peer.example", "restart"})
        .feeds_header()
        .expects({"send <?xml", "send <stream:features><dialback",
                  "authorised peer.example to example.org by pkix EXTERNAL"});
  }
  /// peer.example asks to send, and its own server vouches for it.
  receiving_script& dials_back() {
    return feeds_element("<db:result from='peer.example' to='example.org'>key</db:result>")
        .expects({"ask key of peer.example to example.org id id key key"})
        .feeds_verdict(true)
        .expects({"send <db:result from='example.org' to='peer.example' type='valid'/>",
                  "authorised peer.example to example.org by dialback dialback"});
  }

  [[nodiscard]] cn::negotiator make() {
    cn::stream_facts facts;
    facts.route = {cn::scope::s2s, cn::direction::inbound, method_};
    return cn::negotiator{{.content_ns = xml::ns_server,
                           .features = cn::s2s_features({.metrics = *metrics_,
                                                         .dialback_secret = our_secret,
                                                         .domains = our_rules(),
                                                         .limits = {.max_bytes = 524288, .idle_seconds = 600}}),
                           .hosts = our_rules().hosts,
                           .default_domain = "example.org",
                           .new_stream_id = [] { return "id"; },
                           .allows = our_rules().allows},
                          std::move(facts)};
  }

private:
  cn::method method_;
  std::shared_ptr<cn::metrics_cell> metrics_ = std::make_shared<cn::metrics_cell>();
};

/// We, as example.org, have gone to peer.example.
class initiating_script : public machine_script<initiating_script, cn::initiator, cn::initiator_event> {
public:
  static constexpr std::string_view content_ns = xml::ns_server;
  static constexpr const char* external =
      "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
      "<mechanism>EXTERNAL</mechanism></mechanisms>";
  static constexpr const char* dialback_errors = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";
  static constexpr const char* bidi = "<bidi xmlns='urn:xmpp:features:bidi'/>";

  explicit initiating_script(cn::method method = cn::method::starttls) : method_{method} {}

  initiating_script& without_bidi() {
    wants_bidi_ = false;
    return *this;
  }
  initiating_script& feeds_header(std::string id = "theirs", std::string from = "peer.example") {
    return feeds_event(server_header(std::move(from), "example.org", std::move(id)));
  }
  initiating_script& feeds_features(const std::string& features) {
    return feeds_element("<stream:features>" + features + "</stream:features>");
  }
  initiating_script& feeds_judgment(const cn::trust::verdict& v) { return feeds_event(cn::event::judged{v}); }
  initiating_script& chooses() { return feeds_event(cn::event::chosen{}); }
  initiating_script& wants(cn::domain_flow flow, cn::proof by = cn::proof::none) {
    return feeds_event(cn::event::wants_flow{std::move(flow), by});
  }
  initiating_script& verifies(cn::domain_flow flow, std::string id, std::string key) {
    return feeds_event(cn::event::verify{{std::move(flow), std::move(id), std::move(key)}});
  }
  /// Up to the header under TLS, of a peer of which that is known.
  initiating_script& secures(const cn::trust::verdict& v) {
    if (method_ == cn::method::starttls) {
      feeds_header("clear").expects({});
      feeds_features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").expects({"send <starttls"});
      feeds_element("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").expects({"start_tls"});
    }
    feeds_tls().expects({"restart", "judge"});
    return feeds_judgment(v).expects({"send <?xml"}).feeds_header().expects({});
  }
  initiating_script& authenticates(const std::string& features = external, const std::string& later = {}) {
    return feeds_features(features)
        .expects({"verified"})
        .chooses()
        .expects({"send <auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXhhbXBsZS5vcmc=</auth>"})
        .feeds_element("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
        .expects({"restart", "send <?xml"})
        .feeds_header("theirs2")
        .expects({})
        .feeds_features(later)
        .expects({"authorised example.org to peer.example by pkix EXTERNAL"});
  }
  /// By dialback, which the peer finds valid.
  initiating_script& dials_back(const std::string& features = dialback_errors, const std::string& by = "dialback") {
    return feeds_features(features)
        .expects({"verified"})
        .chooses()
        .expects({"send <db:result from='example.org' to='peer.example'>" +
                  cn::dialback_key(our_secret, us_to_peer, "theirs") + "</db:result>"})
        .feeds_element("<db:result from='peer.example' to='example.org' type='valid'/>")
        .expects({"authorised example.org to peer.example by " + by + " dialback"});
  }

  [[nodiscard]] cn::initiator make() {
    cn::initiator machine{{.flow = us_to_peer,
                           .dialback_secret = our_secret,
                           .domains = our_rules(),
                           .metrics = *metrics_,
                           .limits = {.max_bytes = 524288, .idle_seconds = 600},
                           .bidi = wants_bidi_},
                          {cn::scope::s2s, cn::direction::outbound, method_}};
    const auto first = machine.start();
    if (method_ == cn::method::direct_tls) {
      EXPECT_TRUE(first.empty());
    } else {
      EXPECT_EQ(first.size(), 1U);
    }
    return machine;
  }

private:
  cn::method method_;
  bool wants_bidi_ = true;
  std::shared_ptr<cn::metrics_cell> metrics_ = std::make_shared<cn::metrics_cell>();
};

}  // namespace comity::fakes
