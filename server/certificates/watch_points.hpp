// server/certificates/watch_points.hpp: what to watch so as to hear of every change of some files.
//
// A change need not touch a file: certbot renames the symbolic link that leads to it, orchestrators the link of a
// directory above, and Caddy makes the directory once there is something to put in. So each step of the way to a file
// that may come to lead elsewhere is a name to watch in the directory it is in. Reads links and nothing else.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace comity::server {

/// By directory, the names in it.
using watch_points = std::map<std::filesystem::path, std::set<std::string>>;

/// Of files by absolute paths, which need not be there.
[[nodiscard]] watch_points points_of(const std::vector<std::filesystem::path>& files);

}  // namespace comity::server
