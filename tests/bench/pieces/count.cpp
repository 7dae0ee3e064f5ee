// tests/bench/pieces/count.cpp: comity-bench-count, what each piece takes in instructions and allocations; see gate.py.
//
// Under callgrind it has the instructions of each piece dumped under its name; with comity-bench-allocations preloaded
// it prints the allocations. Both are of so many turns after as many that warm up.
#include <valgrind/callgrind.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "bench/load/measure.hpp"
#include "bench/pieces/pieces.hpp"

int main(int count, char** words) {
  if (count != 2) {
    std::fputs("usage: comity-bench-count TURNS\n", stderr);
    return 2;
  }
  const auto turns = std::stoul(words[1]);
  const char* file = std::getenv("COMITY_BENCH_ALLOCATIONS");
  for (const auto& each : comity::bench::all_pieces()) {
    const auto go = [&] {
      for (auto i = turns; i > 0; --i) {
        each.once();
      }
    };
    go();
    const auto before = comity::bench::allocations(file == nullptr ? "" : file);
    // Reading allocates too; the same each time, so that a turn of nothing tells how much.
    const auto reading = comity::bench::allocations(file == nullptr ? "" : file) - before;
    const auto from = comity::bench::allocations(file == nullptr ? "" : file);
    CALLGRIND_ZERO_STATS;
    go();
    CALLGRIND_DUMP_STATS_AT(each.name.c_str());
    const auto allocated = comity::bench::allocations(file == nullptr ? "" : file) - from - reading;
    std::printf("%s %.6g\n", each.name.c_str(), allocated / static_cast<double>(turns));
  }
}
