#include "connection/stanza.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "connection/xml/parser.hpp"

namespace comity {

namespace {

constexpr std::string_view ns_stanza_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";
constexpr std::string_view ns_delay = "urn:xmpp:delay";
constexpr std::string_view ns_stanza_ids = "urn:xmpp:sid:0";
constexpr std::string_view ns_chat_states = "http://jabber.org/protocol/chatstates";
constexpr std::string_view ns_hints = "urn:xmpp:hints";

constexpr std::string_view declared_namespace = " xmlns='jabber:client'";

constexpr std::size_t kind_count = 3;
constexpr std::array<std::string_view, kind_count> kind_names{"message", "presence", "iq"};

constexpr std::size_t type_count = 16;
constexpr std::array<std::string_view, type_count> type_names{
    "normal",      "chat",         "groupchat", "headline", "available", "unavailable", "subscribe", "subscribed",
    "unsubscribe", "unsubscribed", "probe",     "get",      "set",       "result",      "error",     "invalid"};

std::optional<stanza_kind> kind_of(std::string_view name) noexcept {
  const auto* const found = std::ranges::find(kind_names, name);
  return found == kind_names.end() ? std::nullopt : std::optional{static_cast<stanza_kind>(found - kind_names.begin())};
}

stanza_type type_of(stanza_kind kind, std::optional<std::string_view> type) noexcept {
  using enum stanza_type;
  const auto among = [&](stanza_type first, stanza_type last, stanza_type otherwise) {
    if (type == to_string(error)) {
      return error;
    }
    for (auto t = std::to_underlying(first); t <= std::to_underlying(last); ++t) {
      if (type == type_names.at(t)) {
        return static_cast<stanza_type>(t);
      }
    }
    return otherwise;
  };
  switch (kind) {
    case stanza_kind::message:
      return among(normal, headline, normal);
    case stanza_kind::presence:
      return type ? among(unavailable, probe, invalid) : available;
    case stanza_kind::iq:
      return among(get, result, invalid);
  }
  std::unreachable();
}

std::string_view trimmed(std::string_view s) noexcept {
  constexpr std::string_view space = " \t\r\n";
  const auto first = s.find_first_not_of(space);
  return first == std::string_view::npos ? std::string_view{} : s.substr(first, s.find_last_not_of(space) - first + 1);
}

// RFC 6121 §4.7.2.3: an xs:byte, 0 where there is none.
std::optional<std::int8_t> priority_of(xml::element presence) {
  const auto written = presence.child_text("priority", xml::ns_client);
  if (!written) {
    return std::int8_t{0};
  }
  std::string_view digits = trimmed(*written);
  if (digits.starts_with('+') && digits.size() > 1 && digits[1] != '-') {
    digits.remove_prefix(1);
  }
  std::int8_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return failure == std::errc{} && end == digits.data() + digits.size() ? std::optional{value} : std::nullopt;
}

stanza_flags flags_of(stanza_kind kind, xml::element root) {
  stanza_flags flags;
  bool states = false;
  bool others = false;
  for (const xml::element child : root.children()) {
    if (child.ns() == ns_chat_states) {
      states = true;
    } else if (child.ns() != ns_hints && !child.is("thread", xml::ns_client)) {
      others = true;
    }
    flags.delay = flags.delay || child.is("delay", ns_delay);
    flags.stanza_id = flags.stanza_id || (kind == stanza_kind::message && child.is("stanza-id", ns_stanza_ids));
    flags.body = flags.body || (kind == stanza_kind::message && child.is("body", xml::ns_client));
  }
  flags.chat_state_only = kind == stanza_kind::message && states && !others;
  return flags;
}

// Stanzas are made and read on any thread; each keeps a parser of its own for what is read back from bytes.
bool read_back(std::string_view bytes, xml::document& into) {
  static thread_local xml::parser reader;
  static const xml::stream_context context{.content_ns = std::string{xml::ns_client}, .namespaces = {}};
  return reader.element(bytes, context, into).has_value();
}

// How many octets an attribute value takes.
std::uint32_t written_size(std::string_view value) {
  const auto replaced = [](char c) {
    return c == '&' || c == '<' || c == '>' || c == '\'' || c == '"' || c == '\r' || c == '\n' || c == '\t';
  };
  if (std::ranges::none_of(value, replaced)) {
    return static_cast<std::uint32_t>(value.size());
  }
  std::string written;
  xml::append_attribute_value(written, value);
  return static_cast<std::uint32_t>(written.size());
}

}  // namespace

// What makes stanzas: the one place beside the builder that fills their members.
struct stanza_making {
  // All that is the stanza's own, and readdressed ones, which share most of it. In one allocation with their counts,
  // which wants constructors that anybody may call.
  struct whole final : stanza, stanza::content {
    whole() {
      content_ = this;
      to_ = &address;
    }
    content& shared() noexcept { return *this; }
    jid address;
  };
  struct copy final : stanza {
    explicit copy(const content& of) : shared{of.shared_from_this()}, address{jid{}} { content_ = shared.get(); }
    std::shared_ptr<const content> shared;
    addressee address;
  };
  struct group {
    struct member final : stanza {
      void set(const content& of, addressee_ref whom) {
        content_ = &of;
        to = std::move(whom);
        address(*this, *to);
      }
      addressee_ref to;
    };
    std::shared_ptr<const stanza::content> shared;
    std::array<member, stanza::at_once> members;
  };
  static std::shared_ptr<whole> empty() { return std::make_shared<whole>(); }
  static stanza_ref copied(const stanza& s, const jid& to) {
    auto made = std::make_shared<copy>(*s.content_);
    made->address = addressee{to};
    address(*made, made->address);
    return made;
  }
  static void copied(const stanza& s, std::span<const addressee_ref> to, std::span<stanza_ref> into) {
    const auto made = std::make_shared<group>();
    made->shared = s.content_->shared_from_this();
    for (std::size_t i = 0; i < to.size(); ++i) {
      auto& member = made->members.at(i);
      member.set(*made->shared, to[i]);
      into[i] = stanza_ref{made, &member};
    }
  }

