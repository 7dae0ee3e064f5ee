// The counters of stream management (XEP-0198 §4, THREATS F2) under a client that acknowledges anything, against a
// model that counts without end: what is held is exactly what was sent and not acknowledged, and nothing is lost that
// another device has or awaits. And any element as one of stream management: a count is read exactly where it is one.
//
// Input: where the counters begin (4 bytes), then operations of one byte, acknowledgements with a count of 4 behind
// them; behind 0xff, elements, one a line.
#include <charconv>
#include <string>
#include <vector>

#include "connection/negotiation/stream_management.hpp"
#include "connection/xml/parser.hpp"
#include "server/managed_stream.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::connection;
using namespace comity::fuzz;
using server::managed_stream;

std::uint32_t take_count(std::string_view& input) {
  std::uint32_t n = 0;
  for (int i = 0; i < 4; ++i) {
    n = (n << 8U) | take_byte(input);
  }
  return n;
}

/// Two devices of one user, and messages that went to one of them or to both.
struct device {
  managed_stream stream{"id", std::chrono::seconds{300}};
  std::uint64_t sent = 0;  // counted without end
  std::uint64_t acknowledged = 0;
  std::uint32_t handled = 0;
  std::vector<std::size_t> holds;  // messages by number, oldest first
  bool ended = false;
};
struct message {
  std::shared_ptr<managed_stream::copies> shared;
  unsigned held = 0;   // by how many devices
  bool taken = false;  // by one of them
  unsigned lost = 0;   // how often it was handed back
};

class world {
public:
  explicit world(std::uint32_t begin) {
    for (auto& d : devices_) {
      d.sent = d.acknowledged = begin;
      d.handled = begin;
      d.stream.restore(begin, begin);
      begin = ~begin;
    }
  }
  void send(device& d, bool both) {
    messages_.push_back({.shared = both ? std::make_shared<managed_stream::copies>() : nullptr});
    const auto number = messages_.size() - 1;
    for (auto& each : devices_) {
      if (!each.ended && (both || &each == &d)) {
        each.stream.sent(
            {nullptr, std::chrono::system_clock::time_point{std::chrono::seconds{number}}, messages_[number].shared});
        each.holds.push_back(number);
        ++each.sent;
        ++messages_[number].held;
      }
    }
  }
  void acknowledge(device& d, std::uint32_t h) {
    if (d.ended) {
      return;
    }
    std::uint64_t means = d.acknowledged;
    while (means <= d.sent && static_cast<std::uint32_t>(means) != h) {
      ++means;
    }
    must(d.stream.credible(h) == (means <= d.sent));
    if (means > d.sent) {
      return;
    }
    must(d.stream.acknowledge(h) == (means != d.acknowledged));
    for (; d.acknowledged < means; ++d.acknowledged) {
      auto& m = messages_[d.holds.front()];
      d.holds.erase(d.holds.begin());
      m.taken = true;
      --m.held;
    }
  }
  void end(device& d) {
    if (std::exchange(d.ended, true)) {
      return;
    }
    for (const auto& e : d.stream.take_lost()) {
      ++messages_[static_cast<std::size_t>(
                      std::chrono::duration_cast<std::chrono::seconds>(e.at.time_since_epoch()).count())]
            .lost;
    }
    for (const auto number : std::exchange(d.holds, {})) {
      auto& m = messages_[number];
      --m.held;
      must(m.lost == (m.taken || m.held > 0 ? 0U : 1U));
    }
    d.acknowledged = d.sent;
  }
  void look() {
    for (auto& d : devices_) {
      if (d.ended) {
        continue;
      }
      must(d.stream.unacknowledged().size() == d.sent - d.acknowledged && d.holds.size() == d.sent - d.acknowledged);
      must(d.stream.sent_count() == static_cast<std::uint32_t>(d.sent));
      must(d.stream.acknowledged() == static_cast<std::uint32_t>(d.acknowledged));
      must(d.stream.handled() == d.handled);
    }
  }
  /// Each message is with a device, or came back once.
  void reckon() {
    for (auto& d : devices_) {
      end(d);
    }
    for (const auto& m : messages_) {
      must(m.held == 0 && (m.taken ? m.lost == 0 : m.lost <= 1));
    }
  }
  device& at(unsigned n) { return devices_.at(n); }

private:
  std::array<device, 2> devices_;
  std::vector<message> messages_;
};

/// xs:unsignedInt by its own words: digits, up to 2^32 - 1.
std::optional<std::uint64_t> number_in(std::optional<std::string_view> text) {
  if (!text || text->empty() || text->find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  std::uint64_t n = 0;
  for (const char c : *text) {
    n = n * 10 + static_cast<unsigned>(c - '0');
    if (n > UINT32_MAX) {
      return std::nullopt;
    }
  }
  return n;
}

void read_element(std::string_view text) {
  static xml::parser parser;
  static const xml::stream_context context{.content_ns = std::string{ns_sm}, .namespaces = {}};
  xml::document d;
  if (!parser.element(text, context, d)) {
    return;
  }
  const auto e = d.root();
  const auto command = read_management(e);
  const auto h = number_in(e.attribute("h"));
  if (const auto* a = std::get_if<management::acknowledge>(&command)) {
    must(e.name() == "a" && h == a->handled);
  } else if (const auto* r = std::get_if<management::resume>(&command)) {
    must(e.name() == "resume" && h == r->handled && !r->previous.empty() && e.attribute("previd") == r->previous);
  } else if (const auto* m = std::get_if<management::malformed>(&command)) {
    must(m->resume ? e.name() == "resume" && (!h || e.attribute("previd").value_or("").empty())
                   : e.name() == "a" && !h);
  } else if (const auto* on = std::get_if<management::enable>(&command)) {
    must(e.name() == "enable" && on->max_seconds == number_in(e.attribute("max")));
    must(begins_count(write_enabled(on->resume ? "id" : "", on->max_seconds)));
  } else {
    must(e.name() != "a" && e.name() != "resume" && e.name() != "enable");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  world w{take_count(input)};
  while (!input.empty()) {
    const auto what = take_byte(input);
    if (what == 0xff) {
      break;
    }
    auto& d = w.at(what & 1U);
    switch ((what >> 1U) % 8U) {
      case 0:
      case 1:
        w.send(d, false);
        break;
      case 2:
        w.send(d, true);
        break;
      case 3:
        if (!d.ended) {
          d.stream.handled_one();
          ++d.handled;
        }
        break;
      case 4:  // any number
        w.acknowledge(d, take_count(input));
        break;
      case 5:  // about what is right
      case 6:
        w.acknowledge(d, static_cast<std::uint32_t>(d.acknowledged + take_byte(input) % 16U - 1U));
        break;
      default:
        w.end(d);
        break;
    }
    w.look();
  }
  w.reckon();
  while (!input.empty()) {
    read_element(take_until(input, '\n'));
  }
  return 0;
}
