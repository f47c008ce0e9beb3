#pragma once
// How models of the Hugging Face hub are named: hf:ORG/REPO[@REVISION][:FILE].
//
//   hf:Qwen/Qwen3-0.6B                        a folder of safetensors, or the only GGUF of a repository
//   hf:Qwen/Qwen3-0.6B-GGUF:Q8_0              the GGUF file whose name has that word, whatever the case
//   hf:Qwen/Qwen3-0.6B-GGUF:Qwen3-0.6B-Q8_0.gguf
//   hf:Qwen/Qwen3-0.6B@refs/pr/3              another branch, tag or commit than "main"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvasir::hub {

inline constexpr std::string_view kMainRevision = "main";

struct ModelName {
  std::string repo;  // "ORG/REPO", or "REPO" for the few without an owner
  std::string revision = std::string(kMainRevision);
  std::string file;  // empty: the repository's model

  std::string text() const;  // as it is written, "hf:" in front
};

// Whether `text` begins with "hf:".
bool is_hub_name(std::string_view text);
// kInvalidArgument for what the hub could not have, with what a name looks like.
Result<ModelName> parse_hub_name(std::string_view text);

// A GGUF file, or all of a split set ("name-00001-of-00003.gguf"), in order.
using GgufSet = std::vector<std::string>;
// The sets among the paths of a repository; files that only belong to a model (vision projectors, importance
// matrices) are left out.
std::vector<GgufSet> gguf_sets(std::span<const std::string> paths);
// The set that `wanted` means: by its path, by its file name, or by a word of it ("Q4_K_M"). kNotFound and
// kInvalidArgument (several fit) name what there is.
Result<GgufSet> choose_gguf(std::span<const GgufSet> sets, std::string_view wanted, std::string_view where);

}  // namespace kvasir::hub
