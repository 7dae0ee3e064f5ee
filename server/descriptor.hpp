// server/descriptor.hpp: a file descriptor that is closed with its scope. Any thread.
#pragma once

#include <unistd.h>

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
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  [[nodiscard]] int number() const noexcept { return number_; }

private:
  int number_;
};

}  // namespace comity
