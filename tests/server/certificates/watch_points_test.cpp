// What is watched so as to hear of every change, and that it is heard.
#include "server/certificates/watch_points.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <asio.hpp>
#include <fstream>
#include <functional>

#include "fakes/folder.hpp"
#include "server/certificates/file_watch.hpp"

namespace comity::server {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

class Watching : public testing::Test {
protected:
  Watching() : watch_{*file_watch::open(control_, [this] { heard_ = true; })} {}

  void write(const fs::path& file) { std::ofstream{root_ / file} << "x"; }
  void link(const fs::path& to, const fs::path& at) { fs::create_symlink(to, root_ / at); }
  /// As certbot and orchestrators swap a link: whole.
  void relink(const fs::path& to, const fs::path& at) {
    fs::create_symlink(to, root_ / "new");
    fs::rename(root_ / "new", root_ / at);
  }
  /// The watch points of one file, below the root alone.
  [[nodiscard]] watch_points points(const fs::path& file) const {
    watch_points inside;
    for (const auto& [directory, names] : points_of({root_ / file})) {
      if (const auto below = directory.lexically_relative(root_); !below.native().starts_with("..")) {
        inside[below] = names;
      }
    }
    return inside;
  }
  void aim(const fs::path& file) { EXPECT_EQ(watch_->aim({root_ / file}), ""); }
  /// Whether a change is heard.
  bool hears(const std::function<void()>& change) {
    heard_ = false;
    change();
    control_.restart();
    control_.poll();  // the kernel has queued it by now, where it does at all
    return heard_;
  }

  fakes::folder folder_;
  fs::path root_ = fs::canonical(folder_.path());
  asio::io_context control_;
  bool heard_ = false;
  std::unique_ptr<file_watch> watch_;
};

TEST_F(Watching, IsOfTheNameInItsDirectoryAndOfTheDirectoryInItsOwn) {
  fs::create_directories(root_ / "a/b");
  write("a/b/c.crt");
  EXPECT_THAT(points("a/b/c.crt"), ElementsAre(Pair("a", ElementsAre("b")), Pair("a/b", ElementsAre("c.crt"))));
}

TEST_F(Watching, FollowsLinksOfFilesAndOfDirectories) {
  fs::create_directories(root_ / "archive/d");
  fs::create_directories(root_ / "live/d");
  write("archive/d/fullchain1.pem");
  link("../../archive/d/fullchain1.pem", "live/d/fullchain.pem");
  link("live", "current");
  EXPECT_THAT(points("current/d/fullchain.pem"),
              UnorderedElementsAre(Pair(".", ElementsAre("current")), Pair("live", ElementsAre("d")),
                                   Pair("live/d", ElementsAre("fullchain.pem")), Pair("archive", ElementsAre("d")),
                                   Pair("archive/d", ElementsAre("fullchain1.pem"))));
}

TEST_F(Watching, OfWhatIsNotThereIsOfItsFirstStepThatIsNot) {
  fs::create_directories(root_ / "a");
  EXPECT_THAT(points("a/b/c/d.crt"), ElementsAre(Pair("a", ElementsAre("b"))));
}

TEST_F(Watching, EndsWhereLinksGoInCircles) {
  link("two", "one");
  link("one", "two");
  EXPECT_THAT(points("one"), ElementsAre(Pair(".", UnorderedElementsAre("one", "two"))));
}

TEST_F(Watching, HearsOfWhateverIsDoneToAFile) {
  write("c.crt");
  aim("c.crt");
  EXPECT_TRUE(hears([&] { write("c.crt"); })) << "in place";
  EXPECT_TRUE(hears([&] { write("new"), fs::rename(root_ / "new", root_ / "c.crt"); }));
  EXPECT_TRUE(hears([&] { ::chmod((root_ / "c.crt").c_str(), 0600); }));
  EXPECT_TRUE(hears([&] { fs::remove(root_ / "c.crt"); }));
  EXPECT_TRUE(hears([&] { link("elsewhere", "c.crt"); }));
}

TEST_F(Watching, HearsNothingOfOtherFilesBesideIt) {
  write("c.crt");
  aim("c.crt");
  EXPECT_FALSE(hears([&] { write("d.crt"); }));
  EXPECT_FALSE(hears([&] { write("c.crt.bak"), fs::remove(root_ / "c.crt.bak"); }));
}

TEST_F(Watching, HearsOfALinkThatIsSwapped) {
  for (const auto* each : {"v1", "v2"}) {
    fs::create_directory(root_ / each);
    write(fs::path{each} / "c.crt");
  }
  link("v1", "now");
  link("now/c.crt", "c.crt");
  aim("c.crt");
  EXPECT_TRUE(hears([&] { relink("v2", "now"); }));
  EXPECT_FALSE(hears([&] { write("v2/c.crt"); })) << "it was not yet followed there";
  aim("c.crt");
  EXPECT_TRUE(hears([&] { write("v2/c.crt"); }));
  EXPECT_FALSE(hears([&] { write("v1/c.crt"); })) << "it is not followed there any more";
}

TEST_F(Watching, HearsOfADirectoryThatComesAndGoes) {
  aim("d/c.crt");
  EXPECT_TRUE(hears([&] { fs::create_directory(root_ / "d"); }));
  aim("d/c.crt");
  EXPECT_TRUE(hears([&] { write("d/c.crt"); }));
  EXPECT_TRUE(hears([&] { fs::rename(root_ / "d", root_ / "old"); }));
  aim("d/c.crt");
  EXPECT_TRUE(hears([&] { fs::create_directory(root_ / "d"); }));
}

TEST_F(Watching, SaysWhatCannotBeWatched) {
  write("d");
  EXPECT_EQ(watch_->aim({root_ / "d/c.crt"}), (root_ / "d").native() + ": Not a directory");
}

}  // namespace
}  // namespace comity::server
