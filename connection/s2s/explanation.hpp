// connection/s2s/explanation.hpp: what happens on the way to a remote domain, step by step, for `comityctl s2s
// explain`, as values.
//
// Nothing here is made for the explanation alone: each step is what the search itself works with. How they look to
// people and programs is the server's matter.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "connection/negotiation/domain_flow.hpp"
#include "connection/s2s/s2s_host.hpp"
#include "connection/s2s/trust.hpp"
#include "connection/vocabulary.hpp"
#include "dns/endpoint_lookup.hpp"
#include "dns/service_resolver.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::connection {

struct phase_time {
  connection::phase phase;
  std::chrono::microseconds took;
};

/// What was seen and decided after TCP; the memory of a domain's attempts does without.
struct attempt_details {
  std::vector<phase_time> phases;  // those that ended, then the one that did not
  bool resumed = false;            // TLS took up an earlier session
  std::optional<tls::certificate_summary> certificate;
  std::vector<std::string> features;      // that the peer offered last, with the mechanisms
  std::optional<trust::evidence> judged;  // what the decision was made by
  std::string examined;                   // what the certificate failed at, or the TLSA record that it matched
  std::string reason;                     // the decision's
};

/// One address tried. Where there is no address, the search ended in the DNS.
struct attempt_record {
  std::uint32_t number = 0;  // within the search, from 1 on
  std::chrono::system_clock::time_point began;
  std::chrono::milliseconds took{};
  std::string target;   // the name that led here
  std::string address;  // "192.0.2.7:5269", "[2001:db8::7]:5270"
  connection::method method = method::starttls;
  std::string sni;                         // "" before TLS
  std::string alpn;                        // as selected by the peer
  std::string tls;                         // "TLSv1.3 TLS_AES_256_GCM_SHA384", "" before
  std::string proof;                       // "dane", "pkix", "posh", "dialback", "" where none was found
  connection::phase phase = phase::tcp;    // the last one reached
  std::optional<connection::cause> cause;  // nullopt: it became an authenticated stream
  std::string detail;
  std::string stream_error;        // the condition that one side said; "" for none
  bool stream_error_ours = false;  // which side
  std::optional<attempt_details> more;
};

namespace explained {

/// The beginning: what is asked for, and what holds for that domain.
struct asked {
  domain_flow flow;  // from our domain to theirs
  bool dry_run = false;
  std::optional<method> only = {};
  peer_policy policy = {};
  // As our own traffic has it now:
  bool connected = false;                               // a stream carries stanzas
  std::size_t waiting = 0;                              // stanzas
  std::uint32_t failed_searches = 0;                    // in a row
  std::optional<std::chrono::seconds> not_before = {};  // until the next search, where one has to wait
  std::vector<attempt_record> history = {};             // the last ones, oldest first
};

/// The endpoints of the service, or why there are none.
struct planned {
  dns::service_plan plan;
};

/// What is known of one endpoint before it is dialled. Comes again where a later answer spoils it.
struct located {
  dns::target target;
  dns::endpoint_addresses known;
};

/// An address is about to be connected to.
struct trying {
  std::uint32_t number = 0;
  std::string target, address;
  connection::method method = method::starttls;
  bool failed_lately = false;  // so it came last
};

/// What became of it. `called_off`: another one was faster.
struct tried {
  attempt_record attempt;
  bool called_off = false;
};

/// The end, once.
struct outcome {
  std::optional<connection::cause> cause = {};  // nullopt: reached, or in a dry run: there is something to dial
  connection::phase phase = phase::dns;
  std::string text = {};
  std::uint32_t attempts = 0;
  std::chrono::milliseconds took{};
  std::optional<attempt_record> winner = {};  // where reached
};

}  // namespace explained

using explained_step = std::variant<explained::asked, dns::traced_query, explained::planned, explained::located,
                                    explained::trying, explained::tried, explained::outcome>;

struct explain_request {
  domain_flow flow;  // from a domain of ours to theirs
  bool dry_run = false;
  std::optional<method> only = {};
};

}  // namespace comity::connection
