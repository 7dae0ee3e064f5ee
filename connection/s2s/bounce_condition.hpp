// connection/s2s/bounce_condition.hpp: what the sender of a stanza is told when its domain cannot be reached. Pure.
#pragma once

#include "connection/errors.hpp"
#include "connection/vocabulary.hpp"

namespace comity::connection {

/// RFC 6120 §8.3.3.16: remote_server_not_found where there is no such service, or none that may be believed;
/// §8.3.3.17: remote_server_timeout where it is not known, or did not answer; resource_constraint for limits of ours.
[[nodiscard]] stanza_condition bounce_condition(cause) noexcept;

}  // namespace comity::connection
