#pragma once
// Model families as Hugging Face folders have them, and what they are called in GGUF: data, read by
// hf_config.cpp and hf_tensors.cpp. A new family of the known kind is a row in hf_families.cpp (one
// feed-forward block a layer), hf_mixtures.cpp (experts) or hf_hybrids.cpp (recurrent layers).

#include <array>
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
  kHalves,         // the first's rows, the second's; of a stack, for each of its matrices
  kKeyHeads,  // of each key head its query, its key and its heads' values, of the first; their gates. Written
              // only: read as one of GGUF's that has it likewise
  kHeads,  // of each head, rows of the first, which lie transposed, and rows of the second (hf_tensors.cpp)
};

// A module of the network, without its ".weight" or ".bias". "#" stands for a layer's number, "@" for an
// expert's, whose matrices become one stack in the order of their numbers. Where several of a table are one
// of GGUF's, the first is written for Hugging Face and the last for MLX.
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

// A boolean field that holds where some layer has this tensor ("attn_q.bias").
struct HfSign {
  std::string_view name;
  std::string_view tensor;
};

inline constexpr HfSign kAttentionBias[] = {{"attention_bias", "attn_q.bias"}};

// What a config.json that is made of GGUF's metadata has besides the family's fields and rules.
struct HfWriting {
  std::string_view class_name = {};  // transformers'; empty: another row of the same architecture is written
  // The key that tells a file of the family from others of its architecture; empty: that has none of theirs.
  std::string_view told_by = {};
  std::string_view constants = {};  // a JSON object
  std::span<const HfSign> signs = {};
};

struct HfFamily {
  std::string_view model_type;     // of config.json
  std::string_view architecture;   // GGUF's
  std::string_view mlx_type = {};  // where mlx-lm calls it otherwise
  // GGUF files of the family have q and k rows permuted; folders have not (kvasir.rope_neox).
  bool permuted = false;
  // Norm weights are stored less one (TensorInfo::plus).
  bool norms_less_one = false;
  // Norm weights, but for those of recurrent layers, are stored less one in Hugging Face's folders, and whole
  // in MLX's, which are told by how convolutions lie.
  bool norms_less_one_unless_mlx = false;
  // Models without experts have their feed-forward block where others have what all tokens share.
  bool shared_alone = false;
  // The output layer is the embedding where config.json does not say.
  bool tied = false;
  // config.json may say how much of a head is rotated (partial_rotary_factor).
  bool partly_rotated = false;
  // Has all of its rotary embedding in rope_parameters, and nowhere else.
  bool rope_parameters = false;
  // Without a list of layers, all but every so-manieth see a window; 0: GGUF's files leave it to the family
  // too.
  unsigned window_period = 0;
  // Has query_pre_attn_scalar: a head's dimensions, but in models of so many layers, the largest of their
  // generation, the width over the heads (models/gemma.cpp).
  unsigned scaled_queries = 0;
  std::span<const HfField> fields = {};    // besides common_fields()
  std::span<const HfModule> modules = {};  // besides common_modules(), or instead of one of them
  std::span<const HfModule> shared = {};   // behind them: those of several families
  std::span<const HfRule> rules = {};      // besides common_rules()
  // What layer_types calls layers that keep a state in place of keys and values; empty: there are none.
  std::string_view recurrent_type = {};
  HfWriting written = {};

  // In the order in which they are searched.
  std::array<std::span<const HfModule>, 3> all_modules() const;
};

// Whether a norm of GGUF's, or whatever is called so, lies less one in folders of this form.
bool is_less_one(const HfFamily& family, std::string_view gguf, bool mlx);

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
