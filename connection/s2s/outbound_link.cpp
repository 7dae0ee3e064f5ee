#include "connection/s2s/outbound_link.hpp"

#include <algorithm>
#include <utility>

#include "connection/s2s/bounce_condition.hpp"
#include "connection/s2s/federation.hpp"
#include "connection/s2s/outbound_links.hpp"
#include "connection/s2s/s2s_metrics.hpp"

namespace comity::connection {

namespace {

/// How long the answer to a question about a key is waited for, a search for the peer included.
constexpr std::chrono::seconds question_time{30};

/// RFC 6120 §4.4: the peer said that it was leaving, or we did. Anything else is a loss.
bool in_order(const stream_ending& e) {
  return !e.received && !e.abrupt &&
         (e.cause == cause::peer_closed || e.cause == cause::stream_timeout || e.cause == cause::cert_expired ||
          e.cause == cause::policy);
}

}  // namespace

outbound_link::outbound_link(outbound_links& all, domain_flow flow)
    : all_{all}, flow_{std::move(flow)}, queue_{all.budget()} {
}

outbound_link::~outbound_link() {
  all_.with().metrics.pending(counted_, 0);
  if (backs_off_) {
    all_.backs_off(false);
  }
}

// --- stanzas ---------------------------------------------------------------------------------------------------------

void outbound_link::send(stanza_ref stanza) {
  const auto now = clock::now();
  if (all_.stopped()) {
    return bounce({std::move(stanza)}, cause::shutdown, stanza_condition::remote_server_timeout, {}, log::level::debug);
  }
  const auto settings = all_.with().host.settings();
  if (!carried() && back_off_.waiting(now) && back_off_.until() >= now + settings->queue.timeout) {
    // Nothing will be tried before its time is up: better told now.
    return bounce({std::move(stanza)}, last_.cause, last_.bounce.value_or(bounce_condition(last_.cause)), last_.text,
                  log::level::debug);
  }
  if (!queue_.push(stanza, now, settings->queue)) {
    return bounce({std::move(stanza)}, cause::limit, stanza_condition::resource_constraint, "queue full",
                  log::level::debug);
  }
  pump();
}

/// Looks what can be done for what waits. Whoever changes anything calls this.
void outbound_link::pump() {
  flush();
  if (all_.stopped() && !carried()) {
    bounce(queue_.take_all(), cause::shutdown, stanza_condition::remote_server_timeout, {});
  }
  const auto unasked = [this] {
    return std::ranges::any_of(questions_, [](const question& q) { return q.asked == 0; });
  };
  if (auto* stream = stream_of(stream_ != 0 ? stream_ : reached_); stream != nullptr && unasked()) {
    ask(*stream);
  }
  const bool stanzas_wait = !queue_.empty() && !carried() && awaited_ == 0;
  if (dialler_) {
    if (auto* stream = stream_of(reached_); stream != nullptr && stanzas_wait && !std::exchange(chosen_, true)) {
      stream->choose();
    }
  } else if (!all_.stopped()) {
    // Who asks to be verified has just come from there, so the way is worth another try before its time.
    if ((stanzas_wait && !back_off_.waiting(clock::now())) || (unasked() && stream_ == 0)) {
      dial();
    }
  }
  arm();
  count_pending();
  all_.look_at(flow_);
}

void outbound_link::flush() {
  while (!queue_.empty() && carried()) {
    auto stanza = queue_.pop();
    auto* own = stream_of(stream_);
    const auto most = own != nullptr ? own->max_bytes() : borrowed_ ? borrowed_->max_bytes : std::nullopt;
    if (most && stanza->wire_size() > *most) {
      // XEP-0478 §4: the peer has said that it would end the stream over this one (L03).
      bounce({std::move(stanza)}, cause::limit, stanza_condition::policy_violation, "larger than the peer takes");
    } else if (own != nullptr) {
      if (!own->take(stanza)) {
        // Kept first: what the stream has not written comes to stand before it.
        queue_.put_back({std::move(stanza)}, clock::now(), all_.with().host.settings()->queue);
        return own->give_up();
      }
    } else if (borrowed_) {
      ++borrowed_->handed;
      all_.with().federation.carry(borrowed_->stream, std::move(stanza));
    } else {
      stream_ = 0;  // it went without a word, and so does not carry us
      queue_.put_back({std::move(stanza)}, clock::now(), all_.with().host.settings()->queue);
    }
  }
}

void outbound_link::lost(std::uint64_t stream, stream_ending how) {
  if (asked_ == stream) {
    return refused();
  }
  if (stream_ == stream) {
    stream_ = 0;
  }
  for (auto& q : questions_) {
    if (q.asked == stream) {
      q.asked = 0;
    }
  }
  const auto settings = all_.with().host.settings();
  queue_.put_back(std::move(how.unwritten), clock::now(), settings->queue);
  if (!in_order(how)) {
    // RFC 6120 §3.3: after a loss, not all at the same moment (L06).
    last_ = {.cause = how.cause, .phase = how.phase, .text = how.text, .bounce = {}};
    back_off_.failed(clock::now(), settings->back_off, all_.with().random);
  }
  pump();
}

outbound_stream* outbound_link::stream_of(std::uint64_t id) const {
  return id == 0 ? nullptr : static_cast<outbound_stream*>(all_.with().loop.find(id));
}

// --- streams of theirs -----------------------------------------------------------------------------------------------

void outbound_link::offered(session_ref stream, std::optional<std::uint32_t> max_bytes) {
  back_off_.succeeded();
  if (carried() || awaited_ != 0 || chosen_ || all_.stopped()) {
    return;
  }
  borrowed_ = borrowed{.stream = stream, .max_bytes = max_bytes};
  if (questions_.empty()) {
    drop_dialler();
  }
  pump();
}

void outbound_link::withdrawn(std::uint64_t stream, std::size_t taken, std::vector<stanza_ref> unwritten) {
  if (!borrowed_ || borrowed_->stream.id != stream) {
    return;
  }
  // Until those on their way back are here too, nothing is sent: their order is kept.
  awaited_ = borrowed_->handed - taken;
  borrowed_.reset();
  returning_ = std::move(unwritten);
  take_back();
}

void outbound_link::returned(stanza_ref stanza) {
  --awaited_;
  returning_.push_back(std::move(stanza));
  take_back();
}

void outbound_link::take_back() {
  if (awaited_ == 0) {
    queue_.put_back(std::exchange(returning_, {}), clock::now(), all_.with().host.settings()->queue);
    pump();
  }
}

// --- keys ------------------------------------------------------------------------------------------------------------

void outbound_link::verify(verify_key key, std::shared_ptr<connect_budget> budget, key_done done) {
  if (all_.stopped()) {
    return done({.flow = key.flow,
                 .stream_id = key.stream_id,
                 .valid = std::unexpected{stanza_condition::remote_server_timeout}});
  }
  questions_.push_back({.key = std::move(key),
                        .budget = std::move(budget),
                        .done = std::move(done),
                        .deadline = clock::now() + question_time});
  pump();
}

void outbound_link::ask(outbound_stream& stream) {
  std::vector<verify_key> keys;
  for (auto& q : questions_) {
    if (q.asked == 0) {
      q.asked = stream.id();
      keys.push_back(q.key);
    }
  }
  for (auto& k : keys) {
    stream.verify(std::move(k));
  }
}

void outbound_link::answered(const key_verdict& v) {
  const auto found = std::ranges::find_if(questions_, [&](const question& q) {
    return q.asked != 0 && q.key.flow == v.flow && q.key.stream_id == v.stream_id;
  });
  if (found == questions_.end()) {
    return;
  }
  auto done = std::move(found->done);
  questions_.erase(found);
  done(v);
  if (questions_.empty() && (queue_.empty() || carried())) {
    drop_dialler();  // J11: a stream that was only to verify is closed after use
  }
  pump();
}

template <typename Which>
void outbound_link::refuse_questions(stanza_condition why, Which which) {
  std::vector<question> refused;
  std::erase_if(questions_, [&](question& q) {
    if (!which(q)) {
      return false;
    }
    refused.push_back(std::move(q));
    return true;
  });
  for (auto& q : refused) {
    q.done({.flow = q.key.flow, .stream_id = q.key.stream_id, .valid = std::unexpected{why}});
  }
}

// --- searching -------------------------------------------------------------------------------------------------------

void outbound_link::dial() {
  // A search that only answers questions costs those who made us ask (THREATS D5).
  dial_budget_ = queue_.empty() || carried() ? questions_.front().budget : nullptr;
  dialler_ = std::make_unique<dialler>(all_.with(), dialler::wish{.flow = flow_, .budget = dial_budget_}, all_.health(),
                                       static_cast<dial_owner&>(*this));
  dialler_->begin();
}

void outbound_link::drop_dialler() {
  asked_ = 0;
  reached_ = 0;
  chosen_ = false;
  dialler_.reset();
}

void outbound_link::reached(outbound_stream& stream) {
  for (auto& q : questions_) {
    q.asked = 0;  // an earlier winner had been asked, and is no more
  }
  reached_ = stream.id();
  chosen_ = false;
  pump();
}

void outbound_link::connected(outbound_stream& stream) {
  stream.owner(&all_);
  authorised(stream);
}

void outbound_link::authorised(outbound_stream& stream) {
  stream_ = stream.id();
  drop_dialler();
  back_off_.succeeded();
  pump();
}

bool outbound_link::shares(const dns::target& target, const dns::address& address, const endpoint_facts& facts) {
  // Questions are for a stream of their own: whose answer it is must not be in doubt.
  const auto there = questions_.empty() ? all_.sharable(flow_, target, address, facts) : std::nullopt;
  if (!there) {
    return false;
  }
  asked_ = there->stream.id();
  there->stream.want(flow_, there->by);
  return true;
}

void outbound_link::refused() {
  asked_ = 0;
  if (dialler_) {
    dialler_->not_shared();
  }
}

void outbound_link::tried(const attempt_record& r) {
  all_.history().note(flow_, r);
}

void outbound_link::failed(const dial_failure& why) {
  drop_dialler();
  const auto condition = why.bounce.value_or(bounce_condition(why.cause));
  if (why.cause == cause::limit && dial_budget_) {
    // One peer has asked too much. That is the end of its questions, not of what others have.
    refuse_questions(condition, [this](const question& q) { return q.budget == dial_budget_; });
    return pump();
  }
  refuse_questions(condition, [](const question&) { return true; });
  if (!dial_budget_ || !queue_.empty()) {
    // A search that only answered questions leaves nothing behind: a peer may ask for as many domains as it likes.
    last_ = why;
    back_off_.failed(clock::now(), all_.with().host.settings()->back_off, all_.with().random);
  }
  if (!carried()) {
    bounce(queue_.take_all(), why.cause, condition, why.text);
  }
  pump();
}

// --- bounces ---------------------------------------------------------------------------------------------------------

void outbound_link::bounce(const std::vector<stanza_ref>& stanzas, cause why, stanza_condition condition,
                           std::string_view text, log::level level) {
  if (stanzas.empty()) {
    return;
  }
  std::int64_t told = 0;
  for (const auto& s : stanzas) {
    // RFC 6120 §8.3.1: no answer to errors and results (THREATS D8).
    if (auto error = error_reply(*s, condition, to_string(why))) {
      all_.with().metrics.bounced(why);
      ++told;
      all_.with().host.undeliverable(std::move(error));
    }
  }
  if (!all_.with().log.enabled(level)) {
    return;
  }
  all_.with().log.write(level, "s2s.bounced",
                        {{"peer", flow_.target},
                         {"local", flow_.sender},
                         {"cause", to_string(why)},
                         {"condition", to_string(condition)},
                         {"stanzas", static_cast<std::int64_t>(stanzas.size())},
                         {"told", told},
                         {"detail", text}});
}

void outbound_link::give_up(cause why, const std::string& text) {
  drop_dialler();
  refuse_questions(bounce_condition(why), [](const question&) { return true; });
  bounce(queue_.take_all(), why, bounce_condition(why), text);
  pump();
}

// --- time ------------------------------------------------------------------------------------------------------------

void outbound_link::arm() {
  const auto now = clock::now();
  count_back_off(now);
  auto next = queue_.next_deadline();
  const auto sooner = [&next](clock::time_point when) { next = next ? std::min(*next, when) : when; };
  for (const auto& q : questions_) {
    sooner(q.deadline);
  }
  if (backs_off_) {
    sooner(back_off_.until());
  }
  if (next) {
    all_.with().loop.loop().arm(*this, *next);
  } else {
    timer_wheel::entry::cancel();
  }
}

void outbound_link::expired() {
  const auto now = clock::now();
  bounce(queue_.expire(now), cause::stream_timeout, stanza_condition::remote_server_timeout, "queue_timeout");
  refuse_questions(stanza_condition::remote_server_timeout, [now](const question& q) { return q.deadline <= now; });
  if (questions_.empty() && queue_.empty()) {
    drop_dialler();
  }
  pump();
}

void outbound_link::describe(explained::asked& to) const {
  const auto now = clock::now();
  to.connected = carried();
  to.waiting = queue_.size();
  to.failed_searches = back_off_.failures();
  if (back_off_.waiting(now)) {
    to.not_before = std::chrono::ceil<std::chrono::seconds>(back_off_.until() - now);
  }
}

bool outbound_link::idle() const noexcept {
  return queue_.empty() && questions_.empty() && !dialler_ && !carried() && awaited_ == 0;
}

void outbound_link::count_back_off(clock::time_point now) {
  if (const bool waits = back_off_.waiting(now); waits != backs_off_) {
    all_.backs_off(waits);
    backs_off_ = waits;
  }
}

void outbound_link::count_pending() {
  all_.with().metrics.pending(counted_, queue_.size());
  counted_ = queue_.size();
}

}  // namespace comity::connection
