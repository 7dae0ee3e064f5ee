// tests/fakes/recording_log.hpp: a log that keeps its lines as "event name=value …", in order. Any thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "connection/log.hpp"

namespace comity::fakes {

class recording_log final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return true; }
  void write(log::level, std::string_view event, std::initializer_list<log::field> fields) noexcept override {
    std::string line{event};
    for (const auto& f : fields) {
      line.append(" ").append(f.name).append("=");
      if (const auto* text = std::get_if<std::string_view>(&f.value)) {
        line += *text;
      } else if (const auto* number = std::get_if<std::int64_t>(&f.value)) {
        line += std::to_string(*number);
      } else {
        line += std::get<bool>(f.value) ? "true" : "false";
      }
    }
    const std::lock_guard lock{mutex_};
    lines_.push_back(std::move(line));
  }

  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock{mutex_};
    return lines_;
  }
  /// How many lines are of that event.
  [[nodiscard]] std::size_t count(std::string_view event) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        lines(), [&](const auto& l) { return std::string_view{l}.substr(0, l.find(' ')) == event; }));
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace comity::fakes
