// The paths of stanzas: who handles what, in which order (RFC 6120 §10, RFC 6121 §8).
#include <algorithm>
#include <array>

#include "server/exchange.hpp"
#include "server/exchange_work.hpp"
#include "server/modules/modules.hpp"

namespace comity::server {
namespace {

/// RFC 6120 §8.2.3: what every IQ has to have. Results and errors are never answered, so nothing is found wrong there.
bool well_formed(const stanza& iq) {
  switch (iq.type()) {
    case stanza_type::get:
    case stanza_type::set:
      return iq.has_id() && iq.document()->root().child_count() == 1;
    case stanza_type::result:
    case stanza_type::error:
      return true;
    default:
      return false;
  }
}

iq_request request_of(const stanza_ref& s) {
  iq_request r;
  r.stanza = s;
  r.document = s->document();
  r.payload = r.document->root().first_child();
  return r;
}

/// Whether it comes to anything for a user who has no session. What does not needs no block list.
bool heard_in_absence(const stanza& s) {
  switch (s.kind()) {
    case stanza_kind::message:
      return s.type() != stanza_type::error;
    case stanza_kind::presence:
      return s.type() != stanza_type::available && s.type() != stanza_type::unavailable &&
             s.type() != stanza_type::error;
    case stanza_kind::iq:
      return s.type() == stanza_type::get || s.type() == stanza_type::set;
  }
  return false;
}

bool accepts(const iq_service& service, const stanza& request) {
  return request.type() == stanza_type::set ? service.set : service.get;
}

}  // namespace

struct exchange::client_work {
  exchange* self;
  connection::session_ref session;
  stanza_ref s;
  [[nodiscard]] const stanza& subject() const noexcept { return *s; }
  void operator()(account& who) const {
    auto* sender = who.find(s->from().resourcepart());
    // What a session sent before it lost its resource to another is worth nothing after that (THREATS F5).
    if (sender != nullptr && sender->session == session) {
      if (sender->managed) {
        sender->managed->handled_one();
      }
      self->outbound(who, *sender, s);
    }
  }
  /// It is refused, which is to handle it too.
  void refused(account& who) const {
    auto* sender = who.find(s->from().resourcepart());
    if (sender != nullptr && sender->session == session && sender->managed) {
      sender->managed->handled_one();
    }
  }
};

struct exchange::inbound_work {
  exchange* self;
  stanza_ref s;
  std::shared_ptr<receipt> held;
  [[nodiscard]] const stanza& subject() const noexcept { return *s; }
  void operator()(account& who) {
    who.held = std::move(held);
    self->inbound(who, s);
  }
};

void exchange::from_client(connection::session_ref session, stanza_ref s) {
  const auto& from = s->from();
  at_home(from, client_work{.self = this, .session = session, .s = s});
}

void exchange::from_server(const stanza_ref& s) {
  if (!hosts(s->to().domainpart())) {
    refuse(*s, stanza_condition::remote_server_not_found);  // no relay (RFC 6120 §10.4 is for our own users)
    return;
  }
  if (s->kind() == stanza_kind::iq && !well_formed(*s)) {
    refuse(*s, stanza_condition::bad_request);
    return;
  }
  if (s->kind() == stanza_kind::presence && s->type() == stanza_type::invalid) {
    refuse(*s, stanza_condition::bad_request);  // RFC 6121 §4.7.1
    return;
  }
  route(s);
}

void exchange::route(const stanza_ref& s) {
  const jid& to = s->to();
  if (!hosts(to.domainpart())) {
    if (with_.remote != nullptr) {
      with_.remote->send(s);
    } else {
      refuse(*s, stanza_condition::remote_server_not_found);  // RFC 6120 §10.4
    }
    return;
  }
  if (!to.has_localpart()) {
    to_server(s);
    return;
  }
  if (auto* who = find(to.bare_text())) {
    to_account(*who, s);
    return;
  }
  // What goes to another loop is kept small enough for a task to hold it without an allocation.
  if (auto held = receipt_of(*s)) {
    with_.homes.at_home(to, [this, s = s, held = std::move(held)]() mutable { arrived(s, std::move(held)); });
  } else {
    with_.homes.at_home(to, [this, s = s] { arrived(s, nullptr); });
  }
}

void exchange::to_account(account& who, const stanza_ref& s) {
  if (!delivered_at_once(who, s)) {
    run(who, inbound_work{.self = this, .s = s, .held = receipt_of(*s)});
  }
}

/// The path that most stanzas take: nothing to wait for, nothing to allocate. Storing for later is work.
bool exchange::delivered_at_once(account& who, const stanza_ref& s) {
  if (s->kind() != stanza_kind::message || who.active || who.resources.empty() || who.blocked != nullptr ||
      deliver_message(s->type(), who.condition(), who.form_of(s->to())) == message_action::store_offline) {
    return false;
  }
  message::inbound(*this, who, s);
  return true;
}

/// At the recipient's home, which is where the sender's is or another loop.
void exchange::arrived(const stanza_ref& s, std::shared_ptr<receipt> held) {
  const jid& to = s->to();
  auto* const known = find(to.bare_text());
  if (known != nullptr && !held && delivered_at_once(*known, s)) {
    return;
  }
  run(known != nullptr ? *known : open(to.bare()), inbound_work{.self = this, .s = s, .held = std::move(held)});
}

/// Whoever is told of one thing with a thousand others has long been out of the processor's caches. So that they need
/// not be waited for one after another, several are looked up at a time, and nothing of them is needed before all are.
exchange::found_accounts exchange::expect(std::span<const addressee_ref> some) {
  found_accounts found{};
  std::string_view domain;
  bool hosted = false;
  for (std::size_t i = 0; i < some.size(); ++i) {
    const auto& to = some[i]->address;
    if (to.domainpart() != domain) {
      domain = to.domainpart();
      hosted = hosts(domain);
    }
    found.at(i) = hosted ? find(to.bare_text()) : nullptr;
    __builtin_prefetch(found.at(i));
  }
  for (const auto* who : std::span{found}.first(some.size())) {
    if (who != nullptr) {
      for (const auto& r : who->resources) {
        with_.outlet.expect(r.session);
      }
    }
  }
  return found;
}

void exchange::route_to_each(const stanza& s, std::span<const addressee_ref> all) {
  std::array<stanza_ref, stanza::at_once> copies;
  while (!all.empty()) {
    const auto some = all.first(std::min(all.size(), copies.size()));
    all = all.subspan(some.size());
    const auto found = expect(some);
    const auto ended = here().ended;
    s.readdressed(some, copies);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto each = std::exchange(copies.at(i), nullptr);
      if (auto* who = found.at(i); who != nullptr && here().ended == ended) {
        to_account(*who, each);
      } else {
        route(each);
      }
    }
  }
}

