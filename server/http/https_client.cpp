#include "server/http/https_client.hpp"

#include <curl/curl.h>

#include <array>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_map>
#include <utility>

namespace comity::server::http {

namespace {

struct url_free {
  void operator()(CURLU* u) const noexcept { curl_url_cleanup(u); }
};
struct list_free {
  void operator()(curl_slist* l) const noexcept { curl_slist_free_all(l); }
};
struct easy_free {
  void operator()(CURL* e) const noexcept { curl_easy_cleanup(e); }
};
struct multi_free {
  void operator()(CURLM* m) const noexcept { curl_multi_cleanup(m); }
};

/// One part of a URL; nullopt where it has none.
std::optional<std::string> part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) {
    return std::nullopt;
  }
  std::string out{text};
  curl_free(text);
  return out;
}

/// curl_global_init is not safe beside itself.
void initialise() {
  static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (done != CURLE_OK) {
    throw std::runtime_error{"libcurl does not start"};
  }
}

struct request {
  https_url what;
  std::vector<dns::address> at;
  fetcher::completion done;
};

struct transfer {
  std::unique_ptr<CURL, easy_free> easy;
  std::unique_ptr<curl_slist, list_free> addresses;
  std::array<char, CURL_ERROR_SIZE> error{};
  std::string body;
  std::size_t body_bytes = 0;
  fetcher::completion done;
};

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* to) {
  auto& t = *static_cast<transfer*>(to);
  const std::size_t more = size * count;
  if (t.body.size() + more > t.body_bytes) {
    return CURL_WRITEFUNC_ERROR;
  }
  t.body.append(bytes, more);
  return more;
}

/// "host:port:address,address": what keeps libcurl from asking anybody else where the host is.
std::string resolution(const request& r) {
  const bool literal = r.what.host.find(':') != std::string::npos;
  std::string line = literal ? "[" + r.what.host + "]" : r.what.host;
  line += ':' + std::to_string(r.what.port) + ':';
  bool first = true;
  for (const auto& a : r.at) {
    line += std::exchange(first, false) ? "" : ",";
    line += a.v4() ? a.text() : "[" + a.text() + "]";
  }
  return line;
}

}  // namespace

std::optional<https_url> parse_https_url(std::string_view text) {
  const std::unique_ptr<CURLU, url_free> url{curl_url()};
  const std::string terminated{text};
  if (!url || terminated.size() != text.size() || terminated.find('\0') != std::string::npos ||
      curl_url_set(url.get(), CURLUPART_URL, terminated.c_str(), CURLU_DISALLOW_USER) != CURLUE_OK) {
    return std::nullopt;
  }
  const auto scheme = part(url.get(), CURLUPART_SCHEME);
  auto host = part(url.get(), CURLUPART_HOST);
  const auto port = part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (scheme != "https" || !host || host->empty() || !port || part(url.get(), CURLUPART_FRAGMENT)) {
    return std::nullopt;
  }
  if (host->starts_with('[')) {
    *host = host->substr(1, host->size() - 2);
  }
  auto whole = part(url.get(), CURLUPART_URL);
  if (!whole) {
    return std::nullopt;
  }
  return https_url{.text = std::move(*whole),
                   .host = std::move(*host),
                   .port = static_cast<std::uint16_t>(std::stoul(*port))};  // libcurl has checked its range
}

struct https_client::state {
  explicit state(settings s) : with{std::move(s)} {}
  ~state() {
    if (!thread.joinable()) {
      return;
    }
    thread.request_stop();
    curl_multi_wakeup(multi.get());
    thread.join();
    for (const auto& [easy, t] : running) {
      curl_multi_remove_handle(multi.get(), easy);
    }
  }
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  void post(std::move_only_function<void()> work) {
    {
      const std::lock_guard hold{lock};
      if (!thread.joinable()) {
        begin_thread();
      }
      inbox.push_back(std::move(work));
    }
    curl_multi_wakeup(multi.get());
  }

