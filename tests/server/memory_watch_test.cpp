// THREATS X13: what the kernel grants, and what is done before it is used up.
#include "server/memory_watch.hpp"

#include <gmock/gmock.h>

#include <asio.hpp>
#include <fstream>

#include "connection/memory_reserve.hpp"
#include "fakes/folder.hpp"
#include "fakes/recording_log.hpp"
#include "server/memory_group.hpp"

namespace comity::server {
namespace {

constexpr std::uint64_t mebibyte = 1024U * 1024U;

class MemoryGroup : public ::testing::Test {
protected:
  void write(const std::string& file, const std::string& content) {
    const auto path = root_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream{path} << content;
  }
  /// `files`: bytes of files, some used lately and some not.
  void unified(const std::string& folder, const std::string& limit, std::uint64_t used, std::uint64_t files = 0) {
    write(folder + "/memory.max", limit + "\n");
    write(folder + "/memory.current", std::to_string(used) + "\n");
    write(folder + "/memory.stat", "anon 5\nfile 9\ninactive_anon 7\ninactive_file " + std::to_string(files / 4) +
                                       "\nactive_file " + std::to_string(files - files / 4) + "\n");
  }
  void separate(const std::string& folder, const std::string& limit, std::uint64_t used, std::uint64_t files = 0) {
    write(folder + "/memory.limit_in_bytes", limit + "\n");
    write(folder + "/memory.usage_in_bytes", std::to_string(used) + "\n");
    write(folder + "/memory.stat", "cache 5\ninactive_file 1\nactive_file 3\ntotal_inactive_file " +
                                       std::to_string(files / 4) + "\ntotal_active_file " +
                                       std::to_string(files - files / 4) + "\n");
  }
  [[nodiscard]] memory_group group() const { return memory_group::of_this_process(root_.path()); }

