#include "server/admin/explain_command.hpp"

#include <chrono>
#include <expected>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "connection/jid.hpp"
#include "server/admin/arguments.hpp"
#include "server/admin/explain_json.hpp"
#include "server/admin/explain_text.hpp"

namespace comity::admin {

namespace {

using json = nlohmann::json;
namespace explained = connection::explained;

std::optional<text_style> style_in(const json& args) {
  const auto found = args.find("text");
  if (found == args.end() || !found->is_object()) {
    return std::nullopt;
  }
  text_style style;
  style.coloured = value_in(*found, "coloured", false);
  style.width = value_in(*found, "width", style.width);
  return style;
}

/// What one run has told so far. The loop's thread alone.
struct run_state {
  progress_ref told;
  replier reply;
  connection::domain_flow flow;
  bool dry_run = false;
  std::optional<explain_text> text;
  std::vector<connection::explained_step> steps;  // where there is no text

  void take(connection::explained_step step) {
    const auto* end = std::get_if<explained::outcome>(&step);
    if (text) {
      if (told) {
        told->tell(json(text->add(step)).dump());
      }
      if (end != nullptr) {
        reply(success(json{{"reached", !end->cause}, {"outcome", outcome_line(*end, flow, dry_run)}}.dump()));
      }
      return;
    }
    const bool over = end != nullptr;
    steps.push_back(std::move(step));
    if (over) {
      reply(success(explain_json_of(steps)));
    }
  }
};

}  // namespace

void explain_command::operator()(const json& args, const progress_ref& told, replier reply) const {
  const auto domain = text_in(args, "domain");
  const auto target = enforce_domainpart(domain);
  if (!target || target->empty()) {
    return reply(refusal("'" + domain + "' is no domain; use one such as example.org"));
  }
  if (with_.hosts(*target)) {
    return reply(refusal("'" + *target + "' is served here; name a domain of another server"));
  }
  if (!with_.explain) {
    return reply(refusal("there are no other servers: [s2s] enabled is false in the configuration"));
  }
  const auto from = text_in(args, "from");
  const auto sender = from.empty() ? enforce_domainpart(with_.default_domain()) : enforce_domainpart(from);
  if (!sender || !with_.hosts(*sender)) {
    return reply(refusal("'" + from + "' is not served here; use a domain of a [[host]] in the configuration"));
  }
  connection::explain_request what{.flow = {.sender = *sender, .target = *target},
                                   .dry_run = value_in(args, "dry_run", false)};
  if (const auto method = text_in(args, "method"); method == "starttls") {
    what.only = connection::method::starttls;
  } else if (method == "direct_tls") {
    what.only = connection::method::direct_tls;
  } else if (!method.empty()) {
    return reply(refusal("'" + method + "' is no method; use starttls or direct_tls"));
  }
  auto state = std::make_shared<run_state>();
  if (const auto style = style_in(args)) {
    state->text.emplace(*style, std::chrono::system_clock::now());
  }
  state->told = told;
  state->reply = std::move(reply);
  state->flow = what.flow;
  state->dry_run = what.dry_run;
  with_.explain(std::move(what), [state](connection::explained_step step) { state->take(std::move(step)); });
}

}  // namespace comity::admin
