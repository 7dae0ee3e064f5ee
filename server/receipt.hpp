// server/receipt.hpp: what keeps the server from acknowledging stanzas (XEP-0198) that a crash would still lose.
//
// A message for somebody who is not there is stored, which takes a while and happens at the recipient's home. It
// carries its session's receipt until then: what the session's client is to be told comes at the end of the last copy
// (THREATS X1). Copies may end on any thread; what is called of it is called at the home of the session's user, by who
// holds it.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace comity::server {

class receipt {
public:
  receipt() = default;
  receipt(const receipt&) = delete;
  receipt& operator=(const receipt&) = delete;
  ~receipt() {
    for (auto& each : then_) {
      try {
        each();
      } catch (const std::exception&) {  // out of memory: it is not told, and asks again
      }
    }
  }

  /// Called at the end of the last copy, in the order of these calls and before all that is due after the next receipt.
  void then(std::move_only_function<void()> what) { then_.push_back(std::move(what)); }
  /// Something is to be said at its end: later stanzas need not put that off.
  [[nodiscard]] bool awaited() const noexcept { return !then_.empty(); }
  /// That of later stanzas ends no sooner than this.
  void precede(std::shared_ptr<receipt> next) noexcept { next_ = std::move(next); }

private:
  std::vector<std::move_only_function<void()>> then_;
  std::shared_ptr<receipt> next_;
};

}  // namespace comity::server
