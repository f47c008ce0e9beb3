#pragma once
// Writes a GGUF file (version 3): metadata, the table of tensors, then their bytes as they come.
//
// Written beside the target and renamed by finish(), so that what is cut short is never taken for a model.
// One thread. Order of calls: set...() and add_tensor() in any order, begin(), write() for every tensor's
// bytes in the order in which they were added, finish().

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "weights/checkpoint.h"
#include "weights/gguf.h"

namespace kvasir::weights {

class GgufWriter {
 public:
  explicit GgufWriter(std::string path) : path_(std::move(path)) {}
  ~GgufWriter();
  GgufWriter(const GgufWriter&) = delete;
  GgufWriter& operator=(const GgufWriter&) = delete;

  // A key that is set twice keeps its place and has the last value.
  void set_u32(const std::string& key, std::uint32_t value);
  void set_f32(const std::string& key, float value);
  void set_bool(const std::string& key, bool value);
  void set_text(const std::string& key, std::string_view value);
  void set_texts(const std::string& key, std::span<const std::string> values);
  void set_i32s(const std::string& key, std::span<const std::int32_t> values);
  void set_f32s(const std::string& key, std::span<const float> values);
  // As the types above, by what the value is.
  void set_value(const std::string& key, const MetaValue& value);
  // Every key of `file`, its value byte for byte, but those for which `skip` holds.
  void copy_metadata(const GgufFile& file, const std::function<bool(std::string_view)>& skip);
  void remove(const std::string& key);

  void add_tensor(std::string name, TensorType type, std::vector<std::uint64_t> shape);

  // Nothing but what stands in front of the tensors' bytes: for tests, and for what reads metadata only.
  std::string header() const;
  Status begin();
  Status write(std::span<const std::byte> bytes);
  Status finish();

 private:
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<std::uint64_t> shape;
    std::uint64_t bytes = 0;
  };
  void set_encoded(const std::string& key, std::string value);
  Status pad();

  const std::string path_;
  std::vector<std::pair<std::string, std::string>> metadata_;  // key, type and value as stored
  std::vector<Tensor> tensors_;
  std::unique_ptr<File> out_;
  std::uint64_t at_ = 0;            // in the file
  std::size_t tensor_ = 0;          // that is being written
  std::uint64_t tensor_bytes_ = 0;  // of it, so far
};

}  // namespace kvasir::weights
