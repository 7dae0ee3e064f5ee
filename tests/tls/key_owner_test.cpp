// Who may own and read the file of a private key (THREATS §3, "key files refused if group/world readable or not ours").
#include "tls/key_owner.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

namespace comity::tls {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uid_t server = 5222;
constexpr gid_t ssl_cert = 110;
const key_reader reader{.user = server, .groups = {ssl_cert, server}};
const key_reader root{.user = 0, .groups = {0}};

TEST(KeyOwner, OfTheServerAloneIsTaken) {
  for (const mode_t mode : {0600U, 0400U, 0700U}) {
    EXPECT_THAT(exposure({.owner = server, .group = server, .mode = mode}, reader), IsEmpty()) << std::oct << mode;
  }
}

TEST(KeyOwner, ThatAnyBitShowsToOthersIsRefused) {
  for (const mode_t bit : {0040U, 0020U, 0004U, 0002U}) {
    for (const auto& who : {reader, root}) {
      EXPECT_THAT(exposure({.owner = who.user, .group = who.groups.back(), .mode = 0600U | bit}, who),
                  HasSubstr("chmod 600"))
          << std::oct << bit;
    }
  }
}

TEST(KeyOwner, OfAnotherUserIsRefused) {
  EXPECT_THAT(exposure({.owner = 1000, .group = server, .mode = 0600}, reader),
              "belongs to user 1000; make it the server's own (chown 5222)");
}

/// root:ssl-cert 0640, and the server's user in that group.
TEST(KeyOwner, OfRootMayBeReadByAGroupOfTheServers) {
  EXPECT_THAT(exposure({.owner = 0, .group = ssl_cert, .mode = 0640}, reader), IsEmpty());
  EXPECT_THAT(exposure({.owner = 0, .group = server, .mode = 0440}, reader), IsEmpty());
  EXPECT_THAT(exposure({.owner = 0, .group = ssl_cert, .mode = 0660}, reader), HasSubstr("chmod 600")) << "written";
  EXPECT_THAT(exposure({.owner = 0, .group = ssl_cert, .mode = 0644}, reader), HasSubstr("chmod 600")) << "by others";
  EXPECT_THAT(exposure({.owner = 0, .group = 111, .mode = 0640}, reader), HasSubstr("chmod 600")) << "of others";
  EXPECT_THAT(exposure({.owner = 0, .group = 0, .mode = 0640}, reader), HasSubstr("chmod 600")) << "of root";
  EXPECT_THAT(exposure({.owner = server, .group = ssl_cert, .mode = 0640}, reader), HasSubstr("chmod 600"))
      << "its owner needs no group";
}

/// `comityd --check-config` and `comityctl setup` by root, for the service.
TEST(KeyOwner, IsJudgedByRootForWhoeverServes) {
  EXPECT_THAT(exposure({.owner = server, .group = server, .mode = 0600}, root), IsEmpty());
  EXPECT_THAT(exposure({.owner = 0, .group = 999, .mode = 0640}, root), IsEmpty()) << "a group of the system's";
  EXPECT_THAT(exposure({.owner = 0, .group = 1000, .mode = 0640}, root), HasSubstr("chmod 600")) << "people's";
}

TEST(KeyOwner, ReaderIsThisProcess) {
  const auto me = key_reader::self();
  EXPECT_EQ(me.user, ::geteuid());
  EXPECT_THAT(me.groups, Contains(::getegid()));
}

}  // namespace
}  // namespace comity::tls
