// tests/fakes/server_world.hpp: servers that talk to each other in memory, through their real machines, framers and
// parsers; only sockets, TLS, certificates and DNS are made up.
//
// A server hosts domains, has a dialback secret, and judges the certificates of others by a table. A verification of a
// key opens a stream of its own to the sender's server, as drivers do. Bytes travel in pieces of any size, and any
// stream can be cut after any number of them. run() goes on until nothing moves.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/negotiation/bidi.hpp"
#include "connection/negotiation/initiator.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "connection/s2s/features.hpp"
#include "connection/transport/part_reader.hpp"

namespace comity::fakes {

namespace cn = comity::connection;

struct server {
  std::set<std::string, std::less<>> domains;
  std::string secret;
  bool offers_bidi = true;
  bool wants_bidi = true;
  /// What it makes of the certificate that a remote domain shows; PKIX where nothing is said.
  std::map<std::string, cn::trust::verdict, std::less<>> verdicts;

  [[nodiscard]] cn::trust::verdict verdict_of(const std::string& domain) const {
    const auto found = verdicts.find(domain);
    return found != verdicts.end() ? found->second
                                   : cn::trust::verdict{cn::trust::accepted{cn::proof::pkix}, "by default"};
  }
  [[nodiscard]] cn::domain_rules rules() const {
    return {.hosts = [this](std::string_view d) { return domains.contains(d); },
            .allows = [](std::string_view) { return true; }};
  }
};

class server_world;

/// One end of a stream: a driver without sockets.
template <typename Machine, typename Event>
class stream_end : public cn::part_taker {
public:
  stream_end(server_world& world, const server& self, Machine machine, bool direct)
      : world_{world}, self_{self}, machine_{std::move(machine)}, reader_{{.stanza_bytes = 10000}}, tls_due_{direct} {}

  void drive(Event happened) { perform(machine_.on(std::move(happened))); }
  void take_bytes(std::string_view bytes) {
    in_ += bytes;
    work();
  }
  /// Goes on with bytes that had to wait.
  void work();
  [[nodiscard]] bool idle() const { return out_.empty() && events_.empty(); }
  void handle_events() {
    while (!events_.empty()) {
      auto next = std::move(events_.front());
      events_.pop_front();
      drive(next());
    }
    work();
  }
  void later(std::function<Event()> event) { events_.push_back(std::move(event)); }
  void say(const std::string& bytes) { out_ += bytes; }

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] const server& self() const { return self_; }
  [[nodiscard]] std::string take_output(std::size_t most) {
    auto taken = out_.substr(0, most);
    out_.erase(0, taken.size());
    return taken;
  }
  [[nodiscard]] bool tls_due() const { return tls_due_; }
  void tls_done() {
    tls_due_ = false;
    drive(cn::event::tls_done{{"exporter", "end-point", {}}});
    work();
  }

  std::vector<cn::action::flow_authorised> authorised;
  std::vector<cn::action::flow_refused> refused_flows;
  std::vector<std::string> received;  // "from to id"
  std::optional<cn::action::finish> finished;
  bool chosen_when_verified = true;

protected:
  // part_taker
  [[nodiscard]] bool takes_parts() const override { return !machine_.paused() && !machine_.ended() && !tls_due_; }
  void take_header(xml::stream_header&& header) override { drive(cn::event::header{std::move(header)}); }
  void take_element(xml::document& document) override {
    id_ = std::string{document.root().attribute("id").value_or("")};
    drive(cn::event::element{document.root()});
  }
  void take_close() override { drive(cn::event::peer_closed{}); }
  void take_fault(stream_condition condition, bool too_big) override { drive(cn::event::broken{condition, too_big}); }

