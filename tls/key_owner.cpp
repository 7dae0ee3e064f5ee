#include "tls/key_owner.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace comity::tls {

namespace {

constexpr uid_t root = 0;
/// Debian policy §9.2.2: from here on are people's own groups.
constexpr gid_t first_of_people = 1000;
constexpr mode_t access_of_group = S_IRGRP | S_IWGRP;
constexpr mode_t access_of_others = S_IROTH | S_IWOTH;

bool shared_with_the_server(const key_access& f, const key_reader& r) {
  if (f.owner != root || f.group == 0) {
    return false;
  }
  return r.user == root ? f.group < first_of_people : std::ranges::find(r.groups, f.group) != r.groups.end();
}

}  // namespace

key_reader key_reader::self() {
  key_reader me{.user = ::geteuid(), .groups = {}};
  if (const int count = ::getgroups(0, nullptr); count > 0) {
    me.groups.resize(static_cast<std::size_t>(count));
    me.groups.resize(static_cast<std::size_t>(std::max(0, ::getgroups(count, me.groups.data()))));
  }
  me.groups.push_back(::getegid());
  return me;
}

std::string exposure(const key_access& f, const key_reader& r) {
  if (f.owner != r.user && f.owner != root && r.user != root) {
    return "belongs to user " + std::to_string(f.owner) + "; make it the server's own (chown " +
           std::to_string(r.user) + ")";
  }
  const bool by_group = (f.mode & access_of_group) != 0 && ((f.mode & S_IWGRP) != 0 || !shared_with_the_server(f, r));
  if (by_group || (f.mode & access_of_others) != 0) {
    return "may be read by group or others; make it readable by its owner alone (chmod 600)";
  }
  return {};
}

}  // namespace comity::tls
