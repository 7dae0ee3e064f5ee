#include "dns/system_resolvers.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace comity::dns {
namespace {

using names = std::vector<std::string>;

TEST(SystemResolvers, AreThoseOfTheNameserverLines) {
  EXPECT_EQ(nameservers("# by hand\nsearch example.org\nnameserver 192.0.2.53\n\tnameserver\t2001:db8::53  # second\r\n"
                        "options edns0\n"),
            (names{"192.0.2.53", "2001:db8::53"}));
  EXPECT_EQ(nameservers("nameserver 127.0.0.53"), names{"127.0.0.53"});
}

TEST(SystemResolvers, AreAtMostThree) {
  EXPECT_EQ(nameservers("nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n"),
            (names{"192.0.2.1", "192.0.2.2", "192.0.2.3"}));
}

TEST(SystemResolvers, AreNotWhatIsNoAddress) {
  EXPECT_EQ(nameservers(""), names{});
  EXPECT_EQ(nameservers("\n\n#nameserver 192.0.2.1\nnameserver\nnameserver dns.example\nnameserver fe80::1%eth0\n"
                        "nameservers 192.0.2.2\n;nameserver 192.0.2.3"),
            names{});
}

TEST(AnchoredName, IsTheOwnerOfTheFirstRecord) {
  EXPECT_EQ(anchored_name(". IN DNSKEY 257 3 8 AwEAAaz= ; keytag 20326\n"), ".");
  EXPECT_EQ(anchored_name("; a comment\n\n$TTL 60\n  Lab.Test.\t3600 IN DS 1 13 2 00\nother.test. IN DS 1 13 2 00\n"),
            "lab.test");
}

TEST(AnchoredName, IsTheRootWhereThereIsNone) {
  EXPECT_EQ(anchored_name(""), ".");
  EXPECT_EQ(anchored_name("; nothing\n"), ".");
  EXPECT_EQ(anchored_name("not!a!name IN DS"), ".");
}

TEST(RootHints, AreTheAddressesThatTheFileNames) {
  EXPECT_EQ(hinted_addresses("; A 192.0.2.9\n.  3600000  NS  A.ROOT.\nA.ROOT.\t3600000 IN A 192.0.2.1 ; one\n"
                             "a.root. 5 AAAA 2001:db8::1\nb.root. A none\nlast. A 192.0.2.2"),
            (std::vector<std::string>{"192.0.2.1", "2001:db8::1", "192.0.2.2"}));
  EXPECT_TRUE(hinted_addresses("").empty());
}

}  // namespace
}  // namespace comity::dns
