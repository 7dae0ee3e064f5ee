// dns/note.hpp: what a resolver has to tell the operator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace comity::dns {

/// `broken`: an error after which nothing will be resolved any more.
enum class note_level : std::uint8_t { info, warning, error, broken };
inline constexpr std::size_t note_level_count = 4;
/// A sentence. Any thread; must not block.
using note_sink = std::function<void(note_level, std::string)>;

}  // namespace comity::dns
