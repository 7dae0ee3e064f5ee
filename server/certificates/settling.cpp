#include "server/certificates/settling.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace comity::server {

void settling::changed(clock::time_point now) {
  first_ = first_.value_or(now);
  last_ = now;
}

std::optional<settling::clock::time_point> settling::due() const noexcept {
  std::optional<clock::time_point> when;
  if (first_) {
    when = std::min(*last_ + pace_.quiet, *first_ + pace_.longest);
  }
  if (doubtful_) {
    when = std::min(when.value_or(clock::time_point::max()), *doubtful_ + pace_.doubt);
  }
  return when;
}

std::vector<std::string> settling::looked(clock::time_point now, std::vector<std::string> faults) {
  first_.reset();
  last_.reset();
  if (faults.empty()) {
    all_good();
    return {};
  }
  if (faults == said_) {
    doubtful_.reset();
    return {};
  }
  doubtful_ = doubtful_.value_or(now);
  if (now < *doubtful_ + pace_.doubt) {
    return {};
  }
  doubtful_.reset();
  std::vector<std::string> news;
  std::ranges::copy_if(faults, std::back_inserter(news),
                       [&](const auto& f) { return std::ranges::find(said_, f) == said_.end(); });
  said_ = std::move(faults);
  return news;
}

void settling::all_good() noexcept {
  first_.reset();
  last_.reset();
  doubtful_.reset();
  said_.clear();
}

}  // namespace comity::server
