#pragma once
// A model of any format as a folder of safetensors: Hugging Face's, or MLX's with affine weights.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "weights/checkpoint.h"
#include "weights/form_choice.h"

namespace kvasir::weights {

// Some rows of a tensor, or of several, under the name that a folder gives them. Fields as RecodeJob's.
struct FolderTensor {
  const TensorInfo* source = nullptr;
  std::string module;                // "model.layers.0.mlp.up_proj"
  std::string suffix;                // ".weight", ".bias"
  std::vector<std::uint64_t> shape;  // row-major, in elements
  Form form;
  RowOrder order;
  RowOrder columns;
  float minus = 0;
  std::uint64_t first = 0;
  std::uint64_t rows = 0;
  std::vector<RowRun> runs;
  bool log_of_negative = false;
};

// `mlx`: experts as stacks, as MLX names them. kUnsupported, by name, for a family or a tensor that folders
// have no name for here.
Result<std::vector<FolderTensor>> folder_tensors(const Checkpoint& file, const Choice& choice, bool mlx);

struct FolderText {
  // Of a GGUF file: its vocabulary as a tokenizer.json. Empty for a folder, whose own files are copied.
  std::string tokenizer_json;
};

// Makes `folder`, which must not be there: weights in files of at most 5 GB, config.json with what is
// quantised, tokenizer and template. Written under another name and renamed when all is there.
Status write_folder(const std::string& folder, const Checkpoint& file,
                    const std::vector<FolderTensor>& tensors, const FolderText& text, bool mlx,
                    ThreadPool& pool, const std::function<void(double)>& progress);

}  // namespace kvasir::weights
