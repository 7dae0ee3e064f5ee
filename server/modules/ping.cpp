// XEP-0199: XMPP Ping, answered by the server for itself and, to a client's own account, for that account.
#include "server/modules/modules.hpp"

namespace comity::server::ping {
namespace {

constexpr std::string_view ns = "urn:xmpp:ping";

job<iq_answer> of_account(iq_request request, account&) {
  // XEP-0199 §7: a ping must not show strangers who exists; our users' own is all that is of use.
  co_return request.own ? iq_result(*request.stanza)
                        : error_reply(*request.stanza, stanza_condition::service_unavailable);
}

}  // namespace

void serve(iq_table& table) {
  table.add({.name = "ping",
             .ns = ns,
             .feature = ns,
             .of_server = [](const iq_request& request) { return iq_result(*request.stanza); },
             .of_account = of_account});
}

}  // namespace comity::server::ping
