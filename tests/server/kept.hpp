// tests/server/kept.hpp: what is made from a table of the code and kept in the tree is what the table makes today.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace comity {

inline std::string contents(const std::filesystem::path& file) {
  const std::ifstream in{file, std::ios::binary};
  EXPECT_TRUE(in) << file;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Compares a kept file with what it should hold; COMITY_UPDATE=1 writes it instead.
inline void expect_kept(const std::filesystem::path& file, const std::string& text) {
  if (std::getenv("COMITY_UPDATE") != nullptr) {
    std::ofstream{file, std::ios::binary} << text;
    return;
  }
  ASSERT_TRUE(std::filesystem::exists(file)) << file << " is missing: run this test once with COMITY_UPDATE=1";
  EXPECT_EQ(contents(file), text) << file << " differs: if the change is meant, run this test with COMITY_UPDATE=1";
}

}  // namespace comity
