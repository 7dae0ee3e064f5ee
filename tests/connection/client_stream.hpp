// tests/connection/client_stream.hpp: client streams on a loop of their own, over socket pairs, with real TLS.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <future>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "connection/c2s/client_stream.hpp"
#include "connection/connection_metrics.hpp"
#include "fakes/certificate_builder.hpp"
#include "fakes/recording_log.hpp"
#include "fakes/xmpp_peer.hpp"

namespace comity::connection {

using namespace std::chrono_literals;
using fakes::xmpp_peer;

inline constexpr std::string_view starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline constexpr std::string_view proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline constexpr std::string_view features_end = "</stream:features>";
inline constexpr std::string_view bind =
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>";
inline constexpr std::string_view hello = "<message to='u@b.example' id='1'><body>hello</body></message>";

inline std::string header(std::string_view to = "a.example") {
  return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
         "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='" +
         std::string{to} + "'>";
}

inline std::string plain(std::string_view user, std::string_view password) {
  const auto message = std::string(1, '\0') + std::string{user} + std::string(1, '\0') + std::string{password};
  return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + tls::base64_encode(message) + "</auth>";
}

/// Everybody's password is "pencil". What is asked for is answered at once, or held until the test lets it go.
class host final : public c2s_host {
public:
  [[nodiscard]] bool hosts(std::string_view domain) const override {
    return domain == "a.example" || domain == "b.example";
  }
  [[nodiscard]] std::string default_domain() const override { return "a.example"; }
  [[nodiscard]] loop_connections* home(const jid&) override { return home_loop; }
  void ask(find_keys, std::move_only_function<void(keys_answer)> done) override {
    done(std::unexpected{sasl_condition::not_authorized});
  }
  void ask(check_password q, std::move_only_function<void(password_answer)> done) override {
    give([right = q.password.reveal() == "pencil", done = std::move(done)]() mutable { done(right); });
  }
  void bind(session_ref, bind_resource q, std::move_only_function<void(bind_answer)> done) override {
    give([full = *jid::parse(q.user.text() + "/" + q.wanted), done = std::move(done)]() mutable { done(full); });
  }
  void received(session_ref from, stanza_ref s) override {
    if (broken) {
      throw std::runtime_error{"broken"};
    }
    std::string wire;
    s->wire(wire);
    const std::lock_guard hold{lock};
    last = from;
    got.push_back(std::move(wire));
  }
  void unbind(session_ref, const jid& full, bool without_closing) override {
    const std::lock_guard hold{lock};
    unbound.push_back(full.text());
    if (without_closing) {
      managed.emplace_back("broken");
    }
  }
  void resume(session_ref, resume_session q, std::move_only_function<void(resume_answer)> done) override {
    give([full = *jid::parse(q.user.text() + "/balcony"), known = q.id == "known",
          ended = q.id == "ended" ? std::optional{3U} : std::nullopt, h = q.handled, done = std::move(done)]() mutable {
      if (!known) {
        return done(std::unexpected{resume_refusal{stanza_condition::item_not_found, {}, ended}});
      }
      if (h > 7) {
        return done(std::unexpected{resume_refusal{stanza_condition::undefined_condition, 7, {}}});
      }
      done(resumed_session{full, 3});
    });
  }
  void resumed(session_ref, const jid& full) override { manage("resumed " + full.text()); }
  void enable(session_ref, const jid&, management::enable e) override {
    manage(std::string{"enable"} + (e.resume ? " resume" : "") +
           (e.max_seconds ? " max " + std::to_string(*e.max_seconds) : ""));
  }
  void acknowledge(session_ref, const jid&) override { manage("r"); }
  void acknowledged(session_ref, const jid&, std::uint32_t handled) override { manage("a " + std::to_string(handled)); }
  void indicated(session_ref, const jid& full, client_state state) override {
    manage(std::string{state == client_state::active ? "active " : "inactive "} + full.text());
  }
  void answered(session_ref, const jid&, stanza_ref reply) override {
    std::string wire;
    reply->wire(wire);
    manage("answered " + wire);
  }
  void manage(std::string what) {
    const std::lock_guard hold{lock};
    managed.push_back(std::move(what));
  }
  void give(std::move_only_function<void()> answer) {
    if (holding) {
      held.push_back(std::move(answer));
    } else {
      answer();
    }
  }

  // The loop's thread, or the test's while the loop waits for it.
  loop_connections* home_loop = nullptr;  // where streams move to
  bool holding = false;
  bool broken = false;
  std::vector<std::move_only_function<void()>> held;
  std::mutex lock;
  std::vector<std::string> got, unbound, managed;
  session_ref last;
};

class ClientStream : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<fakes::folder>();
    certificates_ = {fakes::write_certificate(folder_->path(), {.domain = "a.example"}),
                     fakes::write_certificate(folder_->path(), {.domain = "b.example"})};
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override {
    context_.swap(tls::server_context::load(certificates_, tls::protocol_version::tls_1_2).value());
    settings_.before_authentication.stanza_bytes = 10'000;
    settings_.tls_timeout = 10s;
    settings_.handshake_timeout = 30s;
    settings_.send_queue_bytes = 1U << 20U;
    running_ = std::thread{[this] { loop_.run(); }};
  }
  void TearDown() override {
    loop_.stop();
    running_.join();
    all_.clear();
  }

