// XEP-0054: vcard-temp. The server keeps the card and answers for its owner; it looks into nothing but its root.
#include "connection/xml/parser.hpp"
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::vcard {
namespace {

constexpr std::string_view ns = "vcard-temp";

job<iq_answer> put(exchange& x, iq_request request, account& who) {
  if (!request.own) {  // XEP-0054 §3.2
    co_return error_reply(*request.stanza, stanza_condition::forbidden);
  }
  std::string card;
  xml::writer{card}.copy(request.payload);
  const auto kept =
      co_await x.stored<void>(who, [&](auto done) { x.store().vcard_put(who.user, std::move(card), std::move(done)); });
  if (!kept) {
    co_return error_reply(*request.stanza, kept.error() == storage::error::full
                                               ? stanza_condition::resource_constraint
                                               : stanza_condition::internal_server_error);
  }
  co_return iq_result(*request.stanza);
}

job<iq_answer> of_account(exchange& x, iq_request request, account& who) {
  if (request.set()) {
    co_return co_await put(x, std::move(request), who);
  }
  const auto card = co_await x.stored<std::optional<std::string>>(
      who, [&](auto done) { x.store().vcard_load(who.user, std::move(done)); });
  if (!card) {
    co_return error_reply(*request.stanza, stanza_condition::internal_server_error);
  }
  if (!card->has_value()) {
    // XEP-0054 §3.1 asks for an error; to others it is the one they get for an account that does not exist.
    co_return error_reply(*request.stanza,
                          request.own ? stanza_condition::item_not_found : stanza_condition::service_unavailable);
  }
  xml::document parsed;
  xml::parser parser;
  if (!parser.element(**card, xml::stream_context{.content_ns = std::string{xml::ns_client}, .namespaces = {}},
                      parsed)) {
    co_return error_reply(*request.stanza, stanza_condition::internal_server_error);
  }
  auto b = iq_result_builder(*request.stanza);
  b.writer().copy(parsed.root());
  co_return b.finish();
}

}  // namespace

void serve(iq_table& table, exchange& x) {
  table.add({.name = "vCard",
             .ns = ns,
             .feature = ns,
             .of_account = [&x](iq_request request, account& who) { return of_account(x, std::move(request), who); },
             .get = true,
             .set = true});
  // XEP-0054 §5: the server says that it keeps cards for its accounts.
  table.add_feature(ns, true, true);
}

}  // namespace comity::server::vcard
