#include "server/admin/trace_command.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "connection/jid.hpp"
#include "server/admin/arguments.hpp"
#include "server/trace/trace_hub.hpp"

namespace comity::admin {

void trace_command::operator()(const nlohmann::json& args, const progress_ref& told, replier reply) const {
  const auto text = text_in(args, "party");
  auto party = jid::parse(text);
  if (!party || text.empty()) {
    return reply(refusal("'" + text + "' is no JID; name a domain, an account or one of its resources"));
  }
  if (!told) {
    return reply(refusal("a trace needs somebody to tell it to"));
  }
  const trace::wish what{
      .party = *party, .bodies = value_in(args, "bodies", false), .as_json = value_in(args, "json", false)};
  told->tell(what.as_json ? nlohmann::json{{"following", party->text()}}.dump()
                          : nlohmann::json("following " + party->text() + "; Ctrl-C ends it\n").dump());
  const auto number = hub_->follow(what, told);
  told->when_gone([hub = hub_, number] { hub->stop(number); });
}

}  // namespace comity::admin
