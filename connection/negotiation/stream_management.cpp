#include "connection/negotiation/stream_management.hpp"

#include <charconv>
#include <utility>

namespace comity::connection {

namespace {

constexpr std::string_view ns_stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas";

std::optional<std::uint32_t> count_in(const xml::element& e, std::string_view name) {
  const auto text = e.attribute(name);
  if (!text || text->empty() || text->front() < '0' || text->front() > '9') {
    return std::nullopt;
  }
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(text->data(), text->data() + text->size(), value);
  return fault == std::errc{} && end == text->data() + text->size() ? std::optional{value} : std::nullopt;
}

step failed(stanza_condition condition, std::optional<std::uint32_t> handled = {}) {
  return {write_management_failure(condition, handled), step::nothing{}};
}

}  // namespace

management_command read_management(const xml::element& e) {
  if (e.name() == "r") {
    return management::request{};
  }
  if (e.name() == "a") {
    const auto handled = count_in(e, "h");
    return handled ? management_command{management::acknowledge{*handled}} : management::malformed{.resume = false};
  }
  if (e.name() == "enable") {
    const auto resume = e.attribute("resume");
    return management::enable{.resume = resume == "true" || resume == "1", .max_seconds = count_in(e, "max")};
  }
  if (e.name() == "resume") {
    const auto handled = count_in(e, "h");
    const auto previous = e.attribute("previd");
    if (!handled || !previous || previous->empty()) {
      return management::malformed{.resume = true};
    }
    return management::resume{.previous = std::string{*previous}, .handled = *handled};
  }
  return management::unknown{};
}

std::string write_enabled(std::string_view id, std::optional<std::uint32_t> max_seconds) {
  std::string out;
  xml::writer w{out, xml::ns_client};
  w.open("enabled", ns_sm);
  if (!id.empty()) {
    w.attribute("id", id).attribute("resume", "true");
  }
  if (max_seconds) {
    w.attribute("max", std::to_string(*max_seconds));
  }
  w.close();
  return out;
}

bool begins_count(std::string_view element) noexcept {
  return element.starts_with("<enabled ");
}

std::string write_management_failure(stanza_condition condition, std::optional<std::uint32_t> handled) {
  std::string out;
  xml::writer w{out, xml::ns_client};
  w.open("failed", ns_sm);
  if (handled) {
    w.attribute("h", std::to_string(*handled));
  }
  w.leaf(to_string(condition), ns_stanzas).close();
  return out;
}

std::string write_acknowledgement(std::uint32_t handled) {
  return "<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(handled) + "'/>";
}

std::string write_too_high(std::uint32_t handled, std::uint32_t sent) {
  return "<handled-count-too-high xmlns='urn:xmpp:sm:3' h='" + std::to_string(handled) + "' send-count='" +
         std::to_string(sent) + "'/>";
}

bool stream_management::offered(const stream_facts& facts) const {
  return facts.authenticated && !facts.bound;
}

void stream_management::advertise(xml::writer& out, const stream_facts&) const {
  out.leaf("sm", ns_sm);
}

bool stream_management::claims(const xml::element& e) const {
  // QXmpp 1.4 resumes without naming the namespace; nothing else in the stream's own is called so.
  return e.ns() == ns_sm || (e.ns() == xml::ns_client && e.name() == "resume" && e.attribute("previd"));
}

step stream_management::on(const xml::element& e, const stream_facts& facts) {
  auto command = read_management(e);
  if (!facts.authenticated || facts.bound || asked_) {
    return failed(stanza_condition::unexpected_request);  // THREATS F1
  }
  if (auto* const resume = std::get_if<management::resume>(&command)) {
    wanted_ = std::move(*resume);
    asked_ = true;
    return {{}, step::ask{resume_session{*facts.authenticated, wanted_.previous, wanted_.handled}}};
  }
  const auto* const malformed = std::get_if<management::malformed>(&command);
  return failed(malformed != nullptr && malformed->resume ? stanza_condition::bad_request
                                                          : stanza_condition::unexpected_request);
}

step stream_management::on(answer a, const stream_facts& facts) {
  auto* const resumed = std::get_if<resume_answer>(&a);
  if (resumed == nullptr || !std::exchange(asked_, false)) {
    return stream_feature::on(std::move(a), facts);
  }
  if (!*resumed) {
    const auto& why = resumed->error();
    if (why.sent) {
      return {{},
              step::end{stream_condition::undefined_condition, cause::policy, "acknowledged more than was sent",
                        write_too_high(wanted_.handled, *why.sent)}};
    }
    return failed(why.condition, why.handled);  // and a resource may be bound instead
  }
  std::string out;
  xml::writer w{out, xml::ns_client};
  w.open("resumed", ns_sm)
      .attribute("previd", wanted_.previous)
      .attribute("h", std::to_string((*resumed)->handled))
      .close();
  return {std::move(out), step::bound{.full = std::move((*resumed)->full), .resumed = true}};
}

}  // namespace comity::connection
