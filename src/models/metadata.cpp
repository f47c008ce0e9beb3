#include "models/metadata.h"

#include <algorithm>
#include <cmath>

namespace kvasir::models {

std::size_t Metadata::size(const std::string& key, std::size_t most, std::size_t fallback) {
  const auto value = file_.integer(full(key));
  if (!value && fallback != 0 && !has(key)) return fallback;
  if (value && *value >= 1 && *value <= most) return static_cast<std::size_t>(*value);
  if (value) {
    fail("metadata '" + full(key) + "' is " + std::to_string(*value) + ", which is absurd");
  } else if (has(key)) {
    refuse("metadata '" + full(key) + "' is not one number: layers that differ in it are not supported");
  } else {
    fail("metadata '" + full(key) + "' is missing");
  }
  return 1;
}

std::size_t Metadata::optional_size(const std::string& key, std::size_t most) {
  const auto value = file_.integer(full(key));
  if (!value || *value == 0) return 0;
  return size(key, most);
}

double Metadata::number(const std::string& key, double fallback) const {
  const double value = file_.number(full(key)).value_or(fallback);
  return std::isfinite(value) ? value : fallback;
}

double Metadata::required_number(const std::string& key) {
  const double value = number(key, 0);
  if (value > 0) return value;
  fail("metadata '" + full(key) + "' " + (has(key) ? "is not a positive number" : "is missing"));
  return 1;
}

bool Metadata::flag(const std::string& key, bool fallback) const {
  return file_.boolean(full(key)).value_or(fallback);
}

std::string Metadata::text(const std::string& key) const {
  return std::string(file_.string(full(key)).value_or(""));
}

std::optional<std::vector<std::size_t>> Metadata::numbers(const std::string& key, std::size_t layers) {
  const auto* values = file_.integers(full(key));
  if (values == nullptr) return std::nullopt;
  if (values->size() != layers) {
    fail("metadata '" + full(key) + "' has " + std::to_string(values->size()) + " entries for " +
         std::to_string(layers) + " layers");
    return std::nullopt;
  }
  std::vector<std::size_t> out;
  for (const std::int64_t v : *values) {
    if (v < 0) fail("metadata '" + full(key) + "' has a negative entry");
    out.push_back(static_cast<std::size_t>(std::max<std::int64_t>(v, 0)));
  }
  return out;
}

std::optional<std::vector<bool>> Metadata::flags(const std::string& key, std::size_t layers) {
  const auto values = numbers(key, layers);
  if (!values) return std::nullopt;
  std::vector<bool> out;
  for (const std::size_t v : *values) out.push_back(v != 0);
  return out;
}

std::size_t Metadata::rows(const std::string& name) const {
  const weights::TensorInfo* t = file_.tensor(name);
  return t != nullptr ? static_cast<std::size_t>(t->rows()) : 0;
}

void Metadata::fail(const std::string& what) {
  if (status_.ok()) status_ = make_error(ErrorCode::kCorruptData, file_.path() + ": " + what, file_.path());
}

void Metadata::refuse(const std::string& what) {
  if (status_.ok()) status_ = make_error(ErrorCode::kUnsupported, file_.path() + ": " + what, file_.path());
}

}  // namespace kvasir::models
