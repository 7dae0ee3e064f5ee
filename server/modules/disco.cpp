// XEP-0030: Service Discovery of the server and of accounts. The features are those of the table of what is served.
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::disco {
namespace {

constexpr std::string_view ns_info = "http://jabber.org/protocol/disco#info";
constexpr std::string_view ns_items = "http://jabber.org/protocol/disco#items";

struct identity {
  std::string_view category;
  std::string_view type;
  std::string_view name;
};

/// XEP-0030 §3.2: there are no nodes here, so any node asked for is not found.
bool names_node(const iq_request& request) {
  return request.payload.attribute("node").has_value();
}

stanza_ref info(const iq_request& request, identity who, const std::vector<std::string_view>& features) {
  auto b = iq_result_builder(*request.stanza);
  auto& w = b.writer();
  w.open("query", ns_info).open("identity", {}).attribute("category", who.category).attribute("type", who.type);
  if (!who.name.empty()) {
    w.attribute("name", who.name);
  }
  w.close();
  for (const auto feature : features) {
    w.open("feature", {}).attribute("var", feature).close();
  }
  w.close();
  return b.finish();
}

stanza_ref no_items(const iq_request& request) {
  auto b = iq_result_builder(*request.stanza);
  b.writer().open("query", ns_items).close();
  return b.finish();
}

stanza_ref server_info(const exchange& x, const iq_request& request) {
  if (names_node(request)) {
    return error_reply(*request.stanza, stanza_condition::item_not_found);
  }
  return info(request, {.category = "server", .type = "im", .name = "Comity"}, x.iqs().server_features());
}

stanza_ref server_items(const iq_request& request) {
  return names_node(request) ? error_reply(*request.stanza, stanza_condition::item_not_found) : no_items(request);
}

job<iq_answer> account_info(exchange& x, iq_request request, account& who) {
  bool trusted = request.own;
  if (!trusted) {
    const auto roster = co_await x.roster_of(who);
    trusted = roster && (*roster)->shares_with(request.stanza->from().bare_text());
  }
  if (!trusted) {  // XEP-0030 §8: as if the account did not exist
    co_return error_reply(*request.stanza, stanza_condition::service_unavailable);
  }
  if (names_node(request)) {
    co_return error_reply(*request.stanza, stanza_condition::item_not_found);
  }
  co_return info(request, {.category = "account", .type = "registered", .name = {}}, x.iqs().account_features());
}

job<iq_answer> account_items(iq_request request, account&) {
  // XEP-0030 §8: strangers, and those who ask for somebody who does not exist, get an empty list too. Available
  // resources are never listed: contacts see them by presence.
  if (request.own && names_node(request)) {
    co_return error_reply(*request.stanza, stanza_condition::item_not_found);
  }
  co_return no_items(request);
}

}  // namespace

void serve(iq_table& table, exchange& x) {
  table.add(
      {.name = "query",
       .ns = ns_info,
       .feature = ns_info,
       .of_server = [&x](const iq_request& request) { return server_info(x, request); },
       .of_account = [&x](iq_request request, account& who) { return account_info(x, std::move(request), who); }});
  table.add({.name = "query",
             .ns = ns_items,
             .feature = ns_items,
             .of_server = server_items,
             .of_account = account_items,
             .hides_absence = true});
}

}  // namespace comity::server::disco
