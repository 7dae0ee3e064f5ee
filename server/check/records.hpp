// server/check/records.hpp: the DNS records, and the files, that a host has to publish to be found (RFC 2782, XEP-0368,
// RFC 7673, XEP-0156). Pure: facts in, records out, and their text in each form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/check/running.hpp"

namespace comity::check {

/// How long records may be remembered, in seconds: two of these is how long a key is published before it is used.
inline constexpr std::uint32_t record_ttl = 3600;

struct zone_record {
  std::string owner;  // absolute, without the dot at its end
  std::string type;   // "SRV", "TLSA"
  std::string data;   // as a zone file has it
  std::string about;  // for people: what it is of
  friend bool operator==(const zone_record&, const zone_record&) = default;
};

/// A file for the web server of the domain.
struct web_file {
  std::string path;  // "/.well-known/host-meta"
  std::string content;
  friend bool operator==(const web_file&, const web_file&) = default;
};

struct host_records {
  std::string domain;
  std::vector<zone_record> records;
  std::vector<std::string> hints;  // a sentence each: what cannot be known here, and what is left to decide
  std::vector<web_file> files;
  friend bool operator==(const host_records&, const host_records&) = default;
};

/// Four SRV sets, "." where a service is off (RFC 2782); direct TLS is preferred, since nobody can strip it. TLSA
/// "3 1 1" for each port and key, the next key included (RFC 7671 §8.1, B20).
[[nodiscard]] host_records records_for(const running_host&);

/// Lines of a zone file (RFC 1035 §5), hints and files as comments.
[[nodiscard]] std::string zone_text(const host_records&);
/// What nsupdate(1) reads (RFC 2136): each set is replaced.
[[nodiscard]] std::string nsupdate_text(const host_records&);

}  // namespace comity::check