  /// Runs it on the loop and waits for it.
  template <typename Work>
  void on_loop(Work work) {
    std::promise<void> done;
    loop_.post([&] {
      work();
      done.set_value();
    });
    done.get_future().wait();
  }
  std::unique_ptr<xmpp_peer> connect(method m) {
    std::array<int, 2> ends{};
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
    ::fcntl(ends[0], F_SETFL, ::fcntl(ends[0], F_GETFL) | O_NONBLOCK);
    on_loop([&] {
      serve_client({.loop = all_, .host = host_, .tls = context_, .log = log_},
                   std::make_shared<c2s_settings>(settings_),
                   {.descriptor = ends[0], .address = "192.0.2.1:5", .method = m, .permit = *limits_.admit(1)});
    });
    return std::make_unique<xmpp_peer>(ends[1]);
  }
  /// Gives the answer that is held, once one is. Nothing is looked at before it, so there is never another.
  void release_held() {
    bool any = false;
    while (!any) {
      on_loop([&] {
        EXPECT_THAT(host_.held.size(), ::testing::Le(1U));
        for (auto& h : std::exchange(host_.held, {})) {
          h();
          any = true;
        }
      });
    }
  }
  /// Every connection is gone, and what it held with it.
  [[nodiscard]] bool all_gone() {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    std::size_t left = 1;
    while ((left != 0 || limits_.addresses() != 0) && std::chrono::steady_clock::now() < deadline) {
      on_loop([&] { left = all_.size(); });  // the end of the turn in which they go destroys them
    }
    return left == 0 && limits_.addresses() == 0;
  }
  /// The one connection there is.
  connection_info row() {
    std::vector<connection_info> rows;
    on_loop([&] { rows = all_.list(); });
    EXPECT_THAT(rows, ::testing::SizeIs(1));
    return rows.empty() ? connection_info{} : rows.front();
  }
  void dismiss(stream_condition condition) {
    on_loop([&] { all_.dismiss_all(condition, cause::shutdown, ""); });
  }
  /// The count of one series, by its name and some of its labels.
  double sample(const std::string& name, const std::vector<std::string>& labels) {
    std::istringstream text{prometheus::TextSerializer{}.Serialize(metrics_.collectable()->Collect())};
    double sum = 0;
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with(name + "{") &&
          std::ranges::all_of(labels, [&](const auto& l) { return line.contains(l); })) {
        sum += std::stod(line.substr(line.rfind(' ') + 1));
      }
    }
    return sum;
  }
  std::vector<std::string> received() {
    const std::lock_guard hold{host_.lock};
    return host_.got;
  }
  std::vector<std::string> unbound() {
    const std::lock_guard hold{host_.lock};
    return host_.unbound;
  }

  // The way of a client, step by step.
  static void open(xmpp_peer& p, std::string_view to = "a.example") {
    p.say(header(to));
    EXPECT_THAT(p.hear(features_end), ::testing::EndsWith(features_end));
  }
  static void secure(xmpp_peer& p) {
    open(p);
    p.say(starttls);
    EXPECT_THAT(p.hear(proceed), ::testing::EndsWith(proceed));
    EXPECT_TRUE(p.start_tls());
    open(p);
  }
  static void authenticate(xmpp_peer& p) {
    p.say(plain("u", "pencil"));
    EXPECT_THAT(p.hear("/>"), ::testing::HasSubstr("<success"));
    open(p);
  }
  static void bind_resource(xmpp_peer& p) {
    p.say(bind);
    EXPECT_THAT(p.hear("</iq>"), ::testing::HasSubstr("<jid>u@a.example/x</jid>"));
  }
  std::unique_ptr<xmpp_peer> logged_in(method m = method::starttls) {
    auto p = connect(m);
    if (m == method::starttls) {
      secure(*p);
    } else {
      EXPECT_TRUE(p->start_tls("a.example", "xmpp-client"));
      open(*p);
    }
    authenticate(*p);
    bind_resource(*p);
    return p;
  }

  static inline std::unique_ptr<fakes::folder> folder_;
  static inline std::vector<tls::host_certificate> certificates_;
  connection_metrics metrics_{2,
                              {{scope::c2s, direction::inbound, method::starttls},
                               {scope::c2s, direction::inbound, method::direct_tls},
                               {scope::c2s, direction::inbound, method::websocket}}};
  loop loop_{0, metrics_.cell(0)};
  loop_connections all_{loop_};
  ip_limits limits_{1000, 1000};
  tls::server_context context_;
  fakes::recording_log log_;
  host host_;
  c2s_settings settings_;
  std::thread running_;
};

}  // namespace comity::connection
