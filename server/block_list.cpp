#include "server/block_list.hpp"

namespace comity::server {

block_list::block_list(std::vector<jid> stored) {
  for (auto& each : stored) {
    items_.insert(std::move(each));
  }
}

void block_list::add(const std::vector<jid>& more) {
  for (const auto& each : more) {
    items_.insert(each);
  }
}

void block_list::remove(const std::vector<jid>& fewer) {
  for (const auto& each : fewer) {
    items_.erase(each);
  }
}

bool block_list::matches(const jid& who) const noexcept {
  return items_.contains(who.text()) || (who.has_resource() && items_.contains(who.bare_text())) ||
         (who.has_localpart() && items_.contains(who.domainpart()));
}

}  // namespace comity::server
