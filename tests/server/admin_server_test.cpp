// The operator's socket: who may speak, what is taken, and the client that speaks on it.
#include "server/admin/admin_server.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <optional>
#include <thread>

#include "fakes/folder.hpp"
#include "fakes/recording_log.hpp"
#include "fakes/socket_peer.hpp"
#include "server/admin/client.hpp"

namespace comity::admin {
namespace {

using namespace std::chrono_literals;
using fakes::run_until;
using fakes::socket_peer;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::filesystem::perms mode_of(const std::filesystem::path& path) {
  return std::filesystem::status(path).permissions();
}

constexpr ::uid_t stranger = 65534;

class AdminServer : public ::testing::Test {
protected:
  void open(admin_limits limits = {}) {
    auto opened = admin_server::open(
        context_, socket_, log_,
        [this](std::string_view request, progress_ref told, replier reply) {
          told_ = std::move(told);
          asked_.emplace_back(request);
          hold_ ? held_.push_back(std::move(reply)) : reply("answer to " + std::string{request});
        },
        limits);
    ASSERT_TRUE(opened) << opened.error();
    server_ = std::move(*opened);
  }
  socket_peer connect() { return {context_, socket_}; }
  /// What `work` gives in a process of its own, whose user is nobody where ours is root.
  template <typename Work>
  int as_stranger(Work work) {
    const auto child = ::fork();
    if (child == 0) {
      ::_exit(::geteuid() == 0 && ::setuid(stranger) != 0 ? 100 : work());
    }
    int status = -1;
    EXPECT_TRUE(run_until(context_, [&] { return ::waitpid(child, &status, WNOHANG) == child; }));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  fakes::folder folder_;
  std::filesystem::path socket_ = folder_.path() / "run" / "admin.sock";
  fakes::recording_log log_;
  asio::io_context context_{1};
  std::vector<std::string> asked_;
  bool hold_ = false;  // replies wait in held_
  std::vector<replier> held_;
  progress_ref told_;  // of the last request
  std::unique_ptr<admin_server> server_;
};

TEST(AdminPeer, MayCommandWhereItIsRootOrTheDaemonsOwnUser) {
  EXPECT_TRUE(may_command(0, 990));
  EXPECT_TRUE(may_command(990, 990));
  EXPECT_FALSE(may_command(991, 990));
  EXPECT_FALSE(may_command(990, 0));
  EXPECT_TRUE(may_command(0, 0));
}

TEST_F(AdminServer, ItsSocketIsForItsOwnerAlone) {
  open();
  using std::filesystem::perms;
  EXPECT_EQ(perms::owner_read | perms::owner_write, mode_of(socket_));
  EXPECT_EQ(static_cast<perms>(0750), mode_of(socket_.parent_path()));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(socket_));
}

TEST_F(AdminServer, AsksTheKernelWhoThePeerIs) {  // SO_PEERCRED, whatever the modes of files say
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can be somebody else";
  }
  open();
  std::filesystem::permissions(socket_, std::filesystem::perms::all);
  std::filesystem::permissions(socket_.parent_path(), std::filesystem::perms::all);
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  EXPECT_EQ(0, as_stranger([&] {
              auto peer = client::connect(socket_);
              return peer && *peer && (*peer)->ask(R"({"command":"stop"})") ? 1 : 0;
            }));
  EXPECT_THAT(asked_, IsEmpty());
  EXPECT_THAT(log_.lines(), ElementsAre("admin.refused uid=" + std::to_string(stranger)));
}

TEST_F(AdminServer, AnswersLineByLine) {
  open();
  auto peer = connect();
  peer.say("one\ntw");
  EXPECT_EQ("answer to one\n", peer.hear("\n"));
  peer.say("o\nthree\nfour\n");
  EXPECT_EQ("answer to two\n", peer.hear("\n"));
  EXPECT_EQ("answer to three\n", peer.hear("\n"));
  EXPECT_EQ("answer to four\n", peer.hear("\n"));
  EXPECT_THAT(asked_, ElementsAre("one", "two", "three", "four"));
}

TEST_F(AdminServer, AsksForTheNextOnlyAfterTheAnswer) {
  open();
  hold_ = true;
  auto peer = connect();
  peer.say("one\ntwo\n");
  EXPECT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  context_.restart();
  context_.poll();
  EXPECT_THAT(asked_, SizeIs(1));
  std::thread{[&] { held_.front()("from another thread"); }}.join();
  EXPECT_EQ("from another thread\n", peer.hear("\n"));
  EXPECT_TRUE(run_until(context_, [&] { return asked_.size() == 2; }));
}

TEST_F(AdminServer, LogsTheCommandAndItsUserAndNoArgument) {  // THREATS G8
  open();
  auto peer = connect();
  peer.say(R"({"command":"user add","args":{"jid":"a@b.example","password":"canary"}})"
           "\n");
  peer.hear("\n");
  peer.say("no JSON: canary\n[\"canary\"]\n{\"command\":7}\n");
  peer.hear("\n");
  peer.hear("\n");
  peer.hear("\n");
  const auto uid = " uid=" + std::to_string(::getuid());
  EXPECT_THAT(log_.lines(), ElementsAre("admin.command command=user add" + uid, "admin.command command=" + uid,
                                        "admin.command command=" + uid, "admin.command command=" + uid));
}

TEST_F(AdminServer, TakesARequestUpToTheLimit) {  // L-1, L, L+1
  open({.request_bytes = 1000});
  for (const std::size_t size : {999U, 1000U}) {
    auto peer = connect();
    const auto request = std::string(size - 1, 'x');
    peer.say(request + "\n");
    EXPECT_EQ("answer to " + request + "\n", peer.hear("\n"));
  }
  auto peer = connect();
  peer.say(std::string(1000, 'x') + "\n");
  EXPECT_EQ(refusal("the request is too long") + "\n", peer.hear_out());
  EXPECT_THAT(asked_, SizeIs(2));
}

TEST_F(AdminServer, EndsASessionThatSaysNothing) {
  open({.idle_time = 60ms});
  auto silent = connect();
  auto slow = connect();
  slow.say("half a requ");
  EXPECT_EQ("", silent.hear_out());
  EXPECT_EQ("", slow.hear_out());
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(AdminServer, EndsASessionThatDoesNotTakeItsAnswer) {
  open({.idle_time = 60ms, .connections = 1});
  hold_ = true;
  auto greedy = connect();
  greedy.say("all\n");
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  held_.front()(std::string(16U << 20U, 'x'));
  held_.clear();
  hold_ = false;
  EXPECT_TRUE(run_until(context_, [&] {  // its place is free again
    auto next = connect();
    next.say("next\n");
    return next.hear("\n") == "answer to next\n";
  }));
  EXPECT_LT(greedy.hear_out().size(), 16U << 20U);
}

TEST_F(AdminServer, HoldsAsManySessionsAsTheLimit) {  // L-1, L, L+1
  open({.connections = 3});
  std::vector<socket_peer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(connect());
    peers.back().say("x\n");
    EXPECT_EQ("answer to x\n", peers.back().hear("\n")) << i;
  }
  auto over = connect();
  EXPECT_EQ("", over.hear_out());
  EXPECT_EQ(1U, log_.count("admin.refused"));
}

TEST_F(AdminServer, TakesLateAnswersForWhoHasGone) {
  open();
  hold_ = true;
  {
    auto peer = connect();
    peer.say("one\n");
    ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  }
  held_.front()("late");
  context_.restart();
  context_.run_for(20ms);
  hold_ = false;
  auto next = connect();
  next.say("two\n");
  EXPECT_EQ("answer to two\n", next.hear("\n"));
}

TEST_F(AdminServer, LeavesNothingOfASessionWhereItWasAnswered) {  // that is another thread, which must not end it
  open({.connections = 1});
  hold_ = true;
  {
    auto peer = connect();
    peer.say("one\n");
    ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
    held_.front()("answer");
    EXPECT_EQ("answer\n", peer.hear("\n"));
  }
  context_.restart();
  context_.run_for(20ms);
  // What has answered is still there; the session is not.
  hold_ = false;
  auto next = connect();
  next.say("two\n");
  EXPECT_EQ("answer to two\n", next.hear("\n"));
}

TEST_F(AdminServer, TellsWhatComesBeforeTheAnswer) {
  open();
  hold_ = true;
  auto peer = connect();
  peer.say("one\ntwo\n");
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  std::thread{[&] {
    EXPECT_EQ(progress::fate::taken, told_->tell("\"a\""));
    EXPECT_EQ(progress::fate::taken, told_->tell("{}"));
  }}.join();
  EXPECT_EQ("{\"progress\":\"a\"}\n{\"progress\":{}}\n", peer.hear("{}}\n"));
  const auto first = told_;
  EXPECT_EQ(progress::fate::taken, told_->tell("1"));
  held_.front()("answer");
  EXPECT_EQ("{\"progress\":1}\nanswer\n", peer.hear("answer\n"));
  EXPECT_TRUE(run_until(context_, [&] { return asked_.size() == 2; }));
  EXPECT_EQ(progress::fate::gone, first->tell("late"));
  EXPECT_EQ(progress::fate::taken, told_->tell("2"));  // the next command has a teller of its own
  EXPECT_EQ("{\"progress\":2}\n", peer.hear("\n"));
}

TEST_F(AdminServer, KeepsAsMuchForASlowOperatorAsTheLimit) {  // L-1, L, L+1
  open({.progress_bytes = 100});
  hold_ = true;
  auto peer = connect();
  peer.say("one\n");
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  const std::string framing = "{\"progress\":}\n";
  // The first is kept, and the second where both come to the limit.
  for (const std::size_t size : {99U, 100U, 101U}) {
    EXPECT_EQ(progress::fate::taken, told_->tell("1"));
    const auto second = std::string(size - 2 * framing.size() - 1, '1');
    EXPECT_EQ(size > 100 ? progress::fate::full : progress::fate::taken, told_->tell(second)) << size;
    peer.hear(size > 100 ? framing.size() + 1 : size);
  }
}

TEST_F(AdminServer, TellsACommandThatItsOperatorHasGone) {
  open();
  hold_ = true;
  int gone = 0;
  auto peer = connect();
  peer.say("one\n");
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  told_->when_gone([&] { ++gone; });
  peer.shut_down();  // which says that nothing more is asked, and no more than that
  context_.restart();
  context_.run_for(5ms);
  EXPECT_EQ(0, gone);
  peer.close();
  EXPECT_TRUE(run_until(context_, [&] { return gone == 1; }));
  EXPECT_EQ(progress::fate::gone, told_->tell("1"));
  told_->when_gone([&] { ++gone; });  // who asks later is told as well
  EXPECT_TRUE(run_until(context_, [&] { return gone == 2; }));
}

TEST_F(AdminServer, TellsNoCommandOfAnOperatorWhoGoesAfterTheAnswer) {
  open();
  hold_ = true;
  int gone = 0;
  auto peer = connect();
  peer.say("one\n");
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  told_->when_gone([&] { ++gone; });
  held_.front()("answer");
  EXPECT_EQ("answer\n", peer.hear("\n"));
  peer.close();
  context_.restart();
  context_.run_for(5ms);
  told_->when_gone([&] { ++gone; });
  context_.restart();
  context_.run_for(5ms);
  EXPECT_EQ(0, gone);
}

TEST_F(AdminServer, GivesItsClientWhatIsToldBeforeTheAnswer) {
  open();
  hold_ = true;
  std::vector<std::string> told;
  std::optional<std::string> answer;
  std::atomic<bool> done = false;
  std::thread asking{[&] {
    auto peer = client::connect(socket_);
    answer = (*peer)->ask("one", [&](std::string_view value) { told.emplace_back(value); }).value();
    done = true;
  }};
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  EXPECT_EQ(progress::fate::taken, told_->tell("\"a\""));
  EXPECT_EQ(progress::fate::taken, told_->tell("{\"b\":{}}"));
  held_.front()("answer");
  held_.clear();
  EXPECT_TRUE(run_until(context_, [&] { return done.load(); }));
  asking.join();
  EXPECT_THAT(told, ElementsAre("\"a\"", "{\"b\":{}}"));
  EXPECT_EQ("answer", answer);
}

TEST_F(AdminServer, TakesAnswersAfterItsEnd) {  // "stop" is answered while the server goes
  open();
  hold_ = true;
  auto peer = connect();
  peer.say("stop\n");
  ASSERT_TRUE(run_until(context_, [&] { return !held_.empty(); }));
  server_.reset();
  held_.front()("stopping");
  EXPECT_EQ("stopping\n", peer.hear("\n"));
  peer.say("and more\n");
  EXPECT_EQ("", peer.hear_out());
  EXPECT_THAT(asked_, SizeIs(1));
}

TEST_F(AdminServer, RestsWhenThereAreNoDescriptors) {  // THREATS G4
  open();
  auto peer = connect();
  peer.say("x\n");
  {
    const fakes::no_descriptors none;
    EXPECT_LT(context_.run_for(150ms), 20U);
  }
  EXPECT_EQ("answer to x\n", peer.hear("\n"));
}

TEST_F(AdminServer, ReplacesASocketThatNobodyAnswersOn) {
  open();
  server_.reset();
  {
    // What a daemon that was killed leaves behind.
    const int left = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path, socket_.c_str(), socket_.native().size() + 1);
    ASSERT_EQ(0, ::bind(left, reinterpret_cast<const sockaddr*>(&at), sizeof at));
    ::close(left);
  }
  open();
  auto peer = connect();
  peer.say("x\n");
  EXPECT_EQ("answer to x\n", peer.hear("\n"));
}

