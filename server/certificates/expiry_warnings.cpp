#include "server/certificates/expiry_warnings.hpp"

#include <algorithm>
#include <limits>

namespace comity::server {

namespace {

using std::chrono::days;

bool applies(const tls::loaded_certificate& c, int at) {
  return c.not_after - c.not_before > days{at};
}

}  // namespace

int expiry_warnings::said(const tls::loaded_certificate& c) const {
  const auto found = said_.find(c.domain);
  return found != said_.end() && found->second.first == c.sha256 ? found->second.second
                                                                 : std::numeric_limits<int>::max();
}

std::vector<expiry_warnings::warning> expiry_warnings::due(const std::vector<tls::loaded_certificate>& all,
                                                           time_point now) {
  std::vector<warning> out;
  for (const auto& c : all) {
    const auto reached = std::ranges::find_if(at_days.rbegin(), at_days.rend(),
                                              [&](int at) { return applies(c, at) && now >= c.not_after - days{at}; });
    if (reached == at_days.rend() || *reached >= said(c)) {
      continue;
    }
    said_[c.domain] = {c.sha256, *reached};
    const auto left = std::max(std::chrono::floor<days>(c.not_after - now), days{0});
    out.push_back({c.domain, c.not_after, static_cast<int>(left.count()), now >= c.not_after});
  }
  std::erase_if(said_, [&](const auto& s) {
    return std::ranges::find(all, s.first, &tls::loaded_certificate::domain) == all.end();
  });
  return out;
}

std::chrono::seconds expiry_warnings::next(const std::vector<tls::loaded_certificate>& all, time_point now,
                                           std::chrono::seconds most) const {
  auto soonest = most;
  for (const auto& c : all) {
    for (const int at : at_days) {
      if (at < said(c) && applies(c, at) && now < c.not_after - days{at}) {
        soonest = std::min(soonest, std::chrono::ceil<std::chrono::seconds>(c.not_after - days{at} - now));
      }
    }
  }
  return soonest;
}

}  // namespace comity::server
