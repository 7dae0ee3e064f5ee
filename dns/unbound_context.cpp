#include "dns/unbound_context.hpp"

#include <unbound.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>

#include "dns/rdata.hpp"
#include "dns/system_resolvers.hpp"
#include "dns/unbound_version.hpp"

namespace comity::dns {
namespace {

constexpr int class_in = 1;
constexpr int soa_type = 6;
constexpr std::chrono::seconds ttl_least{5};  // THREATS E7
constexpr std::chrono::seconds ttl_most{24 * 3600};

int number_of(record_type t) noexcept {
  switch (t) {
    case record_type::a:
      return 1;
    case record_type::aaaa:
      return 28;
    case record_type::srv:
      return 33;
    case record_type::tlsa:
      return 52;
  }
  return 1;
}

/// What a response code that is neither NOERROR nor NXDOMAIN is called (RFC 1035 §4.1.1).
std::string rcode_text(int rcode) {
  static constexpr std::array<std::string_view, 6> names{"NOERROR",  "FORMERR", "SERVFAIL",
                                                         "NXDOMAIN", "NOTIMP",  "REFUSED"};
  const auto index = static_cast<std::size_t>(rcode);
  return index < names.size() ? std::string{names[index]} : "response code " + std::to_string(rcode);
}

/// A name in a result is for people, with escapes; one that is no host's name is not given on.
std::string canonical(const ub_result& result) {
  for (const char* name : {result.canonname, result.qname}) {
    if (name != nullptr) {
      return folded_name(name).value_or("");
    }
  }
  return {};
}

answer read(const ub_result& result, record_type type, bool records_wanted, bool validating) {
  answer a;
  a.type = type;
  a.ttl = std::clamp(std::chrono::seconds{result.ttl}, ttl_least, ttl_most);
  a.canonical_name = canonical(result);
  // THREATS E4: before anything else, since bogus answers come with their data and without an error.
  if (result.bogus != 0) {
    a.result = outcome::bogus;
    a.security = security::bogus;
    a.why = result.why_bogus != nullptr ? result.why_bogus : "validation failure";
    return a;
  }
  constexpr int noerror = 0;
  constexpr int nxdomain = 3;
  if (result.rcode != noerror && result.rcode != nxdomain) {
    a.why = rcode_text(result.rcode);
    return a;
  }
  a.security = result.secure != 0 ? security::secure : validating ? security::insecure : security::none;
  if (result.nxdomain != 0 || result.rcode == nxdomain) {
    a.result = outcome::nxdomain;
    return a;
  }
  if (result.havedata == 0) {
    a.result = outcome::nodata;
    return a;
  }
  a.result = outcome::records;
  if (!records_wanted) {
    return a;
  }
  for (std::size_t i = 0; result.data[i] != nullptr; ++i) {
    add_record(a, {reinterpret_cast<const std::uint8_t*>(result.data[i]), static_cast<std::size_t>(result.len[i])});
  }
  if (a.srv.empty() && a.addresses.empty() && a.tlsa.empty()) {
    a.result = outcome::servfail;
    a.security = security::none;
    a.why = "every record is malformed";
  }
  return a;
}

bool loopback(std::string_view server) {
  const auto at = address::parse(server.substr(0, server.find('@')));
  if (!at) {
    return false;
  }
  return at->v4() ? at->bytes()[0] == 127 : at->text() == "::1";
}

/// Carries out steps until one fails, and says of which it was.
class steps {
public:
  explicit steps(ub_ctx* context) : context_{context} {}
  void set(const char* option, const std::string& value) {
    then(ub_ctx_set_option(context_, option, value.c_str()), std::string{option} + " " + value);
  }
  void then(int error, const std::string& what) {
    if (error_.empty() && error != 0) {
      error_ = what + ": " + ub_strerror(error);
    }
  }
  void readable(const std::string& file) {
    if (error_.empty() && !std::ifstream{file}.good()) {
      error_ = file + " cannot be read";
    }
  }
  std::string contents(const std::string& file) {
    readable(file);
    std::ifstream in{file};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void fail(std::string what) {
    if (error_.empty()) {
      error_ = std::move(what);
    }
  }
  [[nodiscard]] const std::string& error() const noexcept { return error_; }

private:
  ub_ctx* context_;
  std::string error_;
};

}  // namespace

std::string unbound_version() {
  return ub_version();
}

struct unbound_context::question {
  unbound_context* owner;
  unbound_context::id id;
  record_type type;
  bool records_wanted;
  int async_id = 0;

