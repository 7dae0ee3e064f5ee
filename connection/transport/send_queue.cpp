#include "connection/transport/send_queue.hpp"

#include <utility>

#include "connection/transport/websocket_frames.hpp"

namespace comity::connection {

namespace {
constexpr std::size_t kept_capacity = 4;  // items an idle queue may keep room for
}

std::size_t send_queue::size_of(const comity::stanza& s) const noexcept {
  if (framing_ == stream_framing::tcp) {
    return s.wire_size();
  }
  const auto size = s.wire_alone_size();
  return websocket::header_size(size) + size;
}

bool send_queue::push(stanza_ref stanza) {
  const auto size = size_of(*stanza);
  if (bytes_ + size > limit_) {
    return false;
  }
  bytes_ += size;
  items_.push_back({std::move(stanza), {}, false});
  return true;
}

void send_queue::push(std::string_view bytes, bool apart) {
  bytes_ += bytes.size();
  if (!items_.empty() && !items_.back().stanza && !items_.back().last) {
    items_.back().bytes += bytes;
    items_.back().last = apart;
    return;
  }
  items_.push_back({nullptr, std::string{bytes}, apart});
}

std::string_view send_queue::next(std::string& scratch, std::size_t at_most) {
  if (!unsent_.empty()) {
    return unsent_;
  }
  scratch.clear();
  std::size_t taken = 0;
  while (taken < items_.size() && scratch.size() < at_most && (taken == 0 || !items_[taken - 1].last)) {
    const auto& i = items_[taken++];
    if (!i.stanza) {
      scratch += i.bytes;
    } else if (framing_ == stream_framing::tcp) {
      i.stanza->wire(scratch);
    } else {
      websocket::append_header(scratch, websocket::opcode::text, i.stanza->wire_alone_size());
      i.stanza->wire_alone(scratch);
    }
  }
  items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(taken));
  return scratch;
}

void send_queue::written(std::string_view given, std::size_t count) {
  bytes_ -= count;
  if (given.data() == unsent_.data()) {
    unsent_.erase(0, count);
    return;
  }
  unsent_.assign(given.substr(count));
}

std::vector<stanza_ref> send_queue::take_unstarted() {
  std::vector<stanza_ref> taken;
  std::erase_if(items_, [&](item& i) {
    if (!i.stanza) {
      return false;
    }
    bytes_ -= size_of(*i.stanza);
    taken.push_back(std::move(i.stanza));
    return true;
  });
  return taken;
}

void send_queue::drop_unstarted() {
  items_.clear();
  bytes_ = unsent_.size();
}

void send_queue::shrink() {
  if (empty()) {
    if (items_.capacity() > kept_capacity) {
      items_ = {};
    }
    unsent_ = {};
  }
}

}  // namespace comity::connection
