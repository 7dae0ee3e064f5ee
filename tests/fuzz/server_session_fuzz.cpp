// A whole stream between servers, from either end, under a peer that says anything: no flow is authorised that nothing
// vouches for, no stanza taken that no flow covers, nothing done in clear but TLS, nothing said that is not
// well-formed, and nothing after the end (H04–H07, J01–J03, L01, L02; THREATS B2, D1, D4, D5).
//
// Input: one byte that chooses end, method and both ways; then the peer's bytes, in which NUL and a letter stand for
// what happens otherwise, as listed in happens().
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/negotiation/initiator.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "connection/s2s/features.hpp"
#include "connection/transport/part_reader.hpp"

namespace {

using namespace comity;
using namespace comity::connection;

void must(bool holds) {
  if (!holds) {
    std::abort();
  }
}

constexpr std::string_view our_secret = "secret";
const domain_flow initial{.sender = "example.org", .target = "peer.example"};

domain_rules rules() {
  return {.hosts = [](std::string_view d) { return d == "example.org" || d == "example.net"; },
          .allows = [](std::string_view d) { return d != "enemy.example"; }};
}

/// What we say must be an XML stream, whatever the peer said.
class listener_to_us final : public part_taker {
public:
  void hear(const std::string& bytes) {
    if (bytes.starts_with("<?xml")) {
      reader_ = part_reader{{.stanza_bytes = 1U << 20U}};
      open_ = true;
      closed_ = false;
    }
    must(!closed_);
    must(reader_.feed(bytes, parser_, document_, *this) == bytes.size());
  }
  void forget() { open_ = false; }
  /// Nothing is left open.
  [[nodiscard]] bool content() const { return !open_ || closed_; }

private:
  [[nodiscard]] bool takes_parts() const override { return true; }
  void take_header(xml::stream_header&&) override {}
  void take_element(xml::document&) override {}
  void take_close() override { closed_ = true; }
  void take_fault(stream_condition, bool) override { std::abort(); }

  part_reader reader_{{}};
  xml::parser parser_;
  xml::document document_;
  bool open_ = false;
  bool closed_ = false;
};

template <typename Machine, typename Event>
class session final : public part_taker {
public:
  session(Machine machine, bool direct) : machine_{std::move(machine)}, tls_due_{direct} {
    if constexpr (initiating) {
      perform(machine_.start());
    }
  }

  void run(std::string_view input) {
    while (!input.empty() && !ended_) {
      const auto at = std::min(input.find('\0'), input.size());
      waiting_ += input.substr(0, at);
      read();
      input.remove_prefix(at);
      if (input.size() >= 2) {
        happens(input[1]);
        read();
      }
      input.remove_prefix(std::min<std::size_t>(input.size(), 2));
    }
  }

private:
  static constexpr bool initiating = std::is_same_v<Machine, initiator>;

  void read() {
    while (!waiting_.empty() && takes_parts()) {
      const auto bytes = std::exchange(waiting_, {});
      const auto used = reader_.feed(bytes, parser_, document_, *this);
      waiting_ = bytes.substr(used);
      if (tls_due_ && !waiting_.empty()) {
        waiting_.clear();
        tls_due_ = false;
        drive(event::tls_refused{});
      }
    }
  }

  void happens(char what) {
    switch (what) {
      case 't':
        if (tls_due_) {
          tls_due_ = false;
          encrypted_ = true;
          drive(event::tls_done{});
        }
        return;
      case 'f':
        if (tls_due_) {
          drive(event::tls_failed{});
        }
        return;
      case 'y':  // what the peer's certificate is worth: everything, nothing, or dialback
        return judge({trust::accepted{proof::pkix}, "y"});
      case 'n':
        return judge({trust::refused{cause::cert_untrusted}, "n"});
      case 'd':
        return judge({trust::needs_dialback{}, "d"});
      case 'v':  // what the sender's own server says of a key
        return verified(true);
      case 'i':
        return verified(false);
      case 'e':
        return verified(std::unexpected{stanza_condition::remote_server_not_found});
      case 'o':
        return drive(event::timed_out{});
      case 'x':
        return drive(event::gone{});
      case 'q':
        return drive(event::dismissed{});
      case 'l':
        return drive(event::dismissed{.condition = {}, .text = {}});
      default:
        break;
    }
    if constexpr (initiating) {
      if (what == 'c' && verified_) {
        verified_ = false;
        drive(event::chosen{});
      } else if (what == 'w' && established_) {
        wanted_.insert({.sender = "example.net", .target = "peer.example"});
        drive(event::wants_flow{{.sender = "example.net", .target = "peer.example"}});
      } else if (what == 'W' && established_) {
        wanted_.insert({.sender = "example.org", .target = "rooms.peer.example"});
        drive(event::wants_flow{{.sender = "example.org", .target = "rooms.peer.example"}});
      } else if (what == 'k') {
        ++keys_;
        drive(event::verify{{reversed(initial), "id", "key"}});
      }
    }
  }

  void judge(const trust::verdict& v) {
    if (judging_) {
      judging_ = false;
      if constexpr (initiating) {
        return drive(event::judged{v});
      }
    }
    if (!proofs_.empty()) {
      auto flow = std::move(proofs_.front());
      proofs_.erase(proofs_.begin());
      if (v.accepted()) {
        vouched_.insert(flow);
      }
      drive(event::answered{peer_proof{std::move(flow), v}});
    }
  }
  void verified(std::expected<bool, stanza_condition> valid) {
    if (!questions_.empty()) {
      auto key = std::move(questions_.front());
      questions_.erase(questions_.begin());
      if (valid && *valid) {
        vouched_.insert(key.flow);
      }
      drive(event::answered{key_verdict{std::move(key.flow), std::move(key.stream_id), valid}});
    }
  }