  static void answered(void* self, int error, ub_result* result) {
    auto& q = *static_cast<question*>(self);
    answer a;
    a.type = q.type;
    if (error == 0 && result != nullptr) {
      a = read(*result, q.type, q.records_wanted, q.owner->validating_);
    } else {
      a.why = ub_strerror(error);
    }
    ub_resolve_free(result);
    q.owner->answered_.emplace_back(q.id, std::move(a));
    q.owner->questions_.erase(q.id);  // and q with it
  }
};

void unbound_context::deleter::operator()(ub_ctx* context) const noexcept {
  ub_ctx_delete(context);
}

std::expected<std::unique_ptr<unbound_context>, std::string> unbound_context::make(
    const settings& s, const std::vector<std::string>& forwarders) {
  std::unique_ptr<ub_ctx, deleter> context{ub_ctx_create()};
  if (!context) {
    return std::unexpected{"libunbound cannot be started"};
  }
  auto* c = context.get();
  ub_ctx_debugout(c, nullptr);  // or it writes to standard error
  steps step{c};
  step.then(ub_ctx_async(c, 1), "threads");

  // By default a dead forwarder takes 17 s to be told as failed and is not tried again for 15 min; with these 4.2 s and
  // 5 s. Less patience (1 s, 2 retries) is told sooner, 1.7 s, but then a forwarder that answers in 1 ms what it knows
  // and needs 600 ms for what it does not is taken for dead; this is good for 1 s from each server asked.
  step.set("infra-cache-min-rtt:", "300");
  step.set("infra-cache-max-rtt:", "2000");
  step.set("outbound-msg-retry:", "4");
  step.set("infra-host-ttl:", "5");
  step.set("cache-min-ttl:", std::to_string(ttl_least.count()));
  step.set("cache-max-ttl:", std::to_string(ttl_most.count()));
  // A zone that has been put right is believed as soon as one that was merely down.
  step.set("val-bogus-ttl:", std::to_string(ttl_least.count()));
  // As a library it has 16 sockets: not enough for hundreds of domains that are looked up together.
  step.set("outgoing-range:", "256");
  step.set("num-queries-per-thread:", "1024");
  step.set("msg-cache-size:", "4m");
  step.set("rrset-cache-size:", "8m");

  bool at_loopback = std::ranges::any_of(forwarders, loopback);
  for (const auto& server : forwarders) {
    step.then(ub_ctx_set_fwd(c, server.c_str()), "server " + server);
  }
  for (const auto& [zone, servers] : s.stubs) {
    for (const auto& server : servers) {
      step.then(ub_ctx_set_stub(c, zone.c_str(), server.c_str(), 0),
                std::string{"stub "}.append(zone).append(" ").append(server));
    }
    at_loopback = at_loopback || std::ranges::any_of(servers, loopback);
  }
  if (at_loopback) {  // otherwise never: a delegation to 127.0.0.1 is somebody's trick (THREATS E1)
    step.set("do-not-query-localhost:", "no");
  }
  if (!s.root_hints.empty()) {
    // Not by root-hints: that file would be read when the first question is asked. A stub for the root that is to be
    // primed is the same to the library.
    const auto roots = hinted_addresses(step.contents(s.root_hints));
    if (roots.empty()) {
      step.fail(s.root_hints + " names no address of a root server");
    }
    for (const auto& root : roots) {
      step.then(ub_ctx_set_stub(c, ".", root.c_str(), 1), "root hint " + root);
    }
  }
  for (const auto& file : s.trust_anchors) {
    step.readable(file);
    step.then(ub_ctx_add_ta_file(c, file.c_str()), "trust anchor " + file);
  }

  // From here on the context is final: after the first of these nothing can be set any more, and what is wrong with the
  // files is found out.
  step.then(ub_ctx_zone_remove(c, "invalid.comity."), "root hints or trust anchors");
  for (const auto& zone : s.special_zones) {
    step.then(ub_ctx_zone_remove(c, zone.c_str()), "special zone " + zone);
  }
  // What is special may be above the stub's name: then a zone that lets all through is put before it. Not in the place
  // of one of that name, whose SOA and NS records would stay.
  for (const auto& [zone, servers] : s.stubs) {
    step.then(ub_ctx_zone_remove(c, zone.c_str()), "stub " + zone);
    step.then(ub_ctx_zone_add(c, zone.c_str(), "transparent"), "stub " + zone);
  }
  if (!step.error().empty()) {
    return std::unexpected{step.error()};
  }
  return std::unique_ptr<unbound_context>{new unbound_context{std::move(context), !s.trust_anchors.empty()}};
}

unbound_context::unbound_context(std::unique_ptr<ub_ctx, deleter> c, bool validating)
    : validating_{validating}, context_{std::move(c)} {
}

unbound_context::~unbound_context() = default;

int unbound_context::descriptor() const noexcept {
  return ub_fd(context_.get());
}

std::expected<void, std::string> unbound_context::ask(id number, const std::string& name, record_type type) {
  return ask(number, name, number_of(type), type);
}

std::expected<void, std::string> unbound_context::ask_soa(id number, const std::string& name) {
  return ask(number, name, soa_type, record_type::a);
}

std::expected<void, std::string> unbound_context::ask(id number, const std::string& name, int rrtype,
                                                      record_type type) {
  auto q = std::make_unique<question>(this, number, type, rrtype != soa_type);
  if (const int error =
          ub_resolve_async(context_.get(), name.c_str(), rrtype, class_in, q.get(), question::answered, &q->async_id);
      error != 0) {
    return std::unexpected{std::string{ub_strerror(error)}};
  }
  questions_.emplace(number, std::move(q));
  return {};
}

void unbound_context::drop(id number) {
  if (const auto found = questions_.find(number); found != questions_.end()) {
    ub_cancel(context_.get(), found->second->async_id);
    questions_.erase(found);
  }
}

std::expected<std::vector<std::pair<unbound_context::id, answer>>, std::string> unbound_context::process() {
  if (const int error = ub_process(context_.get()); error != 0) {
    return std::unexpected{std::string{ub_strerror(error)}};
  }
  return std::exchange(answered_, {});
}

}  // namespace comity::dns
