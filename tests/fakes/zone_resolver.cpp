#include "fakes/zone_resolver.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace comity::fakes {
namespace {

using dns::outcome;
using dns::record_type;
using dns::security;

/// As the resolver compares names: in lower case, without the dot at the end.
std::string folded(std::string_view name) {
  std::string result{name};
  std::ranges::transform(result, result.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  if (result.ends_with('.')) {
    result.pop_back();
  }
  return result;
}

bool below(std::string_view name, std::string_view zone) {
  return zone.empty() || name == zone ||
         (name.size() > zone.size() && name.ends_with(zone) && name[name.size() - zone.size() - 1] == '.');
}

std::vector<std::string> words(std::string_view line) {
  std::istringstream in{std::string{line}};
  std::vector<std::string> result;
  for (std::string word; in >> word;) {
    result.push_back(word);
  }
  return result;
}

[[noreturn]] void wrong(std::string_view line) {
  throw std::invalid_argument("zone: " + std::string{line});
}

template <class Number>
Number number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) {
    wrong(text);
  }
  return value;
}

void add(dns::answer& to, const std::string& data) {
  const auto part = words(data);
  const auto need = [&](std::size_t count) {
    if (part.size() != count) {
      wrong(data);
    }
  };
  switch (to.type) {
    case record_type::a:
    case record_type::aaaa: {
      need(1);
      const auto at = dns::address::parse(part[0]);
      if (!at || at->v4() != (to.type == record_type::a)) {
        wrong(data);
      }
      to.addresses.push_back(*at);
      return;
    }
    case record_type::srv:
      need(4);
      to.srv.push_back({number<std::uint16_t>(part[0]), number<std::uint16_t>(part[1]), number<std::uint16_t>(part[2]),
                        folded(part[3])});
      return;
    case record_type::tlsa: {
      need(4);
      std::string bytes;
      for (std::size_t i = 0; i + 1 < part[3].size(); i += 2) {
        bytes.push_back(static_cast<char>(number<std::uint8_t>(std::string_view{part[3]}.substr(i, 2), 16)));
      }
      to.tlsa.push_back({number<std::uint8_t>(part[0]), number<std::uint8_t>(part[1]), number<std::uint8_t>(part[2]),
                         std::move(bytes)});
      return;
    }
  }
}

}  // namespace

void zone_resolver::zone(std::string_view text) {
  const std::lock_guard lock{mutex_};
  records_.clear();
  zones_.clear();
  exceptions_.clear();
  std::istringstream in{std::string{text}};
  for (std::string line; std::getline(in, line);) {
    read_line(std::string_view{line}.substr(0, line.find(';')));
  }
}

void zone_resolver::read_line(std::string_view line) {
  static const std::map<std::string, mark, std::less<>> marks{
      {"!secure", mark::secure},     {"!insecure", mark::insecure}, {"!bogus", mark::bogus},
      {"!servfail", mark::servfail}, {"!timeout", mark::timeout},   {"!silent", mark::silent}};
  static constexpr std::array<std::string_view, 5> types{"A", "AAAA", "SRV", "TLSA", "CNAME"};  // as record_type
  const auto part = words(line);
  if (part.empty()) {
    return;
  }
  if (part.size() < 2) {
    wrong(line);
  }
  if (const auto found = marks.find(part[0]); found != marks.end()) {
    const bool of_zone = found->second == mark::secure || found->second == mark::insecure;
    if (part.size() > (of_zone ? 2U : 3U) || (part.size() == 3 && std::ranges::count(types, part[2]) == 0)) {
      wrong(line);
    }
    if (of_zone) {
      zones_[folded(part[1])] = found->second;
    } else {
      exceptions_[{folded(part[1]), part.size() == 3 ? part[2] : ""}] = found->second;
    }
    return;
  }
  if (part.size() < 3 || std::ranges::count(types, part[1]) == 0) {
    wrong(line);
  }
  std::string data = part[2];
  for (std::size_t i = 3; i < part.size(); ++i) {
    data += " " + part[i];
  }
  if (part[1] != "CNAME") {
    dns::answer trial;
    trial.type = static_cast<record_type>(std::ranges::find(types, part[1]) - types.begin());
    add(trial, data);
  }
  records_.emplace(folded(part[0]), record{part[1], data});
}

