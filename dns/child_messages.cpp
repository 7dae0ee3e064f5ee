#include "dns/child_messages.hpp"

#include <algorithm>
#include <concepts>
#include <limits>
#include <utility>

#include "dns/rdata.hpp"

namespace comity::dns::child {
namespace {

// The first byte of each.
enum class kind : std::uint8_t { settings = 1, question, started, refused, answered, note, observed };

constexpr std::uint32_t ttl_least = 5;  // of an answer; THREATS E7
constexpr std::uint32_t ttl_most = 24 * 3600;
constexpr std::uint32_t timeout_most = 3600 * 1000;                 // milliseconds
constexpr std::uint64_t took_most = std::uint64_t{3600} * 1000000;  // microseconds
constexpr std::size_t path_limit = 4096;
constexpr std::size_t v4_bytes = 4;

bool is_text(std::string_view s) {
  return std::ranges::all_of(s, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= ' ' && byte != 0x7f;
  });
}

std::string sentence(std::string_view s) {
  std::string text{s.substr(0, sentence_limit)};
  std::ranges::replace_if(text, [](char c) { return !is_text({&c, 1}); }, '?');
  return text;
}

// --- writing ---------------------------------------------------------------------------------------------------------

class writer {
public:
  explicit writer(kind k) { number(static_cast<std::uint8_t>(k)); }
  template <std::unsigned_integral T>
  void number(T n) {
    for (auto shift = std::numeric_limits<T>::digits; shift != 0;) {
      shift -= 8;
      bytes_ += static_cast<char>(n >> shift);
    }
  }
  template <class Enum>
    requires std::is_enum_v<Enum>
  void word(Enum e) {
    number(static_cast<std::uint8_t>(e));
  }
  void text(std::string_view s) {
    number(static_cast<std::uint16_t>(s.size()));
    bytes_ += s;
  }
  template <class List, class Each>
  void list(const List& all, Each each) {
    number(static_cast<std::uint16_t>(all.size()));
    for (const auto& one : all) {
      each(one);
    }
  }
  void texts(const std::vector<std::string>& all) {
    list(all, [this](const std::string& s) { text(s); });
  }
  [[nodiscard]] std::string take() { return std::move(bytes_); }

private:
  std::string bytes_;
};

/// What no packet can hold is not cut to what its length field can: it is made too long for a packet.
bool countable(const settings& s) {
  const auto fits = [](const std::vector<std::string>& all) {
    return all.size() <= list_limit &&
           std::ranges::all_of(all, [](const std::string& text) { return text.size() <= path_limit; });
  };
  return fits(s.servers) && fits(s.trust_anchors) && fits(s.special_zones) && s.root_hints.size() <= path_limit &&
         s.stubs.size() <= list_limit &&
         std::ranges::all_of(s.stubs, [&](const auto& each) { return fits(each.second) && fits({each.first}); });
}

// --- reading ---------------------------------------------------------------------------------------------------------

/// Reads fields until one is not there, or not right; from then on all of them are empty.
class reader {
public:
  explicit reader(std::span<const std::uint8_t> bytes) : left_{bytes} {}

