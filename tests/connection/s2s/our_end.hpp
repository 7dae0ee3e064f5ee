// tests/connection/s2s/our_end.hpp: a server of ours as far as its streams to other servers go: loops on threads of
// their own, listeners on loopback, certificates of a test authority, and a host that keeps what it is given.
#pragma once

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "connection/c2s/client_stream.hpp"
#include "connection/connection_metrics.hpp"
#include "connection/listener.hpp"
#include "connection/negotiation/dialback_key.hpp"
#include "connection/s2s/federation.hpp"
#include "connection/s2s/inbound_stream.hpp"
#include "connection/s2s/s2s_metrics.hpp"
#include "connection/s2s/trust.hpp"
#include "fakes/certificate_builder.hpp"
#include "fakes/folder.hpp"
#include "fakes/zone_resolver.hpp"
#include "tls/chain.hpp"
#include "tls/client_context.hpp"
#include "tls/context.hpp"
#include "tls/session_cache.hpp"

namespace comity::connection {

using namespace std::chrono_literals;

/// Values that threads put in and a test waits for.
template <typename T>
class awaited {
public:
  void put(T value) {
    const std::lock_guard hold{lock_};
    values_.push_back(std::move(value));
    changed_.notify_all();
  }
  /// All there are, once there are `count` of them, or after ten seconds.
  std::vector<T> wait(std::size_t count) {
    std::unique_lock hold{lock_};
    EXPECT_TRUE(changed_.wait_for(hold, 10s, [&] { return values_.size() >= count; }))
        << "there are " << values_.size() << " of " << count;
    return values_;
  }
  [[nodiscard]] std::vector<T> now() {
    const std::lock_guard hold{lock_};
    return values_;
  }

private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::vector<T> values_;
};

/// Keeps each event as "event name=value …".
class event_log final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return true; }
  void write(log::level, std::string_view event, std::initializer_list<log::field> fields) noexcept override {
    std::string line{event};
    for (const auto& f : fields) {
      line += " " + std::string{f.name} + "=";
      if (const auto* text = std::get_if<std::string_view>(&f.value)) {
        line += *text;
      } else if (const auto* number = std::get_if<std::int64_t>(&f.value)) {
        line += std::to_string(*number);
      } else {
        line += std::get<bool>(f.value) ? "yes" : "no";
      }
    }
    lines.put(std::move(line));
  }
  /// The first line that has all of these in it; waits for it.
  std::string line(const std::vector<std::string>& words) {
    for (;;) {
      const auto all = lines.now();
      for (const auto& l : all) {
        if (std::ranges::all_of(words, [&](const std::string& w) { return l.contains(w); })) {
          return l;
        }
      }
      if (lines.wait(all.size() + 1).size() == all.size()) {
        std::string said;
        for (const auto& l : all) {
          said += l + "\n";
        }
        ADD_FAILURE() << "no line with " << testing::PrintToString(words) << " among\n" << said;
        return {};
      }
    }
  }
  [[nodiscard]] std::size_t count(std::string_view word) {
    const auto all = lines.now();
    return static_cast<std::size_t>(std::ranges::count_if(all, [&](const std::string& l) { return l.contains(word); }));
  }

  awaited<std::string> lines;
};

/// Whom the servers of a test trust, and who gives them certificates.
class test_authority {
public:
  test_authority()
      : root_{fakes::issue({.domain = "Test Root", .authority = true})},
        file_{fakes::write(folder_.path(), "root.pem", fakes::pem({root_}))} {}

  [[nodiscard]] fakes::issued issue(fakes::certificate_plan plan) const { return fakes::issue(plan, &root_); }
  [[nodiscard]] std::shared_ptr<const tls::trust_store> store() const {
    return tls::trust_store::load({.authorities = file_, .revocations = {}}).value();
  }
  /// With a list of these.
  [[nodiscard]] std::shared_ptr<const tls::trust_store> store_without(const std::vector<fakes::issued>& revoked) const {
    const auto list = fakes::write(folder_.path(), "revoked.pem", fakes::revocation_list(root_, revoked));
    return tls::trust_store::load({.authorities = file_, .revocations = list}).value();
  }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

private:
  fakes::folder folder_;
  fakes::issued root_;
  std::filesystem::path file_;
};

class our_end final : public s2s_host, public posh_source {
public:
  struct plan {
    std::string domain;
    fakes::issued certificate;
    required_trust trust = required_trust::certificate;
    unsigned loops = 2;
    std::string address = std::string{"127.0.0.1"};
    std::vector<std::string> more_domains = std::vector<std::string>{};  // of the same certificate
  };

