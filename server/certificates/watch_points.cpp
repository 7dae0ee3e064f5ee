#include "server/certificates/watch_points.hpp"

#include <deque>
#include <system_error>

namespace comity::server {

namespace {

constexpr unsigned links_most = 40;  // as Linux follows, path_resolution(7)

void add(watch_points& points, const std::filesystem::path& file) {
  std::deque<std::filesystem::path> left(file.begin(), file.end());
  std::filesystem::path at;
  unsigned links = 0;
  while (!left.empty()) {
    const auto step = std::move(left.front());
    left.pop_front();
    if (step.empty() || step == ".") {
      continue;
    }
    if (step == ".." || step.has_root_directory()) {
      at = step == ".." ? at.parent_path() : step;
      continue;
    }
    const auto next = at / step;
    std::error_code failed;
    const auto status = std::filesystem::symlink_status(next, failed);
    const bool link = std::filesystem::is_symlink(status);
    // Of the directories above a file, its own may be replaced whole.
    if (link || left.size() <= 1 || !std::filesystem::exists(status)) {
      points[at].insert(step.native());
    }
    if (!std::filesystem::exists(status)) {
      return;  // what is below comes with it
    }
    if (!link) {
      at = next;
      continue;
    }
    const auto target = std::filesystem::read_symlink(next, failed);
    if (failed || ++links > links_most) {
      return;
    }
    left.insert(left.begin(), target.begin(), target.end());
  }
}

}  // namespace

watch_points points_of(const std::vector<std::filesystem::path>& files) {
  watch_points points;
  for (const auto& file : files) {
    add(points, file);
  }
  return points;
}

}  // namespace comity::server
