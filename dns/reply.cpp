#include "dns/reply.hpp"

#include <utility>

namespace comity::dns {

/// `done` is touched on the asker's thread alone, so nothing locks it; other threads know `run_on` only.
struct reply::shared {
  executor run_on;
  resolver::completion done;
};

reply::reply(std::shared_ptr<shared> s) : shared_{std::move(s)} {
}

void reply::operator()(std::shared_ptr<const answer> a) const {
  shared_->run_on([s = shared_, a = std::move(a)] {
    // Taken out first: it may destroy the ticket.
    if (auto done = std::exchange(s->done, nullptr)) {
      done(*a);
    }
  });
}

asked::asked(executor run_on, resolver::completion done)
    : reply_{std::make_shared<reply::shared>(std::move(run_on), std::move(done))} {
  class held final : public pending {
  public:
    explicit held(std::shared_ptr<reply::shared> s) : shared_{std::move(s)} {}
    ~held() override { shared_->done = nullptr; }
    held(const held&) = delete;
    held& operator=(const held&) = delete;

  private:
    std::shared_ptr<reply::shared> shared_;
  };
  ticket_ = std::make_unique<held>(reply_.shared_);
}

}  // namespace comity::dns
