#include "server/admin/log_command.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/admin/arguments.hpp"

namespace comity::admin {

void log_level_command::operator()(const nlohmann::json& args, const progress_ref& /*told*/, replier reply) const {
  const auto name = text_in(args, "level");
  if (!name.empty()) {
    const auto level = log::level_of(name);
    if (!level) {
      return reply(refusal("'" + name + "' is no level; use trace, debug, info, warn or error"));
    }
    // Said at the more talkative of both, or nobody would learn why the log has changed.
    const auto before = with_.now();
    with_.change(std::min(before, *level));
    with_.log.write(log::level::info, "log.level", {{"before", to_string(before)}, {"now", to_string(*level)}});
    with_.change(*level);
  }
  reply(
      success(nlohmann::json{{"level", to_string(with_.now())}, {"configured", to_string(with_.configured())}}.dump()));
}

}  // namespace comity::admin
