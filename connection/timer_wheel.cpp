#include "connection/timer_wheel.hpp"

#include <algorithm>
#include <exception>

namespace comity::connection {

timer_wheel::entry::~entry() {
  cancel();
}

void timer_wheel::entry::cancel() noexcept {
  if (wheel_ != nullptr) {
    wheel_->unlink(*this);
  }
}

timer_wheel::timer_wheel(clock::time_point now) : begin_{now} {
  for (auto& slot : wheel_) {
    slot.next_ = &slot;
    slot.previous_ = &slot;
  }
}

timer_wheel::~timer_wheel() {
  for (auto& slot : wheel_) {
    while (slot.next_ != &slot) {
      unlink(*slot.next_);
    }
  }
}

void timer_wheel::unlink(entry& e) noexcept {
  e.previous_->next_ = e.next_;
  e.next_->previous_ = e.previous_;
  e.next_ = nullptr;
  e.previous_ = nullptr;
  e.wheel_ = nullptr;
  --armed_;
}

void timer_wheel::arm(entry& e, clock::time_point deadline) noexcept {
  e.cancel();
  const auto since = std::max(deadline - begin_, clock::duration::zero());
  const auto due = static_cast<std::uint64_t>((since + tick - clock::duration{1}) / tick);  // never early: rounded up
  e.due_ = std::max(due, now_ + 1);
  entry& slot = wheel_.at(e.due_ % slots);
  e.wheel_ = this;
  e.next_ = &slot;
  e.previous_ = slot.previous_;
  slot.previous_->next_ = &e;
  slot.previous_ = &e;
  ++armed_;
}

void timer_wheel::advance(clock::time_point now) {
  const auto target = static_cast<std::uint64_t>(std::max(now - begin_, clock::duration::zero()) / tick);
  // A long pause needs no more than one whole turn: every slot is looked at once.
  const auto first = target - now_ > slots ? target - slots : now_;
  if (target <= now_) {
    return;
  }
  std::exception_ptr failure;
  for (auto t = first + 1; t <= target; ++t) {
    now_ = t;
    // The slot's entries are moved to a list of this call's own, so that what expired() arms is not looked at again.
    head due;
    entry& slot = wheel_.at(t % slots);
    if (slot.next_ == &slot) {
      continue;
    }
    due.next_ = slot.next_;
    due.previous_ = slot.previous_;
    due.next_->previous_ = &due;
    due.previous_->next_ = &due;
    slot.next_ = &slot;
    slot.previous_ = &slot;
    while (due.next_ != &due) {
      entry& e = *due.next_;
      const auto when = e.due_;
      unlink(e);
      if (when <= target) {
        try {
          e.expired();
        } catch (...) {
          failure = std::current_exception();
        }
      } else {  // due in a later turn of the wheel
        e.wheel_ = this;
        e.next_ = &slot;
        e.previous_ = slot.previous_;
        slot.previous_->next_ = &e;
        slot.previous_ = &e;
        ++armed_;
      }
    }
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

std::optional<timer_wheel::clock::time_point> timer_wheel::next() const noexcept {
  if (armed_ == 0) {
    return std::nullopt;
  }
  return begin_ + (now_ + 1) * tick;
}

}  // namespace comity::connection
