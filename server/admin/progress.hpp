// server/admin/progress.hpp: what an operator is told before the answer, by commands that take their time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace comity::admin {

/// Shared by the command at work and the operator's connection. Any thread.
class progress {
public:
  enum class fate : std::uint8_t {
    taken,
    full,  // the operator reads too slowly: not kept
    gone,  // there is no operator any more
  };
  virtual ~progress() = default;
  /// `value` is a JSON value: a string is lines to be printed as they are, an object one line of JSON. Never waits.
  virtual fate tell(std::string value) = 0;
  /// `left` is called once, on the control thread, should the operator go away before the answer.
  virtual void when_gone(std::move_only_function<void()> left) = 0;
};
using progress_ref = std::shared_ptr<progress>;

}  // namespace comity::admin
