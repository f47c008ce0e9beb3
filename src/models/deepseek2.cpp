// DeepSeek-V2, V3 and R1 (2024, 2025), and what shares their graph (Kimi K2, GLM-4.7-Flash): latent attention
// (latent.h), and, after the first layers, many small experts chosen in groups, beside those that all tokens
// share.

#include <cmath>

#include "models/families.h"
#include "models/rope.h"

namespace kvasir::models {
namespace {

constexpr std::size_t kMostRank = 1U << 14;

// YaRN as the family has it: instead of cos and sin, scores are multiplied by the square of a factor whose
// logarithmic slope is in the file.
void scale_scores(Metadata& read, Description& d) {
  const double slope = read.number("rope.scaling.yarn_log_multiplier", 0);
  if (read.text("rope.scaling.type") != "yarn" || slope == 0) return;
  const double factor = 1 + slope * std::log(read.required_number("rope.scaling.factor"));
  d.attention_scale *= static_cast<float>(factor * factor);
  d.ropes.front().magnitude = 1;
}

}  // namespace

void describe_deepseek2(Metadata& read, Description& d) {
  ModelConfig& c = d.config;
  LatentAttention& l = d.latent;
  if (!read.has("attention.key_length_mla")) {
    return read.refuse(
        "it was converted before keys' and values' halves of attn_kv_b were kept apart; convert it again");
  }
  if (read.has("attention.temperature_scale"))
    return read.refuse("queries that grow with position are not supported here");
  l.q_rank = read.optional_size("attention.q_lora_rank", kMostRank);
  l.kv_rank = read.size("attention.kv_lora_rank", kernels::kMaxHeadDim);
  l.rotated = read.size("rope.dimension_count", kernels::kMaxHeadDim);
  l.value = read.size("attention.value_length_mla", kMostRank);
  const std::size_t query = read.size("attention.key_length_mla", kMostRank);
  if (query <= l.rotated) return read.fail("its queries have no part that is not rotated");
  l.plain = query - l.rotated;
  c.kv_heads = 1;
  c.head_dim = l.kv_rank + l.rotated;
  c.value_dim = l.kv_rank;

  d.attention_scale = 1.0F / std::sqrt(static_cast<float>(query));
  d.rope_interleaved = pairs_are_neighbours(read);
  d.ropes = {read_rope(read, l.rotated)};
  scale_scores(read, d);

  if (read.optional_size("expert_count", 4096) == 0) return;
  read_experts(read, d, read.optional_size("leading_dense_block_count", 1024));
  read_routing(read, d, Routing::kSoftmax);
  d.experts.shared_hidden = d.experts.hidden * read.optional_size("expert_shared_count", 256);
}

}  // namespace kvasir::models
