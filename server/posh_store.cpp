#include "server/posh_store.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "connection/jid.hpp"
#include "connection/s2s/posh.hpp"
#include "tls/crypto.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::server {

namespace {

using connection::posh_answer;
namespace posh = connection::posh;

}  // namespace

struct posh_store::state : std::enable_shared_from_this<posh_store::state> {
  explicit state(collaborators c) : with{std::move(c)} {}

  struct asker {
    posh::fingerprint certificate;
    std::move_only_function<void(posh_answer)> done;
  };
  /// One domain that is being asked: the document, then perhaps the one it refers to (RFC 7711 §3.2).
  struct fetch {
    std::vector<asker> askers;
    unsigned redirects = 0;
    std::optional<std::chrono::seconds> reference_expires;  // a reference was followed; there is no second one
    std::vector<dns::address> addresses;
    unsigned lookups = 0;  // outstanding
    std::vector<dns::ticket> tickets;
  };
  struct kept {
    std::optional<posh::fingerprints> announced;  // nullopt: there is no document
    std::chrono::steady_clock::time_point until;
  };

  static posh_answer judge(const std::optional<posh::fingerprints>& announced, const posh::fingerprint& certificate) {
    if (!announced) {
      return posh_answer::none;
    }
    return posh::names(*announced, certificate) ? posh_answer::matched : posh_answer::mismatched;
  }

  void check(const std::string& domain, asker who) {
    if (const auto found = known.find(domain); found != known.end()) {
      if (with.now() < found->second.until) {
        return who.done(judge(found->second.announced, who.certificate));
      }
      known.erase(found);
    }
    auto& running = fetches[domain];
    running.askers.push_back(std::move(who));
    if (running.askers.size() == 1) {
      get(domain, posh::url_of(to_a_labels(domain)));
    }
  }

  /// Finds where the URL's host is, then asks it.
  void get(const std::string& domain, const std::string& text) {
    const auto url = http::parse_https_url(text);
    if (!url) {
      return finish(domain, std::nullopt, "this is no https: URL");
    }
    auto& f = fetches[domain];
    f.addresses.clear();
    f.tickets.clear();
    if (const auto literal = dns::address::parse(url->host)) {
      f.addresses.push_back(*literal);
      return ask(domain, *url);
    }
    f.lookups = 2;
    const auto run_on = [&fetcher = with.fetcher](std::move_only_function<void()> work) {
      fetcher.post(std::move(work));
    };
    for (const auto type : {dns::record_type::aaaa, dns::record_type::a}) {
      f.tickets.push_back(with.resolver.lookup(url->host, type, run_on,
                                               [self = weak_from_this(), domain, url = *url](const dns::answer& got) {
                                                 if (const auto alive = self.lock()) {
                                                   alive->found(domain, url, got);
                                                 }
                                               }));
    }
  }

  void found(const std::string& domain, const http::https_url& url, const dns::answer& got) {
    const auto at = fetches.find(domain);
    if (at == fetches.end()) {
      return;
    }
    at->second.addresses.insert(at->second.addresses.end(), got.addresses.begin(), got.addresses.end());
    if (--at->second.lookups == 0) {
      ask(domain, url);
    }
  }

  void ask(const std::string& domain, const http::https_url& url) {
    auto addresses = std::move(fetches[domain].addresses);
    std::erase_if(addresses, [this](const dns::address& a) { return !with.may_dial(a); });
    if (addresses.empty()) {
      return finish(domain, std::nullopt, "the host of the URL has no address that may be dialled");
    }
    with.fetcher.get(url, std::move(addresses), [self = weak_from_this(), domain](http::fetched f) {
      if (const auto alive = self.lock()) {
        alive->came(domain, std::move(f));
      }
    });
  }

  void came(const std::string& domain, http::fetched f) {
    constexpr unsigned ok = 200;
    auto& running = fetches[domain];
    if (!f.location.empty() && f.status / 100 == 3) {
      if (++running.redirects > redirects_followed) {
        return finish(domain, std::nullopt, "redirected too often");
      }
      return get(domain, f.location);
    }
    if (f.status != ok) {
      return finish(domain, std::nullopt, f.status == 0 ? f.error : "HTTP status " + std::to_string(f.status));
    }
    auto read = posh::read(f.body);
    if (!read) {
      return finish(domain, std::nullopt, read.error());
    }
    if (const auto* const elsewhere = std::get_if<posh::reference>(&*read)) {
      if (running.reference_expires) {
        return finish(domain, std::nullopt, "a reference refers to another");  // RFC 7711 §3.2 (K06)
      }
      running.reference_expires = elsewhere->expires;
      return get(domain, elsewhere->url);
    }
    auto& all = std::get<posh::fingerprints>(*read);
    // RFC 7711 §6: the lower of the two (K06).
    all.expires = std::min(all.expires, running.reference_expires.value_or(all.expires));
    finish(domain, std::move(all), {});
  }

  void finish(const std::string& domain, std::optional<posh::fingerprints> announced, std::string_view why) {
    auto done = fetches.extract(domain);
    with.log.write(log::level::debug, "s2s.posh",
                   {{"domain", domain},
                    {"fingerprints", static_cast<std::int64_t>(announced ? announced->all.size() : 0)},
                    {"detail", why}});
    make_room();
    const auto lasts = announced ? announced->expires : absence_kept;
    const auto& now_known =
        known.insert_or_assign(domain, kept{.announced = std::move(announced), .until = with.now() + lasts})
            .first->second;
    for (auto& a : done.mapped().askers) {
      a.done(judge(now_known.announced, a.certificate));
    }
  }

  /// Names come from strangers: what is nearest to its end goes first.
  void make_room() {
    if (known.size() < domains_kept) {
      return;
    }
    known.erase(std::ranges::min_element(known, {}, [](const auto& k) { return k.second.until; }));
  }

  collaborators with;
  std::map<std::string, fetch> fetches;
  std::map<std::string, kept> known;
};

posh_store::posh_store(collaborators c) : state_{std::make_shared<state>(std::move(c))} {
}
posh_store::~posh_store() = default;

void posh_store::check(std::string domain, tls::peer_credentials presented,
                       std::move_only_function<void(connection::posh_answer)> done) {
  posh::fingerprint certificate{.sha256 = tls::fingerprint(presented, tls::hash::sha256),
                                .sha512 = tls::fingerprint(presented, tls::hash::sha512)};
  state_->with.fetcher.post([self = std::weak_ptr{state_}, domain = std::move(domain),
                             who = state::asker{std::move(certificate), std::move(done)}]() mutable {
    if (const auto alive = self.lock()) {
      alive->check(domain, std::move(who));
    }
  });
}

}  // namespace comity::server