  template <typename Actions>
  void perform(Actions actions) {
    for (auto& a : actions) {
      EXPECT_FALSE(finished) << "an action behind the last one";
      std::visit([this](auto& act) { this->act_on(act); }, a);
    }
  }
  void act_on(cn::action::send& a) { out_ += a.bytes; }
  void act_on(cn::action::start_tls& a) {
    out_ += a.proceed;
    tls_due_ = true;
  }
  void act_on(cn::action::restart_stream&) { reader_.restart(); }
  void act_on(cn::action::ask& a);
  void act_on(cn::action::judge&) {
    if constexpr (std::is_same_v<Machine, cn::initiator>) {
      later([this] { return cn::event::judged{self_.verdict_of(machine_.facts().peer_domain)}; });
    }
  }
  void act_on(cn::action::verified&) {
    if constexpr (std::is_same_v<Machine, cn::initiator>) {
      if (chosen_when_verified) {
        later([] { return cn::event::chosen{}; });
      }
    }
  }
  void act_on(cn::action::refused&) {}
  void act_on(cn::action::ignored&) {}
  void act_on(cn::action::authenticated&) {}
  void act_on(cn::action::established&) { ADD_FAILURE() << "a server that binds a resource"; }
  void act_on(cn::action::flow_authorised& a) { authorised.push_back(a); }
  void act_on(cn::action::flow_refused& a) { refused_flows.push_back(a); }
  void act_on(cn::action::key_verified& a);
  void act_on(cn::action::received& a) { received.push_back(a.from.text() + " " + a.to.text() + " " + id_); }
  void act_on(cn::action::finish& a) { finished = a; }

private:
  server_world& world_;
  const server& self_;
  Machine machine_;
  cn::part_reader reader_;
  xml::parser parser_;
  xml::document document_;
  bool tls_due_;
  std::string in_, out_;
  std::string id_;  // of the element at hand
  std::deque<std::function<Event()>> events_;
};

using initiating_end = stream_end<cn::initiator, cn::initiator_event>;
using receiving_end = stream_end<cn::negotiator, cn::negotiation_event>;

/// A connection between two servers.
struct server_link {
  server_link(server_world& world, const server& from, const server& to, const cn::domain_flow& flow, cn::method method)
      : a{world, from, initiator_of(from, flow, method), method == cn::method::direct_tls},
        b{world, to, negotiator_of(to, method), method == cn::method::direct_tls} {
    for (auto& first : a.machine().start()) {
      a.say(std::get<cn::action::send>(first).bytes);
    }
  }
  static cn::initiator initiator_of(const server& from, const cn::domain_flow& flow, cn::method method) {
    return {{.flow = flow,
             .dialback_secret = from.secret,
             .domains = from.rules(),
             .metrics = metrics(),
             .limits = {.max_bytes = 10000, .idle_seconds = {}},
             .bidi = from.wants_bidi},
            {cn::scope::s2s, cn::direction::outbound, method}};
  }
  static cn::negotiator negotiator_of(const server& to, cn::method method) {
    auto features = cn::s2s_features({.metrics = metrics(),
                                      .dialback_secret = to.secret,
                                      .domains = to.rules(),
                                      .limits = {.max_bytes = 10000, .idle_seconds = {}}});
    if (!to.offers_bidi) {
      std::erase_if(features, [](const auto& f) { return dynamic_cast<const cn::bidi*>(f.get()) != nullptr; });
    }
    static unsigned ids = 0;
    cn::stream_facts facts;
    facts.route = {cn::scope::s2s, cn::direction::inbound, method};
    return {{.content_ns = xml::ns_server,
             .features = std::move(features),
             .hosts = to.rules().hosts,
             .default_domain = *to.domains.begin(),
             .new_stream_id = [] { return "stream-" + std::to_string(++ids); },
             .allows = to.rules().allows},
            std::move(facts)};
  }
  static cn::metrics_cell& metrics() {
    static cn::metrics_cell cell;
    return cell;
  }

  initiating_end a;
  receiving_end b;
  std::size_t bytes_left = std::string::npos;  // until the connection is cut
  bool cut = false;
};

class server_world {
public:
  explicit server_world(std::size_t piece = std::string::npos) : piece_{piece} {}

