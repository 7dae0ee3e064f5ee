#include "server/check/check_run.hpp"

#include <algorithm>
#include <asio.hpp>
#include <utility>

namespace comity::check {

namespace {
using clock = std::chrono::steady_clock;
}

struct check_run::state : std::enable_shared_from_this<check_run::state> {
  state(collaborators w, task t, completion d)
      : with{w}, what{std::move(t)}, done{std::move(d)}, begin_by{clock::now() + what.begin_within} {
    for (const auto& h : what.hosts) {
      results.push_back({.domain = h.running.domain, .findings = {}});
    }
    under_way.resize(what.hosts.size());
    loops_of.resize(what.hosts.size(), nullptr);
  }

  void go_on() {
    while (next < what.hosts.size() && running < what.at_once) {
      const auto i = next++;
      if (clock::now() >= begin_by) {
        results[i].findings.push_back({.severity = severity::error,
                                       .kind = finding_kind::unfinished,
                                       .text = "there was no time left to look at it; ask for it alone"});
        continue;
      }
      ++running;
      auto& loop = with.loops.least_busy().loop();
      under_way[i] = std::make_shared<inspection>(
          inspection::collaborators{
              .loop = loop, .dns = *what.dns, .tls = with.tls, .authorities = what.authorities, .web = what.web},
          std::move(what.hosts[i]), [weak = weak_from_this(), &control = with.control, i](std::vector<finding> found) {
            asio::post(control, [weak, i, found = std::move(found)]() mutable {
              if (const auto self = weak.lock()) {
                self->take(i, std::move(found));
              }
            });
          });
      loops_of[i] = &loop;
      loop.post([begun = under_way[i]] { begun->begin(); });
    }
    if (running == 0) {
      // What was looked at has gone from the loops, and nobody asks the resolver any more.
      asio::post(with.control, [weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->done) {
          auto tell = std::exchange(self->done, nullptr);
          tell(std::move(self->results));
        }
      });
    }
  }

  void take(std::size_t i, std::vector<finding> found) {
    results[i].findings = std::move(found);
    // It goes where it has run, and only then is it out of the resolver's way.
    loops_of[i]->post([weak = weak_from_this(), &control = with.control, gone = std::move(under_way[i])]() mutable {
      gone.reset();
      asio::post(control, [weak] {
        if (const auto self = weak.lock()) {
          --self->running;
          self->go_on();
        }
      });
    });
  }

  collaborators with;
  task what;
  completion done;
  clock::time_point begin_by;
  std::vector<host_findings> results;
  std::vector<connection::loop*> loops_of;
  std::size_t next = 0, running = 0;
  std::vector<std::shared_ptr<inspection>> under_way;  // the last: these ask what.dns
};

check_run::check_run(collaborators with, task what, completion done)
    : state_{std::make_shared<state>(with, std::move(what), std::move(done))} {
  state_->go_on();
}

check_run::~check_run() = default;

}  // namespace comity::check
