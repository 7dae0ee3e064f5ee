// A user's devices under stream management (XEP-0198) that come, break, resume, acknowledge, leave and expire in any
// order, over restarts of the server, while messages come for her: none is lost, by a ledger. Each is with a device
// that has handled it, kept for later, or back with its sender; no resumed session is told anything twice or out of
// order; and a session is resumed by its own user's newest stream alone (THREATS F1–F3, F5).
//
// Input: operations, a byte each, some with a byte behind them.
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/fuzz/oracle.hpp"
#include "tests/server/im_server.hpp"

namespace {

using namespace comity;
using namespace comity::fuzz;
using namespace std::chrono_literals;
using server::client;
using server::im_server;

constexpr std::size_t operations_most = 120;
constexpr server::managed_limits managed{.resume_timeout = 300s, .queue_stanzas = 6};

/// What a device's program knows.
struct device {
  explicit device(std::string full) : name{server::address(full)} {}
  jid name;
  std::optional<connection::session_ref> session;
  bool managed = false;
  std::string id;              // of a session that can be resumed; "" : none
  std::uint32_t handled = 0;   // since it was enabled
  std::uint32_t said = 0;      // stanzas of its own
  std::vector<unsigned> seen;  // messages of this session, in order
};

class world {
public:
  world() {
    begin();
    romeo_ = server_.login("romeo@example.com/orchard");
  }

  void operation(std::uint8_t what, std::uint8_t detail) {
    auto& d = devices_.at(what & 1U);
    switch ((what >> 1U) % 12U) {
      case 0:
      case 1:
      case 2:
        return message(detail);
      case 3:
        return d.session ? reads(d, 0xff) : comes(d);
      case 4:
        return manages(d, detail);
      case 5:
        return acknowledges(d, detail);
      case 6:
        return breaks(d, detail);
      case 7:
        return resumes(d, detail);
      case 8:
        return leaves(d);
      case 9:
        server_.homes.advance(detail < 200 ? std::chrono::seconds{detail} : 301s);
        server_.settle();
        return look();
      case 10:
        return restarts();
      default:
        return speaks(d);
    }
  }

  /// All sessions end, and a new device gets what was kept.
  void reckon() {
    for (auto& d : devices_) {
      leaves(d);
    }
    server_.homes.advance(400s);
    server_.settle();
    look();
    device last{"juliet@example.com/last"};
    comes(last);
    reads(last, 0xff);
    bounced();
    for (unsigned n = 0; n < sent_; ++n) {
      must(had_.contains(n));
    }
  }

private:
  static unsigned number_of(const stanza& s) { return static_cast<unsigned>(std::stoul(s.id())); }

