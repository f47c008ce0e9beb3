#pragma once
// A model file's hyper-parameters, by GGUF's keys. The first failure is kept; look-ups after it give harmless
// values, so that a family's file reads as a list of what it needs.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "weights/checkpoint.h"

namespace kvasir::models {

class Metadata {
 public:
  Metadata(const weights::Checkpoint& file, std::string family) : file_(file), family_(std::move(family)) {}

  // `<family>.<key>`, in [1, most]; `fallback` where it is absent, unless that is 0.
  std::size_t size(const std::string& key, std::size_t most, std::size_t fallback = 0);
  // The same, where 0 means that there is none, as does an absent key.
  std::size_t optional_size(const std::string& key, std::size_t most);
  double number(const std::string& key, double fallback) const;
  // Positive; absent or not: a failure.
  double required_number(const std::string& key);
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key) const;  // empty where it is absent
  bool has(const std::string& key) const { return file_.find(full(key)) != nullptr; }
  // One number for each of `layers` layers, where the key holds an array.
  std::optional<std::vector<std::size_t>> numbers(const std::string& key, std::size_t layers);
  // One flag for each of `layers` layers, where the key is there.
  std::optional<std::vector<bool>> flags(const std::string& key, std::size_t layers);

  bool has_tensor(const std::string& name) const { return file_.tensor(name) != nullptr; }
  // Rows of a tensor, 0 where it is absent.
  std::size_t rows(const std::string& name) const;
  const weights::Checkpoint& file() const { return file_; }
  const std::string& family() const { return family_; }

  // The file says something that cannot be (kCorruptData).
  void fail(const std::string& what);
  // The file says something that this build does not compute (kUnsupported).
  void refuse(const std::string& what);
  const Status& status() const { return status_; }

 private:
  std::string full(const std::string& key) const { return family_ + "." + key; }

  const weights::Checkpoint& file_;
  std::string family_;
  Status status_;
};

}  // namespace kvasir::models
