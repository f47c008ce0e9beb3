#pragma once
// Model families as Hugging Face folders have them, and what they are called in GGUF: data, read by
// hf_config.cpp and hf_tensors.cpp. A new family of the known kind is a row in hf_families.cpp (one
// feed-forward block a layer), hf_mixtures.cpp (experts) or hf_hybrids.cpp (recurrent layers).

#include <span>
#include <string_view>

namespace kvasir::weights {

// A field of config.json and the key it becomes, "<architecture>.<key>".
struct HfField {
  std::string_view name;  // empty: what the family's files leave unsaid
  std::string_view key;
  // As JSON, what the family takes where the field is absent: configs within configs leave out what is the
  // default.
  std::string_view otherwise = {};
};

// Modules whose rows belong to two of GGUF's.
enum class HfSplit {
  kNone,
  kAlternateRows,  // a row of the first, a row of the second
  kHeads,  // of each head, rows of the first, which lie transposed, and rows of the second (hf_tensors.cpp)
};

// A module of the network, without its ".weight" or ".bias". "#" stands for a layer's number, "@" for an
// expert's, whose matrices become one stack in the order of their numbers.
struct HfModule {
  std::string_view name;
  std::string_view gguf;
  HfSplit split = HfSplit::kNone;
  std::string_view second = {};
};

// A field that changes what is computed, and the only value that this build computes with; absent or null is
// that as well.
struct HfRule {
  std::string_view name;
  std::string_view value;  // as JSON
};

struct HfFamily {
  std::string_view model_type;    // of config.json
  std::string_view architecture;  // GGUF's
  // GGUF files of the family have q and k rows permuted; folders have not (kvasir.rope_neox).
  bool permuted = false;
  // Norm weights are stored less one (TensorInfo::plus).
  bool norms_less_one = false;
  // Norm weights, but for those of recurrent layers, are stored less one in Hugging Face's folders, and whole
  // in MLX's, which are told by how convolutions lie.
  bool norms_less_one_unless_mlx = false;
  // The output layer is the embedding where config.json does not say.
  bool tied = false;
  // Without a list of layers, all but every so-manieth see a window; 0: GGUF's files leave it to the family
  // too.
  unsigned window_period = 0;
  std::span<const HfField> fields = {};    // besides common_fields()
  std::span<const HfModule> modules = {};  // besides common_modules(), or instead of one of them
  std::span<const HfRule> rules = {};      // besides common_rules()
  // What layer_types calls layers that keep a state in place of keys and values; empty: there are none.
  std::string_view recurrent_type = {};
};

const HfFamily* find_hf_family(std::string_view model_type);
// "gemma2, gemma3_text, ...": for the error that names what is supported.
std::string_view hf_family_names();
std::span<const HfField> common_fields();
std::span<const HfModule> common_modules();
std::span<const HfRule> common_rules();

// The tables.
std::span<const HfFamily> dense_families();
std::span<const HfFamily> mixture_families();
std::span<const HfFamily> hybrid_families();

}  // namespace kvasir::weights