  void message(std::uint8_t detail) {
    static constexpr std::array<std::string_view, 4> to{"juliet@example.com", "juliet@example.com/a",
                                                        "juliet@example.com/b", "juliet@example.com/none"};
    const auto type = (detail & 4U) != 0 ? "normal" : "chat";
    server_.says(romeo_, "<message type='" + std::string{type} + "' id='" + std::to_string(sent_++) + "' to='" +
                             std::string{to.at(detail & 3U)} + "'><body>b</body></message>");
    look();
  }
  void comes(device& d) {
    d.session = server_.new_session();
    std::optional<std::expected<jid, server::bind_failure>> bound;
    server_.router->bind(*d.session, d.name.bare(), std::string{d.name.resourcepart()},
                         [&](auto r) { bound = std::move(r); });
    server_.settle();
    must(bound && *bound && **bound == d.name);
    forget(d);
    server_.says(as(d), "<presence/>");
    look();
  }
  void forget(device& d) {
    d.managed = false;
    d.id.clear();
    d.handled = d.said = 0;
    d.seen.clear();
  }
  void manages(device& d, std::uint8_t detail) {
    if (!d.session || d.managed) {
      return;
    }
    reads(d, 0xff);
    const bool resume = (detail & 1U) != 0;
    server_.router->manage(*d.session, d.name, {.resume = resume, .max_seconds = {}});
    server_.settle();
    for (const auto& text : server_.outlet.take_said(*d.session)) {
      if (text.starts_with("<enabled")) {
        d.managed = true;
        const auto at = text.find(" id='");
        must((at != std::string::npos) == resume);
        d.id = resume ? text.substr(at + 5, text.find('\'', at + 5) - at - 5) : "";
        must(!resume || d.id.size() >= 22);  // THREATS F1: 128 bits and more
        must(ids_.insert(d.id).second || !resume);
      }
    }
    must(d.managed);
    d.handled = d.said = 0;
    d.seen.clear();
  }
  /// Takes so many of the stanzas that have come.
  void reads(device& d, std::uint8_t most) {
    auto came = server_.outlet.take(*d.session);
    for (std::size_t i = 0; i < came.size(); ++i) {
      if (i >= most) {
        return;  // the rest is lost with the connection
      }
      ++d.handled;
      if (came[i]->kind() == stanza_kind::message && came[i]->type() != stanza_type::error) {
        const auto n = number_of(*came[i]);
        must(std::ranges::find(d.seen, n) == d.seen.end() || !d.managed);
        d.seen.push_back(n);
        had_.insert(n);
      }
    }
  }
  void acknowledges(device& d, std::uint8_t detail) {
    if (!d.session || !d.managed) {
      return;
    }
    reads(d, 0xff);
    if ((detail & 0xf0U) == 0xf0U) {  // a lie
      (void)server_.outlet.take_said(*d.session);
      server_.router->acknowledged(*d.session, d.name, d.handled + 1000 + detail);
      server_.settle();
      const auto said = server_.outlet.take_said(*d.session);
      must(said.size() == 1 && said[0].starts_with("too high"));
      return leaves(d);  // which ends the stream
    }
    server_.router->acknowledged(*d.session, d.name, d.handled);
    server_.router->acknowledge(*d.session, d.name);
    server_.settle();
    bool counted = false;
    for (const auto& text : server_.outlet.take_said(*d.session)) {
      if (text.starts_with("<a ")) {
        counted = true;
        must(text.contains(" h='" + std::to_string(d.said) + "'"));
      }
    }
    must(counted);
    look();
  }
  void speaks(device& d) {
    if (d.session) {
      server_.says(as(d), "<iq type='get' id='p' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
      d.said += d.managed ? 1U : 0U;
      look();
    }
  }
  void breaks(device& d, std::uint8_t detail) {
    if (!d.session) {
      return;
    }
    reads(d, d.managed ? detail % 8U : 0xff);
    server_.router->unbind(*d.session, d.name, true);
    server_.settle();
    (void)server_.outlet.take(*d.session);
    d.session.reset();
    look();
  }
  void leaves(device& d) {
    if (!d.session) {
      return;
    }
    reads(d, 0xff);
    server_.router->unbind(*d.session, d.name, false);
    server_.settle();
    d.session.reset();
    forget(d);
    look();
  }
  void resumes(device& d, std::uint8_t detail) {
    if (d.id.empty()) {
      return;
    }
    const auto before = std::exchange(d.session, std::nullopt);  // perhaps nobody knows yet that it is dead
    const auto id = (detail & 0xfU) == 0 ? d.id + "x" : d.id;
    const auto user = (detail & 0xfU) == 1 ? server::address("romeo@example.com") : d.name.bare();
    const auto session = server_.new_session();
    std::optional<connection::resume_answer> answer;
    server_.router->resume(session, {.user = user, .id = id, .handled = d.handled},
                           [&](connection::resume_answer a) { answer = std::move(a); });
    server_.settle();
    must(answer.has_value());
    if (!*answer) {
      must(answer->error().condition == stanza_condition::item_not_found);
      if (id == d.id && user == d.name.bare()) {
        must(!before);
        forget(d);  // it is gone
      }
      d.session = before;
      return;
    }
    must(id == d.id && user == d.name.bare() && (*answer)->full == d.name && (*answer)->handled == d.said);
    d.session = session;
    if (before) {
      must(server_.outlet.closed(*before) == stream_condition::conflict);
      (void)server_.outlet.take(*before);
      server_.router->unbind(*before, d.name, true);
    }
    server_.router->resumed(session, d.name);
    server_.settle();
    (void)server_.outlet.take_said(session);
    look();
  }
  /// In good order: streams end, what can be resumed is kept, and somebody else takes it up.
  void restarts() {
    for (auto& d : devices_) {
      if (d.session) {
        breaks(d, 7);
      }
    }
    bounced();
    const auto kept = server_.router->suspended();
    server_.router.reset();
    begin();
    server_.router->restore(kept);
    server_.settle();
    romeo_ = server_.login("romeo@example.com/orchard");
    look();
  }
  void begin() {
    server_.router = std::make_unique<server::router>(server::router::collaborators{.store = server_.store,
                                                                                    .outlet = server_.outlet,
                                                                                    .homes = server_.homes,
                                                                                    .log = server_.log,
                                                                                    .now = server_.clock.clock(),
                                                                                    .remote = nullptr,
                                                                                    .version = {},
                                                                                    .limits = {}},
                                                      std::vector<std::string>{"example.com"}, 4);
    server_.router->configure({"example.com"}, 4, managed);
  }
  /// What has come back to its sender.
  void bounced() {
    for (const auto& s : server_.outlet.take(romeo_.session)) {
      if (s->kind() == stanza_kind::message && s->type() == stanza_type::error) {
        had_.insert(number_of(*s));
      }
    }
  }

  /// Sessions that the server has ended are seen to by their streams.
  void look() {
    for (bool again = true; std::exchange(again, false);) {
      for (auto& d : devices_) {
        if (d.session && server_.outlet.closed(*d.session)) {
          const auto session = *d.session;
          reads(d, 0xff);
          d.session.reset();
          server_.router->unbind(session, d.name, false);
          server_.settle();
          again = true;
        }
      }
    }
  }
  [[nodiscard]] static client as(const device& d) { return {.session = *d.session, .full = d.name}; }

  im_server server_{{.users = {"juliet", "romeo"}}};
  client romeo_;
  std::array<device, 2> devices_{device{"juliet@example.com/a"}, device{"juliet@example.com/b"}};
  unsigned sent_ = 0;
  std::set<unsigned> had_;
  std::set<std::string> ids_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  world w;
  for (std::size_t n = 0; !input.empty() && n < operations_most; ++n) {
    const auto what = take_byte(input);
    w.operation(what, take_byte(input));
  }
  w.reckon();
  return 0;
}
