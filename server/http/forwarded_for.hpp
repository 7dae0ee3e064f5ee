// server/http/forwarded_for.hpp: who the client behind a proxy is, as X-Forwarded-For says. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "connection/s2s/address_rules.hpp"
#include "dns/answer.hpp"

namespace comity::http {

/// Each proxy writes behind what it was sent the address that sent it. So the list is read from its end, as long as
/// each word is that of a proxy we trust: the first address that is none of theirs is the client's, whatever stands
/// before it is anybody's to invent. `peer` is the other end of the connection, and one of them. What is no address
/// ends it: the client is then the last one that is known. `list` holds the elements of all fields in their order.
[[nodiscard]] dns::address forwarded_client(const std::vector<std::string_view>& list, const dns::address& peer,
                                            const std::vector<connection::address_block>& proxies);

}  // namespace comity::http
