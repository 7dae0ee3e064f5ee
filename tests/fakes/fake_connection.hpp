// tests/fakes/fake_connection.hpp: a connection of a loop that only notes what it was told.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "connection/loop_connections.hpp"

namespace comity::fakes {

/// What happened to fakes, in order; it outlives them. One loop's thread.
using happenings = std::vector<std::string>;

class fake_connection final : public connection::live_connection {
public:
  fake_connection(happenings& noted, std::string name) : noted_{noted}, name_{std::move(name)} {}
  ~fake_connection() override { note("destroyed"); }

  /// Run by each call but fault(), after it was noted; it may throw.
  std::function<void(std::string_view call)> then = [](std::string_view) {};

  /// Whether it moves where it is handed over.
  bool moves = true;
  bool established = false;

  [[nodiscard]] connection::connection_info info() const override {
    connection::connection_info i;
    i.peer = name_;
    i.established = established;
    return i;
  }
  void send(stanza_ref s) override { called("send " + std::string{s->id()}); }
  void dismiss(stream_condition condition, connection::cause why, std::string text) override {
    called("dismiss " + std::string{to_string(condition)} + " " + std::string{to_string(why)} + " " + text);
  }
  void readable() override { called("readable"); }
  void writable() override { called("writable"); }
  void take_turn() override { called("turn"); }
  void flush() override { called("flush"); }
  [[nodiscard]] bool leave_loop() override {
    called("leave");
    return moves;
  }
  void enter_loop(connection::loop_connections& there) override {
    called("enter " + std::to_string(there.loop().index()));
  }
  void fault(std::string_view what) noexcept override { note("fault " + std::string{what}); }

private:
  void note(const std::string& what) { noted_.push_back(name_ + ": " + what); }
  void called(const std::string& what) {
    note(what);
    then(what);
  }
  happenings& noted_;
  std::string name_;
};

}  // namespace comity::fakes
