// Attention of few rows, which decoding consists of: keys and values are used as they are stored, 16 at a
// time, since a widened block would not be used again often enough to pay for it, and the next block is asked
// for meanwhile, since blocks lie apart in memory and each is read once. What is summed, and in what
// order, is attention.h's, and so are the bits. Compiled once an instruction set, after attention.h.

#include <algorithm>
#include <type_traits>

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kFewRows = 16;

// Vectors of keys or values that a tile of so many rows sums up at a time.
constexpr int few_vectors(int rows) {
  return 4 * rows <= kFewSums ? 4 : 2 * rows <= kFewSums ? 2 : 1;
}

// Memory that will be read next, asked for little by little between other work. Second-level cache: measured
// a tenth faster than the first where KV comes from memory.
class Ahead {
 public:
  explicit Ahead(const std::byte* from) : at_(from) {}
  void ask(std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(at_ + i, 0, 2);
    at_ += bytes;
  }

 private:
  const std::byte* at_;
};

// The keys of a stored block, by dimension.
template <KvType kType>
struct StoredKeys {
  const KvElement<kType>* elements;
  const float* scales;  // of the keys
  Ahead ahead;

  template <int V>
  void load(std::size_t d, std::size_t key, F (&k)[V]) {
    for (std::size_t i = 0; i < V; ++i) {
      k[i] = load_elements<kType>(elements + d * kBlockTokens + key + i * 16);
      if constexpr (kType == KvType::kQ8) k[i] = mul(k[i], KVASIR_SIMD::load(scales + key + i * 16));
    }
    ahead.ask(V * 16 * sizeof(*elements));
  }
};

// The values of a stored block, by key.
template <KvType kType>
struct StoredValues {
  const KvElement<kType>* elements;
  const float* scales;  // one a key
  std::size_t value_dim;
  Ahead ahead;

  template <int V>
  void load(std::size_t key, std::size_t first, F (&v)[V]) {
    for (std::size_t i = 0; i < V; ++i) {
      v[i] = load_elements<kType>(elements + key * value_dim + first + i * 16);
      if constexpr (kType == KvType::kQ8) v[i] = mul(v[i], set1(scales[key]));
    }
    ahead.ask(V * 16 * sizeof(*elements));
  }
};

template <KvType kType>
class FewRows {
 public:
  FewRows(const SegmentRows& segment, const SegmentBlocks& blocks)
      : segment_(segment),
        blocks_(blocks),
        layout_(kv_head_layout(kType, segment.in.head_dim, segment.in.value_dim)) {}

  void score(std::size_t block) {
    const std::byte* stored = blocks_.stored(block);
    const std::byte* next = after_keys(block);
    for_tiles<kFewTile>(0, segment_.rows(), [&](auto rows, std::size_t row) {
      constexpr int kVectors = few_vectors(rows());
      StoredKeys<kType> keys{elements_at(stored), floats_at(stored + layout_.key_scales),
                             Ahead(row == 0 ? next : stored)};
      float* scores = segment_.weights + row * kSegmentKeys + block * kBlockTokens;
      for (std::size_t key = 0; key < kBlockTokens; key += std::size_t{16} * kVectors)
        score_keys<rows(), kVectors>(segment_, row, keys, key, scores);
    });
  }

  void weigh(std::size_t block) {
    const std::byte* stored = blocks_.stored(block);
    const std::byte* next = after_values(block);
    const std::size_t keys = blocks_.keys(block);
    const std::size_t value_dim = segment_.in.value_dim;
    for_tiles<kFewTile>(0, segment_.rows(), [&](auto rows, std::size_t row) {
      constexpr int kVectors = few_vectors(rows());
      constexpr std::size_t kWide = std::size_t{16} * kVectors;
      StoredValues<kType> values{elements_at(stored + layout_.values),
                                 floats_at(stored + layout_.value_scales), value_dim,
                                 Ahead(row == 0 ? next : stored)};
      const float* weights = segment_.weights + row * kSegmentKeys + block * kBlockTokens;
      std::size_t d = 0;
      for (; d + kWide <= value_dim; d += kWide)
        weigh_values<rows(), kVectors>(segment_, row, values, keys, d, weights);
      for (; d < value_dim; d += 16) weigh_values<rows(), 1>(segment_, row, values, keys, d, weights);
    });
  }

 private:
  // What is read after a block's keys.
  const std::byte* after_keys(std::size_t block) const {
    return block + 1 < blocks_.count ? blocks_.stored(block + 1)
                                     : blocks_.stored(blocks_.skipped) + layout_.values;
  }
  // What is read after a block's values: behind the last one's the keys of the segment that most likely
  // follows, where there is one.
  const std::byte* after_values(std::size_t block) const {
    if (block + 1 < blocks_.count) return blocks_.stored(block + 1) + layout_.values;
    const bool follows = blocks_.first + blocks_.count < segment_.in.blocks.size();
    return blocks_.stored(follows ? blocks_.count : block);
  }
  static const KvElement<kType>* elements_at(const std::byte* p) {
    return reinterpret_cast<const KvElement<kType>*>(p);
  }
  static const float* floats_at(const std::byte* p) { return reinterpret_cast<const float*>(p); }

  const SegmentRows& segment_;
  const SegmentBlocks& blocks_;
  KvHeadLayout layout_;
};

template <KvType kType>
void attention_few(const AttentionInput& in, std::size_t first_block, std::size_t last_block, float* states,
                   std::byte* scratch) {
  const SegmentRows segment{in, first_block * kBlockTokens, states, reinterpret_cast<float*>(scratch)};
  const SegmentBlocks blocks(segment, first_block, last_block);
  FewRows<kType> rows(segment, blocks);
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) rows.score(b);
  softmax_rows(segment, blocks, softmax_row);
  for (std::size_t b = blocks.skipped; b < blocks.count; ++b) rows.weigh(b);
}

void attention_segment(const AttentionInput& in, std::size_t first_block, std::size_t last_block,
                       float* states, std::byte* scratch) {
  // F32 is a reference, not worth a way of its own.
  if (in.tokens * in.heads > kFewRows || in.kv_type == KvType::kF32)
    return attention_many(in, first_block, last_block, states, scratch);
  if (in.kv_type == KvType::kF16)
    attention_few<KvType::kF16>(in, first_block, last_block, states, scratch);
  else if (in.kv_type == KvType::kBf16)
    attention_few<KvType::kBf16>(in, first_block, last_block, states, scratch);
  else
    attention_few<KvType::kQ8>(in, first_block, last_block, states, scratch);
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
