#pragma once
// The families, each in its own file, which says what is the family's own.
//
// A description comes with what GGUF's common keys say (shapes, epsilon) and the Llama graph; a family fills
// in the rest. What it cannot compute it refuses through `read`.

#include <string_view>
#include <vector>

#include "models/description.h"
#include "models/metadata.h"

namespace kvasir::models {

void describe_llama(Metadata& read, Description& d);
void describe_mistral3(Metadata& read, Description& d);
void describe_qwen2(Metadata& read, Description& d);
void describe_qwen3(Metadata& read, Description& d);
void describe_qwen3_moe(Metadata& read, Description& d);
void describe_smollm3(Metadata& read, Description& d);
void describe_granite(Metadata& read, Description& d);
void describe_olmo2(Metadata& read, Description& d);
void describe_phi3(Metadata& read, Description& d);
void describe_gemma(Metadata& read, Description& d);
void describe_gemma2(Metadata& read, Description& d);
void describe_gemma3(Metadata& read, Description& d);
void describe_gpt_oss(Metadata& read, Description& d);
void describe_glm4_moe(Metadata& read, Description& d);
void describe_deepseek2(Metadata& read, Description& d);
void describe_lfm2(Metadata& read, Description& d);
void describe_lfm2_moe(Metadata& read, Description& d);
void describe_granite_hybrid(Metadata& read, Description& d);
void describe_qwen3_next(Metadata& read, Description& d);
void describe_qwen35(Metadata& read, Description& d);

// What several families' files need.

// Whether rotary pairs are neighbours: the families that GGUF permutes have them so, unless the checkpoint
// says that its rows lie as Hugging Face has them.
bool pairs_are_neighbours(const Metadata& read);
// The file's sliding window, for the layers that its pattern names; by default for all but the last of every
// `period` layers. A period of 1 means every layer. Returns false where the file has none.
bool slide(Metadata& read, Description& d, std::size_t period);
// Drops the layers that guess further tokens, which are not used.
void drop_guessing_layers(Metadata& read, Description& d);
// The keys that all mixtures share: how many experts, how many of them a token uses, how wide one is; the
// layers from `first` on have them.
void read_experts(Metadata& read, Description& d, std::size_t first = 0);
// expert_gating_func, expert_weights_norm, expert_weights_scale and exp_probs_b, where a family's files have
// them.
void read_routing(Metadata& read, Description& d, Routing otherwise);
// The shape of a recurrence that is described by GGUF's ssm.* keys.
void read_state_space(Metadata& read, Description& d, RecurrenceKind kind);

}  // namespace kvasir::models
