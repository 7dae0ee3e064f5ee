// server/memory_watch.hpp: what is done before the kernel ends a process for the memory that it uses (THREATS X13).
//
// From nine tenths of the limit on nobody new is let in: they wait in the listeners' backlogs. From nineteen twentieths
// on the newest connections are ended, first those that are not established, with <resource-constraint/>; and more of
// them only once a hundredth more is used.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "connection/log.hpp"
#include "server/memory_group.hpp"

namespace asio {
class io_context;
}

namespace comity::server {

/// When to do what. Pure.
class memory_pressure {
public:
  struct verdict {
    bool short_of = false;  // let nobody in
    bool shed = false;
    std::chrono::milliseconds look_again{};  // before a flood could take what is left
  };
  [[nodiscard]] verdict judge(memory_group::usage);

private:
  bool short_ = false;
  std::uint64_t not_before_ = 0;  // nothing more is shed until more bytes than these are used
};

/// On the control thread.
class memory_watch {
public:
  /// Of the connections, one in so many goes at a time.
  static constexpr std::size_t share = 32;

  struct collaborators {  // all outlive it
    asio::io_context& control;
    log::sink& log;
    std::function<void()> shed;
  };
  memory_watch(memory_group, collaborators);
  ~memory_watch();
  memory_watch(const memory_watch&) = delete;
  memory_watch& operator=(const memory_watch&) = delete;

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::server
