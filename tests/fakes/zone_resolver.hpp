// tests/fakes/zone_resolver.hpp: a resolver that answers from a zone in a string, at once or when told to.
//
// A line is a record, "NAME TYPE DATA…" with A, AAAA, SRV, TLSA or CNAME, all names absolute, or a mark: "!secure
// NAME",
// "!insecure NAME" for a name and all below it (the longest counts; unmarked is insecure), and "!bogus NAME [TYPE]",
// "!servfail NAME [TYPE]", "!timeout NAME [TYPE]", "!silent NAME [TYPE]" for the name alone, the last one never
// answered. ";" begins a comment. What is wrong with the zone is thrown.
//
//   !secure example.org
//   _xmpp-server._tcp.example.org SRV 5 10 5269 xmpp.example.org
//   xmpp.example.org A 192.0.2.1
//   !bogus xmpp.example.org AAAA
//
// Any thread, as every resolver.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dns/reply.hpp"
#include "dns/resolver.hpp"
#include "dns/service_lookup.hpp"

namespace comity::fakes {

class zone_resolver final : public dns::resolver {
public:
  explicit zone_resolver(std::string_view zone) { this->zone(zone); }

  /// Replaces the zone for lookups to come.
  void zone(std::string_view text);

  /// From now on nothing is answered but by answer_next(), answer() and answer_all().
  void hold() {
    const std::lock_guard lock{mutex_};
    held_ = true;
  }
  /// Answers what is held, and from now on at once.
  void release() {
    {
      const std::lock_guard lock{mutex_};
      held_ = false;
    }
    answer_all();
  }
  /// Answers the lookup that has waited longest. False where there is none.
  bool answer_next();
  /// Answers the lookups of that name and type. False where there is none.
  bool answer(std::string_view name, dns::record_type);
  void answer_all() {
    while (answer_next()) {
    }
  }

  /// All that was asked, in order.
  [[nodiscard]] std::vector<dns::query> asked() const {
    const std::lock_guard lock{mutex_};
    return asked_;
  }
  [[nodiscard]] std::size_t count(std::string_view name, dns::record_type) const;

  [[nodiscard]] dns::ticket lookup(std::string name, dns::record_type, dns::executor run_on, completion done) override;

private:
  enum class mark : std::uint8_t { secure, insecure, bogus, servfail, timeout, silent };
  struct record {
    std::string type;  // as written
    std::string data;
  };
  struct waiting {
    dns::query asked;
    dns::reply answer_by;
  };

  void read_line(std::string_view line);
  [[nodiscard]] dns::answer answer_to(const dns::query&) const;
  [[nodiscard]] dns::security security_of(std::string_view name) const;
  [[nodiscard]] const mark* marked(const std::string& name, dns::record_type) const;
  [[nodiscard]] bool exists(std::string_view name) const;
  void answer_by(const dns::reply&, const dns::query&) const;

  mutable std::mutex mutex_;
  bool held_ = false;
  std::multimap<std::string, record, std::less<>> records_;
  std::map<std::string, mark, std::less<>> zones_;                               // secure and insecure
  std::map<std::pair<std::string, std::string>, mark, std::less<>> exceptions_;  // (name, type or "")
  std::vector<dns::query> asked_;
  std::deque<waiting> waiting_;
};

}  // namespace comity::fakes
