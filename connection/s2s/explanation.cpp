#include "connection/s2s/explanation.hpp"

namespace comity::connection {

std::string line_of(const dns::traced_query& q) {
  std::string line{to_string(q.asked.type)};
  line +=
      " " + q.asked.name + ": " + std::string{to_string(q.got.result)} + ", " + std::string{to_string(q.got.security)};
  for (const auto& r : q.got.srv) {
    line += "; " + std::to_string(r.priority) + " " + std::to_string(r.weight) + " " + std::to_string(r.port) + " " +
            (r.target.empty() ? "." : r.target);
  }
  for (const auto& a : q.got.addresses) {
    line += "; " + a.text();
  }
  for (const auto& r : q.got.tlsa) {
    line += "; " + std::to_string(r.usage) + " " + std::to_string(r.selector) + " " + std::to_string(r.matching);
  }
  if (!q.got.why.empty()) {
    line += " (" + q.got.why + ")";
  }
  return line;
}

std::string line_of(const dns::target& t) {
  std::string line{to_string(t.source)};
  line += ": " + t.host + " port " + std::to_string(t.port) + " by " +
          std::string{to_string(t.direct_tls ? method::direct_tls : method::starttls)} + ", priority " +
          std::to_string(t.priority) + ", delegation " + std::string{to_string(t.delegation)};
  return line;
}

}  // namespace comity::connection