  // part_taker
  [[nodiscard]] bool takes_parts() const override { return !machine_.paused() && !machine_.ended() && !tls_due_; }
  void take_header(xml::stream_header&& h) override { drive(event::header{std::move(h)}); }
  void take_element(xml::document& d) override { drive(event::element{d.root()}); }
  void take_close() override { drive(event::peer_closed{}); }
  void take_fault(stream_condition condition, bool too_big) override { drive(event::broken{condition, too_big}); }

  void drive(Event happened) { perform(machine_.on(std::move(happened))); }
  template <typename Actions>
  void perform(Actions actions) {
    for (auto& a : actions) {
      must(!ended_);
      std::visit([this](auto& act) { this->act_on(act); }, a);
    }
    must(machine_.ended() == ended_);
  }
  void act_on(action::send& a) { us_.hear(a.bytes); }
  void act_on(action::start_tls& a) {
    must(!encrypted_);
    if (!a.proceed.empty()) {
      us_.hear(a.proceed);
    }
    tls_due_ = true;
  }
  void act_on(action::restart_stream&) {
    must(encrypted_);
    reader_.restart();
    us_.forget();
  }
  void act_on(action::ask& a) {
    must(encrypted_ && ++asked_ <= 2 * dialback::requests_allowed + 1);
    if (auto* who = std::get_if<prove_peer>(&a.question)) {
      proofs_.push_back(std::move(who->flow));
    } else {
      questions_.push_back(std::move(std::get<verify_key>(a.question)));
    }
  }
  void act_on(action::judge&) { judging_ = encrypted_; }
  void act_on(action::verified&) {
    must(encrypted_);
    verified_ = true;
  }
  void act_on(action::refused&) {}
  void act_on(action::ignored&) {}
  void act_on(action::authenticated&) { must(encrypted_); }
  void act_on(action::established&) { std::abort(); }
  void act_on(action::flow_authorised& a) {
    must(encrypted_ && a.by != proof::none);
    established_ = true;
    const auto& facts = machine_.facts();
    if constexpr (initiating) {
      const bool ours = a.flow == initial || wanted_.contains(a.flow);
      must(ours || (facts.bidi && vouched_.contains(reversed(a.flow))));
      must(machine_.authorised().contains(a.flow));
    } else {
      must(vouched_.contains(a.flow) && facts.flows.contains(a.flow));
      must(facts.flows.size() <= dialback::requests_allowed + 1);
    }
  }
  void act_on(action::flow_refused& a) { must(a.flow == initial || wanted_.contains(a.flow)); }
  void act_on(action::key_verified&) { must(keys_-- > 0); }
  void act_on(action::received& a) {
    const auto& facts = machine_.facts();
    must(established_ && (!initiating || facts.bidi));
    bool sends = false;
    for (const auto& f : facts.flows) {
      sends |= f.sender == a.from.domainpart() && (a.refusal || f.target == a.to.domainpart());
    }
    must(sends);
  }
  void act_on(action::finish& a) {
    ended_ = true;
    must(a.abrupt || us_.content());
    must(keys_ == 0);
  }

  Machine machine_;
  part_reader reader_{{.stanza_bytes = 10000, .depth = 16, .elements = 64}};
  xml::parser parser_;
  xml::document document_;
  listener_to_us us_;
  std::string waiting_;
  std::vector<domain_flow> proofs_;    // asked about, not answered
  std::vector<verify_key> questions_;  // likewise
  domain_flows vouched_;               // by a certificate or by the sender's own server
  domain_flows wanted_;
  unsigned asked_ = 0;
  int keys_ = 0;
  bool tls_due_;
  bool encrypted_ = false;
  bool judging_ = false;
  bool verified_ = false;
  bool established_ = false;
  bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  static metrics_cell metrics;
  const bool initiating = (data[0] & 1U) != 0;
  const bool direct = (data[0] & 2U) != 0;
  const bool both_ways = (data[0] & 4U) != 0;
  const std::string_view input{reinterpret_cast<const char*>(data) + 1, size - 1};
  const route way{scope::s2s, initiating ? direction::outbound : direction::inbound,
                  direct ? method::direct_tls : method::starttls};
  if (initiating) {
    initiator machine{{.flow = initial,
                       .dialback_secret = our_secret,
                       .domains = rules(),
                       .metrics = metrics,
                       .limits = {},
                       .bidi = both_ways},
                      way};
    session<initiator, initiator_event>{std::move(machine), direct}.run(input);
    return 0;
  }
  stream_facts facts;
  facts.route = way;
  negotiator machine{{.content_ns = xml::ns_server,
                      .features = s2s_features({.metrics = metrics,
                                                .dialback_secret = our_secret,
                                                .domains = rules(),
                                                .limits = {.max_bytes = 10000, .idle_seconds = 600}}),
                      .hosts = rules().hosts,
                      .default_domain = "example.org",
                      .new_stream_id = [] { return "id"; },
                      .allows = rules().allows},
                     std::move(facts)};
  session<negotiator, negotiation_event>{std::move(machine), direct}.run(input);
  return 0;
}