void exchange::refuse(const stanza& request, stanza_condition why) {
  // THREATS D8: error_reply makes nothing out of errors and results.
  if (const auto reply = error_reply(request, why); reply && !reply->to().empty()) {
    route(reply);
  }
}

void exchange::answer(account& who, const stanza_ref& reply) {
  if (reply->to().bare_text() == who.user.text()) {
    if (const auto* own = who.find(reply->to().resourcepart())) {
      send(*own, reply);
      return;
    }
  }
  route(reply);
}

void exchange::answer_error(account& who, const stanza& request, stanza_condition why) {
  if (const auto reply = error_reply(request, why)) {
    answer(who, reply);
  }
}

void exchange::outbound(account& who, bound_resource& sender, const stanza_ref& s) {
  if (!s->to().empty() && who.blocks(s->to())) {
    outbound_to_blocked(who, *s);
    return;
  }
  switch (s->kind()) {
    case stanza_kind::message: {
      // RFC 6120 §10.3.1: without `to` it is for the sender's own account.
      const auto genuine = without_forged_marks(s, who.user);
      const auto sent = genuine->to().empty() ? genuine->readdressed(who.user) : genuine;
      carbons::copy_sent(*this, who, sender, sent);
      route(sent);
      return;
    }
    case stanza_kind::presence:
      presence::outbound(*this, who, sender, s);
      return;
    case stanza_kind::iq:
      outbound_iq(who, s);
      return;
  }
}

void exchange::outbound_iq(account& who, const stanza_ref& s) {
  if (!well_formed(*s)) {
    answer_error(who, *s, stanza_condition::bad_request);  // THREATS F10
    return;
  }
  if (s->to().empty() || s->to() == who.user) {  // RFC 6120 §10.3.3
    inbound_iq(who, s);
    return;
  }
  route(s);
}

/// XEP-0191 §3.3, of what the user sends: not routed, and the user told, where an error may be answered.
void exchange::outbound_to_blocked(account& who, const stanza& s) {
  if (const auto reply =
          error_reply(s, stanza_condition::not_acceptable, "cancel", {}, "blocked", blocking::ns_errors)) {
    answer(who, reply);
  }
}

/// XEP-0191 §3.3, of what a blocked JID sends: as if the user were not there. Nothing answers presence, lest it show
/// that somebody is; and nothing is answered to errors and results.
void exchange::inbound_from_blocked(const stanza& s) {
  if (s.kind() != stanza_kind::presence) {
    refuse(s, stanza_condition::service_unavailable);
  }
}

/// Nothing is judged before it is known who is blocked.
job<void> exchange::inbound_after_loading(account& who, stanza_ref s) {
  if (co_await load_blocked(who)) {
    // In a turn of its own, since it may begin work; and not acknowledged before that is done (THREATS X1).
    who.waiting.emplace_front(inbound_work{.self = this, .s = std::move(s), .held = std::move(who.held)});
  } else if (s->kind() != stanza_kind::presence) {  // whose sender may be blocked, and must not hear then
    refuse(*s, stanza_condition::internal_server_error);
  }
}

