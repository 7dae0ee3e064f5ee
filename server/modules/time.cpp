// XEP-0202: Entity Time of the server, in UTC.
#include <fmt/core.h>

#include "server/exchange.hpp"
#include "server/modules/modules.hpp"
#include "server/modules/timestamp.hpp"

namespace comity::server {

std::string utc_stamp(std::chrono::system_clock::time_point at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss of_day{seconds - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), of_day.hours().count(),
                     of_day.minutes().count(), of_day.seconds().count());
}

namespace time {
namespace {
constexpr std::string_view ns = "urn:xmpp:time";
}

void serve(iq_table& table, exchange& x) {
  table.add({.name = "time", .ns = ns, .feature = ns, .of_server = [&x](const iq_request& request) {
               auto b = iq_result_builder(*request.stanza);
               // The offset is that of the stamp beside it; where the machine stands is not told.
               b.writer().open("time", ns).leaf("tzo", {}, "+00:00").leaf("utc", {}, utc_stamp(x.now())).close();
               return b.finish();
             }});
}

}  // namespace time
}  // namespace comity::server
