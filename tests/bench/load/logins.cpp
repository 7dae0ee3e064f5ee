// Clients that come and go: whole logins, and TLS handshakes alone.
#include <openssl/ssl.h>

#include <algorithm>
#include <stdexcept>

#include "bench/load/crowd.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

namespace {

constexpr std::chrono::milliseconds beat{50};
constexpr std::chrono::seconds patience{30};
/// A server that gives no ticket is not waited for longer than this.
constexpr std::chrono::milliseconds ticket_time{200};

struct session_free {
  void operator()(SSL_SESSION* s) const noexcept { SSL_SESSION_free(s); }
};
using session = std::unique_ptr<SSL_SESSION, session_free>;

/// The clients that are there at one time; who is done makes room for the next one.
class stream_of_clients {
public:
  stream_of_clients(poller& p, std::size_t parallel) : poller_{p}, parallel_{parallel} {}

  /// `make(i)` for each i below `count`; a client is over once done() was called for it.
  void run(std::size_t count, const std::function<std::unique_ptr<client>(std::size_t)>& make, progress& telling) {
    std::size_t made = 0;
    std::size_t over = 0;
    auto last = clock::now();
    while (over < count) {
      while (made < count && now_.size() < parallel_) {
        now_.push_back({.who = make(made++), .since = clock::now()});
      }
      poller_.turn(beat);
      const auto now = clock::now();
      for (auto& each : now_) {
        const auto at = each.who->at();
        if (!each.done && at == client::stage::failed) {
          throw std::runtime_error{each.who->user() + ": " + each.who->why()};
        }
        if (!each.done && late_ && at == client::stage::opening && now - each.since > ticket_time) {
          done(*each.who);
        }
      }
      const auto gone = std::erase_if(now_, [](const present& each) {
        if (each.done) {
          each.who->close();
        }
        return each.done;
      });
      over += gone;
      telling.at(over);
      if (gone > 0) {
        last = now;
      } else if (now - last > patience) {
        throw std::runtime_error{"no client has got through for half a minute"};
      }
    }
  }
  void done(client& c) {
    const auto found = std::ranges::find(now_, &c, [](const present& each) { return each.who.get(); });
    found->done = true;  // OpenSSL may be calling: it is closed after the turn
  }
  /// Clients whose TLS has stood for long are done, whether or not anybody has said so.
  void give_up_on_late() { late_ = true; }

private:
  struct present {
    std::unique_ptr<client> who;
    clock::time_point since;
    bool done = false;
  };
  poller& poller_;
  std::size_t parallel_;
  std::vector<present> now_;
  bool late_ = false;
};

/// What comes of tickets, told by OpenSSL in a callback without a place for more.
struct ticket_watch {
  std::function<void(client&)> seen;
  session newest;
};

int on_ticket(SSL* ssl, SSL_SESSION* given) {
  auto* watch = static_cast<ticket_watch*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  watch->newest.reset(given);
  watch->seen(*static_cast<client*>(SSL_get_app_data(ssl)));
  return 1;  // it is ours now
}

}  // namespace

findings logins(const surroundings& around, const login_load& load) {
  poller p;
  const auto context = client_context();
  stream_of_clients clients{p, load.parallel};
  const client::events told{.online = [&](client& c) { clients.done(c); }};
  progress telling{around.progress, "logins", load.count};
  const auto cpu = cpu_seconds(around.processes);
  const auto begun = clock::now();
  clients.run(
      load.count,
      [&](std::size_t i) { return std::make_unique<client>(p, context.get(), around.where, i % load.users, told); },
      telling);
  const std::chrono::duration<double> took = clock::now() - begun;
  const auto count = static_cast<double>(load.count);
  return {{"server_cpu_ms_each", (cpu_seconds(around.processes) - cpu) / count * 1e3},
          {"each_second", count / took.count()}};
}

findings handshakes(const surroundings& around, const handshake_load& load) {
  poller p;
  const auto context = client_context();
  stream_of_clients clients{p, load.parallel};
  ticket_watch watch{.seen = [&](client& c) { clients.done(c); }, .newest = nullptr};
  SSL_CTX_set_app_data(context.get(), &watch);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), on_ticket);
  clients.give_up_on_late();
  std::size_t resumed = 0;
  const client::events told{.secured = [&](client& c) { resumed += SSL_session_reused(c.ssl()) == 1 ? 1U : 0U; }};
  const auto make = [&](std::size_t i) {
    return std::make_unique<client>(p, context.get(), around.where, i, told,
                                    load.resume ? watch.newest.get() : nullptr);
  };
  progress telling{around.progress, "handshakes", load.count};
  if (load.resume) {  // the first ticket is not what is measured
    clients.run(1, make, telling);
    resumed = 0;
  }
  const auto cpu = cpu_seconds(around.processes);
  const auto begun = clock::now();
  clients.run(load.count, make, telling);
  const std::chrono::duration<double> took = clock::now() - begun;
  const auto count = static_cast<double>(load.count);
  return {{"server_cpu_ms_each", (cpu_seconds(around.processes) - cpu) / count * 1e3},
          {"resumed_share", static_cast<double>(resumed) / count},
          {"each_second", count / took.count()}};
}

}  // namespace comity::bench
