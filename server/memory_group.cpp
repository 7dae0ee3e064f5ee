#include "server/memory_group.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <span>
#include <utility>

namespace comity::server {

namespace {

// Without a limit version 1 says the largest multiple of a page.
constexpr std::uint64_t no_limit = std::uint64_t{1} << 62U;

descriptor opened(const std::filesystem::path& file) {
  return descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
}

/// As the file is now.
std::string_view content(const descriptor& file, std::span<char> into) {
  const auto size = ::pread(file.number(), into.data(), into.size(), 0);
  return {into.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc{} ? std::optional{n} : std::nullopt;
}

std::optional<std::uint64_t> number(const descriptor& file) {
  std::array<char, 32> room{};
  return number(content(file, room));
}

/// Of the line that begins with that key.
std::uint64_t value(std::string_view lines, std::string_view key) {
  while (!lines.empty()) {
    const auto line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return number(line.substr(key.size() + 1)).value_or(0);
    }
  }
  return 0;
}

}  // namespace

void memory_group::add(const std::filesystem::path& folder, bool unified) {
  level l{.limit = opened(folder / (unified ? "memory.max" : "memory.limit_in_bytes")),
          .used = opened(folder / (unified ? "memory.current" : "memory.usage_in_bytes")),
          .details = opened(folder / "memory.stat"),
          .unified = unified};
  if (l.limit.number() >= 0 && l.used.number() >= 0 && l.details.number() >= 0) {
    levels_.push_back(std::move(l));
  }
}

memory_group memory_group::of_this_process(const std::filesystem::path& root) {
  memory_group group;
  std::ifstream file{root / "proc/self/cgroup"};
  // HIERARCHY:CONTROLLERS:PATH, of which version 2 is "0::PATH".
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const auto controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool unified = controllers == ",,";
    if (!unified && !controllers.contains(",memory,")) {
      continue;
    }
    const auto mounted = root / (unified ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    // In a container the path may be one that is only seen from outside; its own group is then the topmost.
    for (std::filesystem::path at = std::filesystem::path{line.substr(second + 1)}.relative_path(); !at.empty();
         at = at.parent_path()) {
      group.add(mounted / at, unified);
    }
    group.add(mounted, unified);
  }
  return group;
}

std::optional<memory_group::usage> memory_group::read() const {
  std::optional<usage> nearest;
  for (const auto& l : levels_) {
    const auto limit = number(l.limit), used = number(l.used);
    if (!limit || !used || *limit == 0 || *limit >= no_limit) {
      continue;
    }
    usage u{.used = *used, .limit = *limit};
    if (u.used > u.limit / 2) {  // else it does not matter, and this is the dearest of the three
      std::array<char, 8192> room{};
      const auto lines = content(l.details, room);
      const auto files = value(lines, l.unified ? "inactive_file" : "total_inactive_file") +
                         value(lines, l.unified ? "active_file" : "total_active_file");
      u.used -= std::min(u.used, files);
    }
    const auto part = [](const usage& of) { return static_cast<double>(of.used) / static_cast<double>(of.limit); };
    if (!nearest || part(u) > part(*nearest)) {
      nearest = u;
    }
  }
  return nearest;
}

}  // namespace comity::server
