#include "connection/jid.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "connection/precis.hpp"

namespace comity {

namespace {

// RFC 7622 §3.1: octets of a part, after enforcement.
constexpr std::size_t longest_part = 1023;
// No part longer than this can shrink to 1023 octets: at most, three octets become one (a fullwidth letter).
constexpr std::size_t longest_input = 4 * longest_part;

constexpr std::string_view forbidden_in_localparts = "\"&'/:<>@";  // RFC 7622 §3.3.1

using enforced = std::expected<std::string, jid_error>;

bool is_ascii(std::string_view s) noexcept {
  return std::ranges::all_of(s, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view s) {
  std::string lowered{s};
  std::ranges::transform(lowered, lowered.begin(), [](char c) { return lower(c); });
  return lowered;
}

void append_lower(std::string& out, std::string_view s) {
  out += s;
  for (auto& c : std::span{out}.last(s.size())) {
    c = lower(c);
  }
}

enforced bounded(std::string&& part) {
  if (part.empty()) {
    return std::unexpected{jid_error::empty_part};
  }
  if (part.size() > longest_part) {
    return std::unexpected{jid_error::too_long};
  }
  return std::move(part);
}

enforced bounded(std::expected<std::string, precis::fault>&& prepared, jid_error disallowed) {
  if (!prepared) {
    return std::unexpected{prepared.error() == precis::fault::bad_utf8 ? jid_error::bad_utf8 : disallowed};
  }
  return bounded(*std::move(prepared));
}

enforced enforce_localpart(std::string_view part) {
  if (part.empty()) {
    return std::unexpected{jid_error::empty_part};
  }
  if (part.size() > longest_input) {
    return std::unexpected{jid_error::too_long};
  }
  enforced result = is_ascii(part) && std::ranges::all_of(part, [](char c) { return c > 0x20 && c < 0x7f; })
                        ? bounded(lower(part))
                        : bounded(precis::username_case_mapped(part), jid_error::bad_localpart);
  // Asked of the outcome: a fullwidth '@' has become a plain one by now (THREATS D9).
  if (result && result->find_first_of(forbidden_in_localparts) != std::string::npos) {
    return std::unexpected{jid_error::bad_localpart};
  }
  return result;
}

enforced opaque(std::string_view part) {
  if (part.empty()) {
    return std::unexpected{jid_error::empty_part};
  }
  if (std::ranges::all_of(part, [](char c) { return c >= 0x20 && c < 0x7f; })) {
    return std::string{part};
  }
  auto prepared = precis::opaque_string(part);
  if (!prepared) {
    return std::unexpected{prepared.error() == precis::fault::bad_utf8 ? jid_error::bad_utf8 : jid_error::bad_resource};
  }
  return *std::move(prepared);
}

enforced enforce_resourcepart(std::string_view part) {
  if (part.size() > longest_input) {
    return std::unexpected{jid_error::too_long};
  }
  auto result = opaque(part);
  return result ? bounded(*std::move(result)) : result;
}

// RFC 3986 §3.2.2 without IPvFuture, and without RFC 6874 zones, which mean nothing on another machine.
enforced enforce_ip_literal(std::string_view part) {
  in6_addr address{};
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (part.size() < 2 || part.back() != ']' ||
      inet_pton(AF_INET6, std::string{part.substr(1, part.size() - 2)}.c_str(), &address) != 1 ||
      part.find('\0') != std::string_view::npos || inet_ntop(AF_INET6, &address, text.data(), text.size()) == nullptr) {
    return std::unexpected{jid_error::bad_domainpart};
  }
  // One address has many spellings; RFC 5952's stands for all of them.
  return std::string{"["}.append(text.data()) + ']';
}

// Parts of ASCII that enforcement would leave as they are but for their case; or none.
bool plain_localpart(std::string_view part) noexcept {
  static constexpr auto plain = [] {
    std::array<bool, 256> table{};
    for (unsigned c = 0x21; c < 0x7f; ++c) {
      table.at(c) = forbidden_in_localparts.find(static_cast<char>(c)) == std::string_view::npos;
    }
    return table;
  }();
  return part.size() <= longest_part &&
         std::ranges::all_of(part, [](char c) { return plain[static_cast<unsigned char>(c)]; });
}

bool plain_resourcepart(std::string_view part) noexcept {
  return part.size() <= longest_part && std::ranges::all_of(part, [](char c) { return c >= 0x20 && c < 0x7f; });
}

// A name of NR-LDH labels (RFC 5890 §2.3.1), where ICU would do no more than put it in lower case.
bool plain_ldh(std::string_view name) noexcept {
  std::size_t label = 0;  // octets of the label so far
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = lower(name[i]);
    if (c == '.') {
      if (label == 0 || name[i - 1] == '-') {
        return false;
      }
      label = 0;
      continue;
    }
    const bool hyphen = c == '-';
    const bool allowed = hyphen || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    // "xn--" and its like are not plain: left to ICU.
    const bool misplaced = hyphen && (label == 0 || (label == 3 && name[i - 1] == '-'));
    ++label;
    if (!allowed || misplaced || label > 63) {
      return false;
    }
  }
  return label != 0 && name.back() != '-';
}

}  // namespace

std::string_view to_string(jid_error e) noexcept {
  switch (e) {
    case jid_error::empty_part:
      return "empty part";
    case jid_error::too_long:
      return "part too long";
    case jid_error::bad_localpart:
      return "bad localpart";
    case jid_error::bad_domainpart:
      return "bad domainpart";
    case jid_error::bad_resource:
      return "bad resourcepart";
    case jid_error::bad_utf8:
      return "bad UTF-8";
  }
  std::unreachable();
}

std::expected<jid, jid_error> jid::parse(std::string_view text) {
  // RFC 7622 §3.1: separators are found before anything is mapped; §3.2: the first '/' first.
  const auto slash = text.find('/');
  const std::string_view bare = text.substr(0, slash);
  const auto at = bare.find('@');
  const bool has_local = at != std::string_view::npos;
  const bool has_resource = slash != std::string_view::npos;
  if ((has_local && at == 0) || (has_resource && slash + 1 == text.size())) {
    return std::unexpected{jid_error::empty_part};
  }
  return make(has_local ? bare.substr(0, at) : std::string_view{}, has_local ? bare.substr(at + 1) : bare,
              has_resource ? text.substr(slash + 1) : std::string_view{});
}

std::expected<jid, jid_error> jid::make(std::string_view localpart, std::string_view domainpart,
                                        std::string_view resourcepart) {
  jid made;
  if (plain_localpart(localpart) && domainpart.size() <= longest_part && plain_ldh(domainpart) &&
      plain_resourcepart(resourcepart)) {
    // What most addresses are: enforcement would give the same, part by part, with memory for each.
    made.text_.reserve(localpart.size() + domainpart.size() + resourcepart.size() + 2);
    if (!localpart.empty()) {
      append_lower(made.text_, localpart);
      made.text_ += '@';
    }
    append_lower(made.text_, domainpart);
    if (!resourcepart.empty()) {
      made.text_.append(1, '/').append(resourcepart);
    }
    made.local_ = static_cast<std::uint16_t>(localpart.size());
    made.domain_ = static_cast<std::uint16_t>(domainpart.size());
    return made;
  }
  if (!localpart.empty()) {
    auto part = enforce_localpart(localpart);
    if (!part) {
      return std::unexpected{part.error()};
    }
    made.local_ = static_cast<std::uint16_t>(part->size());
    made.text_ = *std::move(part) + '@';
  }
  const auto domain = enforce_domainpart(domainpart);
  if (!domain) {
    return std::unexpected{domain.error()};
  }
  made.domain_ = static_cast<std::uint16_t>(domain->size());
  made.text_ += *domain;
  return resourcepart.empty() ? made : made.with_resource(resourcepart);
}

jid jid::bare() const {
  jid made;
  made.text_ = bare_text();
  made.local_ = local_;
  made.domain_ = domain_;
  return made;
}

std::expected<jid, jid_error> jid::with_resource(std::string_view resourcepart) const {
  const auto part = enforce_resourcepart(resourcepart);
  if (!part) {
    return std::unexpected{part.error()};
  }
  jid made = bare();
  made.text_.append(1, '/').append(*part);
  return made;
}

std::expected<std::string, jid_error> enforce_domainpart(std::string_view text) {
  // RFC 7622 §3.2: a final dot goes before anything else is done.
  if (text.ends_with('.')) {
    text.remove_suffix(1);
  }
  if (text.empty()) {
    return std::unexpected{jid_error::empty_part};
  }
  if (text.size() > longest_input) {
    return std::unexpected{jid_error::too_long};
  }
  if (text.back() == '.') {
    return std::unexpected{jid_error::bad_domainpart};  // an empty label
  }
  if (text.front() == '[') {
    return enforce_ip_literal(text);
  }
  if (plain_ldh(text)) {
    return bounded(lower(text));
  }
  return bounded(precis::to_u_labels(text), jid_error::bad_domainpart);
}

std::string to_a_labels(std::string_view domainpart) {
  if (is_ascii(domainpart)) {
    return std::string{domainpart};
  }
  // What enforcement has made always has A-labels.
  return precis::to_a_labels(domainpart).value_or(std::string{});
}

std::expected<std::string, jid_error> enforce_opaque_string(std::string_view text) {
  auto result = opaque(text);
  if (result && result->empty()) {
    return std::unexpected{jid_error::empty_part};
  }
  return result;
}

std::expected<std::string, jid_error> saslprep(std::string_view text) {
  if (std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; })) {
    return text.empty() ? enforced{std::unexpected{jid_error::empty_part}} : enforced{std::string{text}};
  }
  auto prepared = precis::saslprep(text);
  if (!prepared) {
    return std::unexpected{prepared.error() == precis::fault::bad_utf8 ? jid_error::bad_utf8 : jid_error::bad_resource};
  }
  if (prepared->empty()) {
    return std::unexpected{jid_error::empty_part};
  }
  return *std::move(prepared);
}

}  // namespace comity
