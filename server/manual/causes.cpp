#include "server/manual/causes.hpp"

#include <fmt/format.h>

#include "server/manual/text.hpp"

namespace comity::manual {
namespace {

constexpr std::size_t readme_columns = 125;

template <class Each>
void for_each_cause(Each each) {
  for (std::size_t i = 0; i < connection::cause_count; ++i) {
    each(static_cast<connection::cause>(i));
  }
}

}  // namespace

cause_paragraph paragraph(connection::cause c) noexcept {
  switch (c) {
    using enum connection::cause;
    case dns_nxdomain:
      return {"DNS says that the other domain, or the host it names, does not exist.",
              "Most often the address was mistyped. If the domain is right, its owner has to publish it. Where a "
              "resolver of an intranet knows it and the public DNS does not, name that resolver in dns.stubs."};
    case dns_servfail:
      return {"The resolver could not get an answer: a name server of the domain is broken or refuses to answer.",
              "This is never taken for \"there is no record\", so nothing else is tried. Ask from here with \"delv "
              "_xmpp-server._tcp.DOMAIN SRV\"; if other domains fail too, look at dns.servers and at the log's "
              "dns.resolver."};
    case dns_bogus:
      return {"DNSSEC says that the answer is forged, expired or broken; the detail has the validator's reason.",
              "Most often the other zone's signatures have expired, or its parent has the DS record of an old key: its "
              "owner has to sign it again. If every signed domain fails, the clock of this machine is wrong, or "
              "dns.trust_anchors is out of date."};
    case dns_timeout:
      return {"The name servers did not answer within dns.timeout.",
              "If every domain fails, this machine does not reach its resolver: a firewall must let UDP and TCP port "
              "53 out. If one does, its name servers are down."};
    case srv_unavailable:
      return {"The other domain says in DNS that it offers no such service (an SRV record with the target \".\").",
              "It does not want connections, and gets none. In our own records, a \".\" must stand only where no port "
              "is open: compare with \"comityctl dns records HOST\"."};
    case no_address:
      return {"The host that the SRV record names, or the domain itself, has neither an A nor an AAAA record.",
              "Its owner has to add one, or to point the SRV record at a host that has one."};
    case address_forbidden:
      return {"Every address that DNS gave is one of s2s.forbidden_addresses, such as 127.0.0.1 or 10.0.0.0/8.",
              "In an intranet, or in a test network, take the network out by s2s.allowed_addresses. Otherwise the "
              "other domain's records are wrong, or somebody would have this server connect to itself."};
    case tcp_refused:
      return {"The other host is there, and nothing listens on that port.",
              "The other server is not running, listens elsewhere than its SRV record says, or a firewall refuses. "
              "For our own ports: \"comityctl check\"."};
    case tcp_unreachable:
      return {"The network says that there is no way to the address.",
              "With an IPv6 address, most often this machine, or the other, has no working IPv6. Otherwise look at "
              "routes and firewalls."};
    case tcp_timeout:
      return {"The address did not answer within the time for it.",
              "Most often a firewall drops what is sent, on either side: port 5269 and those of the SRV records must "
              "be open, outbound too. s2s.connect_timeout is the time for one address."};
    case proxy_header:
      return {"A PROXY header was missing, malformed, or came from an address that may send none.",
              "The networks in the port's proxy_protocol and the proxy's own configuration have to agree: HAProxy "
              "\"send-proxy-v2\", nginx \"proxy_protocol on\". A health check of the proxy that sends no header is "
              "seen here too."};
    case tls_not_offered:
      return {
          "The other side did not negotiate TLS, and nothing is said without it.",
          "The other server's TLS is switched off or broken, most often for want of a certificate; its owner has to "
          "mend it. A peer can not be excepted from TLS."};
    case tls_alert:
      return {"The TLS handshake failed or ended in an alert, or TLS was broken later on; the detail has the reason.",
              "\"wrong version number\" is a port that does not speak direct TLS: its SRV record belongs under "
              "_xmpp-server or _xmpp-client. \"unknown ca\", \"bad certificate\" or \"certificate expired\" is the "
              "other side refusing our certificate. \"no shared cipher\" or \"protocol version\" is software that "
              "knows nothing of TLS 1.2 or of any cipher of RFC 9325."};
    case tls_timeout:
      return {"The TLS handshake took longer than limits.tls_timeout.",
              "The other side connected and said nothing, as port scanners do, or the network loses large packets: "
              "look at the path's MTU."};
    case alpn_mismatch:
      return {
          "The other side offered by ALPN only protocols that are not served on this port, or the server that was "
          "reached chose one that was not offered.",
          "A web browser on a port for XMPP looks like this. A port for everything has protocol = \"auto\" and "
          "names in listen.alpn who serves what."};
    case cert_expired:
      return {"The other side's certificate, or one of its chain, has expired.",
              "Its owner has to renew it, and to reload the server that holds it. If everybody's has, the clock of "
              "this machine is wrong."};
    case cert_not_yet_valid:
      return {"The other side's certificate begins to be valid in the future.",
              "One of the two machines has a wrong clock."};
    case cert_name_mismatch:
      return {"The other side's certificate is valid, and is for other names.",
              "It has to be for the domain of the addresses, the part behind the @, and not for the host that the SRV "
              "record names, unless DNSSEC vouches for that record. Its owner needs a certificate with the domain "
              "among its names, or has sent us to the wrong server."};
    case cert_untrusted:
      return {"No authority that is trusted here vouches for the other side's certificate.",
              "Most often its server sends no intermediate certificate: the file must hold the whole chain, leaf "
              "first. For an authority of your own, set tls.ca_file. A self-signed certificate is accepted from those "
              "who publish it by DANE or POSH, and with s2s.trust = \"dialback\"."};
    case cert_missing:
      return {"The other side showed no certificate, so it cannot prove who it is.",
              "Another server has to show its own when it connects, too; some do so only where asked in their "
              "configuration. With s2s.trust = \"dialback\" it may do without."};
    case dane_mismatch:
      return {"The domain's TLSA records are secure and name another certificate. No other proof stands in for that.",
              "Most often the certificate was renewed with a new key and the record was not. The owner of the domain "
              "has to publish the new key's record before it is used; for our own: \"comityctl dns records HOST\" has "
              "both."};
    case dane_unusable:
      return {"s2s.trust asks for DANE, and none of the domain's secure TLSA records can be used.",
              "They have parameters that nobody knows, or are malformed. \"3 1 1\" and the SHA-256 of the public key "
              "is what works everywhere."};
    case posh_mismatch:
      return {"The domain publishes by POSH (RFC 7711) which certificates it has, and this one is not among them.",
              "The owner of the domain has to bring /.well-known/posh/xmpp-server.json up to date. What was fetched "
              "once is kept as long as the document says."};
    case host_unknown:
      return {
          "The stream was for a domain that is not served there, here or on the other side, or came from another "
          "one than it should.",
          "Inbound: somebody's DNS points here for a domain that is no [[host]]. Outbound: their SRV record leads "
          "to a server that does not know their domain."};
    case stream_error:
      return {"One side broke the rules of XMPP, or said that the other did; the condition stands in the log.",
              "not-well-formed, invalid-xml and bad-format on a public port are most often no XMPP at all, such as "
              "HTTP, or direct TLS on a port for STARTTLS. From a known server it is a defect of one of the two: the "
              "log at level debug shows more."};
    case stream_timeout:
      return {
          "The stream was opened and not negotiated within limits.handshake_timeout, waited too long for a "
          "connection, or carried nothing for s2s.idle_timeout.",
          "The end of an idle stream is normal. Before that, the other side is overloaded or no XMPP server."};
    case auth_rejected:
      return {"The login was wrong, or the other server refused to take us for our domain.",
              "Clients: a wrong name or password, and the two are not told apart; \"comityctl user passwd JID\" sets a "
              "new one. Servers: the other one does not accept our certificate: see what \"comityctl check\" says of "
              "its names, its chain and its last day."};
    case auth_no_common_mechanism:
      return {"No way to authenticate suits both sides.",
              "Another server offered us neither EXTERNAL nor dialback: it takes only servers whose certificate it "
              "trusts, and does not trust ours: see \"comityctl check\"."};
    case auth_timeout:
      return {"Nobody was authenticated within limits.handshake_timeout.",
              "A client that waits for its user's password looks like this. Between servers, the other one waits for "
              "an answer of its own, most often to dialback: our port 5269 has to be reachable from there."};
    case dialback_invalid:
      return {"The domain's own server did not confirm the dialback key.",
              "Somebody pretends to be that domain, or it has several servers that do not share their dialback "
              "secret."};
    case policy:
      return {"The configuration, or a security rule of XMPP, forbids it; the detail says which.",
              "\"not allowed\" is allow = false in [[s2s.peer]], \"DANE is required\" s2s.trust = \"dane\" and a "
              "domain without signed TLSA records. \"HTTP without TLS\" comes from an address that is not in "
              "http.trusted_proxies."};
    case limit:
      return {"A limit was exceeded; the detail says which.",
              "Those of [limits] can be raised; each is there because memory is finite. A domain whose queue is full "
              "(s2s.queue_stanzas) has been unreachable for a while: \"comityctl s2s explain DOMAIN\" says why. "
              "\"larger than the peer takes\" is the other server's limit."};
    case peer_closed:
      return {"The other side closed the connection, or is gone.",
              "This is how sessions end. Before a stream is established it is a port scanner, a health check, or a "
              "server that refuses without saying why: its log may."};
    case shutdown:
      return {"This server is stopping, or its operator closed the connection.",
              "Nothing is wrong. Between servers it is also an attempt that was no longer needed, since another one "
              "had succeeded."};
    case internal:
      return {"A fault of this server, or of the machine it runs on.",
              "The log has the details, at level error; look at memory, descriptors and disk first. If none of them "
              "is short, please report it with those lines."};
  }
  return {};
}

std::string cause_manual_page() {
  std::string out =
      ".\\\" Made from the table of causes in server/manual/causes.cpp; do not edit.\n"
      ".TH COMITY-CAUSES 7 \"2026-11-26\" \"Comity\" \"Comity Manual\"\n"
      ".SH NAME\n"
      "comity\\-causes \\- why a connection of comityd failed, and what to do\n"
      ".SH SYNOPSIS\n"
      ".B comityctl cause\n"
      ".I WORD\n"
      ".SH DESCRIPTION\n"
      "Whatever ends a connection has one word, the same in the log (the field\n"
      ".IR cause ),\n"
      "in the metrics (the label\n"
      ".IR cause ),\n"
      "and in what\n"
      ".B comityctl s2s explain\n"
      "prints.\n"
      ".B comityctl cause\n"
      "prints the paragraph of one.\n"
      "A word tells what was seen from here; the field\n"
      ".I phase\n"
      "beside it tells how far the connection had come (dns, tcp, tls, stream, authentication or bind), and\n"
      ".I detail\n"
      "what else is known.\n"
      ".SH CAUSES\n";
  for_each_cause([&](connection::cause c) {
    const auto p = paragraph(c);
    out += fmt::format(".TP\n.B {}\n{}\n{}\n", to_string(c), roff(p.meaning), roff(p.remedy));
  });
  out +=
      ".SH \"SEE ALSO\"\n"
      ".BR comityctl (1),\n"
      ".BR comity.toml (5),\n"
      ".BR comityd (8)\n";
  return out;
}

std::string cause_chapter() {
  std::string out;
  for_each_cause([&](connection::cause c) {
    const auto p = paragraph(c);
    out += fmt::format("#### {}\n", to_string(c));
    out += wrapped(fmt::format("{} {}", p.meaning, p.remedy), readme_columns, "") + '\n';
  });
  return out;
}

}  // namespace comity::manual
