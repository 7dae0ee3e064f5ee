// server/trace/trace_hub.hpp: who follows whom (`comityctl trace`): events and parts of streams in, lines out to each
// follower whose party they concern.
//
// A party is a domain, an account or one of its resources. Its matters are what its connections do and what they
// exchange, and every stanza that is from it or to it, whichever connection has it. Costs nobody anything while nobody
// follows. A follower who reads slowly loses lines, is told how many, and holds up nobody. Any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"
#include "connection/log.hpp"
#include "connection/trace.hpp"
#include "server/admin/progress.hpp"

namespace comity::trace {

struct wish {
  jid party;
  bool bodies = false;   // what people say to each other is shown too
  bool as_json = false;  // one object a line
};

class trace_hub final : public tap {
public:
  trace_hub();
  ~trace_hub() override;
  trace_hub(const trace_hub&) = delete;
  trace_hub& operator=(const trace_hub&) = delete;

  /// From now on `to` is told, until stop() or until it says that it is gone. The number is for stop().
  std::uint64_t follow(wish, admin::progress_ref to);
  void stop(std::uint64_t follower);
  /// All of them.
  void clear();

  void part(const connection::connection_info& of, way, std::string_view xml) noexcept override;
  void event(log::level, std::string_view event, std::initializer_list<log::field> fields) noexcept;

private:
  struct follower;
  template <typename Concerns, typename Line>
  void tell(Concerns concerns, Line line) noexcept;

  std::mutex lock_;
  std::vector<std::unique_ptr<follower>> followers_;
  std::uint64_t last_ = 0;
};

/// A log whose events are followed as well, at whatever level. Both outlive it.
class traced_log final : public log::sink {
public:
  traced_log(log::sink& log, trace_hub& hub) noexcept : log_{log}, hub_{hub} {}
  [[nodiscard]] bool enabled(log::level l) const noexcept override { return hub_.active() || log_.enabled(l); }
  void write(log::level l, std::string_view event, std::initializer_list<log::field> fields) noexcept override {
    log_.write(l, event, fields);
    if (hub_.active()) {
      hub_.event(l, event, fields);
    }
  }

private:
  log::sink& log_;
  trace_hub& hub_;
};

}  // namespace comity::trace
