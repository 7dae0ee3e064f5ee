// tests/bench/pieces/time.cpp: comity-bench-pieces, how long each piece takes, by Google Benchmark.
#include <benchmark/benchmark.h>

#include "bench/pieces/pieces.hpp"

int main(int count, char** words) {
  const auto pieces = comity::bench::all_pieces();
  for (const auto& each : pieces) {
    benchmark::RegisterBenchmark(each.name.c_str(), [&each](benchmark::State& state) {
      for (auto turn : state) {
        static_cast<void>(turn);
        each.once();
      }
    });
  }
  benchmark::Initialize(&count, words);
  if (benchmark::ReportUnrecognizedArguments(count, words)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
}
