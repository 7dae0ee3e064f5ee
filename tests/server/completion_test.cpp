// What could stand next on a command line, by the tree of commands that would parse it.
#include "server/admin/completion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

namespace comity::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Completion : public ::testing::Test {
protected:
  Completion() {
    app_.fallthrough();
    app_.add_option("--socket", text_)->type_name("PATH");
    app_.add_flag("--json", flag_, "print JSON");
    auto* user = app_.add_subcommand("user", "accounts");
    auto* add = user->add_subcommand("add", "make an account");
    add->add_option("jid", text_)->type_name("JID");
    add->add_flag("--generate", flag_);
    user->add_subcommand("list")->add_option("domain", text_)->type_name("HOST");
    auto* explain = app_.add_subcommand("explain");
    explain->add_option("domain", text_)->type_name("HOST");
    explain->add_option("--method", text_)->check(CLI::IsMember({"starttls", "direct_tls"}));
    explain->add_option("-f,--from", text_)->type_name("HOST");
    app_.add_subcommand("hidden")->group("");
  }
  std::vector<std::string> next(const std::vector<std::string>& words) {
    std::vector<std::string> found;
    for (const auto& c : complete(app_, words, [](std::string_view type) {
           return type == "HOST" ? std::vector<std::string>{"a.example", "b.example"} : std::vector<std::string>{};
         })) {
      found.push_back(c.word);
    }
    return found;
  }

  std::string text_;
  bool flag_ = false;
  CLI::App app_;
};

TEST_F(Completion, NamesCommandsButHiddenOnes) {
  EXPECT_THAT(next({""}), ElementsAre("user", "explain"));
  EXPECT_THAT(next({"us"}), ElementsAre("user"));
  EXPECT_THAT(next({"user", ""}), ElementsAre("add", "list"));
  EXPECT_THAT(next({"hid"}), IsEmpty());
  EXPECT_THAT(next({}), IsEmpty());
}

TEST_F(Completion, SaysWhatEachIs) {
  const std::vector<std::string> words{"user", "a"};
  EXPECT_THAT(complete(app_, words, {}), ElementsAre(candidate{"add", "make an account"}));
}

TEST_F(Completion, NamesOptionsOfTheCommandAndOfThoseAroundItOnce) {
  EXPECT_THAT(next({"--"}), ElementsAre("--help", "--socket", "--json"));
  EXPECT_THAT(next({"user", "add", "--"}), ElementsAre("--socket", "--json", "--help", "--generate"));
  EXPECT_THAT(next({"user", "--json", "add", "--generate", "--"}), ElementsAre("--socket", "--help"));
}

TEST_F(Completion, AnOptionsValueComesBehindItOrItsEqualsSign) {
  EXPECT_THAT(next({"explain", "--method", ""}), ElementsAre("starttls", "direct_tls"));
  EXPECT_THAT(next({"explain", "--method", "d"}), ElementsAre("direct_tls"));
  EXPECT_THAT(next({"explain", "--method=s"}), ElementsAre("--method=starttls"));
  EXPECT_THAT(next({"explain", "-f", "b"}), ElementsAre("b.example"));
  EXPECT_THAT(next({"--socket", ""}), ElementsAre(any_file));
  EXPECT_THAT(next({"--socket=/r"}), ElementsAre(any_file));
  EXPECT_THAT(next({"--nonsense=x"}), IsEmpty());
}

TEST_F(Completion, AValueIsNoCommandAndNoArgument) {
  EXPECT_THAT(next({"--socket", "user", ""}), ElementsAre("user", "explain"));
  EXPECT_THAT(next({"explain", "--from", "a.example", ""}), ElementsAre("a.example", "b.example"));
}

TEST_F(Completion, ArgumentsEndWhereTheCommandHasNoMore) {
  EXPECT_THAT(next({"explain", ""}), ElementsAre("a.example", "b.example"));
  EXPECT_THAT(next({"explain", "a.example", ""}), IsEmpty());
  EXPECT_THAT(next({"user", "add", ""}), IsEmpty());
  EXPECT_THAT(next({"nonsense", ""}), IsEmpty());
}

}  // namespace
}  // namespace comity::admin
