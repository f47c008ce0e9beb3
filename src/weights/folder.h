#pragma once
// A Hugging Face folder as a checkpoint: config.json, safetensors (one file, or several under
// model.safetensors.index.json), tokenizer and template files. Its weights may be plain (F32, F16, BF16), FP8
// with scales (quant_method "fp8" or "compressed-tensors"), MXFP4 (gpt-oss), or quantised by MLX
// (docs/formats/weights.md).
//
// Families are rows of the tables of hf_families.h. Besides GGUF's keys a folder has
//   tokenizer.huggingface.json  string: tokenizer.json, whole
//   tokenizer.ggml.bos_token_id, tokenizer.ggml.eos_token_id, tokenizer.ggml.add_bos_token: where files name
//   them kvasir.bos_token, kvasir.eos_token  string: by their text, where tokenizer_config.json names them
//   kvasir.keys_in_turn          0: value heads of a key head lie together (Qwen3.5; GGUF has them in turn)
//   kvasir.yarn_between_pairs   boolean: YaRN's bounds are not rounded to whole pairs (gpt-oss)
//   kvasir.end_token_ids        integers: every end of a text that generation_config.json or config.json
//   names kvasir.rope_layers          integers, one a layer: 0 where queries and keys are not rotated
//   general.sampling.temp, .top_p, .top_k, .min_p: of generation_config.json, where it asks to sample (top_k
//   and min_p are not read yet)

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "weights/checkpoint.h"
#include "weights/safetensors.h"

namespace kvasir::weights {

class Folder final : public Checkpoint {
 public:
  // kNotFound where the folder has no config.json or no safetensors; else as open_checkpoint.
  static Result<std::shared_ptr<const Folder>> open(const std::string& path);

  void release(const TensorInfo& tensor) const override;

 private:
  Folder() = default;
  friend class FolderReader;

  std::vector<std::shared_ptr<const SafetensorsFile>> shards_;
  std::deque<std::string> strings_;          // what keys and string values point into
  std::deque<std::vector<float>> computed_;  // tensors that no file holds
};

}  // namespace kvasir::weights