  our_end(const test_authority& authority, fakes::zone_resolver& dns, plan p)
      : domain_{p.domain},
        trust_{p.trust},
        store_{authority.store()},
        metrics_{p.loops, routes()},
        s2s_metrics_{p.loops} {
    std::vector<tls::host_certificate> files{fakes::write_certificate(authority.folder(), p.domain, p.certificate)};
    hosted_.insert(p.domain);
    for (const auto& more : p.more_domains) {
      hosted_.insert(more);
      files.push_back(files.front());
      files.back().domain = more;
    }
    tls_.swap(tls::server_context::load(files, tls::protocol_version::tls_1_2).value());
    for (unsigned i = 0; i < p.loops; ++i) {
      loops_.push_back(std::make_unique<loop>(i, metrics_.cell(i)));
      connections_.push_back(std::make_unique<loop_connections>(*loops_.back()));
    }
    std::vector<loop_connections*> all;
    for (const auto& c : connections_) {
      all.push_back(c.get());
    }
    federation_ = std::make_unique<connection::federation>(
        connection::federation::collaborators{.loops = all,
                                              .host = *this,
                                              .posh = *this,
                                              .dns = dns,
                                              .server_tls = tls_,
                                              .client_tls = client_tls_,
                                              .sessions = sessions,
                                              .metrics = s2s_metrics_,
                                              .log = log,
                                              .random = [this](std::uint64_t bound) { return draw(bound); }});
    starttls_ = listen(p.address, method::starttls);
    direct_ = listen(p.address, method::direct_tls);
  }

  ~our_end() override { halt(); }

  /// Begins; settings and policies are set before.
  void run() {
    starttls_->start();
    direct_->start();
    for (const auto& l : loops_) {
      threads_.emplace_back([&l] { l->run(); });
    }
  }
  void halt() {
    for (const auto& l : loops_) {
      l->stop();
    }
    for (auto& t : threads_) {
      t.join();
    }
    threads_.clear();
    starttls_.reset();
    direct_.reset();
    for (const auto& c : connections_) {
      c->clear();
    }
  }
  /// Runs `work` on that loop and waits for it.
  void on_loop(std::size_t index, const std::function<void(loop_connections&)>& work) {
    awaited<bool> done;
    loops_[index]->post([&] {
      work(*connections_[index]);
      done.put(true);
    });
    done.wait(1);
  }
  [[nodiscard]] std::vector<connection_info> connections() {
    std::vector<connection_info> all;
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      on_loop(i, [&](loop_connections& c) { std::ranges::copy(c.list(), std::back_inserter(all)); });
    }
    return all;
  }
  void dismiss_all(stream_condition condition) {
    for (std::size_t i = 0; i < loops_.size(); ++i) {
      on_loop(i, [&](loop_connections& c) { c.dismiss_all(condition, cause::shutdown, {}); });
    }
  }

  [[nodiscard]] std::uint16_t port(method m) const {
    return m == method::direct_tls ? direct_->port() : starttls_->port();
  }
  /// A zone line for one of our listeners.
  [[nodiscard]] std::string srv(method m, const std::string& target, int priority = 1, int weight = 1) const {
    return std::string{m == method::direct_tls ? "_xmpps" : "_xmpp"} + "-server._tcp." + domain_ + " SRV " +
           std::to_string(priority) + " " + std::to_string(weight) + " " + std::to_string(port(m)) + " " + target +
           "\n";
  }

  void send(const std::string& to, const std::string& id, stanza_type type = stanza_type::chat,
            const std::string& body = "hello") {
    federation_->send(message(to, id, type, body));
  }
  [[nodiscard]] stanza_ref message(const std::string& to, const std::string& id, stanza_type type = stanza_type::chat,
                                   const std::string& body = "hello") const {
    stanza_builder b{stanza_kind::message, type, *jid::parse("romeo@" + domain_ + "/orchard"), *jid::parse(to), id};
    b.writer().leaf("body", {}, body);
    return b.finish();
  }
  [[nodiscard]] connection::federation& federation() { return *federation_; }

  /// Of a counter or gauge, the sum over all series that have all of those labels.
  [[nodiscard]] double metric(const std::string& family, const std::map<std::string, std::string>& labels = {}) const {
    double sum = 0;
    for (const auto& source : {metrics_.collectable(), s2s_metrics_.collectable()}) {
      for (const auto& f : source->Collect()) {
        if (f.name != family) {
          continue;
        }
        for (const auto& m : f.metric) {
          const auto has = [&](const auto& wanted) {
            return std::ranges::any_of(
                m.label, [&](const auto& l) { return l.name == wanted.first && l.value == wanted.second; });
          };
          if (std::ranges::all_of(labels, has)) {
            sum += m.counter.value + m.gauge.value + static_cast<double>(m.histogram.sample_count);
          }
        }
      }
    }
    return sum;
  }

  // --- s2s_host and posh_source --------------------------------------------------------------------------------------

  [[nodiscard]] bool hosts(std::string_view domain) const override { return hosted_.contains(std::string{domain}); }
  [[nodiscard]] std::string default_domain() const override { return domain_; }
  [[nodiscard]] peer_policy policy(std::string_view remote) const override {
    const std::lock_guard hold{lock_};
    if (const auto found = policies_.find(std::string{remote}); found != policies_.end()) {
      return found->second;
    }
    return {.trust = trust_, .allow = true, .endpoint = {}};
  }
  [[nodiscard]] std::shared_ptr<const s2s_settings> settings() const override {
    const std::lock_guard hold{lock_};
    return std::make_shared<const s2s_settings>(changing);
  }
  [[nodiscard]] std::shared_ptr<const tls::trust_store> authorities() const override {
    const std::lock_guard hold{lock_};
    return store_;
  }
  [[nodiscard]] const tls::secret& dialback_secret() const override { return secret_; }
  void received(stanza_ref s) override { got.put(std::move(s)); }
  void undeliverable(stanza_ref s) override { errors.put(std::move(s)); }
  void check(std::string domain, tls::peer_credentials, std::move_only_function<void(posh_answer)> done) override {
    posh_asked.put(domain);
    const auto found = posh_answers.find(domain);
    done(found == posh_answers.end() ? posh_answer::none : found->second);
  }

  void policy(const std::string& remote, peer_policy p) {
    const std::lock_guard hold{lock_};
    policies_[remote] = std::move(p);
  }

  void authorities(std::shared_ptr<const tls::trust_store> store) {
    const std::lock_guard hold{lock_};
    store_ = std::move(store);
  }

  s2s_settings changing = usual();  // before run()
  event_log log;
  awaited<stanza_ref> got, errors;
  awaited<std::string> posh_asked;
  std::map<std::string, posh_answer> posh_answers;  // before run()
  tls::session_cache sessions;
  std::set<std::string> hosted_;  // before run()