  // All that is told by the element itself. False where it is no stanza.
  static bool read(stanza::content& s, xml::element root) {
    const auto kind = kind_of(root.name());
    if (!kind) {
      return false;
    }
    s.kind = *kind;
    std::optional<std::string_view> type;
    for (std::size_t i = 0; i < root.attribute_count(); ++i) {
      const auto a = root.attribute_at(i);
      if (a.ns.empty() && a.name == "type") {
        type = a.value;
      } else if (a.ns.empty() && a.name == "id") {
        s.id = a.value;
        s.has_id = true;
      } else if (a.ns == xml::ns_xml && a.name == "lang") {
        s.lang = a.value;
      }
    }
    s.type = type_of(*kind, type);
    s.flags = flags_of(*kind, root);
    if (s.type == stanza_type::available) {
      s.priority = priority_of(root);
    }
    return true;
  }

  // Opens the stanza's element up to `from`; whatever follows, up to the end tag, is its tail.
  static void open(xml::writer& w, std::string_view kind, const jid& from) {
    w.open(kind, xml::ns_client);
    if (!from.empty()) {
      w.attribute("from", from.text());
    }
  }

  // All of it but `<kind`.
  static void take_tail(stanza::content& s, std::string_view written) {
    written.remove_prefix(1 + to_string(s.kind).size());
    auto kept = std::make_shared_for_overwrite<char[]>(written.size());
    std::ranges::copy(written, kept.get());
    s.tail = std::move(kept);
    s.tail_size = static_cast<std::uint32_t>(written.size());
  }

  static void address(stanza& s, const jid& to, std::uint32_t written_size) noexcept {
    constexpr std::size_t around_to = std::string_view{" to=''"}.size();
    s.to_ = &to;
    s.plain_ = written_size == to.text().size();
    s.head_size_ =
        static_cast<std::uint32_t>(1 + to_string(s.kind()).size() + (to.empty() ? 0U : around_to)) + written_size;
  }
  static void address(stanza& s, const addressee& to) noexcept { address(s, to.address, to.written_size); }
  static void address(whole& s, jid to) {
    s.address = std::move(to);
    address(s, s.address, written_size(s.address.text()));
  }

  // What stanzas are written in before their size is known: each thread has one, so that most take no memory for it.
  struct workshop {
    std::string written;
    xml::writer out{written, xml::ns_client};

    static workshop& opened() {
      constexpr std::size_t kept = 64U * 1024U;
      static thread_local workshop mine;
      mine.written.clear();
      if (mine.written.capacity() > kept) {
        mine.written.shrink_to_fit();
      }
      mine.out.restart();
      return mine;
    }
  };

  static stanza_ref of(xml::document&& parsed, const jid& from, jid to) {
    parsed.rename_content(xml::ns_server, xml::ns_client);
    const xml::element root = parsed.root();
    auto s = empty();
    auto& shared = s->shared();
    if (!read(shared, root)) {
      return nullptr;
    }
    shared.from = from;
    address(*s, std::move(to));
    auto& [written, w] = workshop::opened();
    open(w, root.name(), from);
    w.copy_attributes(root, {"from", "to"});
    w.copy_content(root);
    w.close();
    take_tail(shared, written);
    if (shared.kind == stanza_kind::iq) {
      shared.document = std::make_shared<const xml::document>(std::move(parsed));
    }
    return s;
  }

