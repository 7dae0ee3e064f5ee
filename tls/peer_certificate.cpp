#include "tls/peer_certificate.hpp"

#include <openssl/x509v3.h>

#include <algorithm>

#include "tls/certificate_table.hpp"
#include "tls/failure.hpp"
#include "tls/identity.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

namespace {

constexpr std::size_t longest_name = 255;  // that an operator is shown

std::string text_of(const ASN1_STRING* s) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)), static_cast<std::size_t>(ASN1_STRING_length(s))};
}

/// RFC 4985 and RFC 6120 §13.7.1.4: of exactly these types; anything else is not an identifier.
void add_other_name(const OTHERNAME* name, presented_identifiers& out) {
  switch (OBJ_obj2nid(name->type_id)) {
    case NID_SRVName:
      if (name->value->type == V_ASN1_IA5STRING) {
        out.srv.push_back(text_of(name->value->value.ia5string));
      }
      return;
    case NID_XmppAddr:
      if (name->value->type == V_ASN1_UTF8STRING) {
        out.xmpp.push_back(text_of(name->value->value.utf8string));
      }
      return;
    default:
      return;
  }
}

presented_identifiers identifiers_of(const X509* c) {
  presented_identifiers out;
  // None, too, where the extension stands twice or is malformed.
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(c, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      out.dns.push_back(text_of(name->d.dNSName));
    } else if (name->type == GEN_OTHERNAME) {
      add_other_name(name->d.otherName, out);
    }
  }
  GENERAL_NAMES_free(names);
  return out;
}

}  // namespace

peer_credentials served_credentials(const certificate_table& table, std::string_view domain) {
  auto* context = table.of(domain);
  if (context == nullptr) {
    return {};
  }
  return hold(SSL_CTX_get0_certificate(context), served_issuers(context));
}

certificate_summary summary(const peer_credentials& peer) {
  const auto* leaf = peer.inside().leaf.get();
  certificate_summary s;
  s.subject = one_line(X509_get_subject_name(leaf));
  s.issuer = one_line(X509_get_issuer_name(leaf));
  const auto names = identifiers_of(leaf);
  const auto add = [&](const std::string& kind, const std::vector<std::string>& all) {
    for (const auto& name : all) {
      s.names.push_back(kind + printable(name, longest_name));
    }
  };
  add("DNS:", names.dns);
  add("SRV:", names.srv);
  add("XMPP:", names.xmpp);
  s.not_before = time_of(X509_get0_notBefore(leaf));
  s.not_after = time_of(X509_get0_notAfter(leaf));
  s.sha256 = sha256_of(leaf);
  return s;
}

presented_identifiers identifiers(const peer_credentials& peer) {
  return identifiers_of(peer.inside().leaf.get());
}

std::string fingerprint(const peer_credentials& peer, hash h) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(peer.inside().leaf.get(), &bytes);
  auto sum = digest(h, {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(std::max(size, 0))});
  OPENSSL_free(bytes);
  return sum;
}

}  // namespace comity::tls
