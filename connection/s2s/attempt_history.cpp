#include "connection/s2s/attempt_history.hpp"

#include <algorithm>
#include <utility>

namespace comity::connection {

void attempt_history::note(const domain_flow& flow, attempt_record attempt) {
  attempt.more.reset();
  attempt.detail.resize(std::min(attempt.detail.size(), text_most));
  auto& those = known_[flow];
  those.touched = ++clock_;
  those.last.push_back(std::move(attempt));
  if (those.last.size() > kept) {
    those.last.pop_front();
  }
  if (known_.size() > most_) {
    known_.erase(std::ranges::min_element(known_, {}, [](const auto& each) { return each.second.touched; }));
  }
}

std::vector<attempt_record> attempt_history::of(const domain_flow& flow) const {
  const auto found = known_.find(flow);
  return found == known_.end() ? std::vector<attempt_record>{}
                               : std::vector<attempt_record>{found->second.last.begin(), found->second.last.end()};
}

}  // namespace comity::connection