  fakes::folder root_;
};

void expect(const std::optional<memory_group::usage>& got, std::uint64_t used, std::uint64_t limit) {
  ASSERT_TRUE(got);
  EXPECT_EQ(got->used, used);
  EXPECT_EQ(got->limit, limit);
}

TEST_F(MemoryGroup, OfTheUnifiedHierarchy) {
  write("proc/self/cgroup", "0::/system.slice/comity.service\n");
  unified("sys/fs/cgroup/system.slice/comity.service", "1000", 900, 200);
  const auto g = group();
  EXPECT_TRUE(g.known());
  expect(g.read(), 700, 1000);
  unified("sys/fs/cgroup/system.slice/comity.service", "2000", 1001, 2);
  expect(g.read(), 999, 2000);  // as it is now
}

TEST_F(MemoryGroup, OfAHierarchyOfItsOwn) {
  write("proc/self/cgroup", "12:cpu,cpuacct:/x\n4:hugetlb,memory:/a:b/c\n0::/\n");
  separate("sys/fs/cgroup/memory/a:b/c", "1000", 900, 200);
  expect(group().read(), 700, 1000);
}

TEST_F(MemoryGroup, IsTheOneThatIsNearestToItsLimit) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  unified("sys/fs/cgroup/outer/inner", "1000", 600);
  unified("sys/fs/cgroup/outer", "2000", 1500);
  expect(group().read(), 1500, 2000);
  unified("sys/fs/cgroup/outer/inner", "700", 600);
  expect(group().read(), 600, 700);
}

TEST_F(MemoryGroup, OfAContainerThatDoesNotSeeItsPath) {
  write("proc/self/cgroup", "4:memory:/docker/0123\n");
  separate("sys/fs/cgroup/memory", "1000", 900);
  expect(group().read(), 900, 1000);
}

TEST_F(MemoryGroup, WithoutALimitSaysNothingUntilThereIsOne) {
  write("proc/self/cgroup", "4:memory:/x\n0::/y\n");
  separate("sys/fs/cgroup/memory/x", "9223372036854771712", 900);
  unified("sys/fs/cgroup/y", "max", 900);
  const auto g = group();
  EXPECT_TRUE(g.known());
  EXPECT_FALSE(g.read());
  unified("sys/fs/cgroup/y", "1000", 900);
  expect(g.read(), 900, 1000);
}

TEST_F(MemoryGroup, ThatNobodyShowsIsNone) {
  EXPECT_FALSE(group().known());
  write("proc/self/cgroup", "nonsense\n1:memory\n::\n4:memory:/none\n");
  EXPECT_FALSE(group().known());
  EXPECT_FALSE(group().read());
}

TEST_F(MemoryGroup, OfThisProcessCanBeRead) {
  const auto real = memory_group::of_this_process();
  if (const auto u = real.read()) {
    EXPECT_GT(u->limit, 0U);
  }
}

class Pressure : public ::testing::Test {
protected:
  /// What is to be done with so many of 10,000 bytes used: "", "short", "short shed".
  std::string at(std::uint64_t used) {
    const auto v = pressure_.judge({.used = used, .limit = 10000});
    return std::string{v.short_of ? "short" : ""} + (v.shed ? " shed" : "");
  }
  memory_pressure pressure_;
};

TEST_F(Pressure, LetsNobodyInFromNineTenthsOnAndUntilALittleBelow) {
  EXPECT_EQ(at(8999), "");
  EXPECT_EQ(at(9000), "");
  EXPECT_EQ(at(9001), "short");
  EXPECT_EQ(at(9000), "short");
  EXPECT_EQ(at(8801), "short");
  EXPECT_EQ(at(8800), "");
  EXPECT_EQ(at(9000), "");
}

TEST_F(Pressure, ShedsNearTheLimitAndAgainOnlyWhileMoreIsUsed) {
  EXPECT_EQ(at(9499), "short");
  EXPECT_EQ(at(9500), "short");
  EXPECT_EQ(at(9501), "short shed");
  EXPECT_EQ(at(9501), "short");
  EXPECT_EQ(at(9601), "short") << "a hundredth more than when some went last";
  EXPECT_EQ(at(9602), "short shed");
  EXPECT_EQ(at(9400), "short");
  EXPECT_EQ(at(9702), "short");
  EXPECT_EQ(at(8800), "");
  EXPECT_EQ(at(9501), "short shed") << "another time";
}

TEST_F(Pressure, LooksAgainBeforeAFloodCouldTakeWhatIsLeft) {
  using std::chrono_literals::operator""ms;
  const auto with = [this](std::uint64_t mebibytes_left) {
    return pressure_.judge({.used = (1000 - mebibytes_left) * mebibyte, .limit = 1000 * mebibyte}).look_again;
  };
  EXPECT_EQ(with(900), 100ms);
  EXPECT_EQ(with(101), 100ms);
  EXPECT_EQ(with(100), 100ms);
  EXPECT_EQ(with(99), 99ms);
  EXPECT_EQ(with(6), 6ms);
  EXPECT_EQ(with(5), 5ms);
  EXPECT_EQ(with(4), 5ms);
  EXPECT_EQ(with(0), 5ms);
  EXPECT_EQ(pressure_.judge({.used = 2 * mebibyte, .limit = mebibyte}).look_again, 5ms) << "lowered below what is used";
}

TEST_F(MemoryGroup, IsWatched) {
  write("proc/self/cgroup", "0::/c\n");
  unified("sys/fs/cgroup/c", "16777216", 8 * mebibyte);
  asio::io_context control;
  fakes::recording_log log;
  int sheds = 0;
  {
    const memory_watch watch{group(), {.control = control, .log = log, .shed = [&] { ++sheds; }}};
    control.run_one();
    EXPECT_FALSE(connection::memory_is_short());
    unified("sys/fs/cgroup/c", "16777216", 16 * mebibyte - mebibyte / 2);
    control.run_one();
    EXPECT_TRUE(connection::memory_is_short());
    EXPECT_EQ(sheds, 1);
    control.run_one();
    EXPECT_EQ(sheds, 1);
    unified("sys/fs/cgroup/c", "16777216", 8 * mebibyte);
    control.run_one();
    EXPECT_FALSE(connection::memory_is_short());
    unified("sys/fs/cgroup/c", "16777216", 15 * mebibyte);
    control.run_one();
    EXPECT_TRUE(connection::memory_is_short());
  }
  EXPECT_FALSE(connection::memory_is_short()) << "nobody says so any more";
}

}  // namespace
}  // namespace comity::server
