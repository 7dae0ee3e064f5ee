// XEP-0012: Last Activity: the server's uptime, and when an account was last there, to those who may see its presence.
#include <algorithm>

#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::last {
namespace {

constexpr std::string_view ns = "jabber:iq:last";

stanza_ref seconds_answer(const iq_request& request, std::int64_t seconds, std::string_view status) {
  auto b = iq_result_builder(*request.stanza);
  b.writer().open("query", ns).attribute("seconds", std::to_string(std::max<std::int64_t>(seconds, 0)));
  if (!status.empty()) {
    b.writer().text(status);
  }
  b.writer().close();
  return b.finish();
}

job<iq_answer> of_account(exchange& x, iq_request request, account& who) {
  bool allowed = request.own;
  if (!allowed && request.present) {
    const auto roster = co_await x.roster_of(who);
    allowed = roster && (*roster)->shares_with(request.stanza->from().bare_text());
  }
  if (!allowed) {
    // XEP-0012 §4: <forbidden/>. The same for accounts that do not exist, lest the error tell which do.
    co_return error_reply(*request.stanza, stanza_condition::forbidden);
  }
  if (!who.resources.empty()) {
    co_return seconds_answer(request, 0, {});
  }
  const auto left = co_await x.stored<std::optional<storage::store::last_presence>>(
      who, [&](auto done) { x.store().last_load(who.user, std::move(done)); });
  if (!left) {
    co_return error_reply(*request.stanza, stanza_condition::internal_server_error);
  }
  if (!left->has_value()) {  // never there
    co_return error_reply(*request.stanza, stanza_condition::item_not_found);
  }
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(x.now().time_since_epoch()).count();
  co_return seconds_answer(request, now - (*left)->unix_seconds, (*left)->status);
}

}  // namespace

void serve(iq_table& table, exchange& x) {
  table.add({.name = "query",
             .ns = ns,
             .feature = ns,
             .of_server = [&x](const iq_request& request) { return seconds_answer(request, x.uptime().count(), {}); },
             .of_account = [&x](iq_request request, account& who) { return of_account(x, std::move(request), who); },
             .hides_absence = true});
}

}  // namespace comity::server::last
