// tls/key_owner.hpp: whom the file of a private key may belong to, and who else may read it (THREATS §3). Pure.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace comity::tls {

/// Who reads the key: the process's effective user, and its groups, the supplementary ones included.
struct key_reader {
  uid_t user = 0;
  std::vector<gid_t> groups;
  /// This process.
  [[nodiscard]] static key_reader self();
};

/// What stat(2) says of the file.
struct key_access {
  uid_t owner = 0;
  gid_t group = 0;
  mode_t mode = 0;
};

/// What is wrong with it and what would be right; "" where nothing is. It has to be the reader's own or root's, and
/// nobody else may read or write it; but root's may be readable by one group of the reader's, as Debian has it with
/// ssl-cert. Root, who checks for whoever is to serve, takes every owner, and for that group one of the system's.
[[nodiscard]] std::string exposure(const key_access&, const key_reader&);

}  // namespace comity::tls
