#include "server/storage/store.hpp"

#include <utility>

namespace comity::storage {

std::string_view to_string(error e) noexcept {
  switch (e) {
    case error::not_found:
      return "no such account";
    case error::exists:
      return "the account exists already";
    case error::full:
      return "no room";
    case error::failed:
      return "the database failed; the log says why";
  }
  std::unreachable();
}

std::string_view to_string(subscription s) noexcept {
  switch (s) {
    case subscription::none:
      return "none";
    case subscription::to:
      return "to";
    case subscription::from:
      return "from";
    case subscription::both:
      return "both";
  }
  std::unreachable();
}

}  // namespace comity::storage