  static void mark(const stanza_ref& s, stanza_condition condition) {
    // Still ours alone: every caller has only just built it.
    const_cast<stanza::content&>(*s->content_).own_error = condition;  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }
};

std::string_view to_string(stanza_kind k) noexcept {
  return kind_names.at(std::to_underlying(k));
}

std::string_view to_string(stanza_type t) noexcept {
  return type_names.at(std::to_underlying(t));
}

stanza_ref stanza::make(xml::document&& parsed, const jid& from, jid to) {
  return stanza_making::of(std::move(parsed), from, std::move(to));
}

stanza_ref stanza::from_wire(std::string_view bytes) {
  xml::document parsed;
  if (!read_back(bytes, parsed) || parsed.root().ns() != xml::ns_client) {
    return nullptr;
  }
  const auto address = [&](std::string_view name) -> std::expected<jid, jid_error> {
    const auto written = parsed.root().attribute(name);
    return written ? jid::parse(*written) : jid{};
  };
  const auto from = address("from");
  auto to = address("to");
  return from && to ? make(std::move(parsed), *from, *std::move(to)) : nullptr;
}

std::shared_ptr<const xml::document> stanza::document() const {
  if (content_->document) {
    return content_->document;
  }
  std::string bytes;
  wire(bytes);
  auto parsed = std::make_shared<xml::document>();
  if (!read_back(bytes, *parsed)) {
    parsed->clear();  // we wrote these bytes, so this does not happen; if it did, one stanza would read as empty
  }
  return parsed;
}

addressee::addressee(jid who) : address{std::move(who)}, written_size{comity::written_size(address.text())} {
}

stanza_ref stanza::readdressed(const jid& to) const {
  return stanza_making::copied(*this, to);
}

void stanza::readdressed(std::span<const addressee_ref> to, std::span<stanza_ref> into) const {
  stanza_making::copied(*this, to, into);
}

void stanza::wire(std::string& out) const {
  out += '<';
  out += to_string(kind());
  wire_behind_name(out);
}

void stanza::wire_alone(std::string& out) const {
  out += '<';
  out += to_string(kind());
  out += declared_namespace;
  wire_behind_name(out);
}

void stanza::wire_behind_name(std::string& out) const {
  if (!to_->empty()) {
    out += " to='";
    if (plain_) {
      out += to_->text();
    } else {
      xml::append_attribute_value(out, to_->text());
    }
    out += '\'';
  }
  out.append(content_->tail.get(), content_->tail_size);
}

std::size_t stanza::wire_alone_size() const noexcept {
  return wire_size() + declared_namespace.size();
}

struct stanza_builder::state {
  state(stanza_kind kind, const jid& from) { stanza_making::open(out, to_string(kind), from); }
  std::string written;
  xml::writer out{written, xml::ns_client};
  std::shared_ptr<stanza_making::whole> made = stanza_making::empty();
};

stanza_builder::stanza_builder(stanza_kind kind, stanza_type type, const jid& from, const jid& to, std::string_view id,
                               std::string_view lang)
    : state_{std::make_unique<state>(kind, from)} {
  auto& s = state_->made->shared();
  s.kind = kind;
  s.type = type;
  s.from = from;
  stanza_making::address(*state_->made, to);
  s.lang = lang;
  // RFC 6120 §8.2.3: an IQ always has one, be it empty (§8.3.1 rule 3).
  if (!id.empty() || kind == stanza_kind::iq) {
    s.id = id;
    s.has_id = true;
    state_->out.attribute("id", id);
  }
  if (type != stanza_type::normal && type != stanza_type::available && type != stanza_type::invalid) {
    state_->out.attribute("type", to_string(type));
  }
  state_->out.lang(lang);
}

stanza_builder::~stanza_builder() = default;

xml::writer& stanza_builder::writer() noexcept {
  return state_->out;
}

stanza_ref stanza_builder::finish() {
  state_->out.close();
  const stanza_ref made = state_->made;
  auto& s = std::exchange(state_->made, nullptr)->shared();
  stanza_making::take_tail(s, state_->written);
  // What rules ask of content is read off the bytes themselves, so that it cannot differ from what is sent.
  if (s.kind != stanza_kind::presence || s.type == stanza_type::available) {
    auto parsed = made->document();
    s.flags = flags_of(s.kind, parsed->root());
    if (s.type == stanza_type::available) {
      s.priority = priority_of(parsed->root());
    }
    if (s.kind == stanza_kind::iq) {
      s.document = std::move(parsed);  // kept, as with every IQ: handlers hold on to its elements
    }
  }
  return made;
}

stanza_ref error_reply(const stanza& request, stanza_condition condition, std::string_view text) {
  return error_reply(request, condition, {}, text, {}, {});
}

stanza_ref error_reply(const stanza& request, stanza_condition condition, std::string_view type, std::string_view text,
                       std::string_view app_condition, std::string_view app_ns) {
  // RFC 6120 §8.3.1 rule 8, §8.2.3: an error is never answered, nor is a result (THREATS D8).
  if (request.type() == stanza_type::error || request.type() == stanza_type::result) {
    return nullptr;
  }
  // §8.3.1 rules 2 and 3: addresses swapped, id repeated.
  stanza_builder answer{request.kind(), stanza_type::error, request.to(), request.from(), request.id()};
  xml::writer& w = answer.writer();
  if (request.kind() == stanza_kind::iq) {
    w.copy_content(request.document()->root());
  }
  w.open("error", xml::ns_client).attribute("type", type.empty() ? error_type(condition) : type);
  w.leaf(to_string(condition), ns_stanza_errors);
  if (!text.empty()) {
    w.open("text", ns_stanza_errors).lang("en").text(text).close();
  }
  if (!app_condition.empty()) {
    w.leaf(app_condition, app_ns);
  }
  w.close();
  auto made = answer.finish();
  stanza_making::mark(made, condition);
  return made;
}

namespace {

/// The address that an attribute holds, as compared; an error where there is none.
std::expected<jid, jid_error> address_in(xml::element e, std::string_view attribute) {
  const auto written = e.attribute(attribute);
  return written ? jid::parse(*written) : std::unexpected{jid_error::empty_part};
}

/// Opens `s` anew as it is, with those of its children that `keeps` holds of.
void reopen(xml::writer& w, const stanza& s, xml::element root, auto keeps) {
  w.open(to_string(s.kind()), xml::ns_client);
  for (const auto& [name, address] : {std::pair{"from", &s.from()}, std::pair{"to", &s.to()}}) {
    if (!address->empty()) {
      w.attribute(name, address->text());
    }
  }
  w.copy_attributes(root, {"from", "to"});
  for (const xml::element child : root.children()) {
    if (keeps(child)) {
      w.copy(child);
    }
  }
}

stanza_ref made_again(const stanza& s, std::string_view written) {
  auto again = stanza::from_wire(written);
  if (again && s.own_error()) {
    stanza_making::mark(again, *s.own_error());
  }
  return again;
}

}  // namespace

stanza_ref without_forged_marks(const stanza_ref& message, const jid& account) {
  if (!message->flags().stanza_id && !message->flags().delay) {
    return message;
  }
  const auto parsed = message->document();
  const auto forged = [&](xml::element child) {
    if (child.is("stanza-id", ns_stanza_ids)) {
      // XEP-0359 §5 rule 2: taken out also by those who put none in. Clients ask the account whether it assigns ids,
      // and not all of them ask.
      const auto by = address_in(child, "by");
      return by && (*by == account || by->text() == account.domainpart());
    }
    const auto from = child.is("delay", ns_delay) ? address_in(child, "from") : std::unexpected{jid_error::empty_part};
    return from && from->text() == account.domainpart();
  };
  const auto children = parsed->root().children();
  if (std::find_if(children.begin(), children.end(), forged) == children.end()) {
    return message;
  }
  std::string written;
  xml::writer w{written, xml::ns_client};
  reopen(w, *message, parsed->root(), [&](xml::element child) { return !forged(child); });
  w.close();
  return made_again(*message, written);
}

stanza_ref with_delay(const stanza& s, const jid& from, std::string_view stamp) {
  const auto parsed = s.document();
  std::string written;
  xml::writer w{written, xml::ns_client};
  reopen(w, s, parsed->root(), [&](xml::element child) {
    // THREATS F9: every delay said to be by that origin, however it spells the address.
    const auto origin =
        child.is("delay", ns_delay) ? address_in(child, "from") : std::unexpected{jid_error::empty_part};
    return !origin || *origin != from;
  });
  w.open("delay", ns_delay).attribute("from", from.text()).attribute("stamp", stamp).close().close();
  return made_again(s, written);
}

}  // namespace comity
