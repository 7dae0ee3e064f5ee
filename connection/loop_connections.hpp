// connection/loop_connections.hpp: the connections of one loop, who owns them, and what they share.
//
// What is big and needed only while bytes are being worked on (parser, document, buffers) exists once a loop and is
// lent to whichever connection is at work; so an idle connection holds none of it. Loop thread only, except where said.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "connection/connection_info.hpp"
#include "connection/id_table.hpp"
#include "connection/loop.hpp"
#include "connection/stanza.hpp"
#include "connection/trace.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

/// A connection of any kind, as its loop knows it.
class live_connection {
public:
  virtual ~live_connection() = default;
  [[nodiscard]] virtual connection_info info() const = 0;
  /// Queues a stanza for a bound session; ignored by others.
  virtual void send(stanza_ref) = 0;
  /// Sends an element that is no stanza, in order with them; ignored by all but bound sessions.
  virtual void say(std::string_view /*element*/) {}
  /// The client says that it has handled more stanzas than were sent: ends it (XEP-0198 §7).
  virtual void overcounted(std::uint32_t /*handled*/, std::uint32_t /*sent*/) {}
  /// Ends it with a stream error.
  virtual void dismiss(stream_condition, cause, std::string text) = 0;
  /// Its socket is ready, as its wire asked to be told.
  virtual void readable() = 0;
  virtual void writable() = 0;
  /// Its turn has come, after newcomer().
  virtual void take_turn() {}
  /// Writes what is queued; called at the end of a turn after has_output().
  virtual void flush() = 0;
  /// A fault of ours came out of one of these calls: it ends, and nobody else suffers.
  virtual void fault(std::string_view what) noexcept = 0;
  /// There was no memory for what the peer sent: it ends, and where it can be told so, its peer is.
  virtual void out_of_memory() noexcept { fault("out of memory"); }
  /// It was handed over: undoes all that ties it to its loop. False where it cannot leave now; it stays then.
  [[nodiscard]] virtual bool leave_loop() { return false; }
  /// It lives on that loop from now on, whose thread this is.
  virtual void enter_loop(class loop_connections&) {}
};

class loop_connections {
public:
  using clock = std::chrono::steady_clock;

  /// `now` tells how long newcomers have been served.
  explicit loop_connections(connection::loop& loop, std::function<clock::time_point()> now = clock::now);
  ~loop_connections();
  loop_connections(const loop_connections&) = delete;
  loop_connections& operator=(const loop_connections&) = delete;

  [[nodiscard]] connection::loop& loop() noexcept { return loop_; }
  [[nodiscard]] metrics_cell& metrics() noexcept { return loop_.metrics(); }
  [[nodiscard]] xml::parser& parser() noexcept { return parser_; }
  /// Lent for the handling of one element.
  [[nodiscard]] xml::document& document() noexcept { return document_; }
  [[nodiscard]] std::span<char> read_buffer() noexcept { return read_buffer_; }
  [[nodiscard]] std::string& write_buffer() noexcept { return write_buffer_; }

  /// Who looks on, from before the loop runs; outlives the connections.
  void tap(trace::tap& t) noexcept { tap_ = &t; }
  /// nullptr where nobody looks on now.
  [[nodiscard]] trace::tap* tapped() const noexcept { return tap_ != nullptr && tap_->active() ? tap_ : nullptr; }

