// tests/fakes/negotiation_script.hpp: a negotiation as a dialogue: feed this event, expect those actions.
//
// A script is kept as written and can be run again with a failure in place of any of its steps: the machine must then
// end, say so by exactly one finish action, and do nothing afterwards.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "connection/c2s/features.hpp"
#include "connection/connection_metrics.hpp"
#include "connection/negotiation/negotiator.hpp"

namespace comity::fakes {

namespace cn = comity::connection;

/// Parsed XML as an element event; owns the document.
struct parsed {
  explicit parsed(std::string_view bytes) {
    xml::parser p;
    const auto ok = p.element(bytes, {std::string{xml::ns_client}, {}}, document);
    EXPECT_TRUE(ok.has_value()) << bytes;
  }
  xml::document document;
};

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

/// What an action says, for comparing in order: "send <…", "start_tls", "finish peer_closed".
inline std::string describe(const cn::negotiation_action& a) {
  struct visitor {
    std::string operator()(const cn::action::send& s) const { return "send " + s.bytes; }
    std::string operator()(const cn::action::start_tls& s) const { return "start_tls " + s.proceed; }
    std::string operator()(const cn::action::restart_stream&) const { return "restart"; }
    std::string operator()(const cn::action::ask& s) const {
      static constexpr const char* names[] = {"ask keys", "ask password", "ask bind", "ask proof", "ask key"};
      return names[s.question.index()];
    }
    std::string operator()(const cn::action::refused& s) const { return "refused " + s.what; }
    std::string operator()(const cn::action::authenticated& s) const { return "authenticated " + s.user.text(); }
    std::string operator()(const cn::action::established& s) const { return "established " + s.full.text(); }
    std::string operator()(const cn::action::flow_authorised& s) const {
      return "authorised " + s.flow.sender + " to " + s.flow.target + " by " + std::string{to_string(s.by)} + " " +
             std::string{to_string(s.how)};
    }
    std::string operator()(const cn::action::received& s) const {
      return "received " + s.from.text() + " to " + s.to.text() +
             (s.refusal ? " but " + std::string{to_string(*s.refusal)} : std::string{});
    }
    std::string operator()(const cn::action::ignored& s) const { return "ignored " + s.what; }
    std::string operator()(const cn::action::finish& s) const {
      std::string text = "finish " + std::string{to_string(s.phase)} + " " + std::string{to_string(s.cause)};
      if (s.sent) {
        text += " " + std::string{to_string(*s.sent)};
      }
      return text + (s.abrupt ? " abrupt" : "");
    }
  };
  return std::visit(visitor{}, a);
}

class script {
public:
  explicit script(cn::method method = cn::method::starttls) : method_{method} {}

  script& feeds(std::function<cn::negotiation_event()> event) {
    steps_.push_back({std::move(event), {}});
    return *this;
  }
  script& feeds_header(std::string to = "example.org", std::string from = {}) {
    return feeds([=] { return cn::negotiation_event{header(to, from)}; });
  }
  script& feeds_element(const std::string& bytes) {
    auto kept = std::make_shared<parsed>(bytes);
    return feeds([kept] { return cn::negotiation_event{cn::event::element{kept->document.root()}}; });
  }
  /// TLS 1.3 is done, with the channel bindings that it has.
  script& feeds_tls() {
    return feeds([] { return cn::negotiation_event{cn::event::tls_done{{"exporter", "end-point", {}}}}; });
  }
  script& feeds_answer(cn::answer a) {
    return feeds([a = std::move(a)] { return cn::negotiation_event{cn::event::answered{a}}; });
  }
  /// The actions that the last event must have led to, each by how its description begins.
  script& expects(std::vector<std::string> actions) {
    steps_.back().expected = std::move(actions);
    return *this;
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

  /// Runs it; returns the machine for more questions.
  cn::negotiator run() { return run_until(steps_.size()); }

  script& survives_failure_at_every_step() {
    const std::vector<std::pair<const char*, cn::negotiation_event>> failures = [] {
      std::vector<std::pair<const char*, cn::negotiation_event>> f;
      f.emplace_back("gone", cn::event::gone{});
      f.emplace_back("closed", cn::event::peer_closed{});
      f.emplace_back("timed out", cn::event::timed_out{});
      f.emplace_back("broken", cn::event::broken{});
      f.emplace_back("dismissed", cn::event::dismissed{});
      return f;
    }();
    for (std::size_t at = 0; at <= steps_.size(); ++at) {
      for (const auto& [name, failure] : failures) {
        SCOPED_TRACE(std::string{name} + " before step " + std::to_string(at));
        auto machine = run_until(at);
        if (machine.ended()) {
          continue;
        }
        const auto actions = machine.on(failure);
        EXPECT_TRUE(machine.ended());
        std::size_t finishes = 0;
        for (const auto& a : actions) {
          finishes += std::holds_alternative<cn::action::finish>(a) ? 1 : 0;
        }
        EXPECT_EQ(finishes, 1U);
        EXPECT_TRUE(std::holds_alternative<cn::action::finish>(actions.back()));
        EXPECT_TRUE(machine.on(header()).empty());
      }
    }
    return *this;
  }

  [[nodiscard]] std::size_t size() const { return steps_.size(); }
  [[nodiscard]] cn::negotiator run_until(std::size_t count) {
    cn::stream_facts facts;
    facts.route.method = method_;
    cn::negotiator machine{{.content_ns = xml::ns_client,
                            .features = cn::c2s_features(*metrics_, {}, {}),
                            .hosts = [](std::string_view d) { return d == "example.org" || d == "example.net"; },
                            .default_domain = "example.org",
                            .new_stream_id = [this] { return "id" + std::to_string(++ids_); }},
                           std::move(facts)};
    for (std::size_t i = 0; i < count; ++i) {
      const auto actions = machine.on(steps_[i].event());
      std::vector<std::string> got;
      for (const auto& a : actions) {
        got.push_back(describe(a));
      }
      const auto& expected = steps_[i].expected;
      EXPECT_EQ(got.size(), expected.size()) << "step " << i << ": " << testing::PrintToString(got);
      for (std::size_t k = 0; k < std::min(got.size(), expected.size()); ++k) {
        EXPECT_TRUE(got[k].starts_with(expected[k])) << "step " << i << ": " << got[k] << "\nexpected " << expected[k];
      }
    }
    return machine;
  }

private:
  struct step {
    std::function<cn::negotiation_event()> event;
    std::vector<std::string> expected;
  };
  cn::method method_;
  std::vector<step> steps_;
  std::shared_ptr<cn::metrics_cell> metrics_ = std::make_shared<cn::metrics_cell>();
  unsigned ids_ = 0;
};

}  // namespace comity::fakes
