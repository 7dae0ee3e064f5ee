#include "bench/pieces/pieces.hpp"

#include <memory>
#include <stdexcept>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/sasl/mechanism.hpp"
#include "connection/stanza.hpp"
#include "connection/transport/send_queue.hpp"
#include "connection/xml/framer.hpp"
#include "connection/xml/parser.hpp"
#include "dns/srv_order.hpp"
#include "server/router.hpp"
#include "tests/fakes/manual_homes.hpp"
#include "tests/fakes/recording_outlet.hpp"
#include "tests/fakes/stepped_store.hpp"
#include "tls/crypto.hpp"

namespace comity::bench {

namespace {

using namespace connection;

// What most stanzas look like: 200 bytes, two elements.
constexpr std::string_view message_text =
    "<message to='juliet@example.com/0123456789abcdef' type='chat' id='m1234567'><body>Art thou not Romeo, and a "
    "Montague? How cam'st thou hither, tell me, and wherefore? The walls</body></message>";

void demand(bool good) {
  if (!good) {
    throw std::logic_error{"a piece does not do what it is there for"};
  }
}

jid address(std::string_view text) {
  return jid::parse(text).value();
}

piece framing() {
  auto framer = std::make_shared<xml::framer>(xml::framer_limits{});
  demand(framer->feed("<stream:stream>").what == xml::frame::kind::stream_open);
  return {"framer", [framer] { demand(framer->feed(message_text).what == xml::frame::kind::stanza); }};
}

struct reading {
  xml::parser parser;
  xml::document document;
  xml::stream_context context{.content_ns = std::string{xml::ns_client}, .namespaces = {}};

  xml::document& read(std::string_view text = message_text) {
    demand(parser.element(text, context, document).has_value());
    return document;
  }
};

piece parsing() {
  return {"parser", [r = std::make_shared<reading>()] { r->read(); }};
}

piece addressing() {
  return {"jid", [] { demand(jid::parse("juliet@example.com/0123456789abcdef").has_value()); }};
}

piece serialising() {
  auto r = std::make_shared<reading>();
  r->read();
  return {"serialise", [r, from = address("romeo@example.com/orchard"), to = address("juliet@example.com/balcony")] {
            demand(stanza::make(std::move(r->document), from, to) != nullptr);
          }};
}

piece queueing() {
  auto r = std::make_shared<reading>();
  const auto s = stanza::make(std::move(r->read()), address("romeo@example.com/a"), address("juliet@example.com/b"));
  auto queue = std::make_shared<send_queue>(1U << 20U);
  auto scratch = std::make_shared<std::string>();
  return {"send_queue", [s, queue, scratch] {
            demand(queue->push(s));
            const auto bytes = queue->next(*scratch, 65536);
            queue->written(bytes, bytes.size());
            queue->shrink();
          }};
}

class silent_log final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return false; }
  void write(log::level, std::string_view, std::initializer_list<log::field>) noexcept override {}
};

/// A router of one loop, with people logged in.
struct routing {
  struct counting_outlet final : fakes::recording_outlet {
    void send(session_ref to, stanza_ref s) override {
      ++sent;
      if (!queues.empty()) {
        demand(queues.at(to.id - 1).push(std::move(s)));
      }
    }
    std::size_t sent = 0;
    std::vector<send_queue> queues;  // of each session, where anything is written
  };

  session_ref login(std::string_view full) {
    const auto who = address(full);
    const session_ref session{.loop = 0, .id = ++sessions};
    store.account_create(who.bare(), {}, [](auto) {});
    settle();
    std::size_t bound = 0;
    router.bind(session, who.bare(), std::string{who.resourcepart()},
                [&bound](auto result) { bound += result.has_value() ? 1U : 0U; });
    settle();
    demand(bound == 1);
    return session;
  }
  void settle() {
    while (store.step() || loops.turn()) {
    }
  }

  fakes::stepped_store store;
  counting_outlet outlet;
  fakes::manual_homes loops;
  silent_log log;
  server::router router{{.store = store,
                         .outlet = outlet,
                         .homes = loops,
                         .log = log,
                         .now = [] { return std::chrono::system_clock::time_point{}; }},
                        {"example.com"},
                        10};
  std::uint64_t sessions = 0;
};

