#include "server/code_pages.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace comity::server {
namespace {

/// How much of files is mapped into this process and there, in KiB.
std::size_t of_files() {
  std::ifstream status{"/proc/self/status"};
  std::size_t kibibytes = 0;
  for (std::string word; status >> word;) {
    if (word == "RssFile:") {
      status >> kibibytes;
    }
  }
  return kibibytes;
}

TEST(CodePages, LeaveMemoryAndComeBackWhenTheyRun) {
  const auto before = of_files();
  EXPECT_GT(let_go_of_code(), 1024U * 1024U);
  EXPECT_LT(of_files() + 512, before);
  EXPECT_GT(let_go_of_code(), 0U);
}

}  // namespace
}  // namespace comity::server
