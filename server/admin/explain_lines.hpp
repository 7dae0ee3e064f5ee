// server/admin/explain_lines.hpp: lines for people: what a fact is in the first column, the fact beside it, long ones
// broken. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace comity::admin {

struct text_style {
  bool coloured = false;    // the first column, by how it went
  std::size_t width = 100;  // columns
};

enum class tone : std::uint8_t { plain, good, doubtful, bad };

/// The lines of one step.
class explain_lines {
public:
  static constexpr std::size_t column = 15;  // where the facts begin
  explicit explain_lines(text_style s) : style_{s} {}

  /// `text` is printable; broken at spaces where there are some.
  void add(std::string_view what, std::string_view text, tone = tone::plain);
  /// One line, however long.
  void add_whole(std::string_view what, std::string_view text, tone);
  /// One that is only there where there is something to say.
  void add_any(std::string_view what, std::string_view text) {
    if (!text.empty()) {
      add(what, text);
    }
  }
  [[nodiscard]] std::string take() { return std::move(out_); }

private:
  void begin(std::string_view what, tone);

  text_style style_;
  std::string out_;
};

}  // namespace comity::admin
