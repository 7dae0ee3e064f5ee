// XEP-0092: Software Version. The operating system is nobody's business.
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::version {
namespace {
constexpr std::string_view ns = "jabber:iq:version";
}

void serve(iq_table& table, exchange& x) {
  table.add({.name = "query", .ns = ns, .feature = ns, .of_server = [&x](const iq_request& request) {
               auto b = iq_result_builder(*request.stanza);
               // Both elements are required; an operator who discloses no version leaves the second empty.
               b.writer().open("query", ns).leaf("name", {}, "Comity").leaf("version", {}, x.version()).close();
               return b.finish();
             }});
}

}  // namespace comity::server::version
