#include "connection/loop_connections.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <new>
#include <utility>

#include "connection/memory_reserve.hpp"

namespace comity::connection {

namespace {
constexpr std::size_t read_buffer_bytes = 32U * 1024U;  // two TLS records
constexpr std::size_t flushes_ahead = 8;
constexpr std::size_t cache_line = 64;
constexpr std::size_t expected_bytes = 12 * cache_line;  // of a connection: all of a client's
}  // namespace

loop_connections::loop_connections(connection::loop& loop, std::function<clock::time_point()> now)
    : loop_{loop}, now_{std::move(now)}, read_buffer_(read_buffer_bytes) {
  loop_.on_ready([this](std::uint64_t id, bool readable, bool writable) {
    if (writable) {
      this->writable(id);
    }
    if (readable) {
      this->readable(id);
    }
  });
}

loop_connections::~loop_connections() = default;

std::uint64_t loop_connections::new_id() noexcept {
  static std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void loop_connections::add(std::uint64_t id, std::unique_ptr<live_connection> c) {
  connections_.put(id, std::move(c));
  size_.fetch_add(1, std::memory_order_relaxed);
}

void loop_connections::expect(std::uint64_t id) const noexcept {
  if (const auto* c = reinterpret_cast<const char*>(connections_.find(id)); c != nullptr) {
    for (std::size_t at = 0; at < expected_bytes; at += cache_line) {
      __builtin_prefetch(c + at);
    }
  }
}

/// Whatever it was about, its end is carried through.
void loop_connections::ended_by(live_connection& c, const std::exception& e) noexcept {
  const memory_policy end{memory_policy::work::begun};
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) {
    c.out_of_memory();
  } else {
    c.fault(e.what());
  }
}

void loop_connections::remove(std::uint64_t id) {
  const memory_policy end{memory_policy::work::begun};
  auto found = connections_.take(id);
  if (!found) {
    return;
  }
  removed_.push_back(std::move(found));
  size_.fetch_sub(1, std::memory_order_relaxed);
  schedule();
}

void loop_connections::has_output(std::uint64_t id) {
  output_.push_back(id);
  schedule();
}

void loop_connections::newcomer(std::uint64_t id) {
  newcomers_.push_back(id);
  schedule();
}

void loop_connections::serve_newcomers() {
  if (newcomers_.empty()) {
    return;
  }
  const auto until = now_() + for_newcomers;
  do {
    const auto id = newcomers_.front();
    newcomers_.pop_front();
    on(id, [](live_connection& c) { c.take_turn(); });
  } while (!newcomers_.empty() && now_() < until);
  if (!newcomers_.empty()) {
    schedule();
  }
}

void loop_connections::hand_over(std::uint64_t id, loop_connections& other) {
  departures_.push_back({.id = id, .other = &other});
  schedule();
}

void loop_connections::send_off(const departure& d) {
  auto* const found = connections_.find(d.id);
  if (found == nullptr || !found->leave_loop()) {
    return;
  }
  auto leaving = connections_.take(d.id);
  d.other->size_.fetch_add(1, std::memory_order_relaxed);  // counted on its way too
  size_.fetch_sub(1, std::memory_order_relaxed);
  d.other->loop_.post([&there = *d.other, id = d.id, leaving = std::move(leaving)]() mutable {
    there.take_over(id, std::move(leaving));
  });
}

void loop_connections::take_over(std::uint64_t id, std::unique_ptr<live_connection> c) {
  connections_.put(id, std::move(c));
  on(id, [this](live_connection& arrived) { arrived.enter_loop(*this); });
  if (dismissed_) {
    on(id,
       [this](live_connection& arrived) { arrived.dismiss(dismissed_->condition, dismissed_->why, dismissed_->text); });
  }
}

void loop_connections::schedule() {
  if (!scheduled_) {
    loop_.at_turn_end([this] { end_turn(); });
    scheduled_ = true;
  }
}

void loop_connections::end_turn() {
  scheduled_ = false;
  flushing_.swap(output_);
  for (std::size_t i = 0; i < flushing_.size(); ++i) {
    if (i + flushes_ahead < flushing_.size()) {
      expect(flushing_[i + flushes_ahead]);
    }
    on(flushing_[i], [](live_connection& c) { c.flush(); });
  }
  flushing_.clear();
  serve_newcomers();
  for (const auto& each : std::exchange(departures_, {})) {
    send_off(each);
  }
  removed_.clear();
}

void loop_connections::clear() {
  removed_.clear();
  for (const auto id : connections_.ids()) {
    const auto gone = connections_.take(id);  // it may look for others while it goes
    size_.fetch_sub(1, std::memory_order_relaxed);
  }
}

std::vector<connection_info> loop_connections::list() const {
  std::vector<connection_info> all;
  all.reserve(connections_.size());
  for (const auto id : connections_.ids()) {
    all.push_back(find(id)->info());
  }
  return all;
}

void loop_connections::shed(std::size_t share) {
  std::vector<std::pair<bool, std::uint64_t>> all;
  all.reserve(connections_.size());
  for (const auto id : connections_.ids()) {
    all.emplace_back(!find(id)->info().established, id);
  }
  std::ranges::sort(all, std::greater{});
  all.resize(std::min(all.size(), std::max<std::size_t>(1, all.size() / share)));
  for (const auto& [stranger, id] : all) {
    on(id, [](live_connection& c) { c.dismiss(stream_condition::resource_constraint, cause::limit, "out of memory"); });
  }
}

void loop_connections::dismiss_all(stream_condition condition, cause why, const std::string& text) {
  dismissed_ = {.condition = condition, .why = why, .text = text};
  for (const auto id : connections_.ids()) {  // a connection may go while it is told
    on(id, [&](live_connection& c) { c.dismiss(condition, why, text); });
  }
}

connections::connections(std::vector<loop_connections*> loops) : loops_{std::move(loops)} {
}

void connections::list(std::move_only_function<void(std::vector<connection_info>)> done) {
  struct gathering {
    std::mutex lock;
    std::vector<connection_info> all;
    std::size_t left;
    std::move_only_function<void(std::vector<connection_info>)> done;
  };
  auto shared = std::make_shared<gathering>();
  shared->left = loops_.size();
  shared->done = std::move(done);
  for (auto* l : loops_) {
    l->loop().post([l, shared] {
      auto mine = l->list();
      bool last = false;
      {
        const std::lock_guard lock{shared->lock};
        std::ranges::move(mine, std::back_inserter(shared->all));
        last = --shared->left == 0;
      }
      if (last) {
        shared->done(std::move(shared->all));
      }
    });
  }
}

void connections::close(session_ref ref, stream_condition condition, std::string text,
                        std::move_only_function<void(bool)> done) {
  if (ref.loop >= loops_.size()) {
    return done(false);
  }
  auto* l = loops_[ref.loop];
  l->loop().post([l, ref, condition, text = std::move(text), done = std::move(done)]() mutable {
    auto* c = l->find(ref.id);
    if (c != nullptr) {
      c->dismiss(condition, cause::policy, std::move(text));
    }
    done(c != nullptr);
  });
}

void connections::expect(session_ref ref) const noexcept {
  if (ref.loop < loops_.size() && loops_[ref.loop]->loop().in_this_thread()) {
    loops_[ref.loop]->expect(ref.id);
  }
}

void connections::send(session_ref ref, stanza_ref stanza) {
  auto* l = loops_.at(ref.loop);
  if (l->loop().in_this_thread()) {
    l->on(ref.id, [&](live_connection& c) { c.send(std::move(stanza)); });
    return;
  }
  l->loop().post([l, id = ref.id, stanza = std::move(stanza)]() mutable {
    l->on(id, [&](live_connection& c) { c.send(std::move(stanza)); });
  });
}

void connections::say(session_ref ref, std::string element) {
  auto* l = loops_.at(ref.loop);
  if (l->loop().in_this_thread()) {
    l->on(ref.id, [&](live_connection& c) { c.say(element); });
    return;
  }
  l->loop().post(
      [l, id = ref.id, element = std::move(element)] { l->on(id, [&](live_connection& c) { c.say(element); }); });
}

void connections::overcounted(session_ref ref, std::uint32_t handled, std::uint32_t sent) {
  auto* l = loops_.at(ref.loop);
  l->loop().post(
      [l, id = ref.id, handled, sent] { l->on(id, [&](live_connection& c) { c.overcounted(handled, sent); }); });
}

void connections::dismiss(session_ref ref, stream_condition condition, cause why, std::string text) {
  auto* l = loops_.at(ref.loop);
  l->loop().post([l, id = ref.id, condition, why, text = std::move(text)]() mutable {
    l->on(id, [&](live_connection& c) { c.dismiss(condition, why, std::move(text)); });
  });
}

void connections::dismiss_all(stream_condition condition, cause why, const std::string& text) {
  for (auto* l : loops_) {
    l->loop().post([l, condition, why, text] { l->dismiss_all(condition, why, text); });
  }
}

void connections::shed(std::size_t share) {
  for (auto* l : loops_) {
    l->loop().post([l, share] { l->shed(share); });
  }
}

std::size_t connections::size() const noexcept {
  std::size_t n = 0;
  for (const auto* l : loops_) {
    n += l->size();
  }
  return n;
}

}  // namespace comity::connection
