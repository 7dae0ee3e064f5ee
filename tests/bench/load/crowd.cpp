#include "bench/load/crowd.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>

namespace comity::bench {

namespace {
constexpr std::chrono::seconds patience{60};
constexpr std::chrono::milliseconds beat{100};
}  // namespace

void progress::at(std::size_t count) {
  const auto now = clock::now();
  if (wanted_ && now - said_ >= std::chrono::seconds{1}) {
    said_ = now;
    std::fprintf(stderr, "%.*s: %zu of %zu\n", static_cast<int>(what_.size()), what_.data(), count, of_);
  }
}

crowd::crowd(poller& p, bool wanted) : poller_{p}, progress_{wanted}, context_{client_context()} {
}

void crowd::gather(const target& where, std::size_t first, std::size_t count, std::size_t parallel,
                   const client::events& told) {
  progress telling{progress_, "online", count};
  std::size_t online = 0;
  client::events counted = told;
  counted.online = [&](client& c) {
    ++online;
    if (told.online) {
      told.online(c);
    }
  };
  events_.push_back(std::make_unique<client::events>(std::move(counted)));
  auto last = clock::now();
  std::size_t seen = 0;
  const auto begin = all_.size();
  while (online < count) {
    while (all_.size() - begin < count && all_.size() - begin - online < parallel) {
      all_.push_back(
          std::make_unique<client>(poller_, context_.get(), where, first + all_.size() - begin, *events_.back()));
    }
    poller_.turn(beat);
    telling.at(online);
    if (online != seen) {
      seen = online;
      last = clock::now();
    } else {
      for (auto i = begin; i < all_.size(); ++i) {
        if (all_[i]->at() == client::stage::failed) {
          throw std::runtime_error{all_[i]->user() + ": " + all_[i]->why()};
        }
      }
      if (clock::now() - last > patience) {
        throw std::runtime_error{"no client has come online for a minute"};
      }
    }
  }
  events_.back()->online = told.online;  // all are online: what counted them ends here
}

void crowd::begin_again(std::size_t index, const target& where, const client::events& told) {
  auto& each = all_.at(index);
  each = std::make_unique<client>(poller_, context_.get(), where, each->number(), told);
}

bool crowd::run_until(const std::function<bool()>& done, std::chrono::nanoseconds longest) {
  const auto end = clock::now() + longest;
  while (!done()) {
    const auto left = end - clock::now();
    if (left <= std::chrono::nanoseconds{0}) {
      return false;
    }
    poller_.turn(std::min<std::chrono::nanoseconds>(left, beat));
  }
  return true;
}

}  // namespace comity::bench
