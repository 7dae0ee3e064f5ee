#include "dns/child_resolver.hpp"

#include <poll.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <asio.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "dns/child_messages.hpp"
#include "dns/child_socket.hpp"
#include "dns/rdata.hpp"
#include "dns/reply.hpp"

namespace comity::dns {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// How long a process may take to be ready. Its libraries and the trust anchors are read in a few milliseconds.
constexpr auto start_limit = 4s;
/// What a lookup is given beyond the process's own bound on it; then the process is not what it was.
constexpr auto grace = 2s;
constexpr auto look_interval = 250ms;
/// A process that has lived for so long ended for a reason of its own.
constexpr auto long_lived = 60s;
constexpr auto delay_least = 125ms;
constexpr auto delay_most = 30s;

/// Before another process is started, where `in_row` of them have ended young, one after the other: at once, then after
/// 125 ms, doubling: the sixth is there within 2 s still (THREATS E6).
clock::duration delay_after(unsigned in_row) {
  constexpr unsigned doublings_most = 8;
  return in_row <= 1
             ? clock::duration{}
             : std::min<clock::duration>(delay_least * (1U << std::min(in_row - 2, doublings_most)), delay_most);
}

answer failed(record_type type, outcome result, std::string why) {
  answer a;
  a.type = type;
  a.result = result;
  a.why = std::move(why);
  return a;
}

}  // namespace

class child_resolver::core {
public:
  core(settings s, collaborators with) : settings_{std::move(s)}, with_{std::move(with)} {}
  ~core() {
    if (thread_.joinable()) {
      asio::post(io_, [this] { stop(); });
      thread_.join();
    }
  }
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  using process_ptr = std::unique_ptr<child_process>;
  /// A process that has taken the settings. Any thread.
  [[nodiscard]] std::expected<process_ptr, std::string> make(const settings&) const;

  void run(process_ptr first) {
    // No signal is for this thread.
    sigset_t all{}, before{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread{[this] {
      ::pthread_setname_np(::pthread_self(), "resolver");
      serve();
    }};
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    asio::post(io_, [this, first = std::move(first)]() mutable { adopt(std::move(first)); });
  }
  void change(settings s, process_ptr made) {
    asio::post(io_, [this, s = std::move(s), made = std::move(made)]() mutable {
      settings_ = std::move(s);
      young_ends_ = 0;
      adopt(std::move(made));
    });
  }
  void ask(child::question q, reply to) {
    asio::post(io_, [this, q = std::move(q), to = std::move(to)]() mutable { join(std::move(q), std::move(to)); });
  }

private:
  struct lookup_under_way {
    record_type type;
    std::string name;
    reply to;
    clock::time_point begun;
    clock::time_point due;
  };
  using lookups = std::map<std::uint64_t, lookup_under_way>;

  /// A process and what it was asked.
  struct served {
    served(asio::io_context& io, process_ptr p) : process{std::move(p)}, socket{io, process->socket()} {}
    ~served() { socket.release(); }  // it is the process object's to close
    served(const served&) = delete;
    served& operator=(const served&) = delete;
    process_ptr process;
    asio::posix::stream_descriptor socket;
    lookups asked;
    std::deque<std::string> unsent;
    clock::time_point begun = clock::now();
  };
  using served_ref = std::shared_ptr<served>;

  void serve();
  void adopt(process_ptr);
  void join(child::question, reply);
  void put(const served_ref&, std::uint64_t id, lookup_under_way);
  void flush(const served_ref&);
  void wait(const served_ref&);
  void read(const served_ref&);
  /// Whether it was a message that it may send.
  [[nodiscard]] bool heard(served&, std::span<const std::uint8_t> packet);
  void retire();
  void lost(const served_ref&, const std::string& why);
  void start_another();
  void look();
  void finish(const lookup_under_way&, const answer&);
  void stop();

  settings settings_;
  collaborators with_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::steady_timer restart_{io_};
  asio::steady_timer looking_{io_};
  std::thread thread_;

  served_ref current_;               // null while there is none
  std::vector<served_ref> retired_;  // of before a reload, until they have answered
  lookups waiting_;                  // for the next process
  std::uint64_t last_id_ = 0;
  std::size_t under_way_ = 0;
  unsigned young_ends_ = 0;
  bool restarting_ = false;
  bool looks_ = false;
  std::vector<std::uint8_t> packet_;
};

std::expected<child_resolver::core::process_ptr, std::string> child_resolver::core::make(const settings& s) const {
  const auto order = child::encode(s);
  if (order.size() > child::packet_limit) {
    return std::unexpected{"there are too many servers, stubs or trust anchors"};
  }
  auto made = with_.starter();
  if (!made) {
    return made;
  }
  const int socket = (*made)->socket();
  if (const int error = child::send_packet(socket, order); error != 0) {
    return std::unexpected{"the resolver process ended at its start: " + (*made)->end()};
  }
  const auto until = clock::now() + start_limit;
  std::vector<std::uint8_t> packet;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - clock::now());
    pollfd readable{.fd = socket, .events = POLLIN, .revents = 0};
    const int ready = left.count() > 0 ? ::poll(&readable, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) {
      continue;
    }
    if (ready <= 0) {
      return std::unexpected{"the resolver process is not ready in time"};
    }
    switch (child::receive_packet(socket, packet)) {
      case child::received::nothing_yet:
        continue;
      case child::received::ended:
        return std::unexpected{"the resolver process ended at its start: " + (*made)->end()};
      case child::received::packet:
        break;
    }
    auto said = child::read_report(packet);
    if (said && std::holds_alternative<child::note>(*said)) {
      const auto& n = std::get<child::note>(*said);
      with_.note(n.level, n.text);
      continue;
    }
    if (said && std::holds_alternative<child::refused>(*said)) {
      return std::unexpected{std::get<child::refused>(*said).why};
    }
    if (!said || !std::holds_alternative<child::started>(*said)) {
      return std::unexpected{"the resolver process says what it must not at its start"};
    }
    with_.note(note_level::info, "the resolver process is ready: " + std::get<child::started>(*said).confined);
    return made;
  }
}

