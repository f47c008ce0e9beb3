// Reads a checkpoint's hyper-parameters, has its family describe it, and hands it to the decoder.

#include <algorithm>
#include <cmath>
#include <string>

#include "models/decoder.h"
#include "models/families.h"
#include "models/rope.h"

namespace kvasir::models {
namespace {

using weights::Checkpoint;

struct Family {
  std::string_view name;  // general.architecture
  void (*describe)(Metadata&, Description&);
};

constexpr Family kFamilies[] = {
    {"llama", describe_llama},
    {"mistral3", describe_mistral3},
    {"qwen2", describe_qwen2},
    {"qwen3", describe_qwen3},
    {"qwen3moe", describe_qwen3_moe},
    {"smollm3", describe_smollm3},
    {"granite", describe_granite},
    {"granitemoe", describe_granite},
    {"olmo2", describe_olmo2},
    {"phi3", describe_phi3},
    {"gemma", describe_gemma},
    {"gemma2", describe_gemma2},
    {"gemma3", describe_gemma3},
    {"gpt-oss", describe_gpt_oss},
    {"glm4moe", describe_glm4_moe},
    {"deepseek2", describe_deepseek2},
    {"lfm2", describe_lfm2},
    {"lfm2moe", describe_lfm2_moe},
    {"granitehybrid", describe_granite_hybrid},
    {"qwen3next", describe_qwen3_next},
    {"qwen35", describe_qwen35},
    {"qwen35moe", describe_qwen35},
};

const Family* find_family(std::string_view name) {
  const auto* found = std::ranges::find(kFamilies, name, &Family::name);
  return found == std::end(kFamilies) ? nullptr : found;
}

std::string family_names() {
  std::string names;
  for (const Family& f : kFamilies) names += (names.empty() ? "" : ", ") + std::string(f.name);
  return names;
}

// One number, or one for each layer: 0 where a layer has no attention, and the same for all that have.
std::size_t read_kv_heads(Metadata& read, const ModelConfig& c) {
  constexpr std::size_t kMostHeads = 4096;
  const auto of_layers = read.numbers("attention.head_count_kv", c.layers);
  if (!of_layers) return read.size("attention.head_count_kv", kMostHeads, c.heads);
  std::size_t heads = 0;
  for (const std::size_t n : *of_layers) {
    if (n > kMostHeads) read.fail("metadata 'attention.head_count_kv' is absurd");
    if (n != 0 && heads != 0 && n != heads)
      read.refuse("layers that differ in their number of key heads are not supported");
    heads = std::max(heads, n);
  }
  if (heads == 0) read.refuse("models without attention are not supported");
  return std::max<std::size_t>(1, heads);
}

// What all families' files say in the same keys.
void read_shape(Metadata& read, ModelConfig& c) {
  constexpr std::size_t kMostHidden = 1U << 22;
  c.layers = read.size("block_count", 1024);
  c.width = read.size("embedding_length", 1U << 20);
  c.hidden = read.has("expert_count") ? read.optional_size("feed_forward_length", kMostHidden)
                                      : read.size("feed_forward_length", kMostHidden);
  c.heads = read.size("attention.head_count", 4096);
  c.kv_heads = read_kv_heads(read, c);
  // A head dimension that the file does not state: the kernels' limit is checked below.
  c.head_dim =
      read.size("attention.key_length", kernels::kMaxHeadDim, std::max<std::size_t>(1, c.width / c.heads));
  c.value_dim = read.size("attention.value_length", kernels::kMaxHeadDim, c.head_dim);
  c.context = read.size("context_length", 1U << 24);
  c.norm_epsilon = static_cast<float>(read.number("attention.layer_norm_rms_epsilon", 1e-5));
  c.vocab = read.rows("token_embd.weight");
  if (c.vocab == 0) read.fail("tensor 'token_embd.weight' is missing");
}

// What the kernels cannot compute.
void check_shape(Metadata& read, const Description& d) {
  const ModelConfig& c = d.config;
  const auto is_width = [](std::size_t n) { return n % kernels::kBlockK == 0; };
  const auto is_head = [](std::size_t n) { return n % 16 == 0 && n <= kernels::kMaxHeadDim; };
  const bool dense = std::ranges::any_of(d.layers, [](const LayerDescription& l) { return !l.experts; });
  const bool latent = d.latent.kv_rank != 0;
  bool computed = c.heads % c.kv_heads == 0 && is_head(c.head_dim) && is_head(c.value_dim) &&
                  is_width(c.width) && is_width(c.hidden) && (c.hidden > 0 || !dense) &&
                  (latent || c.value_dim == c.head_dim) && is_width(c.heads * c.value_dim) &&
                  c.norm_epsilon > 0;
  computed = computed && is_width(d.experts.hidden) && is_width(d.experts.shared_hidden);
  if (latent) {
    const LatentAttention& l = d.latent;
    computed = computed && is_width(l.q_rank) && is_width(l.kv_rank) && is_width(l.plain) &&
               is_width(c.heads * l.value) && l.rotated % 2 == 0;
  }
  if (const Recurrence& r = d.recurrence; r.kind != RecurrenceKind::kNone) {
    const auto in_lanes = [](std::size_t n) { return n % 16 == 0; };
    const bool groups = r.key_heads != 0 && r.heads % r.key_heads == 0;
    computed = computed && r.taps >= 2 && r.taps <= kernels::kMaxTaps && in_lanes(r.channels) &&
               is_width(r.inner()) && in_lanes(r.key_dim) && in_lanes(r.value_dim) &&
               (r.kind == RecurrenceKind::kShortConv || (groups && in_lanes(r.inner() / r.key_heads)));
  }
  if (computed) return;
  read.refuse("its shape (width " + std::to_string(c.width) + ", " + std::to_string(c.heads) + " heads of " +
              std::to_string(c.head_dim) + ", " + std::to_string(c.kv_heads) +
              " for keys) is not one that this build computes");
}

// Which layers keep keys and values and which a state, and what that takes.
void place_layers(Metadata& read, Description& d) {
  ModelConfig& c = d.config;
  for (LayerDescription& layer : d.layers) layer.place = layer.recurrent ? c.state_layers++ : c.kv_layers++;
  if (c.state_layers == 0) {
    d.recurrence = {};
    return;
  }
  const Recurrence& r = d.recurrence;
  if (r.kind == RecurrenceKind::kNone) return read.refuse("layers without attention are not supported here");
  c.conv_state_bytes = (r.taps - 1) * r.channels * sizeof(float);
  c.state_heads = r.heads;
  c.head_state_bytes = r.key_dim * r.value_dim * sizeof(float);
}

Result<Description> describe(const Checkpoint& file, std::size_t served_context) {
  const auto name = file.string("general.architecture");
  if (!name) {
    return make_error(ErrorCode::kCorruptData, file.path() + ": metadata 'general.architecture' is missing",
                      file.path());
  }
  const Family* family = find_family(*name);
  if (family == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      file.path() + ": model family '" + std::string(*name) +
                          "' is not supported; these are: " + family_names(),
                      file.path());
  }
  Metadata read(file, std::string(*name));
  Description d;
  d.config.family = read.family();
  read_shape(read, d.config);
  KVASIR_RETURN_IF_ERROR(read.status());
  d.config.served_context = served_context != 0 ? served_context : d.config.context;
  d.layers.resize(d.config.layers);
  d.attention_scale = 1.0F / std::sqrt(static_cast<float>(d.config.head_dim));
  if (const auto heads = read.numbers("attention.head_count_kv", d.config.layers)) {
    for (std::size_t i = 0; i < heads->size(); ++i) d.layers[i].recurrent = (*heads)[i] == 0;
  }
  family->describe(read, d);
  if (d.ropes.empty()) d.ropes = {read_rope(read, d.config.head_dim)};
  KVASIR_RETURN_IF_ERROR(read.status());
  check_shape(read, d);
  place_layers(read, d);
  KVASIR_RETURN_IF_ERROR(read.status());
  return d;
}

}  // namespace

Result<ModelConfig> read_config(const Checkpoint& file) {
  KVASIR_ASSIGN_OR_RETURN(Description d, describe(file, 0));
  return d.config;
}

Result<std::unique_ptr<Model>> load_model(std::shared_ptr<const Checkpoint> file,
                                          const LoadOptions& options) {
  KVASIR_ASSIGN_OR_RETURN(Description d, describe(*file, options.context));
  d.config.kv_type = options.kv_type;
  return Decoder::load(std::move(file), std::move(d), options);
}

}  // namespace kvasir::models