private:
  static s2s_settings usual() {
    s2s_settings s;
    s.before_authentication.stanza_bytes = 10'000;
    s.after_authentication.stanza_bytes = 512U * 1024U;
    s.send_queue_bytes = 1U << 20U;
    s.tls_timeout = 10s;
    s.handshake_timeout = 20s;
    s.connect_timeout = 10s;
    s.attempt_delay = 250ms;
    s.idle_timeout = 10min;
    s.addresses = address_rules::make({"special"}, {"127.0.0.0/8", "::1"}).value();
    return s;
  }
  static std::vector<route> routes() {
    std::vector<route> all;
    for (const auto d : {direction::inbound, direction::outbound}) {
      for (const auto m : {method::starttls, method::direct_tls}) {
        all.push_back({scope::s2s, d, m});
      }
    }
    return all;
  }
  std::uint64_t draw(std::uint64_t bound) {
    const std::lock_guard hold{lock_};
    return std::uniform_int_distribution<std::uint64_t>{0, bound}(random_);
  }
  std::unique_ptr<listener> listen(const std::string& address, method m) {
    return listener::open({*loops_[0], limits_, log}, address, 0, {scope::s2s, direction::inbound, m},
                          [this](accepted_socket socket) {
                            const auto next = next_loop_++ % loops_.size();
                            loops_[next]->post([this, next, socket = std::move(socket)]() mutable {
                              serve_server(federation_->on(next), settings(), std::move(socket));
                            });
                          })
        .value();
  }

  std::string domain_;
  required_trust trust_;
  std::shared_ptr<const tls::trust_store> store_;
  tls::secret secret_ = new_dialback_secret();
  mutable std::mutex lock_;
  std::map<std::string, peer_policy> policies_;
  std::mt19937_64 random_{1};
  ip_limits limits_{1000, 1000};
  tls::server_context tls_;
  tls::client_context client_tls_{tls_};
  connection_metrics metrics_;
  s2s_metrics s2s_metrics_;
  std::vector<std::unique_ptr<loop>> loops_;
  std::vector<std::unique_ptr<loop_connections>> connections_;
  std::unique_ptr<connection::federation> federation_;
  std::unique_ptr<listener> starttls_, direct_;
  std::size_t next_loop_ = 0;
  std::vector<std::thread> threads_;
};

/// Waits until `is` holds; for what no thread announces. A minute at most, then false.
inline bool eventually(const std::function<bool()>& is) {
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (!is()) {
    if (std::chrono::steady_clock::now() > until) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

}  // namespace comity::connection
