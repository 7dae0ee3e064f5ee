// The manual's paragraphs on causes: each word has one, and what is kept in the tree is made from them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "kept.hpp"
#include "server/config/config.hpp"
#include "server/manual/causes.hpp"
#include "server/manual/text.hpp"

namespace comity::manual {
namespace {

using testing::HasSubstr;

const std::filesystem::path source_directory{COMITY_SOURCE_DIR};

TEST(ManualText, EscapesWhatMacrosWouldRead) {
  EXPECT_EQ(roff("a-b\\c"), "a\\-b\\ec");
  EXPECT_EQ(roff(".TH"), "\\&.TH");
  EXPECT_EQ(roff("'x"), "\\&'x");
}

TEST(ManualText, BreaksLinesAtTheWidthAndNotWithinWords) {
  EXPECT_EQ(wrapped("ab cd", 5, ""), "ab cd\n");
  EXPECT_EQ(wrapped("ab cd", 4, ""), "ab\ncd\n");
  EXPECT_EQ(wrapped("ab cd", 7, "  "), "  ab cd\n");
  EXPECT_EQ(wrapped("ab cd", 6, "  "), "  ab\n  cd\n");
  EXPECT_EQ(wrapped("abcdef g", 3, ""), "abcdef\ng\n");
  EXPECT_EQ(wrapped("", 3, ""), "");
}

TEST(ManualCauses, EachHasAMeaningAndARemedyOfWholeSentences) {
  for (std::size_t i = 0; i < connection::cause_count; ++i) {
    const auto c = static_cast<connection::cause>(i);
    const auto p = paragraph(c);
    for (const auto text : {p.meaning, p.remedy}) {
      EXPECT_TRUE(text.ends_with('.')) << to_string(c);
      EXPECT_EQ(text.find('\n'), std::string_view::npos) << to_string(c);
      EXPECT_EQ(text.find("  "), std::string_view::npos) << to_string(c);
    }
  }
}

TEST(ManualCauses, ManualPageIsUpToDateAndHasEachWord) {
  const auto text = cause_manual_page();
  expect_kept(source_directory / "deploy/man/comity-causes.7", text);
  for (std::size_t i = 0; i < connection::cause_count; ++i) {
    EXPECT_THAT(text, HasSubstr("\n.B " + std::string{to_string(static_cast<connection::cause>(i))} + "\n"));
  }
}

TEST(ManualCauses, ReadmeHasTheParagraphs) {
  const auto file = source_directory / "README.md";
  const std::string begin = "<!-- made from server/manual/causes.cpp -->\n";
  const std::string end = "<!-- end of what is made -->\n";
  const auto text = contents(file);
  const auto from = text.find(begin);
  const auto to = text.find(end);
  ASSERT_LT(from, to);
  ASSERT_NE(to, std::string::npos);
  expect_kept(file, text.substr(0, from + begin.size()) + cause_chapter() + text.substr(to));
}

/// Each piece of configuration that the README shows is one that the server takes.
TEST(Readme, ShowsConfigurationThatIsRight) {
  const auto text = contents(source_directory / "README.md");
  const std::string begin = "\n```toml\n";
  std::size_t shown = 0;
  for (auto at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1), ++shown) {
    const auto from = at + begin.size();
    auto piece = text.substr(from, text.find("\n```", from) + 1 - from);
    if (piece.find("[[host]]") == std::string::npos) {
      piece += "[[host]]\ndomain = \"example.org\"\ncertificate = \"a.crt\"\nprivate_key = \"a.key\"\n";
    }
    const auto loaded = config::load_text(piece, "/etc/comity/comity.toml");
    EXPECT_TRUE(loaded) << piece << (loaded ? "" : to_string(loaded.error().front()));
  }
  EXPECT_GE(shown, 1U);
}

}  // namespace
}  // namespace comity::manual
