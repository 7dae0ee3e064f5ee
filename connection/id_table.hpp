// connection/id_table.hpp: objects by the numbers that this process gave them, found in one step.
//
// Open addressing: an entry is a number and a pointer, four in a cache line, since to be called is the most frequent
// thing that happens to a connection. Numbers are ours and rise, so their lowest bits spread them as well as any hash.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace comity::connection {

template <typename T>
class id_table {
public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// nullptr where there is none.
  [[nodiscard]] T* find(std::uint64_t id) const noexcept {
    const auto at = place_of(id);
    return at == slots_.size() ? nullptr : slots_[at].what.get();
  }
  /// A number from 1 on that is not there.
  void put(std::uint64_t id, std::unique_ptr<T> what) {
    if ((size_ + 1) * 4 > slots_.size() * 3) {
      resize(std::max(slots_.size() * 2, fewest));
    }
    insert(id, std::move(what));
    ++size_;
  }
  /// Takes it out; nullptr where there is none.
  [[nodiscard]] std::unique_ptr<T> take(std::uint64_t id) {
    const auto at = place_of(id);
    if (at == slots_.size()) {
      return nullptr;
    }
    auto taken = std::move(slots_[at].what);
    close_gap(at);
    --size_;
    if (slots_.size() > fewest && size_ * 8 < slots_.size()) {
      resize(slots_.size() / 2);
    }
    return taken;
  }

  [[nodiscard]] std::vector<std::uint64_t> ids() const {
    std::vector<std::uint64_t> all;
    all.reserve(size_);
    for (const auto& s : slots_) {
      if (s.id != none) {
        all.push_back(s.id);
      }
    }
    return all;
  }

private:
  static constexpr std::uint64_t none = 0;
  static constexpr std::size_t fewest = 16;
  struct slot {
    std::uint64_t id = none;
    std::unique_ptr<T> what;
  };

  [[nodiscard]] std::size_t mask() const noexcept { return slots_.size() - 1; }
  [[nodiscard]] std::size_t place_of(std::uint64_t id) const noexcept {
    if (slots_.empty()) {
      return 0;
    }
    for (auto at = id & mask(); slots_[at].id != none; at = (at + 1) & mask()) {
      if (slots_[at].id == id) {
        return at;
      }
    }
    return slots_.size();
  }
  void insert(std::uint64_t id, std::unique_ptr<T> what) noexcept {
    auto at = id & mask();
    while (slots_[at].id != none) {
      at = (at + 1) & mask();
    }
    slots_[at] = {id, std::move(what)};
  }
  /// What stands behind a gap and was put there only because the gap's place was taken moves up.
  void close_gap(std::size_t gap) noexcept {
    for (auto at = (gap + 1) & mask(); slots_[at].id != none; at = (at + 1) & mask()) {
      if (((at - slots_[at].id) & mask()) >= ((at - gap) & mask())) {
        slots_[gap] = std::move(slots_[at]);
        gap = at;
      }
    }
    slots_[gap] = {};
  }
  void resize(std::size_t slots) {
    auto old = std::exchange(slots_, std::vector<slot>(slots));
    for (auto& s : old) {
      if (s.id != none) {
        insert(s.id, std::move(s.what));
      }
    }
  }

  std::vector<slot> slots_;  // a power of two, with room
  std::size_t size_ = 0;
};

}  // namespace comity::connection
