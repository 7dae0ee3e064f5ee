// server/homes.hpp: where the work of each user runs, and when.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "connection/jid.hpp"

namespace comity::server {

/// The loops, as far as the router needs them. Implemented over connection::loop; a fake in tests.
class homes {
public:
  /// Work whose time has not come. Where this goes it is given up. On the home loop, or once no loop runs.
  class waiting {
  public:
    waiting() = default;
    virtual ~waiting() = default;
    waiting(const waiting&) = delete;
    waiting& operator=(const waiting&) = delete;
  };

  virtual ~homes() = default;
  /// Runs `work` on the home loop of the user with that address; in the order of calling from any one thread. Runs it
  /// at once, before returning, when called on that loop. Any thread.
  virtual void at_home(const jid& user, std::move_only_function<void()> work) = 0;
  /// The same after that time, and never before this call has returned. The work may destroy what stands for it. On the
  /// home loop alone.
  [[nodiscard]] virtual std::unique_ptr<waiting> after(const jid& bare_user, std::chrono::milliseconds,
                                                       std::move_only_function<void()> work) = 0;
};

}  // namespace comity::server
