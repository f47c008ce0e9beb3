// SmolLM3 (2025): the Llama graph, with no rotation in every fourth layer (Yang et al., "Rope to Nope and
// Back Again", 2025).

#include "models/families.h"

namespace kvasir::models {

void describe_smollm3(Metadata& read, Description& d) {
  constexpr std::size_t kNoRopeEvery = 4;
  d.rope_interleaved = pairs_are_neighbours(read);
  for (std::size_t i = kNoRopeEvery - 1; i < d.layers.size(); i += kNoRopeEvery) d.layers[i].rope = kNoRope;
}

}  // namespace kvasir::models
