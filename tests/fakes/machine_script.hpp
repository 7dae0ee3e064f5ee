// tests/fakes/machine_script.hpp: a negotiation as a dialogue, for any machine of it: feed this event, expect those
// actions.
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

#include "connection/negotiation/events.hpp"
#include "connection/xml/parser.hpp"

namespace comity::fakes {

namespace cn = comity::connection;

/// Parsed XML as an element event; owns the document. In jabber:server the prefix "db" is that of dialback.
struct parsed {
  explicit parsed(std::string_view bytes, std::string_view content_ns = xml::ns_client) {
    xml::parser p;
    xml::stream_context context{std::string{content_ns}, {}};
    if (content_ns == xml::ns_server) {
      context.namespaces.emplace_back("db", "jabber:server:dialback");
    }
    const auto ok = p.element(bytes, context, document);
    EXPECT_TRUE(ok.has_value()) << bytes;
  }
  xml::document document;
};

/// What an action says, for comparing in order: "send <…", "start_tls", "finish peer_closed".
struct action_words {
  std::string operator()(const cn::action::send& s) const { return "send " + s.bytes; }
  std::string operator()(const cn::action::start_tls& s) const { return "start_tls " + s.proceed; }
  std::string operator()(const cn::action::restart_stream&) const { return "restart"; }
  std::string operator()(const cn::action::ask& s) const {
    struct visitor {
      std::string operator()(const cn::find_keys&) const { return "ask keys"; }
      std::string operator()(const cn::check_password&) const { return "ask password"; }
      std::string operator()(const cn::bind_resource&) const { return "ask bind"; }
      std::string operator()(const cn::resume_session& q) const { return "ask to resume " + q.id; }
      std::string operator()(const cn::prove_peer& q) const { return "ask proof of " + words(q.flow); }
      std::string operator()(const cn::verify_key& q) const {
        return "ask key of " + words(q.flow) + " id " + q.stream_id + " key " + q.key;
      }
    };
    return std::visit(visitor{}, s.question);
  }
  std::string operator()(const cn::action::refused& s) const { return "refused " + s.what; }
  std::string operator()(const cn::action::authenticated& s) const { return "authenticated " + s.user.text(); }
  std::string operator()(const cn::action::established& s) const { return "established " + s.full.text(); }
  std::string operator()(const cn::action::flow_authorised& s) const {
    return "authorised " + words(s.flow) + " by " + std::string{to_string(s.by)} + " " + std::string{to_string(s.how)};
  }
  std::string operator()(const cn::action::received& s) const {
    return "received " + s.from.text() + " to " + s.to.text() +
           (s.refusal ? " but " + std::string{to_string(*s.refusal)} : std::string{});
  }
  std::string operator()(const cn::action::ignored& s) const { return "ignored " + s.what; }
  std::string operator()(const cn::action::judge&) const { return "judge"; }
  std::string operator()(const cn::action::verified&) const { return "verified"; }
  std::string operator()(const cn::action::flow_refused& s) const {
    return "flow refused " + words(s.flow) + " " + std::string{to_string(s.cause)} + " bounce " +
           std::string{to_string(s.bounce)};
  }
  std::string operator()(const cn::action::key_verified& s) const {
    const auto& valid = s.answer.valid;
    return "key of " + words(s.answer.flow) + " id " + s.answer.stream_id + " " +
           (valid ? *valid ? "valid" : "invalid" : std::string{to_string(valid.error())});
  }
  std::string operator()(const cn::action::finish& s) const {
    std::string text = "finish " + std::string{to_string(s.phase)} + " " + std::string{to_string(s.cause)};
    if (s.sent) {
      text += " " + std::string{to_string(*s.sent)};
    }
    return text + (s.abrupt ? " abrupt" : "");
  }
  static std::string words(const cn::domain_flow& f) { return f.sender + " to " + f.target; }
};

template <typename Action>
std::string describe(const Action& a) {
  return std::visit(action_words{}, a);
}

/// What all scripts have in common. `Self` adds its machine (`make()`, called for each run) and verbs of its own.
template <typename Self, typename Machine, typename Event>
class machine_script {
public:
  Self& feeds(std::function<Event()> event) {
    steps_.push_back({std::move(event), {}});
    return self();
  }
  /// A copyable event.
  template <typename E>
  Self& feeds_event(E event) {
    return feeds([event = std::move(event)] { return Event{event}; });
  }
  Self& feeds_element(const std::string& bytes) {
    auto kept = std::make_shared<parsed>(bytes, Self::content_ns);
    return feeds([kept] { return Event{cn::event::element{kept->document.root()}}; });
  }
  /// TLS 1.3 is done, with the channel bindings that it has.
  Self& feeds_tls() {
    return feeds([] { return Event{cn::event::tls_done{{"exporter", "end-point", {}}}}; });
  }
  Self& feeds_answer(cn::answer a) {
    return feeds([a = std::move(a)] { return Event{cn::event::answered{a}}; });
  }
  /// The actions that the last event must have led to, each by how its description begins.
  Self& expects(std::vector<std::string> actions) {
    steps_.back().expected = std::move(actions);
    return self();
  }

  /// Runs it; returns the machine for more questions.
  Machine run() { return run_until(steps_.size()); }

  Self& survives_failure_at_every_step() {
    const std::vector<std::pair<const char*, Event>> failures = [] {
      std::vector<std::pair<const char*, Event>> f;
      f.emplace_back("gone", cn::event::gone{});
      f.emplace_back("closed", cn::event::peer_closed{});
      f.emplace_back("timed out", cn::event::timed_out{});
      f.emplace_back("broken", cn::event::broken{});
      f.emplace_back("dismissed", cn::event::dismissed{});
      f.emplace_back("dismissed without an error", cn::event::dismissed{.condition = {}, .text = {}});
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
        EXPECT_TRUE(machine.on(cn::event::header{}).empty());
      }
    }
    return self();
  }

  [[nodiscard]] std::size_t size() const { return steps_.size(); }
  [[nodiscard]] Machine run_until(std::size_t count) {
    Machine machine = self().make();
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
    std::function<Event()> event;
    std::vector<std::string> expected;
  };
  Self& self() { return static_cast<Self&>(*this); }

  std::vector<step> steps_;
};

}  // namespace comity::fakes
