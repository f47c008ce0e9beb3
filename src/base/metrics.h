#pragma once
// Counters, gauges and histograms in Prometheus' text format
// (prometheus.io/docs/instrumenting/exposition_formats).
//
// Threads: everything here may be called from any thread.

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace kvasir {

// Writes one exposition. Samples of one family must follow each other.
class MetricsWriter {
 public:
  void counter(std::string_view name, std::string_view help, double value) {
    single(name, help, "counter", value);
  }
  void gauge(std::string_view name, std::string_view help, double value) {
    single(name, help, "gauge", value);
  }
  std::string take() { return std::move(text_); }

 private:
  friend class Histogram;
  void single(std::string_view name, std::string_view help, std::string_view type, double value);
  void head(std::string_view name, std::string_view help, std::string_view type);
  void sample(const std::string& name, std::string_view labels, double value);
  std::string text_;
};

// A distribution over fixed bucket bounds.
class Histogram {
 public:
  // `bounds` rise; the last bucket is +Inf.
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);
  void write(MetricsWriter& out, std::string_view name, std::string_view help) const;

 private:
  const std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> counts_;  // (bounds_.size() + 1), not cumulative
  double sum_ = 0;
};

}  // namespace kvasir
