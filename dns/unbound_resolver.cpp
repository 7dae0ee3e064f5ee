#include "dns/unbound_resolver.hpp"

#include <pthread.h>

#include <algorithm>
#include <asio.hpp>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dns/rdata.hpp"
#include "dns/reply.hpp"
#include "dns/system_resolvers.hpp"
#include "dns/unbound_context.hpp"

namespace comity::dns {
namespace {

using clock = std::chrono::steady_clock;

constexpr std::string_view automatic = "auto";
/// How long lookups wait for the probe of the system's resolvers, at most; and never more than half of their own time.
constexpr std::chrono::milliseconds probe_limit{2000};

std::string contents(const std::string& file) {
  std::ifstream in{file};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// No signal is for a thread that is started while this lives.
class signals_blocked {
public:
  signals_blocked() noexcept {
    sigset_t all{};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  signals_blocked(const signals_blocked&) = delete;
  signals_blocked& operator=(const signals_blocked&) = delete;

private:
  sigset_t before_{};
};

bool is_automatic(const settings& s) {
  return std::ranges::find(s.servers, automatic) != s.servers.end();
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const auto& word : words) {
    text.append(text.empty() ? "" : between).append(word);
  }
  return text;
}

/// An answer that there is none.
answer failed(outcome result, std::string why) {
  answer a;
  a.result = result;
  a.why = std::move(why);
  return a;
}

}  // namespace

std::vector<std::string> system_nameservers() {
  return nameservers(contents("/etc/resolv.conf"));
}

/// All but make(), change(), ask() and the construction is for its own thread.
class unbound_resolver::core {
public:
  core(settings s, note_sink note, observer observe, server_list system)
      : settings_{std::move(s)}, note_{std::move(note)}, observe_{std::move(observe)}, system_{std::move(system)} {}
  ~core() {
    if (thread_.joinable()) {
      asio::post(io_, [this] { stop(); });
      thread_.join();
    }
  }
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  /// By which servers they resolve; none: from the root, or as the settings' stubs have it.
  using contexts = std::map<std::vector<std::string>, std::unique_ptr<unbound_context>>;
  /// All that comes from files, which are not opened any more later: the one context that is asked for; or, where the
  /// system's resolvers are to be probed, one for each set of them that may turn out to be able.
  struct prepared {
    contexts by_servers;
    std::vector<std::string> servers;  // those of the system or of the settings
    std::string probed_name;           // "": they are not probed
  };
  [[nodiscard]] std::expected<prepared, std::string> make(const settings& s) const;
  [[nodiscard]] std::expected<prepared, std::string> make() const { return make(settings_); }
  void run(prepared made);
  void change(settings s, prepared made) {
    asio::post(io_, [this, s = std::move(s), made = std::move(made)]() mutable {
      settings_ = std::move(s);
      adopt(std::move(made));
    });
  }
  void ask(std::string name, record_type type, reply to) {
    asio::post(io_, [this, name = std::move(name), type, to = std::move(to)]() mutable {
      join({std::move(name), type}, std::move(to));
    });
  }

private:
  using question_id = unbound_context::id;
  using told = std::move_only_function<void(answer)>;
  using flight_key = std::pair<std::string, record_type>;

  /// A context and the waiting on its descriptor. Goes with the last question that it has.
  struct watched {
    watched(asio::io_context& io, std::unique_ptr<unbound_context> c)
        : context{std::move(c)}, descriptor{io, context->descriptor()} {}
    ~watched() { descriptor.release(); }  // it is libunbound's to close
    watched(const watched&) = delete;
    watched& operator=(const watched&) = delete;
    std::unique_ptr<unbound_context> context;
    asio::posix::stream_descriptor descriptor;
  };

  struct question {
    std::shared_ptr<watched> by;
    told then;
  };

  /// One name and type under way, for all who ask for it.
  struct flight {
    flight(asio::io_context& io, flight_key k) : key{std::move(k)}, deadline{io} {}
    flight_key key;
    std::vector<reply> askers;
    clock::time_point begun = clock::now();
    asio::steady_timer deadline;
    std::optional<question_id> question;  // none while a probe goes on
    bool landed = false;
  };
  using flight_ref = std::shared_ptr<flight>;

