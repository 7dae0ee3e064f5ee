// tests/fakes/negotiation_script.hpp: the negotiation of a client's stream as a dialogue, seen from the server.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "connection/c2s/features.hpp"
#include "connection/connection_metrics.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "tests/fakes/machine_script.hpp"

namespace comity::fakes {

inline cn::event::header header(std::string to = "example.org", std::string from = {}) {
  xml::stream_header h;
  h.name = "stream";
  h.ns = xml::ns_streams;
  h.content_ns = xml::ns_client;
  h.version = "1.0";
  h.has_version = true;
  h.has_to = !to.empty();
  h.to = std::move(to);
  h.has_from = !from.empty();
  h.from = std::move(from);
  return {std::move(h)};
}

class script : public machine_script<script, cn::negotiator, cn::negotiation_event> {
public:
  static constexpr std::string_view content_ns = xml::ns_client;

  explicit script(cn::method method = cn::method::starttls) : method_{method} {}

  script& feeds_header(std::string to = "example.org", std::string from = {}) {
    return feeds_event(header(std::move(to), std::move(from)));
  }
  /// Up to an authenticated stream whose features are out; PLAIN as alice.
  script& logs_in() {
    return feeds_tls()
        .expects({"restart"})
        .feeds_header()
        .expects({"send <?xml", "send <stream:features><mechanisms"})
        .feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>")
        .expects({"ask password"})
        .feeds_answer(cn::password_answer{true})
        .expects({"send <success", "authenticated alice@example.org", "restart"})
        .feeds_header()
        .expects({"send <?xml", "send <stream:features><bind"});
  }
  script& binds() {
    return feeds_element("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        .expects({"ask bind"})
        .feeds_answer(cn::bind_answer{*jid::parse("alice@example.org/r")})
        .expects({"send <iq type='result' id='b'", "established alice@example.org/r"});
  }

  [[nodiscard]] cn::negotiator make() {
    cn::stream_facts facts;
    facts.route.method = method_;
    return cn::negotiator{
        {.content_ns = xml::ns_client,
         .features = cn::c2s_features([m = metrics_]() -> cn::metrics_cell& { return *m; }, before_, after_),
         .hosts = [](std::string_view d) { return d == "example.org" || d == "example.net"; },
         .default_domain = "example.org",
         .new_stream_id = [this] { return "id" + std::to_string(++ids_); }},
        std::move(facts)};
  }

  /// The limits that are told (XEP-0478).
  script& tells(cn::stream_limits before, cn::stream_limits after) {
    before_ = before;
    after_ = after;
    return *this;
  }

private:
  cn::method method_;
  cn::stream_limits before_, after_;
  std::shared_ptr<cn::metrics_cell> metrics_ = std::make_shared<cn::metrics_cell>();
  unsigned ids_ = 0;
};

}  // namespace comity::fakes
