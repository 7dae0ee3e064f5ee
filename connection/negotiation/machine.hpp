// connection/negotiation/machine.hpp: what the machines of both ends of a stream do alike. Pure.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>
#include <variant>

#include "connection/negotiation/events.hpp"
#include "connection/negotiation/stanza_addressing.hpp"

namespace comity::connection {

/// Legal in every state but the ended one, and of one meaning in all of them.
template <typename Event>
concept always_ends =
    std::same_as<Event, event::peer_closed> || std::same_as<Event, event::broken> ||
    std::same_as<Event, event::timed_out> || std::same_as<Event, event::dismissed> || std::same_as<Event, event::gone>;

/// Gives an event to `ends(event)` if it ends the stream whatever the state, else to `handle(state, event)`. A handler
/// gets its state by value, since it may put another in its place.
template <typename State, typename Event, typename Ends, typename Handle>
void dispatch(const State& state, Event& happened, Ends ends, Handle handle) {
  std::visit(
      [&](auto& e) {
        if constexpr (always_ends<std::remove_cvref_t<decltype(e)>>) {
          ends(e);
        } else {
          const auto now = state;
          std::visit([&](auto s) { handle(s, e); }, now);
        }
      },
      happened);
}

/// Puts what becomes of a stanza between servers into `out`, or calls `fail(condition)` where it ends the stream.
template <typename Actions, typename Fail>
void take_addressed(const xml::element& stanza, const domain_flows& flows, Actions& out, Fail fail) {
  auto verdict = judge_addresses(stanza, flows);
  std::visit(
      [&](auto& judged) {
        using judged_type = std::remove_cvref_t<decltype(judged)>;
        if constexpr (std::is_same_v<judged_type, addressed>) {
          out.emplace_back(action::received{std::move(judged.from), std::move(judged.to), {}});
        } else if constexpr (std::is_same_v<judged_type, malformed_to>) {
          out.emplace_back(action::received{std::move(judged.from), {}, stanza_condition::jid_malformed});
        } else if constexpr (std::is_same_v<judged_type, malformed_from>) {
          out.emplace_back(action::ignored{"a stanza whose sender is no address"});
        } else {
          fail(judged);
        }
      },
      verdict);
}

}  // namespace comity::connection
