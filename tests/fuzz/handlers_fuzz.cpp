// Every handler behind the router under stanzas of any shape (THREATS F7, F8, F10, F13, D8): each get and set is
// answered or passed on exactly once, errors and results never are, nobody hears anything under a name that is not its
// sender's, and the server goes on as before.
//
// Input: lines, each a letter that says who speaks, and a stanza. Changes are made to the trees of the stanzas: an
// attribute or a child taken out, doubled, emptied or given another value, and places exchanged between lines.
#include <array>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "connection/xml/parser.hpp"
#include "connection/xml/writer.hpp"
#include "tests/fuzz/oracle.hpp"
#include "tests/server/im_server.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace {

using namespace comity;
using namespace comity::fuzz;
using server::client;
using server::im_server;

constexpr std::size_t lines_most = 24;

std::optional<xml::document> parsed(std::string_view xml) {
  static xml::parser parser;
  static const xml::stream_context context{.content_ns = std::string{xml::ns_client}, .namespaces = {}};
  xml::document d;
  return parser.element(xml, context, d) ? std::optional{std::move(d)} : std::nullopt;
}

bool is_request(const stanza& s) {
  return s.kind() == stanza_kind::iq && (s.type() == stanza_type::get || s.type() == stanza_type::set);
}
bool is_answer(const stanza& s) {
  return s.kind() == stanza_kind::iq && (s.type() == stanza_type::result || s.type() == stanza_type::error);
}

// --- the world -------------------------------------------------------------------------------------------------------

class remote final : public server::remote_route {
public:
  void send(stanza_ref s) override { sent.push_back(std::move(s)); }
  std::vector<stanza_ref> sent;
};

