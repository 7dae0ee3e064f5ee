// tests/bench/load/crowd.hpp: many clients at once, and how far they are.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "bench/load/client.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

/// Says at most once a second on standard error how far it is.
class progress {
public:
  progress(bool wanted, std::string_view what, std::size_t of) : wanted_{wanted}, what_{what}, of_{of} {}
  void at(std::size_t count);

private:
  bool wanted_;
  std::string_view what_;
  std::size_t of_;
  clock::time_point said_ = clock::now();
};

class crowd {
public:
  crowd(poller& p, bool progress);

  /// Adds clients of these numbers, `parallel` at a time, until all are online. Throws where one fails.
  void gather(const target&, std::size_t first, std::size_t count, std::size_t parallel, const client::events&);
  /// Another client of the same number in place of that one, which begins to connect.
  void begin_again(std::size_t index, const target&, const client::events&);
  [[nodiscard]] std::vector<std::unique_ptr<client>>& all() noexcept { return all_; }
  /// Turns of the poller until `done`, or the time is over: false then.
  bool run_until(const std::function<bool()>& done, std::chrono::nanoseconds longest);

private:
  poller& poller_;
  bool progress_;
  tls_context context_;
  std::vector<std::unique_ptr<client::events>> events_;  // what the clients tell by
  std::vector<std::unique_ptr<client>> all_;
};

}  // namespace comity::bench