  struct candidate {
    std::string server;
    std::shared_ptr<watched> by;
    int missing = 0;    // answers
    std::string unfit;  // why; empty while nothing is known against it
  };

  void adopt(prepared made);
  void join(flight_key key, reply to);
  void launch(const flight_ref& f);
  void launch_waiting();
  void land(const flight_ref& f, answer a);
  void stop();

  std::shared_ptr<watched> watch(std::unique_ptr<unbound_context> c);
  void wait(const std::shared_ptr<watched>& w);
  void tell(const std::shared_ptr<watched>& w);
  void lost(const std::shared_ptr<watched>& w, const std::string& why);

  void begin_probe(prepared made);
  void on_probe(std::size_t index, const answer& a);
  void end_probe();
  void drop_probe();
  void say_who_resolves(const std::vector<std::string>& servers);

  settings settings_;
  note_sink note_;
  observer observe_;
  server_list system_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::steady_timer probe_deadline_{io_};
  std::thread thread_;

  std::shared_ptr<watched> current_;   // null while a probe goes on
  std::vector<candidate> candidates_;  // of that probe
  contexts for_later_;                 // of every other set of them
  question_id last_id_ = 0;
  std::unordered_map<question_id, question> questions_;
  std::unordered_set<flight_ref> flights_;
  std::map<flight_key, flight_ref> joinable_;  // those that a new asker may join: all but those of before a reload
};

std::expected<unbound_resolver::core::prepared, std::string> unbound_resolver::core::make(const settings& s) const {
  prepared made{.by_servers = {}, .servers = is_automatic(s) ? system_() : s.servers, .probed_name = {}};
  const bool probed = is_automatic(s) && !s.trust_anchors.empty() && !made.servers.empty();
  if (probed) {
    made.probed_name = anchored_name(contents(s.trust_anchors.front()));
  }
  for (unsigned set = 0; set < (probed ? 1U << made.servers.size() : 1U); ++set) {
    std::vector<std::string> chosen;
    for (std::size_t i = 0; i < made.servers.size(); ++i) {
      if (!probed || (set & (1U << i)) != 0) {
        chosen.push_back(made.servers[i]);
      }
    }
    auto context = unbound_context::make(s, chosen);
    if (!context) {
      return std::unexpected{std::move(context.error())};
    }
    made.by_servers.emplace(std::move(chosen), *std::move(context));
  }
  return made;
}

void unbound_resolver::core::run(prepared made) {
  asio::post(io_, [this, made = std::move(made)]() mutable { adopt(std::move(made)); });
  const signals_blocked here;  // and on libunbound's thread, which that one starts
  thread_ = std::thread{[this] { io_.run(); }};
}

void unbound_resolver::core::adopt(prepared made) {
  if (settings_.trust_anchors.empty()) {
    note_(note_level::warning, "there are no trust anchors: no DNS answer is validated, and DANE proves nobody");
  }
  // What the old context is asked stays with it, and who asks anew does not join; what waits for a probe goes on.
  std::erase_if(joinable_, [](const auto& each) { return each.second->question.has_value(); });
  current_ = nullptr;
  drop_probe();
  for_later_.clear();
  if (made.probed_name.empty()) {
    current_ = watch(std::move(made.by_servers.begin()->second));
    if (is_automatic(settings_)) {
      say_who_resolves(made.servers);
    }
    launch_waiting();
  } else {
    begin_probe(std::move(made));
  }
}

void unbound_resolver::core::join(flight_key key, reply to) {
  if (const auto found = joinable_.find(key); found != joinable_.end()) {
    found->second->askers.push_back(std::move(to));
    return;
  }
  if (flights_.size() >= in_flight_limit) {
    auto a = failed(outcome::servfail, "too many lookups at once");
    a.type = key.second;
    to(std::make_shared<const answer>(std::move(a)));
    return;
  }
  const auto f = std::make_shared<flight>(io_, key);
  f->askers.push_back(std::move(to));
  flights_.insert(f);
  joinable_.emplace(std::move(key), f);
  f->deadline.expires_after(settings_.timeout);
  f->deadline.async_wait([this, f, bound = settings_.timeout](std::error_code aborted) {
    if (aborted || f->landed) {
      return;
    }
    if (f->question) {
      if (const auto asked = questions_.extract(*f->question)) {
        asked.mapped().by->context->drop(*f->question);
      }
    }
    land(f, failed(outcome::timeout, "no answer within " + std::to_string(bound.count()) + " ms"));
  });
  if (current_) {
    launch(f);
  }
}

void unbound_resolver::core::launch(const flight_ref& f) {
  const auto id = ++last_id_;
  if (const auto asked = current_->context->ask(id, f->key.first, f->key.second); !asked) {
    land(f, failed(outcome::servfail, asked.error()));
    return;
  }
  f->question = id;
  questions_.emplace(id, question{current_, [this, f](answer a) { land(f, std::move(a)); }});
}

void unbound_resolver::core::launch_waiting() {
  for (const auto& f : std::vector<flight_ref>{flights_.begin(), flights_.end()}) {
    if (!f->question) {
      launch(f);
    }
  }
}

void unbound_resolver::core::land(const flight_ref& f, answer a) {
  f->landed = true;
  f->deadline.cancel();
  a.type = f->key.second;
  if (const auto found = joinable_.find(f->key); found != joinable_.end() && found->second == f) {
    joinable_.erase(found);
  }
  if (observe_) {
    observe_({.type = a.type, .result = a.result, .security = a.security, .took = clock::now() - f->begun});
  }
  const auto shared = std::make_shared<const answer>(std::move(a));
  for (const auto& to : f->askers) {
    to(shared);
  }
  f->askers.clear();
  flights_.erase(flight_ref{f});
}

void unbound_resolver::core::stop() {
  while (!flights_.empty()) {
    land(flight_ref{*flights_.begin()}, failed(outcome::cancelled, "the resolver has ended"));
  }
  io_.stop();
}

std::shared_ptr<unbound_resolver::core::watched> unbound_resolver::core::watch(std::unique_ptr<unbound_context> c) {
  auto w = std::make_shared<watched>(io_, std::move(c));
  wait(w);
  return w;
}

void unbound_resolver::core::wait(const std::shared_ptr<watched>& w) {
  w->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this, weak = std::weak_ptr{w}](std::error_code failed) {
                             const auto alive = weak.lock();
                             if (alive && !failed) {
                               tell(alive);
                             }
                           });
}

