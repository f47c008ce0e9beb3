// SmolLM3 (2025): the Llama graph, with no rotation in every fourth layer (Yang et al., "Rope to Nope and
// Back Again", 2025).

#include "models/families.h"

namespace kvasir::models {

void describe_smollm3(Metadata& read, Description& d) {
  constexpr std::size_t kNoRopeEvery = 4;
  d.rope_interleaved = pairs_are_neighbours(read);
  // Folders say which layers rotate; GGUF files do not.
  if (const auto* rotates = read.file().integers("kvasir.rope_layers")) {
    if (rotates->size() != d.layers.size()) return read.fail("it names another number of layers that rotate");
    for (std::size_t i = 0; i < d.layers.size(); ++i) d.layers[i].rope = (*rotates)[i] != 0 ? 0 : kNoRope;
    return;
  }
  for (std::size_t i = kNoRopeEvery - 1; i < d.layers.size(); i += kNoRopeEvery) d.layers[i].rope = kNoRope;
}

}  // namespace kvasir::models