void exchange::inbound(account& who, const stanza_ref& s) {
  if (!knows_blocks(who) && heard_in_absence(*s)) {
    begin(who, inbound_after_loading(who, s));
    return;
  }
  if (who.blocks(s->from())) {
    inbound_from_blocked(*s);
    return;
  }
  switch (s->kind()) {
    case stanza_kind::message:
      message::inbound(*this, who, s);
      return;
    case stanza_kind::presence:
      presence::inbound(*this, who, s);
      return;
    case stanza_kind::iq:
      inbound_iq(who, s);
      return;
  }
}

void exchange::inbound_iq(account& who, const stanza_ref& s) {
  // An account that may not exist is asked for by the service that answers; without one it makes no difference.
  const auto form = s->to().empty() ? address_form::bare : who.form_of(s->to());
  switch (deliver_iq(s->type(), who.condition(), form)) {
    case iq_action::ignore:
      return;
    case iq_action::answer_error:
      answer_error(who, *s, stanza_condition::service_unavailable);
      return;
    case iq_action::to_resource:
      iq_to_resource(who, s);
      return;
    case iq_action::by_server: {
      const auto payload = s->document()->root().first_child();
      const auto* service = iqs_.find(payload.name(), payload.ns());
      if (service == nullptr || !service->of_account || !accepts(*service, *s)) {
        answer_error(who, *s, stanza_condition::service_unavailable);  // RFC 6121 §8.5.2.1.3
        return;
      }
      begin(who, iq_by_server(who, s, *service));
      return;
    }
  }
}

void exchange::iq_to_resource(account& who, const stanza_ref& s) {
  const auto* to = who.find(s->to().resourcepart());
  const bool request = s->type() == stanza_type::get || s->type() == stanza_type::set;
  const jid& from = s->from();
  if (!request || from.bare_text() == who.user.text() || to->directed.contains(from) ||
      to->directed.contains(from.bare())) {
    send(*to, s);
    return;
  }
  if (!who.roster) {
    begin(who, iq_to_resource_later(who, s));
    return;
  }
  // RFC 6121 §8.5.3.1: a request reaches a resource only from those who may know that it is there.
  if (who.roster->shares_with(from.bare_text())) {
    send(*to, s);
  } else {
    answer_error(who, *s, stanza_condition::service_unavailable);
  }
}

job<void> exchange::iq_to_resource_later(account& who, stanza_ref s) {
  if (co_await roster_of(who)) {
    iq_to_resource(who, s);
  } else {
    answer_error(who, *s, stanza_condition::service_unavailable);
  }
}

job<void> exchange::iq_by_server(account& who, stanza_ref s, const iq_service& service) {
  auto request = request_of(s);
  request.own = s->from().bare_text() == who.user.text();
  iq_answer answered;
  try {
    const auto there = co_await exists(who);
    request.present = there.value_or(false);
    if (!there) {
      answered = error_reply(*s, stanza_condition::internal_server_error);
    } else if (!*there && !service.hides_absence) {
      answered = error_reply(*s, stanza_condition::service_unavailable);  // RFC 6121 §8.5.1
    } else {
      answered = co_await service.of_account(std::move(request), who);
    }
  } catch (const std::exception& e) {
    with_.log.write(log::level::error, "router.iq_failed", {{"ns", service.ns}, {"reason", e.what()}});
    answered = {};
  }
  // Exactly one answer, whatever happened (THREATS F10).
  answer(who, answered.reply ? answered.reply : error_reply(*s, stanza_condition::internal_server_error));
  if (answered.then) {
    answered.then();
  }
}

void exchange::to_server(const stanza_ref& s) {
  switch (s->kind()) {
    case stanza_kind::message:
      // RFC 6120 §10.5.1: nobody reads the server's mail.
      refuse(*s, stanza_condition::service_unavailable);
      return;
    case stanza_kind::presence:
      return;  // the server has no presence to share; a probe of it is nobody's subscription
    case stanza_kind::iq:
      iq_to_server(s);
      return;
  }
}

void exchange::iq_to_server(const stanza_ref& s) {
  if (s->type() != stanza_type::get && s->type() != stanza_type::set) {
    return;
  }
  const auto request = request_of(s);
  const auto* service = iqs_.find(request.payload.name(), request.payload.ns());
  if (s->to().has_resource() || service == nullptr || !service->of_server || !accepts(*service, *s)) {
    refuse(*s, stanza_condition::service_unavailable);  // RFC 6120 §8.4
    return;
  }
  stanza_ref reply;
  try {
    reply = service->of_server(request);
  } catch (const std::exception& e) {
    with_.log.write(log::level::error, "router.iq_failed", {{"ns", service->ns}, {"reason", e.what()}});
  }
  if (reply) {
    route(reply);
  } else {
    refuse(*s, stanza_condition::internal_server_error);
  }
}

}  // namespace comity::server