void unbound_resolver::core::tell(const std::shared_ptr<watched>& w) {
  auto answers = w->context->process();
  if (!answers) {
    lost(w, answers.error());
    return;
  }
  for (auto& [id, a] : *answers) {
    if (auto asked = questions_.extract(id)) {
      asked.mapped().then(std::move(a));
    }
  }
  wait(w);
}

void unbound_resolver::core::lost(const std::shared_ptr<watched>& w, const std::string& why) {
  note_(note_level::broken, "libunbound has failed: " + why);
  std::vector<told> owed;
  for (auto& [id, q] : questions_) {
    if (q.by == w) {
      owed.push_back(std::move(q.then));
    }
  }
  std::erase_if(questions_, [&](const auto& each) { return each.second.by == w; });
  for (auto& then : owed) {
    then(failed(outcome::servfail, why));
  }
}

void unbound_resolver::core::begin_probe(prepared made) {
  const auto& name = made.probed_name;
  for (const auto& server : made.servers) {
    if (auto alone = made.by_servers.extract({server})) {  // not so where it is named twice
      candidates_.push_back({.server = server, .by = watch(std::move(alone.mapped())), .missing = 0, .unfit = {}});
    }
  }
  for_later_ = std::move(made.by_servers);
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    auto& c = candidates_[i];
    // Two questions: a resolver may pass signatures on, and yet not the proof that there is no record.
    const auto soa = ++last_id_;
    const auto absent = ++last_id_;
    for (const auto id : {soa, absent}) {
      const auto asked = id == soa ? c.by->context->ask_soa(id, name) : c.by->context->ask(id, name, record_type::tlsa);
      if (!asked) {
        c.unfit = asked.error();
        continue;
      }
      ++c.missing;
      questions_.emplace(id, question{c.by, [this, i](answer a) { on_probe(i, a); }});
    }
  }
  probe_deadline_.expires_after(std::min(probe_limit, settings_.timeout / 2));
  probe_deadline_.async_wait([this](std::error_code aborted) {
    if (!aborted && !candidates_.empty()) {
      end_probe();
    }
  });
}