security zone_resolver::security_of(std::string_view name) const {
  std::optional<std::string_view> longest;
  mark said = mark::insecure;
  for (const auto& [zone, m] : zones_) {
    if (below(name, zone) && (!longest || zone.size() > longest->size())) {
      longest = zone;
      said = m;
    }
  }
  return said == mark::secure ? security::secure : security::insecure;
}

const zone_resolver::mark* zone_resolver::marked(const std::string& name, record_type type) const {
  for (const auto& of : {std::string{to_string(type)}, std::string{}}) {
    if (const auto found = exceptions_.find({name, of}); found != exceptions_.end()) {
      return &found->second;
    }
  }
  return nullptr;
}

bool zone_resolver::exists(std::string_view name) const {
  return std::ranges::any_of(records_, [&](const auto& r) { return below(r.first, name); });
}

dns::answer zone_resolver::answer_to(const dns::query& q) const {
  dns::answer result;
  result.type = q.type;
  result.ttl = std::chrono::seconds{60};
  result.security = security::secure;
  result.canonical_name = folded(q.name);
  const auto failed = [&](outcome o, std::string why) {
    result.result = o;
    result.why = std::move(why);
    result.security = o == outcome::bogus ? security::bogus : security::none;
    return result;
  };
  for (int aliases = 0;; ++aliases) {
    std::string& name = result.canonical_name;
    if (aliases > 11) {
      return failed(outcome::servfail, "too many aliases");
    }
    if (const mark* m = marked(name, q.type)) {
      switch (*m) {
        case mark::bogus:
          return failed(outcome::bogus, "validation failure <" + name + ">");
        case mark::servfail:
          return failed(outcome::servfail, "SERVFAIL");
        case mark::timeout:
          return failed(outcome::timeout, "no answer in time");
        case mark::silent:
        case mark::secure:
        case mark::insecure:
          break;
      }
    }
    result.security = std::max(result.security, security_of(name));
    const auto [begin, end] = records_.equal_range(name);
    for (auto i = begin; i != end; ++i) {
      if (i->second.type == to_string(q.type)) {
        add(result, i->second.data);
        result.result = outcome::records;
      }
    }
    if (result.result == outcome::records) {
      return result;
    }
    const auto alias = std::find_if(begin, end, [](const auto& r) { return r.second.type == "CNAME"; });
    if (alias == end) {
      result.result = exists(name) ? outcome::nodata : outcome::nxdomain;
      return result;
    }
    name = folded(alias->second.data);
  }
}

void zone_resolver::answer_by(const dns::reply& to, const dns::query& q) const {
  if (const mark* m = marked(folded(q.name), q.type); m == nullptr || *m != mark::silent) {
    to(std::make_shared<const dns::answer>(answer_to(q)));
  }
}

dns::ticket zone_resolver::lookup(std::string name, record_type type, dns::executor run_on, completion done) {
  dns::asked asked{std::move(run_on), std::move(done)};
  const dns::query q{folded(name), type};
  const std::lock_guard lock{mutex_};
  asked_.push_back(q);
  if (held_) {
    waiting_.push_back({q, asked.answer_by()});
  } else {
    answer_by(asked.answer_by(), q);
  }
  return asked.take_ticket();
}

bool zone_resolver::answer_next() {
  const std::lock_guard lock{mutex_};
  if (waiting_.empty()) {
    return false;
  }
  answer_by(waiting_.front().answer_by, waiting_.front().asked);
  waiting_.pop_front();
  return true;
}

bool zone_resolver::answer(std::string_view name, record_type type) {
  const std::lock_guard lock{mutex_};
  const dns::query wanted{folded(name), type};
  return std::erase_if(waiting_, [&](const waiting& w) {
           if (w.asked != wanted) {
             return false;
           }
           answer_by(w.answer_by, w.asked);
           return true;
         }) != 0;
}

std::size_t zone_resolver::count(std::string_view name, record_type type) const {
  const std::lock_guard lock{mutex_};
  return static_cast<std::size_t>(std::ranges::count(asked_, dns::query{folded(name), type}));
}

}  // namespace comity::fakes
