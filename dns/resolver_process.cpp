#include "dns/resolver_process.hpp"

#include <asio.hpp>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "dns/child_messages.hpp"
#include "dns/child_socket.hpp"
#include "dns/unbound_resolver.hpp"

namespace comity::dns {
namespace {

constexpr int faulty = 1;

class resolver_process {
public:
  explicit resolver_process(int socket) : socket_{io_, socket} {}

  int run(const confinement& confine) {
    std::error_code failed;
    socket_.wait(asio::posix::stream_descriptor::wait_read, failed);
    if (failed || child::receive_packet(socket_.native_handle(), packet_) != child::received::packet) {
      return 0;
    }
    auto order = child::read_order(packet_);
    const auto* all = order ? std::get_if<settings>(&*order) : nullptr;
    if (all == nullptr) {
      return faulty;
    }
    if (!start(*all, confine)) {
      return 0;
    }
    wait();
    io_.run();
    return status_;
  }

private:
  bool start(const settings& s, const confinement& confine) {
    std::string confined;
    auto started = unbound_resolver::start(
        s,
        [this](note_level l, std::string text) {
          say(child::encode(child::note{.level = l, .text = std::move(text)}));
        },
        [this](const observation& o) { say(child::encode(o)); }, system_nameservers,
        [&]() -> std::expected<void, std::string> {
          auto done = confine(s);
          if (!done) {
            return std::unexpected{std::move(done.error())};
          }
          confined = *std::move(done);
          return {};
        });
    if (!started) {
      (void)send(child::encode(child::refused{started.error()}));
      return false;
    }
    resolver_ = *std::move(started);
    return send(child::encode(child::started{confined})) == 0;
  }

  void wait() {
    socket_.async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code aborted) {
      if (aborted) {
        return;
      }
      switch (child::receive_packet(socket_.native_handle(), packet_)) {
        case child::received::nothing_yet:
          wait();
          return;
        case child::received::ended:
          end(0);
          return;
        case child::received::packet:
          break;
      }
      auto order = child::read_order(packet_);
      auto* q = order ? std::get_if<child::question>(&*order) : nullptr;
      if (q == nullptr || !ask(std::move(*q))) {
        end(faulty);
        return;
      }
      wait();
    });
  }

  bool ask(child::question q) {
    const auto [place, fresh] = tickets_.try_emplace(q.id);
    if (!fresh) {
      return false;
    }
    place->second = resolver_->lookup(
        std::move(q.name), q.type, [this](std::move_only_function<void()> work) { asio::post(io_, std::move(work)); },
        [this, id = q.id](const answer& a) {
          auto held = tickets_.extract(id);
          put(child::encode(child::answered{.id = id, .what = a}));
        });
    return true;
  }

  /// Any thread.
  void say(std::string packet) {
    asio::post(io_, [this, packet = std::move(packet)]() mutable { put(std::move(packet)); });
  }

  void put(std::string packet) {
    unsent_.push_back(std::move(packet));
    if (unsent_.size() == 1) {
      flush();
    }
  }

  void flush() {
    while (!unsent_.empty()) {
      const int error = send(unsent_.front());
      if (error == EAGAIN) {
        socket_.async_wait(asio::posix::stream_descriptor::wait_write, [this](std::error_code aborted) {
          if (!aborted) {
            flush();
          }
        });
        return;
      }
      if (error != 0) {
        end(0);
        return;
      }
      unsent_.pop_front();
    }
  }

  int send(const std::string& packet) { return child::send_packet(socket_.native_handle(), packet); }

  void end(int status) {
    status_ = status;
    io_.stop();
  }

  asio::io_context io_{1};
  asio::posix::stream_descriptor socket_;
  std::vector<std::uint8_t> packet_;
  std::deque<std::string> unsent_;
  std::map<std::uint64_t, ticket> tickets_;
  std::unique_ptr<unbound_resolver> resolver_;  // goes first: its thread posts here
  int status_ = 0;
};

}  // namespace

int run_resolver_process(int socket, const confinement& confine) {
  resolver_process here{socket};
  return here.run(confine);
}

}  // namespace comity::dns