void unbound_resolver::core::on_probe(std::size_t index, const answer& a) {
  auto& c = candidates_[index];
  --c.missing;
  if (a.security != security::secure) {
    c.unfit = a.why.empty() ? "its answers are " + std::string{to_string(a.security)} : a.why;
  }
  if (std::ranges::all_of(candidates_, [](const candidate& each) { return each.missing == 0; })) {
    end_probe();
  }
}

void unbound_resolver::core::end_probe() {
  std::vector<std::string> able;
  std::vector<std::string> unfit;
  std::shared_ptr<watched> of_able;
  for (const auto& c : candidates_) {
    if (c.missing == 0 && c.unfit.empty()) {
      able.push_back(c.server);
      of_able = c.by;
    } else {
      unfit.push_back(c.server + ": " + (c.unfit.empty() ? "no answer" : c.unfit));
    }
  }
  drop_probe();
  if (!unfit.empty()) {
    note_(note_level::warning, "of the system's resolvers these do not pass DNSSEC on: " + joined(unfit, "; "));
  }
  say_who_resolves(able);
  auto others = std::exchange(for_later_, {});
  current_ = able.size() == 1 ? std::move(of_able)  // it knows something already
                              : watch(std::move(others.at(able)));
  launch_waiting();
}

void unbound_resolver::core::drop_probe() {
  std::erase_if(questions_, [this](const auto& each) {
    return std::ranges::find(candidates_, each.second.by, &candidate::by) != candidates_.end();
  });
  candidates_.clear();
  probe_deadline_.cancel();
}

void unbound_resolver::core::say_who_resolves(const std::vector<std::string>& servers) {
  note_(note_level::info, servers.empty() ? "names are resolved from the root"
                                          : "names are resolved by the system's resolvers: " + joined(servers, ", "));
}

unbound_resolver::unbound_resolver(std::unique_ptr<core> c) : core_{std::move(c)} {
}

unbound_resolver::~unbound_resolver() = default;

std::expected<std::unique_ptr<unbound_resolver>, std::string> unbound_resolver::start(
    settings s, note_sink note, observer observe, server_list system,
    const std::function<std::expected<void, std::string>()>& confine) {
  auto c = std::make_unique<core>(std::move(s), std::move(note), std::move(observe), std::move(system));
  auto made = c->make();
  if (!made) {
    return std::unexpected{std::move(made.error())};
  }
  if (confine) {
    if (auto confined = confine(); !confined) {
      return std::unexpected{std::move(confined.error())};
    }
  }
  c->run(*std::move(made));
  return std::unique_ptr<unbound_resolver>{new unbound_resolver{std::move(c)}};
}

ticket unbound_resolver::lookup(std::string name, record_type type, executor run_on, completion done) {
  asked asking{std::move(run_on), std::move(done)};
  if (auto folded = folded_name(name)) {
    core_->ask(*std::move(folded), type, asking.answer_by());
  } else {
    auto a = failed(outcome::nxdomain, "");
    a.type = type;
    asking.answer_by()(std::make_shared<const answer>(std::move(a)));
  }
  return asking.take_ticket();
}

std::expected<void, std::string> unbound_resolver::reload(settings s) {
  auto made = core_->make(s);
  if (!made) {
    return std::unexpected{std::move(made.error())};
  }
  core_->change(std::move(s), *std::move(made));
  return {};
}

}  // namespace comity::dns
