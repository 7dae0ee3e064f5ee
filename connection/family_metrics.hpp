// connection/family_metrics.hpp: puts a metric family together out of cells, for a scrape.
#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/metric_cells.hpp"

namespace comity::connection {

using metric_labels = std::vector<std::pair<const char*, std::string_view>>;

class metric_family {
public:
  metric_family(const char* name, const char* help, prometheus::MetricType type) {
    family_.name = name, family_.help = help, family_.type = type;
  }

  void add(const metric_labels& l, std::uint64_t value) {
    prometheus::ClientMetric m;
    m.label = made(l);
    (family_.type == prometheus::MetricType::Gauge ? m.gauge.value : m.counter.value) = static_cast<double>(value);
    family_.metric.push_back(std::move(m));
  }

  /// `at(i)` is the histogram of the i-th of `cells` cells.
  template <typename At>
  void add(const metric_labels& l, std::size_t cells, At at) {
    prometheus::ClientMetric m;
    m.label = made(l);
    std::uint64_t count = 0, nanoseconds = 0;
    for (std::size_t b = 0; b <= time_bounds.size(); ++b) {
      for (std::size_t c = 0; c < cells; ++c) {
        count += at(c).buckets[b].value();
      }
      prometheus::ClientMetric::Bucket bucket;
      bucket.upper_bound = b < time_bounds.size() ? time_bounds[b] : std::numeric_limits<double>::infinity();
      bucket.cumulative_count = count;
      m.histogram.bucket.push_back(bucket);
    }
    for (std::size_t c = 0; c < cells; ++c) {
      nanoseconds += at(c).nanoseconds.value();
    }
    m.histogram.sample_count = count;
    m.histogram.sample_sum = static_cast<double>(nanoseconds) / 1e9;
    family_.metric.push_back(std::move(m));
  }

  [[nodiscard]] prometheus::MetricFamily take() { return std::move(family_); }

private:
  static std::vector<prometheus::ClientMetric::Label> made(const metric_labels& given) {
    std::vector<prometheus::ClientMetric::Label> out;
    for (const auto& [name, value] : given) {
      prometheus::ClientMetric::Label l;
      l.name = name;
      l.value = value;
      out.push_back(std::move(l));
    }
    return out;
  }

  prometheus::MetricFamily family_;
};

}  // namespace comity::connection
