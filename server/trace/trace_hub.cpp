#include "server/trace/trace_hub.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>

#include "connection/connection_info.hpp"
#include "server/log_line.hpp"
#include "server/trace/masked.hpp"

namespace comity::trace {

namespace {

using json = nlohmann::json;

/// Connections that are known to be the party's; beyond that the oldest are found again by their names.
constexpr std::size_t connections_most = 4096;
/// Fields of events that say whose they are.
constexpr std::array<std::string_view, 5> names{"peer", "local", "user", "domain", "host"};

std::string_view word_of(way w) {
  return w == way::in ? "in" : "out";
}

/// The value of an attribute of the first start tag.
std::string_view attribute(std::string_view xml, std::string_view name) {
  const auto tag = xml.substr(0, xml.find('>'));
  for (auto at = tag.find(name); at != std::string_view::npos; at = tag.find(name, at + 1)) {
    const auto quote = at + name.size() + 1;
    if (at != 0 && tag[at - 1] == ' ' && quote < tag.size() && tag[quote - 1] == '=') {
      const auto end = tag.find(tag[quote], quote + 1);
      return end == std::string_view::npos ? std::string_view{} : tag.substr(quote + 1, end - quote - 1);
    }
  }
  return {};
}

const std::string_view* text_of(const log::field& f) {
  return std::get_if<std::string_view>(&f.value);
}

std::optional<std::uint64_t> connection_of(std::span<const log::field> fields) {
  for (const auto& f : fields) {
    if (const auto* number = std::get_if<std::int64_t>(&f.value); f.name == "conn" && number != nullptr) {
      return static_cast<std::uint64_t>(*number);
    }
  }
  return std::nullopt;
}

}  // namespace

struct trace_hub::follower {
  /// Whether `name`, a domain or a JID, is the party or belongs to it.
  [[nodiscard]] bool is_party(std::string_view name) const {
    if (name.empty()) {
      return false;
    }
    const auto who = jid::parse(name);
    if (!who) {
      return false;
    }
    const auto& party = what.party;
    return party.has_resource()    ? *who == party
           : party.has_localpart() ? who->bare_text() == party.text()
                                   : who->domainpart() == party.domainpart();
  }

  bool take_connection(std::uint64_t conn, bool by_name) {
    if (by_name && connections.insert(conn).second && connections.size() > connections_most) {
      connections.erase(connections.begin());
    }
    return by_name || connections.contains(conn);
  }

  /// False where nobody is there any more.
  bool say(std::string line) {
    if (lost != 0) {
      const auto fate = to->tell(what.as_json ? json{{"dropped", lost}}.dump()
                                              : json(fmt::format("… {} dropped: they came faster than they were read\n",
                                                                 lost == 1 ? "1 line" : fmt::format("{} lines", lost)))
                                                    .dump());
      if (fate != admin::progress::fate::taken) {
        ++lost;
        return fate != admin::progress::fate::gone;
      }
      lost = 0;
    }
    const auto fate = to->tell(std::move(line));
    lost += fate == admin::progress::fate::full ? 1 : 0;
    return fate != admin::progress::fate::gone;
  }

  std::uint64_t number = 0;
  wish what;
  admin::progress_ref to;
  std::set<std::uint64_t> connections;
  std::uint64_t lost = 0;
};

trace_hub::trace_hub() = default;
trace_hub::~trace_hub() = default;

std::uint64_t trace_hub::follow(wish what, admin::progress_ref to) {
  const std::lock_guard hold{lock_};
  auto made = std::make_unique<follower>();
  made->number = ++last_;
  made->what = std::move(what);
  made->to = std::move(to);
  followers_.push_back(std::move(made));
  active_.store(true, std::memory_order_relaxed);
  return last_;
}

void trace_hub::stop(std::uint64_t number) {
  const std::lock_guard hold{lock_};
  std::erase_if(followers_, [number](const auto& f) { return f->number == number; });
  active_.store(!followers_.empty(), std::memory_order_relaxed);
}

void trace_hub::clear() {
  const std::lock_guard hold{lock_};
  followers_.clear();
  active_.store(false, std::memory_order_relaxed);
}

template <typename Concerns, typename Line>
void trace_hub::tell(Concerns concerns, Line line) noexcept {
  try {
    const std::lock_guard hold{lock_};
    std::erase_if(followers_, [&](const auto& f) { return concerns(*f) && !f->say(line(*f)); });
    active_.store(!followers_.empty(), std::memory_order_relaxed);
  } catch (const std::exception&) {  // out of memory: the stream goes on, and who follows hears of the loss
    const std::lock_guard hold{lock_};
    std::ranges::for_each(followers_, [](const auto& f) { ++f->lost; });
  }
}

void trace_hub::part(const connection::connection_info& of, way w, std::string_view xml) noexcept {
  tell(
      [&](follower& f) {
        const bool its_own = f.take_connection(of.ref.id, f.is_party(of.peer) || f.is_party(of.domain));
        return its_own || f.is_party(attribute(xml, "from")) || f.is_party(attribute(xml, "to"));
      },
      [&](follower& f) {
        const auto shown = masked(xml, {.bodies = f.what.bodies});
        const auto now = timestamp(std::chrono::system_clock::now());
        if (f.what.as_json) {
          return json{{"time", now},
                      {"way", word_of(w)},
                      {"conn", of.ref.id},
                      {"peer", of.peer},
                      {"scope", to_string(of.route.scope)},
                      {"direction", to_string(of.route.direction)},
                      {"method", to_string(of.route.method)},
                      {"xml", shown}}
              .dump(-1, ' ', false, json::error_handler_t::replace);
        }
        return json(fmt::format("{} {:<5} conn={} {}\n", now, word_of(w), of.ref.id, shown)).dump();
      });
}

void trace_hub::event(log::level l, std::string_view name, std::initializer_list<log::field> fields) noexcept {
  const std::span<const log::field> all{fields.begin(), fields.size()};
  const auto conn = connection_of(all);
  tell(
      [&](follower& f) {
        const bool named = std::ranges::any_of(all, [&](const log::field& each) {
          return std::ranges::find(names, each.name) != names.end() && text_of(each) != nullptr &&
                 f.is_party(*text_of(each));
        });
        return conn ? f.take_connection(*conn, named) : named;
      },
      [&](follower& f) {
        auto line = log_line(f.what.as_json ? config::log_format::json : config::log_format::text,
                             std::chrono::system_clock::now(), l, name, all);
        if (!f.what.as_json) {
          return json(std::move(line)).dump(-1, ' ', false, json::error_handler_t::replace);
        }
        line.pop_back();  // its end
        return line;
      });
}

}  // namespace comity::trace
