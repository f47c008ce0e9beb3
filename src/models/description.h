#pragma once
// What a family's forward pass is made of. A family's file (qwen3.cpp, gemma.cpp, ...) fills this in from the
// file's metadata; decoder.cpp reads weights and computes by it.
//
// The default is the Llama graph: x += W_o attention(norm(x)), x += W_down (silu(W_gate h) * W_up h).

#include <cstddef>
#include <string>
#include <vector>

#include "models/model.h"

namespace kvasir::models {

enum class Activation {
  kSilu,
  kGeluTanh,
  kClampedSwiglu,  // gpt-oss (kernels.h)
};

// What q and k of each token go through before they are rotated.
enum class QkNorm {
  kNone,
  kHead,      // each head is normed by itself, weight (head_dim)
  kAllHeads,  // all heads together, weight (heads * head_dim)
};

// Rotary embedding (Su et al., 2021): pair i of position p is turned by p * frequency[i].
struct Rope {
  std::vector<double> frequency;  // radians a position; (dimensions / 2): the others stay as they are
  double magnitude = 1;           // cos and sin are multiplied by it (YaRN, LongRoPE)
  std::string factors;            // a tensor (dimensions / 2) that frequencies are divided by; may be empty
};
inline constexpr std::size_t kNoRope = static_cast<std::size_t>(-1);

// What a layer has of its own.
struct LayerDescription {
  bool recurrent = false;  // Description::recurrence in place of attention
  std::size_t place = 0;   // among the layers with attention, or among the recurrent ones (load.cpp)
  std::size_t window = 0;  // a token sees its last `window` tokens, itself included; 0: all
  std::size_t rope = 0;    // which of Description::ropes, or kNoRope
  bool experts = false;    // else the plain feed-forward block
};

// How a token's experts are chosen, and what their outputs are multiplied by.
enum class Routing {
  kSoftmax,          // probabilities over all experts; the largest are taken
  kSoftmaxOfChosen,  // the largest logits are taken, and are a softmax among themselves
  kSigmoid,          // each expert by itself
};

// A mixture of experts (Shazeer et al., 2017). A token's output is the sum over its experts, in the order of
// the router, then the shared expert's.
struct Experts {
  std::size_t count = 0;
  std::size_t used = 0;           // by a token
  std::size_t hidden = 0;         // of one expert
  std::size_t shared_hidden = 0;  // of the expert that every token uses; 0: none
  bool shared_gate = false;       // that one's output is multiplied by a sigmoid of its own
  Routing routing = Routing::kSoftmax;
  bool normalise = false;       // weights are divided by their sum
  float scale = 1;              // weights are multiplied by it
  bool selection_bias = false;  // exp_probs_b: added to choose by, not to weigh by (DeepSeek-V3)
  bool biases = false;          // of the router and of every expert
  // Experts are in `groups` equal groups, and chosen from the `groups_used` best of them.
  std::size_t groups = 1;
  std::size_t groups_used = 1;
};

// Multi-head latent attention (DeepSeek-V2, 2024): of a token, one latent of kv_rank and one rotated part of
// `rotated` are kept for all heads. Keys are both, values the latent: config.kv_heads is 1, head_dim kv_rank
// + rotated, value_dim kv_rank.
struct LatentAttention {
  std::size_t q_rank = 0;   // 0: queries come straight from x
  std::size_t kv_rank = 0;  // 0: the model has ordinary attention
  std::size_t rotated = 0;  // of a query and the shared key
  std::size_t plain = 0;    // of a query's unrotated part
  std::size_t value = 0;    // of a head's output
};

// What recurrent layers compute; the files name the sources.
enum class RecurrenceKind {
  kNone,
  kShortConv,  // LFM2: W_out (C * conv(B * x))
  kMamba2,     // Granite 4
  kDeltaNet,   // Qwen3-Next, Qwen3.5: the gated delta rule
};
struct Recurrence {
  RecurrenceKind kind = RecurrenceKind::kNone;
  std::size_t taps = 0;      // of the convolution, the current token included
  std::size_t channels = 0;  // of the convolution
  // Of a state: (heads, key_dim, value_dim); none with kShortConv.
  std::size_t heads = 0;
  std::size_t key_dim = 0;
  std::size_t value_dim = 0;
  std::size_t key_heads = 0;  // divides heads
  // Of kDeltaNet: head h reads key head h % key_heads instead of h / (heads / key_heads).
  bool keys_in_turn = false;
  // What the layer's last matrix works on.
  std::size_t inner() const { return kind == RecurrenceKind::kShortConv ? channels : heads * value_dim; }
};

struct Description {
  ModelConfig config;
  std::vector<LayerDescription> layers;  // (config.layers)
  std::vector<Rope> ropes;
  bool rope_interleaved = false;  // pairs (2i, 2i + 1) instead of (i, i + dimensions / 2)

  bool pre_norm = true;    // the input of attention and feed-forward block is normed
  bool post_norm = false;  // their output is normed before it is added to x
  std::string ffn_norm = "ffn_norm";
  std::string output_norm = "output_norm";
  Recurrence recurrence;
  bool attention_gate = false;  // each head's rows of q are followed by as many of a gate (sigmoid)
  bool qkv_bias = false;
  bool o_bias = false;
  bool fused_qkv = false;      // q, k and v are the rows of one tensor
  bool fused_gate_up = false;  // so are gate and up, in ffn_up
  QkNorm qk_norm = QkNorm::kNone;
  Activation activation = Activation::kSilu;
  Experts experts;
  LatentAttention latent;

  float attention_scale = 0;  // scores are multiplied by it
  float attention_cap = 0;    // soft cap of scores; 0: none
  bool sinks = false;         // a score for each head that takes its share of the softmax and gives nothing
  // Queries at position p are multiplied by 1 + query_growth * ln(1 + floor(p / query_period)); 0: they stay.
  float query_growth = 0;
  std::size_t query_period = 1;

  float embedding_scale = 1;  // x = scale * embedding
  float residual_scale = 1;   // x += scale * block's output
  float logit_scale = 1;
  float logit_cap = 0;  // soft cap of logits; 0: none

  // Tensors that are known and not used; a name that ends in '*' stands for all that begin so. Any other
  // tensor that nothing reads means a model that this build would compute wrongly: it is refused.
  std::vector<std::string> unused;
};

}  // namespace kvasir::models
