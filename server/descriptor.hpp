// server/descriptor.hpp: a file descriptor that is closed with its scope. Any thread.
#pragma once

#include <unistd.h>

#include <utility>

namespace comity {

class descriptor {
public:
  /// Owns `number` from now on; a negative one, as a failed call gives, is none.
  explicit descriptor(int number) noexcept : number_{number} {}
  ~descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  descriptor(descriptor&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  descriptor& operator=(descriptor&&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

private:
  int number_;
};

}  // namespace comity
