// A whole client's stream, over TCP and over WebSocket, under a client that says anything (THREATS A8, B1, B3, C1, C4,
// C5, C7, C8, F1, F2; RFC 7395 §3): nobody is authenticated but by the right password, nothing is bound or resumed but
// for who has authenticated, nothing is done in clear but TLS, nothing is said that is not well-formed, no password
// comes back, and nothing is said after the end.
//
// Input: a byte that chooses the method; then the client's bytes, in which NUL and a letter stand for what happens
// otherwise, as listed in happens(). On WebSocket each line is a message.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "connection/c2s/features.hpp"
#include "connection/connection_metrics.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "connection/negotiation/stanza_addressing.hpp"
#include "connection/negotiation/stream_management.hpp"
#include "connection/stanza.hpp"
#include "connection/transport/websocket_reader.hpp"
#include "tests/fakes/websocket_frames.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::connection;
using namespace comity::fuzz;

constexpr std::string_view password = "r0m30myr0m30";
constexpr xml::framer_limits before_authentication{.stanza_bytes = 10'000, .depth = 16, .elements = 32};

metrics_cell& counted() {
  static metrics_cell metrics;
  return metrics;
}

/// What we say must be an XML stream, or a document a message, whatever the client said.
class listener_to_us final : public part_taker {
public:
  explicit listener_to_us(bool messages) : messages_{messages} {}

  void hear(const std::string& bytes, bool encrypted) {
    must(!closed_ && !bytes.contains(password));
    encrypted_ = encrypted;
    if (messages_) {
      must(!reader_.feed_message(bytes, true, parser_, document_, *this));
      return;
    }
    if (bytes.starts_with("<?xml")) {
      forget();
      open_ = true;
    }
    must(reader_.feed(bytes, parser_, document_, *this) == bytes.size());
  }
  void forget() {
    reader_ = part_reader{{.stanza_bytes = 1U << 20U}};
    open_ = false;
  }
  /// Nothing is left open.
  [[nodiscard]] bool content() const { return !open_ || closed_; }

private:
  [[nodiscard]] bool takes_parts() const override { return true; }
  void take_header(xml::stream_header&& h) override {
    open_ = true;
    must(!h.from.empty());
    must(!h.id.empty());
  }
  void take_element(xml::document& d) override {
    const auto root = d.root();
    if (root.is("features", xml::ns_streams) && !encrypted_) {
      // RFC 6120 §5.3.1: nothing else in clear.
      must(root.child_count() == 1 && root.first_child().name() == "starttls");
    }
  }
  void take_close() override { closed_ = true; }
  void take_fault(stream_condition, bool) override { must(false); }

  bool messages_;
  bool encrypted_ = false;
  part_reader reader_{{.stanza_bytes = 1U << 20U}};
  xml::parser parser_;
  xml::document document_;
  bool open_ = false;
  bool closed_ = false;
};

class session final : public part_taker {
public:
  explicit session(method by) : method_{by}, tls_due_{by == method::direct_tls}, us_{by == method::websocket} {
    stream_facts known;
    known.route = {scope::c2s, direction::inbound, by};
    known.encrypted = encrypted_ = by == method::websocket;
    machine_ = made(std::move(known));
  }

  void run(std::string_view input) {
    while (!input.empty() && !ended_) {
      const auto at = std::min(input.find('\0'), input.size());
      come(input.substr(0, at));
      read();
      input.remove_prefix(at);
      if (input.size() >= 2) {
        happens(input[1]);
        read();
      }
      input.remove_prefix(std::min<std::size_t>(input.size(), 2));
    }
    if (!ended_) {
      drive(event::timed_out{});
    }
    must(ended_);
  }

private:
  [[nodiscard]] std::unique_ptr<negotiator> made(stream_facts facts) {
    return std::make_unique<negotiator>(
        negotiator_settings{.content_ns = xml::ns_client,
                            .features = c2s_features(counted, {.max_bytes = 10'000, .idle_seconds = {}},
                                                     {.max_bytes = 262'144, .idle_seconds = 600}),
                            .hosts = [](std::string_view d) { return d == "example.org" || d == "example.net"; },
                            .default_domain = "example.org",
                            .new_stream_id = [this] { return "id" + std::to_string(++streams_); }},
        std::move(facts));
  }

  void come(std::string_view bytes) {
    if (method_ != method::websocket) {
      waiting_ += bytes;
      return;
    }
    while (!bytes.empty()) {
      waiting_ += fakes::client_frame(take_until(bytes, '\n'));
    }
  }
  void read() {
    while (!waiting_.empty() && takes_parts()) {
      const auto bytes = std::exchange(waiting_, {});
      const auto used = method_ == method::websocket ? websocket_.feed(bytes, reader_, parser_, document_, *this)
                                                     : reader_.feed(bytes, parser_, document_, *this);
      must(used > 0);
      waiting_ = bytes.substr(used);
      if (method_ == method::starttls && tls_due_ && !waiting_.empty()) {
        waiting_.clear();  // THREATS B1
        tls_due_ = false;
        drive(event::tls_refused{});
      }
    }
  }

  void happens(char what) {
    switch (what) {
      case 't':
        if (std::exchange(tls_due_, false)) {
          encrypted_ = true;
          drive(event::tls_done{{.tls_exporter = "exporter", .tls_server_end_point = {}, .tls_unique = {}}});
        }
        return;
      case 'f':
        if (std::exchange(tls_due_, false)) {
          drive(event::tls_failed{});
        }
        return;
      case 'o':
        return drive(event::timed_out{});
      case 'x':
        return drive(event::gone{});
      case 'q':
        return drive(event::dismissed{});
      default:
        break;
    }
    if (asked_) {
      answers(what, *std::exchange(asked_, std::nullopt));
    }
  }
  void answers(char what, const question& q) {
    const bool yes = what != 'n';
    if (std::holds_alternative<find_keys>(q)) {
      const scram_keys keys{
          .salt = "salt", .iterations = 10'000, .stored_key = secret{"unknown"}, .server_key = secret{"unknown"}};
      return what == 'e' ? drive(event::answered{keys_answer{std::unexpected{sasl_condition::temporary_auth_failure}}})
                         : drive(event::answered{keys_answer{found_keys{keys, yes}}});
    }
    if (const auto* check = std::get_if<check_password>(&q)) {
      const bool right = yes && check->password.reveal() == password;
      proven_ = right ? std::optional{check->user} : std::nullopt;
      wrong_ += right ? 0U : 1U;
      return drive(event::answered{password_answer{right}});
    }
    if (const auto* bind = std::get_if<bind_resource>(&q)) {
      const auto full =
          jid::make(bind->user.localpart(), bind->user.domainpart(), bind->wanted.empty() ? "r" : bind->wanted);
      may_have_ = yes && full ? *full : jid{};
      return drive(event::answered{yes && full ? bind_answer{*full}
                                               : bind_answer{std::unexpected{bind_refusal{
                                                     stanza_condition::resource_constraint, "wait", what == 'n'}}}});
    }
    if (const auto* resume = std::get_if<resume_session>(&q)) {
      const auto full = jid::make(resume->user.localpart(), resume->user.domainpart(), "old");
      may_have_ = yes ? full.value() : jid{};
      return drive(event::answered{
          yes ? resume_answer{resumed_session{*full, 7}}
              : resume_answer{std::unexpected{resume_refusal{
                    stanza_condition::item_not_found, {}, what == 'n' ? std::optional{7U} : std::nullopt}}}});
    }
    must(false);  // a question of servers
  }

  // part_taker
  [[nodiscard]] bool takes_parts() const override { return !machine_->paused() && !ended_ && !tls_due_; }
  void take_header(xml::stream_header&& h) override { drive(event::header{std::move(h)}); }
  void take_element(xml::document& d) override {
    const auto root = d.root();
    if (bound_ && is_stanza(root, xml::ns_client) && !negotiates(root)) {
      return;  // goes past the machine
    }
    if (root.ns() == ns_sm) {
      const auto read = read_management(root);
      if (bound_ && !std::holds_alternative<management::resume>(read)) {
        return;  // the server counts
      }
    }
    drive(event::element{root});
  }
  void take_close() override { drive(event::peer_closed{}); }
  void take_fault(stream_condition condition, bool too_big) override { drive(event::broken{condition, too_big}); }

  /// A late request to bind or to open a session.
  [[nodiscard]] static bool negotiates(const xml::element& e) {
    const auto payload = e.first_child();
    return e.name() == "iq" && payload &&
           (payload.ns() == "urn:ietf:params:xml:ns:xmpp-bind" ||
            payload.ns() == "urn:ietf:params:xml:ns:xmpp-session");
  }

  void drive(negotiation_event happened) {
    if (ended_) {
      return;
    }
    for (auto& a : machine_->on(std::move(happened))) {
      must(!ended_);
      std::visit([this](auto& act) { this->act_on(act); }, a);
    }
    must(machine_->ended() == ended_);
    if (next_) {
      machine_ = std::move(next_);
    }
  }
  void act_on(action::send& a) { us_.hear(a.bytes, encrypted_); }
  void act_on(action::start_tls& a) {
    must(method_ == method::starttls && !encrypted_);
    us_.hear(a.proceed, false);
    tls_due_ = true;
  }
  void act_on(action::restart_stream&) {
    must(encrypted_);
    reader_.restart();
    us_.forget();
  }
  void act_on(action::ask& a) {
    must(encrypted_ && !asked_ && !bound_);
    const auto& facts = machine_->facts();
    const auto* const user = std::visit(
        [](const auto& q) -> const jid* {
          if constexpr (requires { q.user; }) {
            return &q.user;
          } else {
            return nullptr;
          }
        },
        a.question);
    must(user != nullptr && user->domainpart() == facts.local_domain && !user->has_resource());
    const bool logs_in =
        std::holds_alternative<find_keys>(a.question) || std::holds_alternative<check_password>(a.question);
    must(logs_in ? !authenticated_ : authenticated_ == *user);
    asked_ = std::move(a.question);
  }
  void act_on(action::refused&) { must(wrong_ <= 6); }  // THREATS C8
  void act_on(action::authenticated& a) {
    must(encrypted_ && !authenticated_ && proven_ == a.user && a.by == mechanism::plain);
    authenticated_ = std::move(a.user);
  }
  void act_on(action::established& a) {
    must(authenticated_ && a.full == may_have_ && a.full.bare() == *authenticated_ && !bound_);
    bound_ = std::move(a.full);
    stream_facts facts;
    facts.route = {scope::c2s, direction::inbound, method_};
    facts.local_domain = bound_->domainpart();
    facts.encrypted = true;
    facts.authenticated = authenticated_;
    facts.bound = bound_;
    next_ = made(std::move(facts));  // as is done for what comes after that
  }
  void act_on(action::flow_authorised&) { must(false); }
  void act_on(action::received&) { must(false); }
  void act_on(action::ignored&) {}
  void act_on(action::finish& a) {
    ended_ = true;
    must(a.abrupt || method_ == method::websocket || us_.content());
  }

  method method_;
  bool tls_due_;
  std::unique_ptr<negotiator> machine_;
  std::unique_ptr<negotiator> next_;
  part_reader reader_{before_authentication};
  websocket_reader websocket_;
  xml::parser parser_;
  xml::document document_;
  listener_to_us us_;
  std::string waiting_;
  std::optional<question> asked_;
  std::optional<jid> proven_;  // by the password just judged
  std::optional<jid> authenticated_;
  std::optional<jid> bound_;
  jid may_have_;  // what the server gave
  unsigned wrong_ = 0;
  unsigned streams_ = 0;
  bool encrypted_ = false;
  bool ended_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  constexpr std::array ways{method::starttls, method::direct_tls, method::websocket};
  session{ways.at(take_byte(input) % ways.size())}.run(input);
  return 0;
}
