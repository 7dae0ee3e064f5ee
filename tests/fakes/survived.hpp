// fakes/survived.hpp: how many faults a test has caused and how many were survived, for the summary of all the tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <utility>

namespace comity::fakes {

/// Counts the faults of one test, of that kind ("X5"): as survived are those after which nothing had failed. What came
/// of it is in the summary (tests/system/summary.py) under `part`, if anybody wants one.
class survived {
public:
  survived(std::string part, std::string kind) : part_{std::move(part)}, kind_{std::move(kind)} {}
  survived(const survived&) = delete;
  survived& operator=(const survived&) = delete;

  void one_more() {
    ++faults_;
    survived_ += testing::Test::HasFailure() ? 0 : 1;
  }

  ~survived() {
    if (const char* folder = std::getenv("COMITY_SUMMARY")) {  // NOLINT(concurrency-mt-unsafe): no other thread yet
      std::error_code ignored;
      std::filesystem::create_directories(folder, ignored);
      auto file = part_;
      std::ranges::replace(file, ' ', '_');
      std::ofstream{std::filesystem::path{folder} / (file + ".json")} << R"({"faults, )" << part_ << R"(": {"faults": )"
                                                                      << faults_ << R"(, "survived": )" << survived_
                                                                      << R"(, "of": ")" << kind_ << "\"}}\n";
    }
  }

private:
  std::string part_, kind_;
  std::size_t faults_ = 0, survived_ = 0;
};

}  // namespace comity::fakes
