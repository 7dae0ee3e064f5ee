#include "server/check/records.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "server/http/well_known.hpp"

namespace comity::check {

namespace {

// XEP-0368 §2 rule 1: both sets are one list, and a lower number is tried first.
constexpr unsigned direct_priority = 5, starttls_priority = 10, weight = 0;

std::string srv_data(unsigned priority, std::uint16_t port, std::string_view target) {
  return std::to_string(priority) + " " + std::to_string(weight) + " " + std::to_string(port) + " " +
         std::string{target} + ".";
}

void add_services(host_records& to, const running_host& host) {
  for (const auto w : all_ways) {
    const auto owner = srv_name(w, host.domain);
    const auto offered = host.reached_by(w);
    auto priority = w.direct_tls ? direct_priority : starttls_priority;
    const auto about = std::string{who(w.service)} + " by " + std::string{method_name(w.direct_tls)};
    if (offered.empty()) {
      // RFC 2782: "." says that the service is decidedly not available at this domain.
      to.records.push_back({owner, "SRV", "0 0 0 .", about + ": off"});
    }
    std::set<std::uint16_t> listed;
    for (const auto& p : offered) {
      if (listed.insert(p.port).second) {
        to.records.push_back({owner, "SRV", srv_data(priority++, p.port, host.target), about});
      }
    }
  }
}

void add_keys(host_records& to, const running_host& host) {
  std::set<std::uint16_t> listed;
  for (const auto w : all_ways) {
    for (const auto& p : host.reached_by(w)) {
      listed.insert(p.port);
    }
  }
  for (const auto port : listed) {
    std::set<std::string> known;
    for (const auto& key : host.keys) {
      if (known.insert(key.sha256).second) {
        to.records.push_back({"_" + std::to_string(port) + "._tcp." + host.target, "TLSA", "3 1 1 " + key.sha256,
                              key.domain + (key.next ? ": its next key" : ": its key")});
      }
    }
  }
}

/// The name by which CAA records (RFC 8659) know the usual authorities, by what their certificates call them.
std::string_view authority_domain(std::string_view issuer) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 9> known{
      {{"O=Let's Encrypt", "letsencrypt.org"},
       {"O=Google Trust Services", "pki.goog"},
       {"O=ZeroSSL", "sectigo.com"},
       {"O=Sectigo", "sectigo.com"},
       {"O=Buypass", "buypass.com"},
       {"O=SSL Corp", "ssl.com"},
       {"O=DigiCert", "digicert.com"},
       {"O=GlobalSign", "globalsign.com"},
       {"O=Actalis", "actalis.it"}}};
  const auto* found = std::ranges::find_if(known, [&](const auto& k) { return issuer.contains(k.first); });
  return found == known.end() ? std::string_view{} : found->second;
}

void add_hints(host_records& to, const running_host& host) {
  for (const auto& p : host.ports) {
    if (p.loopback && (p.clients || p.servers)) {
      to.hints.push_back(p.address +
                         " is on the loopback interface and left out: publish the port of what stands in "
                         "front of it, if anything does");
    }
  }
  // A15, RFC 2782: the target must have addresses of its own.
  to.hints.push_back(host.target + " needs A and AAAA records of its own, and must not be a CNAME");
  to.hints.emplace_back(
      "TLSA records count in signed zones alone (DNSSEC); a key that is to come is published for two "
      "TTLs before it is used");
  const auto authority = authority_domain(host.issuer);
  if (authority.empty()) {
    to.hints.push_back("CAA names who may issue certificates for the domain; yours is by \"" + host.issuer + "\"");
  } else {
    to.hints.push_back("CAA, where no other authority is to issue certificates for the domain: " + host.domain +
                       ". IN CAA 0 issue \"" + std::string{authority} + "\"");
  }
}

/// XEP-0156, as our own HTTP serves them where it is asked: for a web server of the domain that is another.
void add_files(host_records& to, const running_host& host) {
  if (!host.urls.empty()) {
    to.files.push_back({std::string{http::host_meta_path}, http::host_meta_xml(host.urls)});
    to.files.push_back({std::string{http::host_meta_json_path}, http::host_meta_json(host.urls)});
  }
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

/// Every line of a text behind "; ".
std::string commented(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = text.find('\n');
    out += "; " + std::string{text.substr(0, end)} + "\n";
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

}  // namespace

host_records records_for(const running_host& host) {
  host_records all;
  all.domain = host.domain;
  add_services(all, host);
  add_keys(all, host);
  add_hints(all, host);
  add_files(all, host);
  return all;
}

std::string zone_text(const host_records& all) {
  std::size_t width = 0;
  for (const auto& r : all.records) {
    width = std::max(width, r.owner.size() + 1);
  }
  std::string out = "; what " + all.domain + " has to publish\n";
  std::string_view about;
  for (const auto& r : all.records) {
    if (std::exchange(about, r.about) != r.about) {
      out += "; " + r.about + "\n";
    }
    out += padded(r.owner + ".", width) + " " + std::to_string(record_ttl) + " IN " + padded(r.type, 4) + " " + r.data +
           "\n";
  }
  for (const auto& hint : all.hints) {
    out += commented(hint);
  }
  for (const auto& file : all.files) {
    out += "; the web server of " + all.domain + " has to have, at " + file.path + ":\n" + commented(file.content);
  }
  return out;
}

std::string nsupdate_text(const host_records& all) {
  // A message changes one zone, and the target may be in another than the domain: services and keys go apart.
  std::string out;
  std::string_view owner, type;
  for (const auto& r : all.records) {
    if (r.type != type && !out.empty()) {
      out += "send\n";
    }
    if (r.owner != owner || r.type != type) {
      out += "update delete " + r.owner + ". " + r.type + "\n";
    }
    owner = r.owner;
    type = r.type;
    out += "update add " + r.owner + ". " + std::to_string(record_ttl) + " " + r.type + " " + r.data + "\n";
  }
  return out + "send\n";
}

}  // namespace comity::check