piece routing_a_message() {
  auto r = std::make_shared<routing>();
  const auto romeo = r->login("romeo@example.com/orchard");
  r->login("juliet@example.com/balcony");
  reading read;
  const auto s =
      stanza::make(std::move(read.read()), address("romeo@example.com/orchard"), address("juliet@example.com/balcony"));
  return {"route", [r, romeo, s] {
            const auto before = r->outlet.sent;
            r->router.from_client(romeo, s);
            demand(r->outlet.sent == before + 1);
          }};
}

/// One user's presence to 63 contacts and back to its sender, from the router to the bytes that are written.
piece telling_contacts() {  // RFC 6121 §4.4.2
  static constexpr std::size_t told = 64;
  auto r = std::make_shared<routing>();
  reading read;
  const auto speaker = address("juliet@example.com/balcony");
  std::vector<std::string> others;
  for (std::size_t i = 1; i < told; ++i) {
    others.push_back("contact" + std::to_string(i) + "@example.com/0123456789abcdef");
    storage::roster_item contact;
    contact.contact = address(others.back()).bare();
    contact.in_roster = true;
    contact.subscription = storage::subscription::from;
    r->store.roster_put(speaker.bare(), contact, [](auto) {});
    r->settle();
  }
  const auto from = r->login(speaker.text());
  for (const auto& each : others) {
    const auto session = r->login(each);
    r->router.from_client(session, stanza::make(std::move(read.read("<presence/>")), address(each), {}));
    r->settle();
  }
  const auto away = stanza::make(std::move(read.read("<presence><show>away</show></presence>")), speaker, {});
  r->router.from_client(from, away);
  r->settle();
  for (std::size_t i = 0; i < told; ++i) {
    r->outlet.queues.emplace_back(1U << 20U);
  }
  return {"fan_out", [r, from, away, scratch = std::make_shared<std::string>()] {
            const auto before = r->outlet.sent;
            r->router.from_client(from, away);
            demand(r->outlet.sent == before + told);
            for (auto& each : r->outlet.queues) {
              const auto bytes = each.next(*scratch, 65536);
              each.written(bytes, bytes.size());
              each.shrink();
              demand(each.empty());
            }
          }};
}

piece logging_in() {  // RFC 5802 §5
  const auto keys = std::make_shared<scram_keys>(
      derive_scram_keys(tls::hash::sha1, "pencil", tls::base64_decode("QSXCR+Q6sek8bf92").value(), 4096).value());
  return {"scram", [keys] {
            const auto exchange =
                make_sasl_mechanism(mechanism::scram_sha_1, sasl_environment{.domain = "example.com", .bindings = {}},
                                    "3rfcNHYJY1ZVvWVs7j");
            demand(exchange->start("n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL").what == sasl_step::kind::find_keys);
            demand(exchange->keys(*keys, true).what == sasl_step::kind::challenge);
            const auto done =
                exchange->respond("c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=");
            demand(done.what == sasl_step::kind::success);
          }};
}

piece hashing_a_password() {
  return {"pbkdf2", [] { demand(tls::pbkdf2(tls::hash::sha1, "pencil", "salt", 1000).size() == 20); }};
}

piece ordering_servers() {
  std::vector<dns::srv_entry> entries;
  for (std::uint16_t i = 0; i < 16; ++i) {
    dns::srv_entry e;
    e.record.priority = i / 4;
    e.record.weight = i;
    e.record.port = 5269;
    e.record.target = "xmpp" + std::to_string(i) + ".example.com";
    e.direct_tls = i % 2 == 0;
    entries.push_back(std::move(e));
  }
  return {"srv_order", [entries] {
            demand(dns::srv_order(entries, [](std::uint32_t greatest) { return greatest / 2; }).size() == 4);
          }};
}

piece counting() {
  const route way{scope::c2s, direction::inbound, method::direct_tls};
  auto metrics = std::make_shared<connection_metrics>(1, std::vector<route>{way});
  return {"metrics", [metrics, way] {
            auto& cell = metrics->cell(0);
            cell.stanza_received(way, stanza_kind::message);
            cell.bytes_received(way, message_text.size());
          }};
}

}  // namespace

std::vector<piece> all_pieces() {
  return {framing(),          parsing(),    addressing(),         serialising(),      queueing(), routing_a_message(),
          telling_contacts(), logging_in(), hashing_a_password(), ordering_servers(), counting()};
}

}  // namespace comity::bench
