// server/admin/explain_text.hpp: the steps of `comityctl s2s explain` as people read them. Pure.
//
// One line a fact, what it is in the first column, the fact from column 16 on; longer ones are broken at `width`. All
// that comes from a peer's zone, certificate or stream is escaped (THREATS G7).
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "connection/s2s/explanation.hpp"
#include "server/admin/explain_lines.hpp"

namespace comity::admin {

/// Steps in their order, the first is `asked`; each gives whole lines.
class explain_text {
public:
  /// `now` is what certificates' dates are held against.
  explain_text(text_style style, std::chrono::system_clock::time_point now) : style_{style}, now_{now} {}
  [[nodiscard]] std::string add(const connection::explained_step&);

private:
  text_style style_;
  std::chrono::system_clock::time_point now_;
  connection::domain_flow flow_;  // of `asked`
  bool dry_run_ = false;
};

[[nodiscard]] std::string explain_text_of(std::span<const connection::explained_step>, text_style,
                                          std::chrono::system_clock::time_point now);

/// The last line alone, without its first column: what became of it.
[[nodiscard]] std::string outcome_line(const connection::explained::outcome&, const connection::domain_flow&,
                                       bool dry_run);

}  // namespace comity::admin
