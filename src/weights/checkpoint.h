#pragma once
// What a model is loaded from: metadata and tensors, whatever the files they lie in.
//
// There is one vocabulary, GGUF's: metadata keys ("llama.attention.head_count"), tensor names
// ("blk.0.attn_q.weight") and dimension order. Other formats are presented in it. Where GGUF's stored form of
// a family differs from a format's own, either the tensor says so (TensorInfo::plus) or a key does
// (weights/folder.h has more):
//
//   kvasir.rope_neox  boolean: true where q and k rows lie as Hugging Face has them, rotary pairs (i, i +
//   d/2),
//                     in a family whose GGUF files have them permuted to (2i, 2i + 1). Absent in GGUF files.
//
// Everything that the files say is checked before it is believed. Immutable after it is opened; may be read
// from any thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/error.h"
#include "weights/tensor.h"

namespace kvasir::weights {

// Metadata arrays keep their element type; strings point into the checkpoint.
using MetaArray = std::variant<std::vector<std::int64_t>,  // every integer type and bool
                               std::vector<double>,        // f32, f64
                               std::vector<std::string_view>>;
using MetaValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string_view, MetaArray>;

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  // The file or folder, as it was named.
  const std::string& path() const { return path_; }

  const MetaValue* find(std::string_view key) const;
  // Typed look-ups: nullopt or null where the key is absent or of another type.
  std::optional<std::string_view> string(std::string_view key) const;
  // Also accepts non-negative signed values.
  std::optional<std::uint64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  // floats and integers
  std::optional<bool> boolean(std::string_view key) const;
  const std::vector<std::string_view>* strings(std::string_view key) const;
  const std::vector<std::int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;
  const std::unordered_map<std::string_view, MetaValue>& metadata() const { return metadata_; }

  const TensorInfo* tensor(std::string_view name) const;
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  std::uint64_t tensor_bytes() const;  // of all tensors, stored

  // Gives a tensor's pages back to the system, once it has been repacked; they are read again when touched.
  virtual void release(const TensorInfo& tensor) const = 0;

 protected:
  Checkpoint() = default;
  // Called once, when tensors_ is whole. Returns a tensor whose name occurs twice, or null.
  const TensorInfo* index_tensors();

  std::string path_;
  std::unordered_map<std::string_view, MetaValue> metadata_;
  std::vector<TensorInfo> tensors_;

 private:
  std::unordered_map<std::string_view, std::size_t> tensor_index_;
};

// Opens a GGUF file, a split set by its first file (weights/gguf_set.h), or a folder (weights/folder.h).
// Errors: kNotFound, kIo, kCorruptData for a file that is cut or lies, kUnsupported, naming it, for what this
// build does not read; all before weights are read.
Result<std::shared_ptr<const Checkpoint>> open_checkpoint(const std::string& path);

// N of a file of a split GGUF set, "name-0000N-of-0000M.gguf"; nullopt for any other name.
std::optional<unsigned> split_number(std::string_view path);

}  // namespace kvasir::weights
