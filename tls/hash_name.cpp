#include "tls/hash_name.hpp"

namespace comity::tls {

std::string_view name_of(hash h) noexcept {
  switch (h) {
    case hash::sha1:
      return "sha-1";
    case hash::sha256:
      return "sha-256";
    case hash::sha512:
      return "sha-512";
  }
  return {};
}

}  // namespace comity::tls
