#include "server/kept_session.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

namespace comity::server {

namespace {

std::string wire_of(const stanza_ref& s) {
  std::string wire;
  if (s) {
    s->wire(wire);
  }
  return wire;
}

/// A number that is whole and fits. The library takes any for any other, and what a float too large becomes is not
/// even defined.
template <typename Number>
Number count(const nlohmann::json& in, const char* name) {
  const auto* const found = in.at(name).get_ptr<const std::uint64_t*>();  // those from 0 on are kept so
  if (found == nullptr || !std::in_range<Number>(*found)) {
    throw std::range_error{name};
  }
  return static_cast<Number>(*found);
}

}  // namespace

std::string written(const kept_session& s) {
  auto directed = nlohmann::json::array();
  for (const auto& each : s.directed) {
    directed.push_back(each.text());
  }
  auto queue = nlohmann::json::array();
  for (const auto& e : s.unacknowledged) {
    queue.push_back({{"stanza", wire_of(e.stanza)},
                     {"at", std::chrono::duration_cast<std::chrono::seconds>(e.at.time_since_epoch()).count()},
                     {"copies", e.copies}});
  }
  return nlohmann::json{{"id", s.id},
                        {"jid", s.full.text()},
                        {"resume_within", s.resume_within.count()},
                        {"handled", s.handled},
                        {"acknowledged", s.acknowledged},
                        {"presence", wire_of(s.presence)},
                        {"interested", s.interested},
                        {"sees_blocks", s.sees_blocks},
                        {"carbons", s.carbons},
                        {"directed", std::move(directed)},
                        {"queue", std::move(queue)}}
      .dump();
}

std::optional<kept_session> read_session(std::string_view text) {
  // The library throws for what is not there or of another type: this is the edge where that becomes a value.
  try {
    const auto all = nlohmann::json::parse(text);
    kept_session s;
    s.id = all.at("id").get<std::string>();
    auto full = jid::parse(all.at("jid").get<std::string>());
    if (s.id.empty() || !full || !full->has_resource()) {
      return std::nullopt;
    }
    s.full = std::move(*full);
    s.resume_within = std::chrono::seconds{count<std::uint32_t>(all, "resume_within")};
    s.handled = count<std::uint32_t>(all, "handled");
    s.acknowledged = count<std::uint32_t>(all, "acknowledged");
    s.interested = all.at("interested").get<bool>();
    s.sees_blocks = all.value("sees_blocks", false);  // of an older server, which had no block lists
    s.carbons = all.at("carbons").get<bool>();
    if (const auto presence = all.at("presence").get<std::string>(); !presence.empty()) {
      s.presence = stanza::from_wire(presence);
    }
    for (const auto& each : all.at("directed")) {
      if (auto to = jid::parse(each.get<std::string>())) {
        s.directed.insert(std::move(*to));
      }
    }
    using clock = std::chrono::system_clock;
    for (const auto& each : all.at("queue")) {
      kept_session::entry e;
      e.stanza = stanza::from_wire(each.at("stanza").get<std::string>());
      const std::chrono::seconds at{count<std::int64_t>(each, "at")};
      // What the clock can count, by its finer ticks.
      if (at >= std::chrono::floor<std::chrono::seconds>(clock::duration::max())) {
        return std::nullopt;
      }
      e.at = clock::time_point{at};
      e.copies = count<std::uint64_t>(each, "copies");
      if (!e.stanza) {
        return std::nullopt;
      }
      s.unacknowledged.push_back(std::move(e));
    }
    return s;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  } catch (const std::range_error&) {
    return std::nullopt;
  }
}

}  // namespace comity::server
