// OLMo 2 (2025): outputs of attention and feed-forward blocks are normed instead of their inputs, q and k
// over all heads at once. OLMo 3 slides three layers of four, whose rotation is not stretched.

#include "models/families.h"
#include "models/rope.h"

namespace kvasir::models {

void describe_olmo2(Metadata& read, Description& d) {
  constexpr std::size_t kWholeEvery = 4;
  d.pre_norm = false;
  d.post_norm = true;
  d.qk_norm = QkNorm::kAllHeads;
  d.ropes = {read_rope(read, d.config.head_dim)};
  if (!slide(read, d, kWholeEvery)) return;
  const double base = read.number("rope.freq_base_swa", read.number("rope.freq_base", 10000));
  d.ropes.push_back(plain_rope(base, 2 * d.ropes.front().frequency.size()));
  for (LayerDescription& layer : d.layers) {
    if (layer.window != 0) layer.rope = 1;
  }
}

}  // namespace kvasir::models
