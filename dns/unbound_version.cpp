#include "dns/unbound_version.hpp"

#include <unbound.h>

namespace comity::dns {

std::string unbound_version() {
  return ub_version();
}

}  // namespace comity::dns
