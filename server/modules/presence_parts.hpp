// server/modules/presence_parts.hpp: what the sources of the presence module share.
#pragma once

#include "server/account.hpp"

namespace comity::server {

class exchange;

namespace presence {

/// Answers a presence probe (RFC 6121 §4.3.2, §4.6.6).
void probed(exchange&, account&, const stanza_ref&);

}  // namespace presence
}  // namespace comity::server