  template <std::unsigned_integral T>
  T number() {
    T n = 0;
    for (const auto byte : take(sizeof(T))) {
      n = static_cast<T>((n << 8) | byte);
    }
    return n;
  }
  template <std::unsigned_integral T>
  T number(T least, T most) {
    const auto n = number<T>();
    require(n >= least && n <= most);
    return sound_ ? n : least;
  }
  template <class Enum>
  Enum word(std::size_t count) {
    return static_cast<Enum>(number<std::uint8_t>(0, static_cast<std::uint8_t>(count - 1)));
  }
  std::string text(std::size_t most) {
    const auto bytes = take(number<std::uint16_t>(0, static_cast<std::uint16_t>(most)));
    return {bytes.begin(), bytes.end()};
  }
  std::string sentence() {
    auto s = text(sentence_limit);
    require(is_text(s));
    return s;
  }
  /// As folded_name() has it, or "" where that may be.
  std::string name(bool may_be_empty) {
    auto s = text(name_limit);
    require(s.empty() ? may_be_empty : folded_name(s) == s);
    return s;
  }
  template <class Each>
  void list(std::size_t most, Each each) {
    for (auto n = number<std::uint16_t>(0, static_cast<std::uint16_t>(most)); n != 0 && sound_; --n) {
      each();
    }
  }
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    list(list_limit, [&] { all.push_back(text(path_limit)); });
    return all;
  }
  std::span<const std::uint8_t> take(std::size_t size) {
    require(size <= left_.size());
    if (!sound_) {
      return {};
    }
    const auto taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  void require(bool right) noexcept { sound_ = sound_ && right; }
  /// All was right, and nothing is left.
  [[nodiscard]] bool done() const noexcept { return sound_ && left_.empty(); }

private:
  static constexpr std::size_t name_limit = 253;  // RFC 1035 §2.3.4
  std::span<const std::uint8_t> left_;
  bool sound_ = true;
};

void read_records(reader& from, answer& a) {
  constexpr auto all = std::numeric_limits<std::uint16_t>::max();
  switch (a.type) {
    case record_type::a:
    case record_type::aaaa:
      from.list(all, [&] {
        const auto at = address::from_bytes(from.take(a.type == record_type::a ? v4_bytes : 4 * v4_bytes));
        from.require(at.has_value());
        if (at) {
          a.addresses.push_back(*at);
        }
      });
      return;
    case record_type::srv:
      from.list(all, [&] {
        srv_record r;
        r.priority = from.number<std::uint16_t>();
        r.weight = from.number<std::uint16_t>();
        r.port = from.number<std::uint16_t>();
        r.target = from.name(true);
        a.srv.push_back(std::move(r));
      });
      return;
    case record_type::tlsa:
      from.list(all, [&] {
        tlsa_record r;
        r.usage = from.number<std::uint8_t>();
        r.selector = from.number<std::uint8_t>();
        r.matching = from.number<std::uint8_t>();
        r.data = from.text(all);
        a.tlsa.push_back(std::move(r));
      });
      return;
  }
}

/// Whether a resolver gives answers like that: what is bogus is both bogus, what was not learnt proves nothing, records
/// are there exactly where it says so (THREATS E4), and a reason where there is no answer.
bool consistent(const answer& a) {
  const bool records = !a.srv.empty() || !a.addresses.empty() || !a.tlsa.empty();
  if (records != (a.result == outcome::records) || dns::answered(a.result) != a.why.empty()) {
    return false;
  }
  if (a.result == outcome::bogus) {
    return a.security == security::bogus;
  }
  if (!dns::answered(a.result)) {
    return a.security == security::none;
  }
  return a.security != security::bogus && a.ttl.count() >= ttl_least;
}

answer read_answer(reader& from) {
  answer a;
  a.type = from.word<record_type>(record_type_count);
  a.result = from.word<outcome>(outcome_count);
  a.security = from.word<security>(security_count);
  a.why = from.sentence();
  a.canonical_name = from.name(true);
  a.ttl = std::chrono::seconds{from.number<std::uint32_t>(0, ttl_most)};
  a.malformed = from.number<std::uint32_t>();
  read_records(from, a);
  from.require(consistent(a));
  return a;
}

settings read_settings(reader& from) {
  settings s;
  s.servers = from.texts();
  s.root_hints = from.text(path_limit);
  s.trust_anchors = from.texts();
  from.list(list_limit, [&] {
    auto zone = from.text(path_limit);
    from.require(s.stubs.emplace(std::move(zone), from.texts()).second);
  });
  s.special_zones = from.texts();
  s.timeout = std::chrono::milliseconds{from.number<std::uint32_t>(1, timeout_most)};
  return s;
}

observation read_observation(reader& from) {
  observation o{};
  o.type = from.word<record_type>(record_type_count);
  o.result = from.word<outcome>(outcome_count);
  o.security = from.word<security>(security_count);
  o.took = std::chrono::microseconds{from.number<std::uint64_t>(0, took_most)};
  return o;
}

template <class Message>
std::optional<Message> whole(const reader& from, Message m) {
  return from.done() ? std::optional{std::move(m)} : std::nullopt;
}

}  // namespace

std::string encode(const settings& s) {
  if (!countable(s)) {
    return std::string(packet_limit + 1, '\0');
  }
  writer out{kind::settings};
  out.texts(s.servers);
  out.text(s.root_hints);
  out.texts(s.trust_anchors);
  out.list(s.stubs, [&](const auto& each) {
    out.text(each.first);
    out.texts(each.second);
  });
  out.texts(s.special_zones);
  out.number(static_cast<std::uint32_t>(s.timeout.count()));
  return out.take();
}