/// Where there is no memory to hear the process out, it is as good as lost, and another one is started (THREATS X13).
void child_resolver::core::serve() {
  for (bool failed = false;;) {
    try {
      if (std::exchange(failed, false) && current_) {
        lost(current_, "no memory for what it says; ");
      }
      io_.run();
      return;
    } catch (const std::exception&) {
      failed = true;
    }
  }
}

void child_resolver::core::adopt(process_ptr p) {
  retire();
  restart_.cancel();
  restarting_ = false;
  current_ = std::make_shared<served>(io_, std::move(p));
  wait(current_);
  for (auto& [id, l] : std::exchange(waiting_, {})) {
    put(current_, id, std::move(l));
  }
}

void child_resolver::core::retire() {
  if (current_ && !current_->asked.empty()) {
    retired_.push_back(current_);
  }
  current_ = nullptr;
}

void child_resolver::core::join(child::question q, reply to) {
  if (under_way_ >= in_flight_limit) {
    to(std::make_shared<const answer>(failed(q.type, outcome::servfail, "too many lookups at once")));
    return;
  }
  ++under_way_;
  lookup_under_way l{.type = q.type, .name = std::move(q.name), .to = std::move(to), .begun = clock::now(), .due = {}};
  l.due = l.begun + settings_.timeout + grace;
  if (current_) {
    put(current_, ++last_id_, std::move(l));
  } else {
    waiting_.emplace(++last_id_, std::move(l));
  }
  if (!std::exchange(looks_, true)) {
    look();
  }
}

void child_resolver::core::put(const served_ref& s, std::uint64_t id, lookup_under_way l) {
  s->unsent.push_back(child::encode(child::question{.id = id, .type = l.type, .name = l.name}));
  s->asked.emplace(id, std::move(l));
  if (s->unsent.size() == 1) {
    flush(s);
  }
}

void child_resolver::core::flush(const served_ref& s) {
  while (!s->unsent.empty()) {
    const int error = child::send_packet(s->socket.native_handle(), s->unsent.front());
    if (error == EAGAIN) {
      s->socket.async_wait(asio::posix::stream_descriptor::wait_write,
                           [this, weak = std::weak_ptr{s}](std::error_code aborted) {
                             if (const auto alive = weak.lock(); alive && !aborted) {
                               flush(alive);
                             }
                           });
      return;
    }
    if (error != 0) {
      s->unsent.clear();  // reading finds out that it has ended
      return;
    }
    s->unsent.pop_front();
  }
}

void child_resolver::core::wait(const served_ref& s) {
  s->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this, weak = std::weak_ptr{s}](std::error_code aborted) {
                         if (const auto alive = weak.lock(); alive && !aborted) {
                           read(alive);
                         }
                       });
}

void child_resolver::core::read(const served_ref& s) {
  constexpr int at_a_time = 64;  // so that lookups are taken in, too
  auto got = child::received::packet;
  for (int i = 0; i < at_a_time && got == child::received::packet; ++i) {
    got = child::receive_packet(s->socket.native_handle(), packet_);
    if (got == child::received::ended) {
      lost(s, "");
      return;
    }
    if (got == child::received::packet && !heard(*s, packet_)) {
      lost(s, "it broke the protocol, and was ended: ");
      return;
    }
  }
  if (s != current_ && s->asked.empty()) {
    std::erase(retired_, s);
    return;
  }
  wait(s);
}

