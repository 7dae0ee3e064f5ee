// dns/child_messages.hpp: what the daemon and its resolver process say to each other, one message a packet. Pure.
//
// The process parses what strangers send, so what it says is one more stranger's bytes (THREATS §0.3, E6): every
// length, count and enumerator is checked, nothing may be left over, and an answer has to be one that the resolver can
// give. A message that breaks a rule is nullopt, and whoever sent it is not listened to any more.
//
// A packet is a byte that says which message it is, and its fields; numbers are in network order, texts and lists have
// their length before them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "dns/answer.hpp"
#include "dns/note.hpp"
#include "dns/resolver.hpp"
#include "dns/settings.hpp"

namespace comity::dns::child {

/// Bytes of a packet: twice what one answer of the DNS can be (RFC 1035 §4.2.2), and less than a socket's buffer.
inline constexpr std::size_t packet_limit = 128UL * 1024;
/// Bytes of a sentence: the reason of an answer, a note.
inline constexpr std::size_t sentence_limit = 1024;
/// What a list of the settings may have.
inline constexpr std::size_t list_limit = 4096;

/// To the process: the first message is its settings, once; every other one a question.
struct question {
  std::uint64_t id = 0;
  record_type type = record_type::a;
  std::string name;  // as folded_name() has it
  friend bool operator==(const question&, const question&) = default;
};
using order = std::variant<settings, question>;

/// From the process: the first message that is not a note is `started` or `refused`, every later one another.
struct started {
  std::string confined;  // how, as a sentence
  friend bool operator==(const started&, const started&) = default;
};
struct refused {
  std::string why;
  friend bool operator==(const refused&, const refused&) = default;
};
struct answered {
  std::uint64_t id = 0;
  answer what;
};
struct note {
  note_level level = note_level::info;
  std::string text;
  friend bool operator==(const note&, const note&) = default;
};
using report = std::variant<started, refused, answered, note, observation>;

/// May be longer than a packet, and is not sent then.
[[nodiscard]] std::string encode(const settings&);
[[nodiscard]] std::string encode(const question&);
[[nodiscard]] std::optional<order> read_order(std::span<const std::uint8_t> packet);

/// Sentences are cut to what a message takes, and bytes that are no text's are "?" in them. An answer that does not fit
/// into a packet is sent as outcome::servfail.
[[nodiscard]] std::string encode(const started&);
[[nodiscard]] std::string encode(const refused&);
[[nodiscard]] std::string encode(const answered&);
[[nodiscard]] std::string encode(const note&);
[[nodiscard]] std::string encode(const observation&);
[[nodiscard]] std::optional<report> read_report(std::span<const std::uint8_t> packet);

}  // namespace comity::dns::child
