// One-to-one messages: as many as go, or at a fixed rate.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "bench/load/crowd.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

namespace {

constexpr std::string_view message_end = "</message>";
constexpr std::string_view body_begin = "<body>";
constexpr std::chrono::seconds drain_time{10};
// XEP-0198: what a client says, and how what the server says begins.
constexpr std::string_view enable = "<enable xmlns='urn:xmpp:sm:3'/>";
constexpr std::string_view ask = "<r xmlns='urn:xmpp:sm:3'/>";
constexpr std::string_view enabled_begin = "<enabled ";
constexpr std::string_view asked_begin = "<r ";
constexpr std::string_view answer_begin = "<a ";
constexpr std::string_view handled_begin = " h=";

class conversation {
public:
  conversation(const surroundings& around, const message_load& load)
      : around_{around}, load_{load}, clients_{poller_, around.progress}, parties_(2 * load.pairs) {}

  findings run() {
    const client::events told{.bytes = [this](client& c, std::string& bytes) { take(c, bytes); }};
    clients_.gather(around_.where, load_.first, load_.pairs, parallel, told);
    clients_.gather(around_.peers, load_.first + load_.pairs, load_.pairs, parallel, told);
    for (std::size_t i = 0; i < parties_.size(); ++i) {
      prepare(i);
    }
    if (around_.where.floor) {  // the lines that say who belongs together are to be through first
      clients_.run_until([] { return false; }, std::chrono::milliseconds{200});
    } else if (load_.acknowledged > 0 &&
               !clients_.run_until([this] { return enabled_ == parties_.size(); }, drain_time)) {
      throw std::runtime_error{"stream management was not enabled"};
    }
    if (load_.wait) {
      std::puts("ready");
      std::fflush(stdout);
      if (std::getchar() == EOF) {
        throw std::runtime_error{"nobody says when to begin"};
      }
    }
    sending_ = true;
    if (load_.rate == 0) {
      for (std::size_t i = 0; i < parties_.size(); ++i) {
        auto& from = *clients_.all()[i];
        from.cork();
        for (std::size_t n = 0; n < load_.window; ++n) {
          send(i);
        }
        from.uncork();
      }
    }
    pass(load_.warm_up);
    const auto allocated = allocations(around_.allocations);
    const auto cpu = cpu_seconds(around_.processes);
    const auto own_cpu = cpu_seconds({::getpid()});
    const auto begun = clock::now();
    const auto received = received_;
    const auto offered = sent_ + refused_;
    const auto held = pss_bytes(around_.processes);
    measuring_ = true;
    pass(load_.time);
    measuring_ = false;
    const auto more_held = pss_bytes(around_.processes) - held;
    const auto offers = static_cast<double>(sent_ + refused_ - offered);
    const auto used = cpu_seconds(around_.processes) - cpu;
    const auto used_here = cpu_seconds({::getpid()}) - own_cpu;
    const auto count = static_cast<double>(received_ - received);
    const auto allocations_each = (allocations(around_.allocations) - allocated) / count;
    const std::chrono::duration<double> took = clock::now() - begun;
    sending_ = false;
    clients_.run_until([this] { return received_ == sent_; }, drain_time);
    const auto unacknowledged = acknowledge_all();
    for (const auto& each : clients_.all()) {
      each->close();
    }
    return {{"server_cpu_s_per_1000", used / count * 1e3},
            {"allocations_each", allocations_each},
            {"messages_a_second", count / took.count()},
            {"offered_a_second", offers / took.count()},
            {"pss_mib_more", more_held / (1024.0 * 1024)},
            {"server_busy", used / took.count()},
            {"generator_busy", used_here / took.count()},
            {"latency_ms_p50", latencies_.percentile(0.5)},
            {"latency_ms_p99", latencies_.percentile(0.99)},
            {"latency_ms_p999", latencies_.percentile(0.999)},
            {"messages", static_cast<double>(sent_)},
            {"lost", static_cast<double>(sent_ - received_)},
            {"unacknowledged", unacknowledged},
            {"out_of_order", static_cast<double>(out_of_order_)}};
  }

private:
  static constexpr std::size_t parallel = 32;
  static constexpr std::size_t most_at_once = 256;
  struct party {
    std::string head;  // of each message that it sends
    std::uint64_t sent = 0, received = 0, acknowledged = 0;
  };

  [[nodiscard]] std::size_t partner(std::size_t i) const { return (i + load_.pairs) % parties_.size(); }

  void prepare(std::size_t i) {
    auto& from = *clients_.all()[i];
    if (around_.where.floor) {
      from.send("room " + std::to_string(load_.first + (i % load_.pairs)) + "\n");
    } else if (load_.acknowledged > 0) {
      from.send(enable);
    }
    const auto to = around_.where.floor ? "u0@bench.test/0123456789abcdef" : clients_.all()[partner(i)]->jid();
    parties_[i].head = "<message to='" + to + "' type='chat' id='m";
  }

