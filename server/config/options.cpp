#include "server/config/options.hpp"

#include <algorithm>
#include <limits>

namespace comity::config {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;

// In the order of the enumerations of settings.hpp.
constexpr std::array level_words{"trace"sv, "debug"sv, "info"sv, "warn"sv, "error"sv};
constexpr std::array format_words{"text"sv, "json"sv};
constexpr std::array protocol_words{"c2s"sv, "s2s"sv, "http"sv, "auto"sv};
constexpr std::array listen_tls_words{"starttls"sv, "direct"sv, "either"sv, "none"sv};
constexpr std::array tls_version_words{"1.2"sv, "1.3"sv};
constexpr std::array trust_words{"dane"sv, "certificate"sv, "dialback"sv};
constexpr std::array peer_trust_words{""sv, "dane"sv, "certificate"sv, "dialback"sv};
constexpr std::array peer_method_words{""sv, "starttls"sv, "direct_tls"sv};

constexpr std::array default_dns_servers{"auto"sv};
constexpr std::array default_trust_anchors{"/usr/share/dns/root.key"sv};
constexpr std::array any_origin{"*"sv};
constexpr std::array default_forbidden{"special"sv};

/// Ties a row to its field; `Field` is a captureless lambda from the owner to a reference, const or not.
template <class Owner, class Field>
constexpr option<Owner> bind(option_row row, Field /*chosen by its type*/) {
  using target = std::remove_cvref_t<decltype(Field{}(std::declval<Owner&>()))>;
  constexpr bool as_number = std::is_enum_v<target> || std::is_integral_v<target>;
  return {.row = row,
          .put =
              [](Owner& owner, typed_value&& value) {
                if constexpr (as_number) {
                  Field{}(owner) = static_cast<target>(std::get<std::uint64_t>(value));
                } else {
                  Field{}(owner) = std::get<target>(std::move(value));
                }
              },
          .value = [](const Owner& owner) -> typed_value {
            if constexpr (as_number) {
              return static_cast<std::uint64_t>(Field{}(owner));
            } else {
              return Field{}(owner);
            }
          }};
}

template <class Field>
constexpr option<settings> row(std::string_view table, std::string_view key, value_kind kind, raw_value fallback,
                               effect takes_effect, std::string_view sentence, Field field) {
  return bind<settings>({table, key, kind, fallback, {}, takes_effect, sentence}, field);
}

template <class Owner, class Field>
constexpr option<Owner> required(std::string_view table, std::string_view key, value_kind kind,
                                 std::string_view example, effect takes_effect, std::string_view sentence,
                                 Field field) {
  return bind<Owner>({table, key, kind, {}, example, takes_effect, sentence}, field);
}

constexpr std::array all_sections{
    section{"server", false, false, "The daemon itself."},
    section{"log", false, false, "What is said on standard error: one line an event."},
    section{"storage", false, false, "Where accounts, rosters and messages are kept."},
    section{"host", true, false,
            "A domain that is served, one table each; at least one is needed. The certificate of the first answers a "
            "TLS ClientHello that names no server."},
    section{"listen", true, false,
            "A port that is listened on, one table each. Without any, clients are taken in on port 5222 by STARTTLS "
            "and on port 5223 by direct TLS, and servers, where s2s.enabled is true, on ports 5269 and 5270, as shown "
            "here."},
    section{"tls", false, false, "What TLS must be like, for every port and host."},
    section{"dns", false, false, "How other servers are found: a resolver of our own that validates DNSSEC."},
    section{"s2s", false, false, "Other servers: whom stanzas are exchanged with, and what proof is asked for."},
    section{"s2s.peer", true, true, "What holds for one other domain, one table each."},
    section{"limits", false, false,
            "What a peer may use up. Sizes count an element from its < to its >; what is exactly at a limit passes."},
    section{"stream_management", false, false,
            "Sessions of clients that outlive their connection (XEP-0198), over a graceful restart as well."},
    section{"http", false, false, "What is served by HTTP beside the streams: WebSocket, host-meta, POSH documents."},
    section{"metrics", false, false, "What Prometheus and health checks ask, by plain HTTP."}};

const std::array all_options{
    row("server", "data_directory", file_path{}, "/var/lib/comity"sv, effect::at_restart,
        "The directory of everything the server keeps; it must be able to write there.",
        [](auto& s) -> auto& { return s.server.data_directory; }),
    row("server", "admin_socket", socket_path{}, "/run/comity/admin.sock"sv, effect::at_restart,
        "The UNIX socket that comityctl(1) talks to.", [](auto& s) -> auto& { return s.server.admin_socket; }),
    row("server", "threads", whole_number{0, 256}, 0, effect::at_restart,
        "How many event loops serve the connections, one thread each; 0 is one for each processor core.",
        [](auto& s) -> auto& { return s.server.threads; }),
    row("server", "shutdown_timeout", duration{100ms, 10min}, "10s"sv, effect::at_reload,
        "How long a graceful stop waits for streams to say goodbye and for queued work to be stored.",
        [](auto& s) -> auto& { return s.server.shutdown_timeout; }),
    row("server", "run_as_root", boolean{}, false, effect::at_restart,
        "Whether the daemon may serve as the user root. It needs nothing that root has: even a port such as 443 takes "
        "no more than the capability that the service has.",
        [](auto& s) -> auto& { return s.server.run_as_root; }),
    row("server", "hardening", boolean{}, true, effect::at_restart,
        "Whether the daemon gives up what it does not need once it has begun: capabilities, core dumps, all files but "
        "its own (Landlock), all system calls but its own (seccomp). The log and comityctl status say what of this the "
        "kernel has; switch it off only to look into the daemon with a debugger.",
        [](auto& s) -> auto& { return s.server.hardening; }),

    row("log", "level", word{level_words}, "info"sv, effect::at_reload, "The least severity that is logged.",
        [](auto& s) -> auto& { return s.log.level; }),
    row("log", "format", word{format_words}, "text"sv, effect::at_reload,
        "\"text\" is for people, \"json\" is one JSON object a line.", [](auto& s) -> auto& { return s.log.format; }),

    row("storage", "url", storage_url{}, "sqlite:comity.db"sv, effect::at_restart,
        "The store. Only SQLite is available in this release; a relative file lies in server.data_directory.",
        [](auto& s) -> auto& { return s.storage.sqlite_file; }),

    row("tls", "minimum_version", word{tls_version_words}, "1.2"sv, effect::at_reload,
        "The oldest version of TLS that is spoken; older ones than 1.2 are not available (RFC 8996).",
        [](auto& s) -> auto& { return s.tls.minimum_version; }),
    row("tls", "certificate_directory", optional_path{}, ""sv, effect::at_reload,
        "Where the certificates of hosts that name none are: DOMAIN/fullchain.pem with DOMAIN/privkey.pem, as certbot "
        "has them in its directory live; DOMAIN/DOMAIN.crt with DOMAIN/DOMAIN.key, as Caddy has them; or DOMAIN.crt "
        "with DOMAIN.key, as lego has them. DOMAIN is in A-labels.",
        [](auto& s) -> auto& { return s.tls.certificate_directory; }),
    row("tls", "ca_file", optional_path{}, ""sv, effect::at_reload,
        "The authorities whose certificates other servers may have, PEM; \"\" is those of the system.",
        [](auto& s) -> auto& { return s.tls.ca_file; }),
    row("tls", "crl_file", optional_path{}, ""sv, effect::at_reload,
        "Certificates that these authorities took back: revocation lists in PEM, one behind the other. Of an authority "
        "with a list in force what the list names is refused; with one that is out of date, everything. \"\" checks "
        "nothing.",
        [](auto& s) -> auto& { return s.tls.crl_file; }),

    row("dns", "servers", list_of{list_item::dns_server}, raw_list{default_dns_servers}, effect::at_reload,
        "Whom to ask: \"auto\" is the system's resolvers if they pass DNSSEC on, which is tried at start and said in "
        "the log, else recursion from the root; addresses are forwarders; an empty array is always recursion.",
        [](auto& s) -> auto& { return s.dns.servers; }),
    row("dns", "root_hints", optional_path{}, ""sv, effect::at_reload,
        "The file of the root's name servers, for recursion; \"\" is those built in.",
        [](auto& s) -> auto& { return s.dns.root_hints; }),
    row("dns", "trust_anchors", list_of{list_item::path}, raw_list{default_trust_anchors}, effect::at_reload,
        "The files of DNSSEC trust anchors (DS or DNSKEY records). With an empty array nothing is validated and "
        "nothing is ever secure.",
        [](auto& s) -> auto& { return s.dns.trust_anchors; }),
    row("dns", "stubs", stub_zones{}, raw_table{}, effect::at_reload,
        "Zones whose name servers are told here: a table of zones, each with an array of addresses.",
        [](auto& s) -> auto& { return s.dns.stubs; }),
    row("dns", "special_zones", list_of{list_item::zone}, raw_list{}, effect::at_reload,
        "Zones that RFC 6761 sets apart, such as \"test\" or \"home.arpa\", to be resolved after all; the zones of "
        "stubs are so of themselves.",
        [](auto& s) -> auto& { return s.dns.special_zones; }),
    row("dns", "timeout", duration{100ms, 1min}, "5s"sv, effect::at_reload, "How long one lookup may take.",
        [](auto& s) -> auto& { return s.dns.timeout; }),

    row("s2s", "enabled", boolean{}, true, effect::at_restart,
        "Whether stanzas are exchanged with other servers at all.", [](auto& s) -> auto& { return s.s2s.enabled; }),
    row("s2s", "trust", word{trust_words}, "certificate"sv, effect::at_reload,
        "The least proof that another server must give: \"dane\" is TLSA records under DNSSEC; \"certificate\" is "
        "that, or a certificate of a known authority, or POSH; \"dialback\" takes a call back to the address in DNS "
        "as well.",
        [](auto& s) -> auto& { return s.s2s.trust; }),
    row("s2s", "connect_timeout", duration{1s, 5min}, "20s"sv, effect::at_reload,
        "How long one address may take, from the first packet to an authenticated stream.",
        [](auto& s) -> auto& { return s.s2s.connect_timeout; }),
    // RFC 8305 §5: never below 10 ms, and no more than 2 s.
    row("s2s", "attempt_delay", duration{10ms, 2s}, "250ms"sv, effect::at_reload,
        "How long after one address the next is tried beside it (RFC 8305).",
        [](auto& s) -> auto& { return s.s2s.attempt_delay; }),
    row("s2s", "queue_stanzas", whole_number{1, 100'000}, 1000, effect::at_reload,
        "How many stanzas may wait for a connection to one domain.",
        [](auto& s) -> auto& { return s.s2s.queue_stanzas; }),
    row("s2s", "queue_timeout", duration{1s, 1h}, "60s"sv, effect::at_reload,
        "How long they may wait; then their senders get <remote-server-timeout/>.",
        [](auto& s) -> auto& { return s.s2s.queue_timeout; }),
    row("s2s", "idle_timeout", duration{10s, 24h}, "10m"sv, effect::at_reload,
        "How long a connection that carries nothing is kept.", [](auto& s) -> auto& { return s.s2s.idle_timeout; }),
    row("s2s", "forbidden_addresses", list_of{list_item::forbidden_network}, raw_list{default_forbidden},
        effect::at_reload,
        "Where no connection is ever made to, whatever DNS says. \"special\" is everything that is not of the public "
        "internet: loopback, link-local, private, multicast and unspecified addresses.",
        [](auto& s) -> auto& { return s.s2s.forbidden_addresses; }),
    row("s2s", "allowed_addresses", list_of{list_item::network}, raw_list{}, effect::at_reload,
        "Networks taken out of the above, such as an intranet's.",
        [](auto& s) -> auto& { return s.s2s.allowed_addresses; }),

    // RFC 6120 §13.12: a limit on stanzas must not be below 10000 bytes.
    row("limits", "stanza_size_c2s", byte_size{10'000, 64 * mib}, "256KiB"sv, effect::at_reload,
        "The largest stanza a client may send.", [](auto& s) -> auto& { return s.limits.stanza_size_c2s; }),
    row("limits", "stanza_size_s2s", byte_size{10'000, 64 * mib}, "512KiB"sv, effect::at_reload,
        "The largest stanza another server may send.", [](auto& s) -> auto& { return s.limits.stanza_size_s2s; }),
    row("limits", "unauthenticated_bytes", byte_size{10'000, mib}, "10000"sv, effect::at_reload,
        "The largest element a peer may send before it is authenticated.",
        [](auto& s) -> auto& { return s.limits.unauthenticated_bytes; }),
    row("limits", "tls_timeout", duration{100ms, 10min}, "10s"sv, effect::at_reload,
        "How long a TLS handshake may take, from the accepted connection or <proceed/> to its end.",
        [](auto& s) -> auto& { return s.limits.tls_timeout; }),
    row("limits", "handshake_timeout", duration{100ms, 10min}, "30s"sv, effect::at_reload,
        "How long everything up to an authenticated stream may take, from the accepted connection.",
        [](auto& s) -> auto& { return s.limits.handshake_timeout; }),
    row("limits", "stanza_depth", whole_number{8, 1024}, 64, effect::at_reload,
        "How deep the elements of a stanza may be nested.", [](auto& s) -> auto& { return s.limits.stanza_depth; }),
    row("limits", "stanza_elements", whole_number{100, 1'000'000}, 5000, effect::at_reload,
        "How many elements a stanza may have.", [](auto& s) -> auto& { return s.limits.stanza_elements; }),
    row("limits", "element_attributes", whole_number{16, 10'000}, 256, effect::at_reload,
        "How many attributes an element may have, namespace declarations among them.",
        [](auto& s) -> auto& { return s.limits.element_attributes; }),
    row("limits", "connections_per_ip", whole_number{1, 1'000'000}, 1000, effect::at_reload,
        "How many connections one IP address may hold, and begin in a second: there, 100 in any case. A wrong password "
        "costs it 100 of those that it may begin.",
        [](auto& s) -> auto& { return s.limits.connections_per_ip; }),
    row("limits", "unauthenticated_per_ip", whole_number{1, 1'000'000}, 50, effect::at_reload,
        "How many of them may be not yet authenticated.",
        [](auto& s) -> auto& { return s.limits.unauthenticated_per_ip; }),
    row("limits", "bytes_per_second_c2s", byte_size{0, gib}, "0"sv, effect::at_reload,
        "How many bytes a second are read from one client, after those of one second at once; what it sends faster "
        "waits on its side, and nothing is dropped. 0 is as many as come. A reload changes it for new connections.",
        [](auto& s) -> auto& { return s.limits.bytes_per_second_c2s; }),
    row("limits", "bytes_per_second_s2s", byte_size{0, gib}, "0"sv, effect::at_reload,
        "The same of each connection with another server.",
        [](auto& s) -> auto& { return s.limits.bytes_per_second_s2s; }),
    row("limits", "send_queue_bytes", byte_size{16 * kib, gib}, "1MiB"sv, effect::at_reload,
        "How much may wait for a slow reader before its stream is closed with <resource-constraint/>.",
        [](auto& s) -> auto& { return s.limits.send_queue_bytes; }),
    row("limits", "resources_per_user", whole_number{1, 1000}, 10, effect::at_reload,
        "How many resources an account may have bound at once.",
        [](auto& s) -> auto& { return s.limits.resources_per_user; }),

    row("stream_management", "resume_timeout", duration{1s, 24h}, "5m"sv, effect::at_reload,
        "How long a session whose connection broke may be resumed. Meanwhile its user is seen as available.",
        [](auto& s) -> auto& { return s.stream_management.resume_timeout; }),
    row("stream_management", "queue_stanzas", whole_number{10, 100'000}, 500, effect::at_reload,
        "How many stanzas a client may leave unacknowledged; with more, its session ends, and what is in it goes to "
        "where it would have gone without the session.",
        [](auto& s) -> auto& { return s.stream_management.queue_stanzas; }),

    row("http", "websocket_origins", list_of{list_item::origin}, raw_list{any_origin}, effect::at_reload,
        "The web sites whose pages may connect by WebSocket; \"*\" is any. A client that is no web page names none and "
        "may always.",
        [](auto& s) -> auto& { return s.http.websocket_origins; }),
    row("http", "trusted_proxies", list_of{list_item::network}, raw_list{}, effect::at_reload,
        "Networks of proxies whose X-Forwarded-For header is believed, and who may speak HTTP without TLS.",
        [](auto& s) -> auto& { return s.http.trusted_proxies; }),

    row("metrics", "address", inet_address{}, "127.0.0.1:9568"sv, effect::at_restart,
        "Where /metrics, /healthz and /readyz are served. Nobody is asked for a password there: keep it on loopback "
        "or behind a firewall. Port 0 is any free port, told in the log.",
        [](auto& s) -> auto& { return s.metrics.address; })};

const std::array all_host_options{
    required<host_settings>("host", "domain", domain_name{}, "\"example.org\"", effect::at_reload,
                            "The domain, the part of an address after the @.",
                            [](auto& h) -> auto& { return h.domain; }),
    bind<host_settings>({"host", "certificate", optional_path{}, ""sv, "\"certs/example.org.crt\"", effect::at_reload,
                         "The file of its certificate chain: PEM, the domain's own certificate first. \"\" is found in "
                         "tls.certificate_directory, with its key."},
                        [](auto& h) -> auto& { return h.certificate; }),
    bind<host_settings>({"host", "private_key", optional_path{}, ""sv, "\"certs/example.org.key\"", effect::at_reload,
                         "The file of the certificate's private key: PEM, not readable by group or others."},
                        [](auto& h) -> auto& { return h.private_key; })};

const std::array all_listen_options{
    required<listen_settings>("listen", "address", inet_address{}, "\"[::]:5222\"", effect::at_restart,
                              "A numeric address and a port; [::] takes IPv4 in as well. Port 0 is any free port, told "
                              "in the log.",
                              [](auto& l) -> auto& { return l.address; }),
    bind<listen_settings>({"listen",
                           "protocol",
                           word{protocol_words},
                           "c2s"sv,
                           {},
                           effect::at_restart,
                           "Who connects here: \"c2s\" is clients, \"s2s\" other servers, \"http\" web browsers and "
                           "others by HTTP, \"auto\" all of them, told apart by what their TLS asks for."},
                          [](auto& l) -> auto& { return l.protocol; }),
    bind<listen_settings>({"listen",
                           "tls",
                           word{listen_tls_words},
                           "starttls"sv,
                           {},
                           effect::at_restart,
                           "\"starttls\" begins in the clear and demands an upgrade (RFC 6120); \"direct\" begins with "
                           "TLS (XEP-0368); \"either\" is told by the first byte; \"none\" is for HTTP alone, from "
                           "loopback or a trusted proxy. An \"auto\" port is \"direct\"."},
                          [](auto& l) -> auto& { return l.tls; }),
    bind<listen_settings>({"listen",
                           "proxy_protocol",
                           list_of{list_item::network},
                           raw_list{},
                           {},
                           effect::at_restart,
                           "Networks of proxies that must begin each connection with a PROXY header, of version 1 or "
                           "2, which says who the client is; from elsewhere one is refused."},
                          [](auto& l) -> auto& { return l.proxy_protocol; }),
    bind<listen_settings>(
        {"listen",
         "alpn",
         alpn_routes{},
         raw_table{},
         {},
         effect::at_restart,
         "On an \"auto\" port, who serves what TLS asks for by ALPN: \"c2s\", \"s2s\", \"http\", "
         "\"refuse\", or \"forward:HOST:PORT\", which passes the untouched TLS connection on. "
         "xmpp-client, xmpp-server, h2 and http/1.1 are looked for in this order, then other names. "
         "\"none\" is no ALPN, where \"sniff\" looks at the first bytes inside TLS; \"other\" is an "
         "offer of nothing that stands here. A name that is left out keeps its default: xmpp-client = "
         "\"c2s\", xmpp-server = \"s2s\", \"http/1.1\" = \"http\", none = \"sniff\", other = "
         "\"refuse\"."},
        [](auto& l) -> auto& { return l.alpn; }),
    bind<listen_settings>({"listen",
                           "sni",
                           sni_routes{},
                           raw_table{},
                           {},
                           effect::at_restart,
                           "On an \"auto\" port, servers that TLS asks for by name (SNI) and who serves them, whatever "
                           "the ALPN: \"forward:HOST:PORT\" or \"refuse\"."},
                          [](auto& l) -> auto& { return l.sni; }),
    bind<listen_settings>({"listen",
                           "forward_proxy_header",
                           boolean{},
                           false,
                           {},
                           effect::at_restart,
                           "Whether what is forwarded begins with a PROXY header of version 2, so that the server "
                           "behind knows who the client is."},
                          [](auto& l) -> auto& { return l.forward_proxy_header; })};

const std::array all_peer_options{
    required<peer_settings>("s2s.peer", "domain", domain_name{}, "\"bank.example\"", effect::at_reload,
                            "The other domain.", [](auto& p) -> auto& { return p.domain; }),
    bind<peer_settings>({"s2s.peer",
                         "trust",
                         word{peer_trust_words},
                         ""sv,
                         {},
                         effect::at_reload,
                         "The least proof it must give; \"\" is that of s2s.trust."},
                        [](auto& p) -> auto& { return p.trust; }),
    bind<peer_settings>({"s2s.peer",
                         "allow",
                         boolean{},
                         true,
                         {},
                         effect::at_reload,
                         "Whether anything is exchanged with it; false is nothing, in or out."},
                        [](auto& p) -> auto& { return p.allow; }),
    bind<peer_settings>({"s2s.peer",
                         "endpoint",
                         peer_endpoint{},
                         ""sv,
                         {},
                         effect::at_reload,
                         "Where it is, in place of what DNS says of the service."},
                        [](auto& p) -> auto& { return p.endpoint; }),
    bind<peer_settings>({"s2s.peer",
                         "method",
                         word{peer_method_words},
                         ""sv,
                         {},
                         effect::at_reload,
                         "How its endpoint is spoken to; \"\" is \"starttls\"."},
                        [](auto& p) -> auto& { return p.method; })};

}  // namespace

std::span<const section> sections() noexcept {
  return all_sections;
}
std::span<const option<settings>> options() noexcept {
  return all_options;
}
std::span<const option<host_settings>> host_options() noexcept {
  return all_host_options;
}
std::span<const option<listen_settings>> listen_options() noexcept {
  return all_listen_options;
}

std::span<const option<peer_settings>> peer_options() noexcept {
  return all_peer_options;
}

std::vector<const option_row*> rows_of(std::string_view section_name) {
  std::vector<const option_row*> rows;
  const auto collect = [&](const auto& from) {
    for (const auto& o : from) {
      if (o.row.table == section_name) {
        rows.push_back(&o.row);
      }
    }
  };
  collect(all_options);
  collect(all_host_options);
  collect(all_listen_options);
  collect(all_peer_options);
  return rows;
}

namespace {

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, each at a cost of 1.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U);
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, substituted});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        now[j] = std::min(now[j], before_last[j - 2] + 1);
      }
    }
    before_last.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view name, std::span<const std::string_view> known) {
  name = name.substr(0, 64);  // longer than any option; keeps the work bounded
  std::string_view best;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const auto candidate : known) {
    if (const auto d = distance(name, candidate); d < least) {
      best = candidate;
      least = d;
    }
  }
  return best;
}

}  // namespace comity::config
