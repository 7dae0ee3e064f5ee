// server/admin/table.hpp: rows for people: columns as wide as their content, as long as a terminal is wide.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace comity::admin {

/// Lines of aligned columns under their headings; a column that would make lines longer than `width` is cut, the widest
/// first, and ends in "…". Control characters become "?".
[[nodiscard]] std::string table(const std::vector<std::string>& headings,
                                const std::vector<std::vector<std::string>>& rows, std::size_t width);

/// "3d 04:05:06", "04:05:06".
[[nodiscard]] std::string duration(std::int64_t seconds);

}  // namespace comity::admin