  void send(std::size_t i) {
    if (load_.shed && clients_.all()[i]->waits()) {
      ++refused_;
      return;
    }
    auto& p = parties_[i];
    const auto number = std::to_string(p.sent++);
    ++sent_;
    auto text =
        p.head + number + "'><body>" + number + ' ' + std::to_string(clock::now().time_since_epoch().count()) + ' ';
    text.append(load_.body, 'x');
    text += "</body></message>";
    if (load_.acknowledged > 0 && p.sent % load_.acknowledged == 0) {
      text += ask;
    }
    clients_.all()[i]->send(text);
  }

  void take(client& who, std::string& bytes) {
    const auto i = who.number() - load_.first;
    who.cork();
    std::size_t used = 0;
    for (;;) {
      if (load_.acknowledged > 0) {
        used = take_acknowledgements(who, bytes, used);
      }
      const auto end = bytes.find(message_end, used);
      if (end == std::string::npos) {
        break;
      }
      auto at = bytes.find(body_begin, used);
      if (at < end) {
        at += body_begin.size();
        std::uint64_t number = 0;
        std::int64_t sent_at = 0;
        const auto [behind, bad] = std::from_chars(bytes.data() + at, bytes.data() + end, number);
        std::from_chars(behind + 1, bytes.data() + end, sent_at);
        out_of_order_ += bad != std::errc{} || number != parties_[i].received ? 1U : 0U;
        ++parties_[i].received;
        ++received_;
        if (measuring_) {
          latencies_.add(clock::now().time_since_epoch() - std::chrono::nanoseconds{sent_at});
        }
        if (sending_ && load_.rate == 0) {
          send(i);
        }
      }
      used = end + message_end.size();
    }
    bytes.erase(0, used);
    who.uncork();
  }

  /// Answers what the server asks and notes what it answers, up to the next message; where that begins.
  std::size_t take_acknowledgements(client& who, std::string_view bytes, std::size_t used) {
    auto& p = parties_[who.number() - load_.first];
    for (;;) {
      const auto rest = bytes.substr(used);
      const bool asked = rest.starts_with(asked_begin);
      const bool answer = rest.starts_with(answer_begin);
      const bool enabled = rest.starts_with(enabled_begin);
      const auto end = rest.find('>');
      if (end == std::string_view::npos || !(asked || answer || enabled)) {
        return used;
      }
      enabled_ += enabled ? 1U : 0U;
      if (asked) {
        who.send("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(p.received) + "'/>");
      }
      if (const auto at = rest.find(handled_begin); answer && at < end) {
        std::from_chars(rest.data() + at + handled_begin.size() + 1, rest.data() + end, p.acknowledged);
      }
      used += end + 1;
    }
  }

  /// Asks every server how much of what was sent to it it has taken over; how many messages it does not answer for.
  double acknowledge_all() {
    if (load_.acknowledged == 0 || around_.where.floor) {
      return 0;
    }
    for (const auto& each : clients_.all()) {
      each->send(ask);
    }
    std::uint64_t missing = 0;
    clients_.run_until(
        [&] {
          missing = 0;
          for (const auto& each : parties_) {
            missing += each.sent - each.acknowledged;
          }
          return missing == 0;
        },
        drain_time);
    return static_cast<double>(missing);
  }

  void pass(std::chrono::nanoseconds time) {
    const auto end = clock::now() + time;
    progress telling{around_.progress, "messages", 0};
    if (load_.rate == 0) {
      clients_.run_until([&] { return telling.at(received_), false; }, time);
      return;
    }
    const std::chrono::nanoseconds step{std::llround(1e9 / load_.rate)};
    auto next = clock::now();
    while (clock::now() < end) {
      clients_.run_until([&] { return clock::now() >= next; }, std::max(next - clock::now(), clock::duration{0}));
      for (std::size_t n = 0; n < most_at_once && next <= clock::now(); ++n) {
        send(turn_);
        turn_ = (turn_ + 1) % parties_.size();
        next += step;
      }
      if (next <= clock::now()) {  // late: what has come is to be read all the same
        poller_.turn({});
      }
      telling.at(received_);
    }
  }

  const surroundings& around_;
  const message_load& load_;
  poller poller_;
  crowd clients_;
  std::vector<party> parties_;
  latencies latencies_;
  std::uint64_t sent_ = 0, refused_ = 0, received_ = 0, out_of_order_ = 0;
  std::size_t enabled_ = 0;
  std::size_t turn_ = 0;
  bool sending_ = false;
  bool measuring_ = false;
};

}  // namespace

findings messages(const surroundings& around, const message_load& load) {
  return conversation{around, load}.run();
}

}  // namespace comity::bench
