#include "connection/negotiation/stream_limits.hpp"

#include <charconv>
#include <string>

namespace comity::connection {

namespace {

std::optional<std::uint32_t> number(const std::optional<std::string>& text) {
  if (!text) {
    return std::nullopt;
  }
  const auto first = text->find_first_not_of(" \t\r\n");
  const auto last = text->find_last_not_of(" \t\r\n");
  if (first == std::string::npos) {
    return std::nullopt;
  }
  const auto digits = std::string_view{*text}.substr(first, last - first + 1);
  std::uint32_t n = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  if (fault != std::errc{} || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return n;
}

}  // namespace

bool limits_feature::offered(const stream_facts& facts) const {
  return facts.encrypted && !(facts.authenticated ? after_ : before_).empty();
}

void limits_feature::advertise(xml::writer& out, const stream_facts& facts) const {
  write_limits(out, facts.authenticated ? after_ : before_);
}

step limits_feature::on(const xml::element&, const stream_facts&) {
  return {{}, step::end{stream_condition::unsupported_stanza_type, cause::stream_error, "nothing to negotiate here"}};
}

void write_limits(xml::writer& out, const stream_limits& limits) {
  if (limits.empty()) {
    return;
  }
  out.open("limits", ns_stream_limits);
  if (limits.max_bytes) {
    out.leaf("max-bytes", ns_stream_limits, std::to_string(*limits.max_bytes));
  }
  if (limits.idle_seconds) {
    out.leaf("idle-seconds", ns_stream_limits, std::to_string(*limits.idle_seconds));
  }
  out.close();
}

stream_limits limits_in(const xml::element& parent) {
  const auto limits = parent.child("limits", ns_stream_limits);
  return {.max_bytes = number(limits.child_text("max-bytes", ns_stream_limits)),
          .idle_seconds = number(limits.child_text("idle-seconds", ns_stream_limits))};
}

}  // namespace comity::connection
