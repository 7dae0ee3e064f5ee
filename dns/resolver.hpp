// dns/resolver.hpp: asks the DNS, as an interface: nothing above it may know which library answers, or whether that
// runs in this process (THREATS §0.3: libunbound is to be moved into a child of its own).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "dns/answer.hpp"

namespace comity::dns {

/// Runs a piece of work on the thread of whoever asks, later, never at once: the post of an event loop. May be called,
/// copied and destroyed on any thread; where the loop has ended it drops the work.
using executor = std::function<void(std::move_only_function<void()>)>;

/// Work that is under way for as long as this lives: destroying it calls the work off.
class pending {
public:
  pending() = default;
  virtual ~pending() = default;
  pending(const pending&) = delete;
  pending& operator=(const pending&) = delete;
};
using ticket = std::unique_ptr<pending>;

/// One question to the network and what became of it, for metrics. How many ask it at once does not matter.
struct observation {
  record_type type;
  outcome result;
  dns::security security;
  std::chrono::steady_clock::duration took;
};
/// Called on the resolver's own thread; must not block.
using observer = std::function<void(const observation&)>;

class resolver {
public:
  using completion = std::move_only_function<void(const answer&)>;

  virtual ~resolver() = default;

  /// Asks for the records of one type that `name` has, and calls `done` through `run_on`, once, within the resolver's
  /// own bound on a lookup. `name` is in A-label form, with or without the dot at its end; one that cannot be a name in
  /// the DNS is answered nxdomain. Any thread. `done` is called, and it and what it holds destroyed, on the thread of
  /// `run_on`; the ticket must be destroyed there too, and once it is, `done` is not called any more. Destroying it
  /// within `done` is fine.
  [[nodiscard]] virtual ticket lookup(std::string name, record_type, executor run_on, completion done) = 0;
};

}  // namespace comity::dns