  server& add(std::set<std::string, std::less<>> domains, std::string secret) {
    auto& added = *servers_.emplace_back(std::make_unique<server>());
    added.domains = std::move(domains);
    added.secret = std::move(secret);
    return added;
  }
  server_link& connect(const server& from, const cn::domain_flow& flow, cn::method method) {
    return *links_.emplace_back(std::make_unique<server_link>(*this, from, home_of(flow.target), flow, method));
  }
  /// Opens a stream to the authoritative server; `done` gets its verdict.
  void verify(const server& from, const cn::verify_key& key, std::function<void(cn::key_verdict)> done) {
    ++verifications;
    auto& link = connect(from, {.sender = key.flow.target, .target = key.flow.sender}, verify_method);
    link.a.chosen_when_verified = false;
    asked_[&link.a] = std::move(done);
    link.a.drive(cn::event::verify{key});
  }
  void key_verified(const initiating_end& by, const cn::key_verdict& verdict) {
    if (const auto found = asked_.find(&by); found != asked_.end()) {
      auto done = std::move(found->second);
      asked_.erase(found);
      done(verdict);
      for (auto& link : links_) {
        if (&link->a == &by) {
          link->a.later([] { return cn::event::dismissed{.condition = {}, .cause = cn::cause::shutdown, .text = {}}; });
        }
      }
    }
  }
  /// Until nothing moves.
  void run() {
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t i = 0; i < links_.size(); ++i) {  // grows meanwhile
        moved |= step(*links_[i]);
      }
    }
  }
  [[nodiscard]] const std::vector<std::unique_ptr<server_link>>& links() const { return links_; }

  unsigned verifications = 0;
  cn::method verify_method = cn::method::starttls;
  std::size_t bytes_moved = 0;  // on the first connection

private:
  const server& home_of(std::string_view domain) const {
    for (const auto& s : servers_) {
      if (s->domains.contains(domain)) {
        return *s;
      }
    }
    return *servers_.back();  // a stranger, who does not know the domain
  }
  bool step(server_link& link) {
    if (link.cut) {
      return false;
    }
    bool moved = !link.a.idle() || !link.b.idle();
    link.a.handle_events();
    link.b.handle_events();
    move(link, link.a, link.b);
    move(link, link.b, link.a);
    if (link.a.tls_due() && link.b.tls_due() && link.a.idle() && link.b.idle() && !link.cut) {
      moved = true;
      link.b.tls_done();
      link.a.tls_done();
    }
    moved |= hangs_up(link.a, link.b) || hangs_up(link.b, link.a);
    return moved;
  }
  /// An end that is done closes its connection once its last bytes are out.
  template <typename From, typename To>
  static bool hangs_up(From& from, To& to) {
    if (!from.finished || !from.idle() || to.machine().ended()) {
      return false;
    }
    to.drive(cn::event::gone{});
    return true;
  }
  template <typename From, typename To>
  void move(server_link& link, From& from, To& to) {
    const auto bytes = from.take_output(std::min(piece_, link.bytes_left));
    if (link.bytes_left != std::string::npos) {
      link.bytes_left -= bytes.size();
    }
    if (&link == links_.front().get()) {
      bytes_moved += bytes.size();
    }
    if (!bytes.empty()) {
      to.take_bytes(bytes);
    }
    if (link.bytes_left == 0 && !std::exchange(link.cut, true)) {
      link.a.drive(cn::event::gone{});
      link.b.drive(cn::event::gone{});
    }
  }

  std::size_t piece_;
  std::vector<std::unique_ptr<server>> servers_;
  std::vector<std::unique_ptr<server_link>> links_;
  std::map<const initiating_end*, std::function<void(cn::key_verdict)>> asked_;
};

template <typename Machine, typename Event>
void stream_end<Machine, Event>::work() {
  while (!in_.empty() && takes_parts()) {
    const auto bytes = std::exchange(in_, {});
    const auto used = reader_.feed(bytes, parser_, document_, *this);
    in_ = bytes.substr(used) + in_;
    if (tls_due_ && !in_.empty()) {
      in_.clear();
      tls_due_ = false;
      drive(cn::event::tls_refused{});
    }
  }
}

template <typename Machine, typename Event>
void stream_end<Machine, Event>::act_on(cn::action::ask& a) {
  if (auto* who = std::get_if<cn::prove_peer>(&a.question)) {
    later(
        [this, flow = who->flow] { return cn::event::answered{cn::peer_proof{flow, self_.verdict_of(flow.sender)}}; });
  } else if (auto* key = std::get_if<cn::verify_key>(&a.question)) {
    world_.verify(self_, *key,
                  [this](cn::key_verdict verdict) { later([verdict] { return cn::event::answered{verdict}; }); });
  } else {
    ADD_FAILURE() << "a client's question";
  }
}

template <typename Machine, typename Event>
void stream_end<Machine, Event>::act_on(cn::action::key_verified& a) {
  if constexpr (std::is_same_v<Machine, cn::initiator>) {
    world_.key_verified(*this, a.answer);
  }
}

}  // namespace comity::fakes