  /// Most servers never fetch anything, and need neither the thread nor what libcurl takes.
  void begin_thread() {
    initialise();
    if (!multi) {
      multi.reset(curl_multi_init());
    }
    if (!multi) {
      throw std::runtime_error{"libcurl cannot make a multi handle"};
    }
    thread = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::deque<std::move_only_function<void()>> work;
      {
        const std::lock_guard hold{lock};
        work.swap(inbox);
      }
      for (auto& w : work) {
        w();
      }
      int active = 0;
      curl_multi_perform(multi.get(), &active);
      finish();
      begin();
      curl_multi_poll(multi.get(), nullptr, 0, 1000, nullptr);
    }
  }

  /// Starts what may start now.
  void begin() {
    while (!waiting.empty() && running.size() < with.transfers) {
      auto next = std::move(waiting.front());
      waiting.pop_front();
      start(std::move(next));
    }
  }

  void start(request r) {
    auto t = std::make_unique<transfer>();
    t->easy.reset(curl_easy_init());
    if (!t->easy) {
      return r.done({.error = "libcurl cannot make a handle"});
    }
    auto* easy = t->easy.get();
    t->addresses.reset(curl_slist_append(nullptr, resolution(r).c_str()));
    t->body_bytes = with.body_bytes;
    t->done = std::move(r.done);
    curl_easy_setopt(easy, CURLOPT_URL, r.what.text.c_str());
    curl_easy_setopt(easy, CURLOPT_RESOLVE, t->addresses.get());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");  // the environment has no say in where we connect
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(with.timeout.count()));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, nullptr);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, nullptr);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);  // a connection kept would be to addresses not given now
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error.data());
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t.get());
    {
      const std::lock_guard hold{lock};
      if (!with.ca_file.empty()) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, with.ca_file.c_str());
        curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
      }
    }
    if (curl_multi_add_handle(multi.get(), easy) != CURLM_OK) {
      return t->done({.error = "libcurl cannot start a transfer"});
    }
    running.emplace(easy, std::move(t));
  }

  void finish() {
    int left = 0;
    while (const auto* const message = curl_multi_info_read(multi.get(), &left)) {
      if (message->msg != CURLMSG_DONE) {
        continue;
      }
      auto* easy = message->easy_handle;
      const auto result = message->data.result;
      curl_multi_remove_handle(multi.get(), easy);
      auto found = running.extract(easy);
      auto& t = *found.mapped();
      fetched f;
      if (result != CURLE_OK) {
        f.error = t.error[0] != '\0' ? t.error.data() : curl_easy_strerror(result);
      } else {
        long status = 0;
        const char* location = nullptr;
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
        f.status = static_cast<unsigned>(status);
        f.location = location == nullptr ? "" : location;
        f.body = std::move(t.body);
      }
      t.done(std::move(f));
    }
  }

  settings with;                             // ca_file: guarded by `lock`
  std::unique_ptr<CURLM, multi_free> multi;  // there once the thread is
  std::mutex lock;
  std::deque<std::move_only_function<void()>> inbox;
  // The thread's own:
  std::deque<request> waiting;
  std::unordered_map<CURL*, std::unique_ptr<transfer>> running;
  std::jthread thread;  // from the first call on; the last: it uses all of the above
};

https_client::https_client(settings s) : state_{std::make_unique<state>(std::move(s))} {
}
https_client::~https_client() = default;

void https_client::get(https_url what, std::vector<dns::address> at, completion done) {
  state_->post([s = state_.get(), r = request{std::move(what), std::move(at), std::move(done)}]() mutable {
    if (r.at.empty()) {
      return r.done({.error = "the host has no address"});
    }
    if (s->waiting.size() >= s->with.waiting) {
      return r.done({.error = "too many transfers wait"});
    }
    s->waiting.push_back(std::move(r));
  });
}

void https_client::post(std::move_only_function<void()> work) {
  state_->post(std::move(work));
}

void https_client::ca_file(std::filesystem::path file) {
  const std::lock_guard hold{state_->lock};
  state_->with.ca_file = std::move(file);
}

}  // namespace comity::server::http
