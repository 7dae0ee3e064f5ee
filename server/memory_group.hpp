// server/memory_group.hpp: the memory that the kernel grants this process and those beside it (cgroups(7), both
// versions), be it by a container's limit or by MemoryMax= of its service.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/descriptor.hpp"

namespace comity::server {

class memory_group {
public:
  /// Bytes. `used` is without what the kernel takes back by itself: the pages of files.
  struct usage {
    std::uint64_t used = 0;
    std::uint64_t limit = 0;
  };

  /// The group of this process and those around it; their files stay open. `root` is "/" but in tests.
  [[nodiscard]] static memory_group of_this_process(const std::filesystem::path& root = "/");

  /// There is a group that may have a limit, now or later.
  [[nodiscard]] bool known() const noexcept { return !levels_.empty(); }
  /// Of the group that is nearest to its limit; nullopt where none has one. One thread at a time.
  [[nodiscard]] std::optional<usage> read() const;

private:
  struct level {
    descriptor limit, used, details;
    bool unified = true;  // version 2
  };
  void add(const std::filesystem::path& folder, bool unified);

  std::vector<level> levels_;
};

}  // namespace comity::server