  /// A number that no other connection of this process has or had. Any thread.
  [[nodiscard]] static std::uint64_t new_id() noexcept;
  void add(std::uint64_t id, std::unique_ptr<live_connection>);
  [[nodiscard]] live_connection* find(std::uint64_t id) const noexcept { return connections_.find(id); }
  /// It is about to be called. A broadcast calls so many that each has to come from far; those that are expected come
  /// while others are at work.
  void expect(std::uint64_t id) const noexcept;
  /// Destroys it at the end of the turn: its own functions may be running. Found no more from now on.
  void remove(std::uint64_t id);
  /// Calls `work(connection)` where that connection still is; what it throws becomes its fault() or out_of_memory().
  template <typename Work>
  void on(std::uint64_t id, Work work) {
    if (auto* c = find(id)) {
      try {
        work(*c);
      } catch (const std::exception& e) {
        ended_by(*c, e);
      }
    }
  }
  /// Adds it and calls its begin(arguments…), as on() does.
  template <typename Connection, typename... Arguments>
  void start(std::unique_ptr<Connection> made, Arguments... arguments) {
    const auto id = made->id();
    add(id, std::move(made));
    on(id, [&](live_connection& c) { static_cast<Connection&>(c).begin(arguments...); });
  }
  void readable(std::uint64_t id) {
    on(id, [](live_connection& c) { c.readable(); });
  }
  void writable(std::uint64_t id) {
    on(id, [](live_connection& c) { c.writable(); });
  }

  /// Its flush() is called once at the end of this turn.
  void has_output(std::uint64_t id);
  /// There is work for a peer that is not known yet: a step of a TLS handshake, or whatever it has sent. Its
  /// take_turn() is called behind all flushes of a turn, in the order of asking; once those calls of a turn have taken
  /// that long, the rest waits for the next one. So a crowd of strangers holds up those that are known by little,
  /// whatever it asks for (THREATS G1).
  void newcomer(std::uint64_t id);
  static constexpr std::chrono::microseconds for_newcomers{1000};
  /// At the end of this turn, behind all flushes, it moves to `other`, unless it cannot leave then. A reference to it
  /// names nothing from there on, so nobody may have one. `other` lives as long as this.
  void hand_over(std::uint64_t id, loop_connections& other);

  /// Destroys all of them. The loop must have stopped.
  void clear();
  [[nodiscard]] std::vector<connection_info> list() const;
  /// Ends the newest of them for want of memory, one in `share` and at least one; those that are not established
  /// before any that is.
  void shed(std::size_t share);
  /// And whoever is on the way here.
  void dismiss_all(stream_condition, cause, const std::string& text);
  /// With those on the way here. Any thread.
  [[nodiscard]] std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

private:
  struct departure {
    std::uint64_t id;
    loop_connections* other;
  };
  struct dismissal {
    stream_condition condition;
    cause why;
    std::string text;
  };
  static void ended_by(live_connection&, const std::exception&) noexcept;
  void end_turn();
  void schedule();
  void serve_newcomers();
  void send_off(const departure&);
  void take_over(std::uint64_t id, std::unique_ptr<live_connection>);

  connection::loop& loop_;
  std::function<clock::time_point()> now_;
  trace::tap* tap_ = nullptr;
  xml::parser parser_;
  xml::document document_;
  std::vector<char> read_buffer_;
  std::string write_buffer_;
  id_table<live_connection> connections_;
  std::vector<std::unique_ptr<live_connection>> removed_;
  std::vector<std::uint64_t> output_, flushing_;
  std::deque<std::uint64_t> newcomers_;
  std::vector<departure> departures_;
  std::optional<dismissal> dismissed_;  // what all were told once
  bool scheduled_ = false;
  std::atomic<std::size_t> size_{0};
};

/// All loops' connections together. Any thread.
class connections final : public connection_registry {
public:
  /// The loops outlive it.
  explicit connections(std::vector<loop_connections*> loops);
  void list(std::move_only_function<void(std::vector<connection_info>)> done) override;
  void close(session_ref, stream_condition, std::string text, std::move_only_function<void(bool)> done) override;

  /// send() is about to be called for it; see loop_connections.
  void expect(session_ref) const noexcept;
  /// At once when called on that connection's loop, else posted; order is kept either way for one calling thread.
  void send(session_ref, stanza_ref);
  void say(session_ref, std::string element);
  void overcounted(session_ref, std::uint32_t handled, std::uint32_t sent);
  void dismiss(session_ref, stream_condition, cause, std::string text);
  void dismiss_all(stream_condition, cause, const std::string& text);
  /// On each loop; see loop_connections.
  void shed(std::size_t share);
  [[nodiscard]] std::size_t size() const noexcept;

private:
  std::vector<loop_connections*> loops_;
};

}  // namespace comity::connection
