#include "base/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kvasir {
namespace {

std::string number(double value) {
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> text{};
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  std::snprintf(text.data(), text.size(), whole ? "%.0f" : "%.9g", value);
  return text.data();
}

}  // namespace

void MetricsWriter::head(std::string_view name, std::string_view help, std::string_view type) {
  text_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name);
  text_.append(" ").append(type).append("\n");
}

void MetricsWriter::sample(const std::string& name, std::string_view labels, double value) {
  text_.append(name);
  if (!labels.empty()) text_.append("{").append(labels).append("}");
  text_.append(" ").append(number(value)).append("\n");
}

void MetricsWriter::single(std::string_view name, std::string_view help, std::string_view type,
                           double value) {
  head(name, help, type);
  sample(std::string(name), "", value);
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void Histogram::observe(double value) {
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  const std::lock_guard lock(mutex_);
  ++counts_[bucket];
  sum_ += value;
}

void Histogram::write(MetricsWriter& out, std::string_view name, std::string_view help) const {
  const std::lock_guard lock(mutex_);
  out.head(name, help, "histogram");
  const std::string base(name);
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    total += counts_[i];
    const std::string bound = i < bounds_.size() ? number(bounds_[i]) : "+Inf";
    out.sample(base + "_bucket", "le=\"" + bound + "\"", static_cast<double>(total));
  }
  out.sample(base + "_sum", "", sum_);
  out.sample(base + "_count", "", static_cast<double>(total));
}

}  // namespace kvasir
