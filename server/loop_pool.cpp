#include "server/loop_pool.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <utility>

namespace comity::server {

namespace {
/// Ending a session posts to its home, which may post to other homes, which write presence to other sessions.
constexpr unsigned rounds_to_settle = 4;

class delayed final : public homes::waiting, public connection::timer_wheel::entry {
public:
  explicit delayed(std::move_only_function<void()> work) : work_{std::move(work)} {}

private:
  void expired() override {
    auto work = std::exchange(work_, nullptr);  // which may destroy this
    work();
  }
  std::move_only_function<void()> work_;
};
}  // namespace

loop_pool::loop_pool(unsigned count, connection::connection_metrics& metrics) {
  std::vector<connection::loop_connections*> each;
  for (unsigned i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<connection::loop>(i, metrics.cell(i)));
    loops_.back()->batch_posts();
    connections_.push_back(std::make_unique<connection::loop_connections>(*loops_.back()));
    each.push_back(connections_.back().get());
  }
  all_ = std::make_unique<connection::connections>(std::move(each));
}

loop_pool::~loop_pool() {
  stop();
}

connection::loop_connections& loop_pool::least_busy() noexcept {
  return **std::ranges::min_element(connections_, {}, [](const auto& c) { return c->size(); });
}

void loop_pool::tap(trace::tap& t) noexcept {
  for (auto& c : connections_) {
    c->tap(t);
  }
}

void loop_pool::report_to(log::sink& log) {
  for (auto& l : loops_) {
    l->on_failure([&log, index = l->index()](std::string_view what) {
      log.write(log::level::error, "loop.failed", {{"loop", static_cast<std::int64_t>(index)}, {"detail", what}});
    });
  }
}

void loop_pool::start() {
  for (auto& l : loops_) {
    threads_.emplace_back([&loop = *l] {
      ::pthread_setname_np(::pthread_self(), ("loop-" + std::to_string(loop.index())).c_str());
      loop.run();
    });
  }
}

void loop_pool::ask_all(std::move_only_function<void()> all_answered) {
  count_timers([all_answered = std::move(all_answered)](std::size_t) mutable { all_answered(); });
}

void loop_pool::count_timers(std::move_only_function<void(std::size_t)> counted) {
  struct question {
    std::atomic<std::size_t> unanswered;
    std::move_only_function<void(std::size_t)> counted;
    std::atomic<std::size_t> armed{0};
  };
  const auto asked = std::make_shared<question>(loops_.size(), std::move(counted));
  for (auto& l : loops_) {
    l->post([asked, &loop = *l] {
      asked->armed += loop.armed();
      if (asked->unanswered.fetch_sub(1) == 1) {
        asked->counted(asked->armed);
      }
    });
  }
}

void loop_pool::settle() {
  if (threads_.empty()) {
    return;
  }
  for (unsigned round = 0; round < rounds_to_settle; ++round) {
    std::latch all{static_cast<std::ptrdiff_t>(loops_.size())};
    for (auto& l : loops_) {
      l->post([&all, &l] { l->at_turn_end([&all] { all.count_down(); }); });  // behind what it has posted to others
    }
    all.wait();
  }
}

void loop_pool::stop() {
  for (auto& l : loops_) {
    l->stop();
  }
  for (auto& t : threads_) {
    t.join();
  }
  threads_.clear();
  for (auto& l : loops_) {
    l->forget_posted();  // a connection on its way from one loop to another may be in it
  }
  for (auto& c : connections_) {
    c->clear();
  }
}

void loop_pool::at_home(const jid& user, std::move_only_function<void()> work) {
  auto& home = *loops_[home_of(user)];
  if (home.in_this_thread()) {
    work();
  } else {
    home.post(std::move(work));
  }
}

std::size_t loop_pool::home_of(const jid& user) const {
  return std::hash<std::string_view>{}(user.bare_text()) % loops_.size();
}

std::unique_ptr<homes::waiting> loop_pool::after(const jid& bare_user, std::chrono::milliseconds wait,
                                                 std::move_only_function<void()> work) {
  auto made = std::make_unique<delayed>(std::move(work));
  loops_[home_of(bare_user)]->arm(*made, connection::timer_wheel::clock::now() + wait);
  return made;
}

void loop_pool::say(connection::session_ref session, std::string element) {
  all_->say(session, std::move(element));
}

void loop_pool::overcounted(connection::session_ref session, std::uint32_t handled, std::uint32_t sent) {
  all_->overcounted(session, handled, sent);
}

void loop_pool::expect(connection::session_ref session) noexcept {
  all_->expect(session);
}

void loop_pool::send(connection::session_ref to, stanza_ref stanza) {
  all_->send(to, std::move(stanza));
}

void loop_pool::close(connection::session_ref session, stream_condition condition, std::string text) {
  all_->dismiss(session, condition, connection::cause::policy, std::move(text));
}

}  // namespace comity::server
