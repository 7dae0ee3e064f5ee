#include "server/block_list.hpp"

#include <gtest/gtest.h>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

struct matching {
  const char* item;
  const char* who;
  bool expected;
};

class BlockListMatching : public testing::TestWithParam<matching> {};

TEST_P(BlockListMatching, IsByTheFourForms) {  // XEP-0191 §6
  const block_list list{{address(GetParam().item)}};
  EXPECT_EQ(GetParam().expected, list.matches(address(GetParam().who))) << GetParam().item << " " << GetParam().who;
}

INSTANTIATE_TEST_SUITE_P(, BlockListMatching,
                         testing::Values(matching{"romeo@a.example/orchard", "romeo@a.example/orchard", true},
                                         matching{"romeo@a.example/orchard", "romeo@a.example/garden", false},
                                         matching{"romeo@a.example/orchard", "romeo@a.example", false},
                                         matching{"romeo@a.example/orchard", "a.example/orchard", false},
                                         matching{"romeo@a.example", "romeo@a.example", true},
                                         matching{"romeo@a.example", "romeo@a.example/orchard", true},
                                         matching{"romeo@a.example", "ROMEO@A.example/orchard", true},
                                         matching{"romeo@a.example", "tybalt@a.example/orchard", false},
                                         matching{"romeo@a.example", "romeo@b.example", false},
                                         matching{"romeo@a.example", "a.example", false},
                                         matching{"a.example/orchard", "a.example/orchard", true},
                                         matching{"a.example/orchard", "a.example", false},
                                         matching{"a.example/orchard", "romeo@a.example/orchard", false},
                                         matching{"a.example", "a.example", true},
                                         matching{"a.example", "a.example/orchard", true},
                                         matching{"a.example", "romeo@a.example", true},
                                         matching{"a.example", "romeo@a.example/orchard", true},
                                         matching{"a.example", "romeo@x.a.example", false},
                                         matching{"a.example", "romeo@xa.example", false},
                                         matching{"a.example", "a.example@b.example/a.example", false}));

TEST(BlockList, ChangesByWhatItIsGiven) {
  block_list list;
  EXPECT_TRUE(list.empty());
  list.add({address("b.example"), address("a@a.example"), address("b.example")});
  EXPECT_EQ(2U, list.size());
  EXPECT_TRUE(list.has(address("b.example")));
  EXPECT_FALSE(list.has(address("b@b.example"))) << "it is blocked, and not in the list";
  list.remove({address("c.example"), address("b.example")});
  EXPECT_FALSE(list.matches(address("b@b.example")));
  EXPECT_EQ(1U, list.size());
}

TEST(BlockList, NobodyIsNotBlocked) {
  EXPECT_FALSE(block_list{{address("a.example")}}.matches(jid{}));
}

}  // namespace
}  // namespace comity::server
