#pragma once
// A model of any format as a GGUF file: metadata, tokenizer and tensors as llama.cpp's own converter has
// them.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "weights/checkpoint.h"
#include "weights/form_choice.h"
#include "weights/gguf_writer.h"

namespace kvasir::weights {

// What is set from a folder's tokenizer.json, with `pre` as tokenizer.ggml.pre. kUnsupported, by name, for
// tokenizers that GGUF has no form for. Whether it is the right `pre` only tokenising can tell: the caller
// tries (text/ is above this layer).
Status set_tokenizer(GgufWriter& out, const Checkpoint& folder, std::string_view pre);
// The names that are worth trying for a folder's tokenizer.
std::vector<std::string> tokenizer_pres(const Checkpoint& folder);

// Metadata but the tokenizer's, where `file` is a folder; all of it, byte for byte, where it is a GGUF file.
Status set_metadata(GgufWriter& out, const Checkpoint& file);

// One tensor as it goes into the file.
struct ExportTensor {
  const TensorInfo* source = nullptr;
  Form form;
  RowOrder order;
  RowOrder columns = {};
};
std::vector<ExportTensor> gguf_tensors(const Checkpoint& file, const Choice& choice);

// Adds the tensors, writes everything. Each is given back to the system once it is written.
Status write_gguf(GgufWriter& out, const Checkpoint& file, const std::vector<ExportTensor>& tensors,
                  ThreadPool& pool, const std::function<void(double)>& progress);

}  // namespace kvasir::weights