bool child_resolver::core::heard(served& s, std::span<const std::uint8_t> packet) {
  auto said = child::read_report(packet);
  if (!said) {
    return false;
  }
  if (const auto* n = std::get_if<child::note>(&*said)) {
    with_.note(n->level, n->text);
    return n->level != note_level::broken;
  }
  if (const auto* o = std::get_if<observation>(&*said)) {
    if (with_.observe) {
      with_.observe(*o);
    }
    return true;
  }
  auto* a = std::get_if<child::answered>(&*said);
  if (a == nullptr) {
    return false;
  }
  // It answers what it was asked, by the type it was asked for, once.
  const auto found = s.asked.find(a->id);
  if (found == s.asked.end() || found->second.type != a->what.type) {
    return false;
  }
  finish(found->second, a->what);
  s.asked.erase(found);
  return true;
}

void child_resolver::core::lost(const served_ref& s, const std::string& why) {
  const auto how = s->process->end();
  with_.note(note_level::error,
             "the resolver process has ended: " + why + how + "; " + std::to_string(s->asked.size()) + " lookups fail");
  for (auto& [id, l] : std::exchange(s->asked, {})) {
    const auto a = failed(l.type, outcome::servfail, "the resolver process has ended");
    if (with_.observe) {
      with_.observe({.type = a.type, .result = a.result, .security = a.security, .took = clock::now() - l.begun});
    }
    finish(l, a);
  }
  if (s != current_) {
    std::erase(retired_, s);
    return;
  }
  young_ends_ = clock::now() - s->begun < long_lived ? young_ends_ + 1 : 1;
  current_ = nullptr;
  start_another();
}

void child_resolver::core::start_another() {
  if (std::exchange(restarting_, true)) {
    return;
  }
  restart_.expires_after(delay_after(young_ends_));
  restart_.async_wait([this](std::error_code aborted) {
    if (aborted || !restarting_) {
      return;
    }
    restarting_ = false;
    if (auto made = make(settings_)) {
      adopt(*std::move(made));
      if (with_.restarted) {
        with_.restarted();
      }
    } else {
      with_.note(note_level::error, "the resolver process cannot be started: " + made.error());
      ++young_ends_;
      start_another();
    }
  });
}

/// Whoever waits for a process does so within its time; a process that keeps to no time is ended.
void child_resolver::core::look() {
  const auto now = clock::now();
  std::erase_if(waiting_, [&](const auto& each) {
    if (each.second.due > now) {
      return false;
    }
    finish(each.second, failed(each.second.type, outcome::servfail, "there is no resolver process"));
    return true;
  });
  auto all = retired_;
  if (current_) {
    all.push_back(current_);
  }
  for (const auto& s : all) {
    if (std::ranges::any_of(s->asked, [&](const auto& each) { return each.second.due <= now; })) {
      lost(s, "it did not answer in time, and was ended: ");
    }
  }
  looks_ = under_way_ != 0;
  if (looks_) {
    looking_.expires_after(look_interval);
    looking_.async_wait([this](std::error_code aborted) {
      if (!aborted) {
        look();
      }
    });
  }
}

void child_resolver::core::finish(const lookup_under_way& l, const answer& a) {
  --under_way_;
  l.to(std::make_shared<const answer>(a));
}

void child_resolver::core::stop() {
  auto all = std::exchange(retired_, {});
  if (current_) {
    all.push_back(std::exchange(current_, nullptr));
  }
  for (auto& [id, l] : waiting_) {
    finish(l, failed(l.type, outcome::cancelled, "the resolver has ended"));
  }
  for (const auto& s : all) {
    for (auto& [id, l] : s->asked) {
      finish(l, failed(l.type, outcome::cancelled, "the resolver has ended"));
    }
  }
  io_.stop();
}

child_resolver::child_resolver(std::unique_ptr<core> c) : core_{std::move(c)} {
}

child_resolver::~child_resolver() = default;

std::expected<std::unique_ptr<child_resolver>, std::string> child_resolver::start(settings s, collaborators with) {
  auto c = std::make_unique<core>(s, std::move(with));
  auto first = c->make(s);
  if (!first) {
    return std::unexpected{std::move(first.error())};
  }
  c->run(*std::move(first));
  return std::unique_ptr<child_resolver>{new child_resolver{std::move(c)}};
}

ticket child_resolver::lookup(std::string name, record_type type, executor run_on, completion done) {
  asked asking{std::move(run_on), std::move(done)};
  if (auto folded = folded_name(name)) {
    core_->ask({.id = 0, .type = type, .name = *std::move(folded)}, asking.answer_by());
  } else {
    asking.answer_by()(std::make_shared<const answer>(failed(type, outcome::nxdomain, "")));
  }
  return asking.take_ticket();
}

std::expected<void, std::string> child_resolver::reload(settings s) {
  auto made = core_->make(s);
  if (!made) {
    return std::unexpected{std::move(made.error())};
  }
  core_->change(std::move(s), *std::move(made));
  return {};
}

}  // namespace comity::dns