std::string encode(const question& q) {
  writer out{kind::question};
  out.number(q.id);
  out.word(q.type);
  out.text(q.name);
  return out.take();
}

std::optional<order> read_order(std::span<const std::uint8_t> packet) {
  reader from{packet};
  switch (from.number<std::uint8_t>()) {
    case std::to_underlying(kind::settings): {
      order all = read_settings(from);
      return whole(from, std::move(all));
    }
    case std::to_underlying(kind::question): {
      question q;
      q.id = from.number<std::uint64_t>();
      q.type = from.word<record_type>(record_type_count);
      q.name = from.name(false);
      return whole(from, order{std::move(q)});
    }
    default:
      return std::nullopt;
  }
}

std::string encode(const started& s) {
  writer out{kind::started};
  out.text(sentence(s.confined));
  return out.take();
}

std::string encode(const refused& r) {
  writer out{kind::refused};
  out.text(sentence(r.why));
  return out.take();
}

std::string encode(const answered& message) {
  const auto& a = message.what;
  constexpr std::size_t countable_most = std::numeric_limits<std::uint16_t>::max();
  writer out{kind::answered};
  out.number(message.id);
  out.word(a.type);
  out.word(a.result);
  out.word(a.security);
  out.text(a.why.empty() && !dns::answered(a.result) ? to_string(a.result) : sentence(a.why));
  out.text(a.canonical_name);
  out.number(static_cast<std::uint32_t>(a.ttl.count()));
  out.number(a.malformed);
  const bool fits = std::max({a.addresses.size(), a.srv.size(), a.tlsa.size()}) <= countable_most &&
                    std::ranges::all_of(a.tlsa, [](const auto& r) { return r.data.size() <= countable_most; });
  if (fits) {
    switch (a.type) {
      case record_type::a:
      case record_type::aaaa:
        out.list(a.addresses, [&](const address& at) {
          for (const auto byte : at.bytes()) {
            out.number(byte);
          }
        });
        break;
      case record_type::srv:
        out.list(a.srv, [&](const srv_record& r) {
          out.number(r.priority);
          out.number(r.weight);
          out.number(r.port);
          out.text(r.target);
        });
        break;
      case record_type::tlsa:
        out.list(a.tlsa, [&](const tlsa_record& r) {
          out.number(r.usage);
          out.number(r.selector);
          out.number(r.matching);
          out.text(r.data);
        });
        break;
    }
    if (auto packet = out.take(); packet.size() <= packet_limit) {
      return packet;
    }
  }
  answered failed{.id = message.id, .what = {}};
  failed.what.type = a.type;
  failed.what.why = "the answer is too large";
  return encode(failed);
}

std::string encode(const note& n) {
  writer out{kind::note};
  out.word(n.level);
  out.text(sentence(n.text));
  return out.take();
}

std::string encode(const observation& o) {
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(o.took).count();
  writer out{kind::observed};
  out.word(o.type);
  out.word(o.result);
  out.word(o.security);
  out.number(std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(took, 0)), took_most));
  return out.take();
}

std::optional<report> read_report(std::span<const std::uint8_t> packet) {
  reader from{packet.first(std::min(packet.size(), packet_limit + 1))};
  from.require(packet.size() <= packet_limit);
  switch (from.number<std::uint8_t>()) {
    case std::to_underlying(kind::started): {
      report r = started{from.sentence()};
      return whole(from, std::move(r));
    }
    case std::to_underlying(kind::refused): {
      report r = refused{from.sentence()};
      return whole(from, std::move(r));
    }
    case std::to_underlying(kind::answered): {
      answered a;
      a.id = from.number<std::uint64_t>();
      a.what = read_answer(from);
      return whole(from, report{std::move(a)});
    }
    case std::to_underlying(kind::note): {
      note n;
      n.level = from.word<note_level>(note_level_count);
      n.text = from.sentence();
      return whole(from, report{std::move(n)});
    }
    case std::to_underlying(kind::observed): {
      report r = read_observation(from);
      return whole(from, std::move(r));
    }
    default:
      return std::nullopt;
  }
}

}  // namespace comity::dns::child