TEST_F(AdminServer, LeavesASocketThatSomebodyAnswersOn) {
  open();
  const auto second = admin_server::open(context_, socket_, log_, {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), HasSubstr("a daemon is running already"));
  auto peer = connect();
  peer.say("x\n");
  EXPECT_EQ("answer to x\n", peer.hear("\n"));
}

TEST_F(AdminServer, LeavesAFileThatIsNoSocket) {
  std::filesystem::create_directories(socket_);
  const auto opened = admin_server::open(context_, socket_, log_, {});
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error(), HasSubstr("cannot open the admin socket"));
  EXPECT_TRUE(std::filesystem::is_directory(socket_));
}

// --- the client ------------------------------------------------------------------------------------------------------

TEST_F(AdminServer, ItsClientAsksAndIsAnswered) {
  open();
  std::jthread daemon{[this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      context_.restart();
      context_.run_for(5ms);
    }
  }};
  auto c = client::connect(socket_);
  ASSERT_TRUE(c);
  ASSERT_NE(nullptr, *c);
  EXPECT_EQ("answer to one", (*c)->ask("one"));
  EXPECT_EQ("answer to " + std::string(60'000, 'x'), (*c)->ask(std::string(60'000, 'x')));
}

TEST_F(AdminServer, ItsClientSaysWhyThereIsNoAnswer) {
  EXPECT_EQ(nullptr, client::connect(socket_).value());  // no such file
  open();
  server_.reset();
  EXPECT_EQ(nullptr, client::connect(socket_).value());
  const auto long_path = client::connect(folder_.path() / std::string(200, 'x'));
  ASSERT_FALSE(long_path);
  EXPECT_THAT(long_path.error(), HasSubstr("too long"));

  const int listening = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::memcpy(at.sun_path, socket_.c_str(), socket_.native().size() + 1);
  ASSERT_EQ(0, ::bind(listening, reinterpret_cast<const sockaddr*>(&at), sizeof at));
  ASSERT_EQ(0, ::listen(listening, 1));
  auto c = client::connect(socket_);
  ASSERT_TRUE(c);
  ::close(::accept(listening, nullptr, nullptr));
  const auto answer = (*c)->ask("one");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error(), HasSubstr("closed the connection"));
  ::close(listening);
}

TEST_F(AdminServer, ItsClientTellsThatItMayNotSpeak) {
  open();
  std::filesystem::permissions(socket_, std::filesystem::perms::none);
  EXPECT_EQ(0, as_stranger([&] {
              const auto c = client::connect(socket_);
              return !c && c.error().contains("Permission denied") ? 0 : 1;
            }));
}

}  // namespace
}  // namespace comity::admin
