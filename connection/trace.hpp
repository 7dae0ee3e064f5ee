// connection/trace.hpp: how streams let somebody look on (`comityctl trace`).
//
// A stream asks at each part whether anybody follows anything, by one relaxed load, and where somebody does it says
// what came or went. Who follows whom, and what is masked, is the follower's matter.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace comity::connection {
struct connection_info;
}

namespace comity::trace {

enum class way : std::uint8_t { in, out };

/// Implemented by the server; outlives every stream. Any loop's thread.
class tap {
public:
  virtual ~tap() = default;
  [[nodiscard]] bool active() const noexcept { return active_.load(std::memory_order_relaxed); }
  /// Whole parts of a stream as XML: a header, an element or some of them, a closing tag. With all its secrets: to be
  /// masked by who takes it.
  virtual void part(const connection::connection_info& of, way, std::string_view xml) noexcept = 0;

protected:
  std::atomic<bool> active_{false};  // somebody follows somebody
};

}  // namespace comity::trace
