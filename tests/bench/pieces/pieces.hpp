// tests/bench/pieces/pieces.hpp: what a stanza, a login or a connection to another server goes through, one by one.
//
// The same pieces are timed by Google Benchmark (time.cpp) and counted by the gate (count.cpp), which holds their
// instructions and allocations against bounds.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace comity::bench {

struct piece {
  std::string name;
  std::function<void()> once;
};

/// All of them, warm: what is made once a loop is made. They share nothing that one of them changes for another.
[[nodiscard]] std::vector<piece> all_pieces();

}  // namespace comity::bench
