// server/certificates/file_watch.hpp: hears of changes of files by inotify(7).
//
// Made by and living on the control thread, whose io_context outlives it. What is watched follows from what links lead
// where, so it is found anew by aim() whenever something has changed, before anybody reads the files: no change is
// missed between. Files on network file systems that others change are not heard of.
#pragma once

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace asio {
class io_context;
}

namespace comity::server {

class file_watch {
public:
  /// `changed` is called on the control thread, some times for one change, and not before aim(). The error is one line.
  [[nodiscard]] static std::expected<std::unique_ptr<file_watch>, std::string> open(asio::io_context& control,
                                                                                    std::function<void()> changed);
  ~file_watch();
  file_watch(const file_watch&) = delete;
  file_watch& operator=(const file_watch&) = delete;

  /// Watches these from now on, and no others. Absolute paths, of files that need not be there. "", or in one line what
  /// could not be watched and why.
  [[nodiscard]] std::string aim(const std::vector<std::filesystem::path>& files);

private:
  struct state;
  explicit file_watch(std::unique_ptr<state>) noexcept;
  std::unique_ptr<state> state_;
};

}  // namespace comity::server