class world {
public:
  world() {
    server_.says(at('k'), "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
    listen();
  }

  void says(char who, std::string_view xml) {
    auto d = parsed(xml);
    const auto speaker = clients_.find(who);
    if (!d || d->root().ns() != xml::ns_client || d->forbidden_namespace()) {
      return;  // the stream sees to it
    }
    const auto name = d->root().name();
    const auto addressed = d->root().attribute("to");
    auto to = addressed ? jid::parse(*addressed) : jid{};
    if (!to || (name != "iq" && name != "message" && name != "presence")) {
      return;
    }
    if (speaker == clients_.end()) {
      if (!to->empty()) {
        hear(stanza::make(std::move(*d), server::address("mercutio@remote.example/x"), *to), {});
      }
      return;
    }
    hear(stanza::make(std::move(*d), speaker->second.full, *to), speaker->second.session);
  }

  /// It is still there for everybody.
  void goes_on() {
    for (const auto& [letter, who] : clients_) {
      server_.says(who, "<iq type='get' id='after' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
      const auto heard = server_.outlet.take(who.session);
      must(heard.size() == 1 && heard[0]->type() == stanza_type::result && heard[0]->id() == "after");
    }
  }

private:
  [[nodiscard]] const client& at(char letter) const { return clients_.at(letter); }

  /// One stanza, and all that comes of it.
  void hear(const stanza_ref& said, std::optional<connection::session_ref> by) {
    if (by) {
      server_.router->from_client(*by, said);
    } else {
      server_.router->from_server(said);
    }
    server_.settle();
    unsigned answers = 0;  // to who said it, of just this
    unsigned passed = 0;   // to others
    const auto count = [&](const stanza& s, bool to_speaker) {
      truthful(s, *said);
      // What is said to oneself comes back as it is, and that is no answer (RFC 6121 §8.5.3.1).
      const bool itself = s.from() == said->from() && s.kind() == said->kind() && s.type() == said->type();
      const bool back = s.to() == said->from() && to_speaker && !itself;
      if (back && (is_answer(s) || s.type() == stanza_type::error) && s.id() == said->id() &&
          s.kind() == said->kind()) {
        ++answers;
      } else if (s.from() == said->from() && s.kind() == said->kind()) {
        ++passed;
      }
    };
    for (const auto& [letter, who] : clients_) {
      for (const auto& s : server_.outlet.take(who.session)) {
        count(*s, by && who.session == *by);
      }
    }
    for (const auto& s : std::exchange(remote_.sent, {})) {
      count(*s, !by);
    }
    if (is_request(*said)) {
      must(answers + passed == 1);
    } else if (said->type() == stanza_type::error || said->kind() == stanza_kind::iq) {
      // THREATS D8: no answer to an answer; an IQ of no type at all has one.
      must(said->type() == stanza_type::invalid ? answers <= 1 : answers == 0);
      must(said->kind() != stanza_kind::iq || passed <= 1);
    } else {
      must(answers <= 1);
    }
  }

  /// Nothing is heard under a name that is not its sender's, and all that is heard is well-formed (THREATS F8, A5).
  void truthful(const stanza& s, const stanza& said) const {
    const auto from = s.from().bare();
    must(s.from() == said.from() || from == said.from().bare() || from == s.to().bare() || from == said.to().bare() ||
         s.from().empty() || (!s.from().has_localpart() && server_.router->hosts(s.from().domainpart())) ||
         (s.kind() == stanza_kind::presence && s.from() != said.from() && friends(from, s.to().bare())));
    std::string wire;
    s.wire(wire);
    must(wire.size() == s.wire_size());
    const auto back = parsed(wire);
    must(back && !back->forbidden_namespace());
  }
  /// Those of our world whose presence somebody may have.
  [[nodiscard]] static bool friends(const jid& a, const jid& b) {
    return a.domainpart() == "example.com" && b.domainpart() == "example.com";
  }
  /// Subscribed to each other, as the store has it: by the protocol it would take longer than all that an input does.
  void befriend(std::string_view one, std::string_view other) {
    for (const auto& [user, contact] : {std::pair{one, other}, std::pair{other, one}}) {
      storage::roster_item item;
      item.contact = server::address(contact);
      item.subscription = storage::subscription::both;
      server_.store.roster_put(server::address(user), std::move(item), [](const auto&) {});
    }
    server_.settle();
  }
  void listen() {
    for (const auto& [letter, who] : clients_) {
      (void)server_.outlet.take(who.session);
    }
    remote_.sent.clear();
  }
  [[nodiscard]] static std::unique_ptr<server::router> router_of(im_server& s, remote& r) {
    return std::make_unique<server::router>(server::router::collaborators{.store = s.store,
                                                                          .outlet = s.outlet,
                                                                          .homes = s.homes,
                                                                          .log = s.log,
                                                                          .now = s.clock.clock(),
                                                                          .remote = &r,
                                                                          .version = "1.2.3",
                                                                          .limits = {.roster_items = 8,
                                                                                     .pending_requests = 4,
                                                                                     .request_bytes = 300,
                                                                                     .offline_messages = 4,
                                                                                     .directed_presences = 4,
                                                                                     .waiting = 100}},
                                            std::vector<std::string>{"example.com", "other.example"}, 4);
  }

  remote remote_;
  im_server server_{{.users = {"juliet", "romeo", "nurse"}}};
  std::map<char, client> clients_{[this] {
    server_.router = router_of(server_, remote_);
    befriend("juliet@example.com", "romeo@example.com");
    return std::map<char, client>{{'j', server_.login("juliet@example.com/balcony")},
                                  {'k', server_.login("juliet@example.com/chamber")},
                                  {'r', server_.login("romeo@example.com/orchard")}};
  }()};
};

// --- stanzas as trees ------------------------------------------------------------------------------------------------

struct node {
  std::string ns, name, text;
  std::vector<std::pair<std::string, std::string>> attributes;
  std::vector<node> children;
};

node read(xml::element e, unsigned depth = 0) {
  node n{.ns = std::string{e.ns()}, .name = std::string{e.name()}, .text = e.text(), .attributes = {}, .children = {}};
  for (std::size_t i = 0; i < e.attribute_count(); ++i) {
    n.attributes.emplace_back(e.attribute_at(i).name, e.attribute_at(i).value);
  }
  for (const auto c : e.children()) {
    if (depth < 32) {
      n.children.push_back(read(c, depth + 1));
    }
  }
  return n;
}

void write(const node& n, xml::writer& w) {
  w.open(n.name, n.ns);
  for (const auto& [name, value] : n.attributes) {
    w.attribute(name, value);
  }
  w.text(n.text);
  for (const auto& c : n.children) {
    write(c, w);
  }
  w.close();
}

class changes {
public:
  explicit changes(unsigned seed) : random_{seed} {}

  void change(node& root, const node& other) {
    auto& n = any(root);
    switch (below(9)) {
      case 0:
        if (!n.attributes.empty()) {
          n.attributes.erase(n.attributes.begin() + static_cast<std::ptrdiff_t>(below(n.attributes.size())));
        }
        break;
      case 1:
        if (!n.attributes.empty()) {
          n.attributes[below(n.attributes.size())].second = value();
        }
        break;
      case 2: {
        const auto name = std::string{names.at(below(names.size()))};
        std::erase_if(n.attributes, [&](const auto& a) { return a.first == name; });
        n.attributes.emplace_back(name, value());
        break;
      }
      case 3:
        if (!n.children.empty()) {
          n.children.erase(n.children.begin() + static_cast<std::ptrdiff_t>(below(n.children.size())));
        }
        break;
      case 4:
        if (!n.children.empty() && n.children.size() < 16) {
          n.children.push_back(n.children[below(n.children.size())]);
        }
        break;
      case 5:
        n.children.clear();
        n.text.clear();
        break;
      case 6:
        n.text = value();
        break;
      case 7:
        if (auto part = any(other); n.children.size() < 16) {
          n.children.push_back(std::move(part));
        }
        break;
      default: {
        auto part = any(other);
        (below(2) == 0 ? n.ns : n.name) = below(2) == 0 ? part.ns : part.name;
        break;
      }
    }
    n.name = n.name.empty() ? "x" : n.name;
  }

  [[nodiscard]] std::size_t below(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
  }

private:
  node& any(node& n) {
    auto* at = &n;
    while (!at->children.empty() && below(3) != 0) {
      at = &at->children[below(at->children.size())];
    }
    return *at;
  }
  node any(const node& n) {
    auto copy = n;
    return any(copy);
  }
  std::string value() {
    static constexpr std::array<std::string_view, 30> values{"",
                                                             " ",
                                                             "-1",
                                                             "128",
                                                             "99999999999999999999",
                                                             "1",
                                                             "true",
                                                             "get",
                                                             "set",
                                                             "result",
                                                             "error",
                                                             "subscribe",
                                                             "subscribed",
                                                             "unsubscribe",
                                                             "unsubscribed",
                                                             "unavailable",
                                                             "probe",
                                                             "remove",
                                                             "both",
                                                             "chat",
                                                             "groupchat",
                                                             "headline",
                                                             "example.com",
                                                             "juliet@example.com",
                                                             "juliet@example.com/balcony",
                                                             "romeo@example.com/orchard",
                                                             "nurse@example.com",
                                                             "tybalt@remote.example",
                                                             "nobody@example.com/x",
                                                             "\u00e9\u0301"};
    return std::string{values.at(below(values.size()))};
  }
  static constexpr std::array<std::string_view, 10> names{"to",   "type", "id",           "from", "jid",
                                                          "name", "ver",  "subscription", "node", "xml:lang"};
  std::minstd_rand random_;
};

std::vector<std::string_view> lines_of(std::string_view input) {
  std::vector<std::string_view> lines;
  while (!input.empty() && lines.size() < lines_most) {
    lines.push_back(take_until(input, '\n'));
  }
  return lines;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  changes by{seed};
  const auto lines = lines_of(text(data, size));
  if (lines.empty() || by.below(8) == 0) {
    return LLVMFuzzerMutate(data, size, most);
  }
  const auto which = by.below(lines.size());
  auto d = parsed(lines[which].substr(std::min<std::size_t>(lines[which].size(), 1)));
  const auto other_line = lines[by.below(lines.size())];
  const auto other = parsed(other_line.substr(std::min<std::size_t>(other_line.size(), 1)));
  if (!d) {
    return LLVMFuzzerMutate(data, size, most);
  }
  auto root = read(d->root());
  const auto from = other ? read(other->root()) : root;
  for (auto n = by.below(4) + 1; n > 0; --n) {
    by.change(root, from);
  }
  std::string out;
  const auto line_of = [&](const node& n) {
    std::string written(1, "jkrx"[by.below(4)]);
    xml::writer w{written, xml::ns_client};
    write(n, w);
    std::erase(written, '\n');
    return written + "\n";
  };
  const bool beside = by.below(3) == 0 && lines.size() < lines_most;  // and the old one too
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i != which || beside) {
      out.append(lines[i]).append("\n");
    }
    if (i == which) {
      out += line_of(root);
    }
  }
  if (out.size() > most) {
    return LLVMFuzzerMutate(data, size, most);
  }
  std::ranges::copy(out, data);
  return out.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  world w;
  for (const auto line : lines_of(text(data, size))) {
    if (!line.empty()) {
      w.says(line.front(), line.substr(1));
    }
  }
  w.goes_on();
  return 0;
}
