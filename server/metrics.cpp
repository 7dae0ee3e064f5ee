#include "server/metrics.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "dns/unbound_version.hpp"

namespace comity::server {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<std::pair<std::string, std::string>>;

MetricFamily family(std::string name, std::string help, MetricType type) {
  MetricFamily f;
  f.name = std::move(name);
  f.help = std::move(help);
  f.type = type;
  return f;
}

void add(MetricFamily& f, const labels& given, double value) {
  ClientMetric m;
  for (const auto& [name, text] : given) {
    ClientMetric::Label l;
    l.name = name;
    l.value = text;
    m.label.push_back(std::move(l));
  }
  (f.type == MetricType::Counter ? m.counter.value : m.gauge.value) = value;
  f.metric.push_back(std::move(m));
}

MetricFamily single(std::string name, std::string help, MetricType type, double value) {
  auto f = family(std::move(name), std::move(help), type);
  add(f, {}, value);
  return f;
}

/// The fields of /proc/self/stat behind the command's name, which may hold anything.
std::vector<std::string> stat_fields() {
  std::ifstream file{"/proc/self/stat"};
  const std::string all{std::istreambuf_iterator<char>{file}, {}};
  std::istringstream rest{all.substr(std::min(all.rfind(')') + 1, all.size()))};
  return {std::istream_iterator<std::string>{rest}, {}};
}

double number(const std::vector<std::string>& fields, std::size_t at) {
  std::uint64_t n = 0;
  if (at < fields.size()) {
    (void)std::from_chars(fields[at].data(), fields[at].data() + fields[at].size(), n);
  }
  return static_cast<double>(n);
}

/// Seconds since the epoch at which the machine started.
double boot_time() {
  std::ifstream file{"/proc/stat"};
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("btime ")) {
      return number({line.substr(6)}, 0);
    }
  }
  return 0;
}

void collect_process(std::vector<MetricFamily>& out) {
  // proc(5): fields count from 1; the first two are before the closing parenthesis.
  constexpr std::size_t utime = 14 - 3, stime = 15 - 3, threads = 20 - 3, start = 22 - 3, virtual_bytes = 23 - 3,
                        resident_pages = 24 - 3;
  const auto fields = stat_fields();
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const double booted = boot_time();
  out.push_back(single("process_cpu_seconds_total", "User and system CPU time spent.", MetricType::Counter,
                       (number(fields, utime) + number(fields, stime)) / ticks));
  out.push_back(single("process_resident_memory_bytes", "Resident memory.", MetricType::Gauge,
                       number(fields, resident_pages) * static_cast<double>(::sysconf(_SC_PAGESIZE))));
  out.push_back(
      single("process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge, number(fields, virtual_bytes)));
  out.push_back(single("process_start_time_seconds", "Start of the process, in seconds since the epoch.",
                       MetricType::Gauge, booted + number(fields, start) / ticks));
  out.push_back(single("process_threads", "Threads of the process.", MetricType::Gauge, number(fields, threads)));
  rlimit limit{};
  (void)::getrlimit(RLIMIT_AS, &limit);
  // -1 is what the exposition of process metrics has for "no limit".
  out.push_back(single("process_virtual_memory_max_bytes", "Virtual memory the process may have.", MetricType::Gauge,
                       limit.rlim_cur == RLIM_INFINITY ? -1 : static_cast<double>(limit.rlim_cur)));
  std::error_code fault;
  double open = -1;  // the one that lists them
  for (std::filesystem::directory_iterator i{"/proc/self/fd", fault}, end; !fault && i != end; i.increment(fault)) {
    ++open;
  }
  out.push_back(single("process_open_fds", "Open file descriptors.", MetricType::Gauge, open));
  (void)::getrlimit(RLIMIT_NOFILE, &limit);
  out.push_back(single("process_max_fds", "File descriptors the process may open.", MetricType::Gauge,
                       static_cast<double>(limit.rlim_cur)));
}

}  // namespace

std::string version_text() {
  return COMITY_VERSION " (" COMITY_REVISION ")";
}

server_metrics::server_metrics(std::vector<std::shared_ptr<prometheus::Collectable>> counted, sources from)
    : counted_{std::move(counted)}, from_{std::move(from)} {
}

std::string server_metrics::render() const {
  std::vector<MetricFamily> all;
  for (const auto& c : counted_) {
    auto families = c->Collect();
    std::ranges::move(families, std::back_inserter(all));
  }

  auto sessions = family("comity_sessions", "Bound resources.", MetricType::Gauge);
  for (const auto& [host, count] : from_.sessions_by_host()) {
    add(sessions, {{"host", host}}, static_cast<double>(count));
  }
  all.push_back(std::move(sessions));

  auto expiry = family("comity_certificate_not_after_timestamp_seconds",
                       "When the host's certificate expires, in seconds since the epoch.", MetricType::Gauge);
  if (const auto table = from_.certificates()) {
    for (const auto& c : tls::certificates(*table)) {
      add(expiry, {{"host", c.domain}},
          static_cast<double>(
              std::chrono::duration_cast<std::chrono::seconds>(c.not_after.time_since_epoch()).count()));
    }
  }
  all.push_back(std::move(expiry));

  all.push_back(single("comity_config_last_reload_successful", "Whether the last reload was accepted.",
                       MetricType::Gauge, last_reload_.load(std::memory_order_relaxed) ? 1 : 0));

  auto logged = family("comity_log_messages_total", "Log events, by level.", MetricType::Counter);
  const auto counts = from_.log_counts();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    add(logged, {{"level", std::string{to_string(static_cast<log::level>(i))}}}, static_cast<double>(counts[i]));
  }
  all.push_back(std::move(logged));

  auto build = family("comity_build_info", "What runs; always 1.", MetricType::Gauge);
  add(build,
      {{"version", COMITY_VERSION},
       {"revision", COMITY_REVISION},
       {"openssl", tls::openssl_version()},
       {"unbound", dns::unbound_version()}},
      1);
  all.push_back(std::move(build));

  collect_process(all);
  return prometheus::TextSerializer{}.Serialize(all);
}

}  // namespace comity::server
