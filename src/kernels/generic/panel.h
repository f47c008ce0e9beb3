// A group of packed rows unpacked once for many tokens, and what is done with its products. Compiled once an
// instruction set, behind unpack.h and in front of the products.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kPanelBlockBytes = 512;  // of one group

// s * sum of q over the half of a block: what its minimum is multiplied by.
template <int kHalves>
inline float scaled_sum(const QuantizedRows& x, std::size_t at, std::size_t half) {
  if constexpr (kHalves == 1) return x.scaled_sum[at];
  return x.scale[at] * (static_cast<float>(x.shift[2 * at + half] - kSumBase) * (-1.0F / 128.0F));
}

// Two planes: the start (which is exact for the whole q) goes into the low plane's dot, and the high one
// counts 128-fold.
inline I join_planes(I high, I low) {
  return add_int(shift_left7(high), low);
}

// What is added to unpacked bytes to make them panel bytes.
template <PackedType T, bool kSigned = kSignedPanel>
constexpr int panel_move() {
  if constexpr (has_table(T) || has_grid(T)) return 0;
  if constexpr (is_affine(T)) return bits_of(T) == 8 && kSigned ? -128 : 0;
  return kSigned ? -offset_of(T) : 128 - offset_of(T);
}

// Blocks of a group unpacked: bytes [blocks][8 steps][64], then scales [blocks][halves]{ d[16] and, of affine
// types, m[16] } floats. Symmetric bytes are u - offset where the instruction set multiplies signed bytes
// (kSigned), else u - offset + 128, whose dot starts at -128 * sum q. Affine bytes are u; those of 8 bits
// under kSigned are u - 128, and their dot starts at 128 * sum q.
struct Panel {
  std::byte* bytes;
  float* scales;
  // All d times kFloatSumBase are exact: products may start at kSumBase.
  bool exact = false;
};

constexpr std::size_t panel_scales(Kind k) {
  return kGroupRows * static_cast<std::size_t>(k.halves) * (k.affine ? 2 : 1);
}
inline Panel panel_at(std::byte* scratch, std::size_t k, std::size_t index) {
  std::byte* base = scratch + index * matmul_panel_bytes(k);
  return {base, reinterpret_cast<float*>(base + k / kBlockK * kPanelBlockBytes)};
}

// Scales of these are an f16, or one times an integer of 8 bits. (An infinite one gives no number either
// way.)
template <PackedType T>
constexpr bool exact_scales() {
  return has_super_blocks(T) || T == PackedType::kTrit || (offset_of(T) != 0 && !scales_by_16(T));
}

// Whether d * kFloatSumBase, d * 3 * 2^22, is exact for all d seen: none has more than 22 bits or is near
// infinity. So it is for all scales but some that are stored as floats.
class ScaleCheck {
 public:
  void see(F d) {
    bits_ = or_int(bits_, as_int(d));
    largest_ = max(largest_, abs(d));
  }
  bool exact() const {
    constexpr float kNearInfinity = 1e30F;
    return reduce_add_int(shift<-30>(shift<30>(bits_))) == 0 && reduce_max(largest_) < kNearInfinity;
  }

 private:
  I bits_ = zero_int();
  F largest_ = set1(0.0F);
};

// Lines of memory that will be read soon, asked for a few at a time: many at once would keep every load
// behind them waiting.
class LinesAhead {
 public:
  void add(const std::byte* begin, const std::byte* end) {
    ranges_[count_++] = {begin, end};
    lines_ += static_cast<std::size_t>(end - begin + 63) / 64;
  }
  // What is added is asked for in so many calls.
  void spread(std::size_t calls) { at_once_ = (lines_ + calls - 1) / calls; }
  void ask() {
    for (std::size_t i = 0; i < at_once_ && next_ < count_; ++i) {
      Range& range = ranges_[next_];
      __builtin_prefetch(range.begin, 0, 2);
      range.begin += 64;
      if (range.begin >= range.end) ++next_;
    }
  }

 private:
  struct Range {
    const std::byte* begin;
    const std::byte* end;
  };
  Range ranges_[2 * kTileGroups]{};  // the codes and the scales of each
  std::size_t count_ = 0;
  std::size_t next_ = 0;
  std::size_t lines_ = 0;
  std::size_t at_once_ = 0;
};

// Blocks from `first` up to `last` of a group.
template <PackedType T, bool kSigned = kSignedPanel>
void fill_panel(const PackedMatrix& w, std::size_t group, std::size_t first, std::size_t last, Panel& panel) {
  constexpr Kind kKind = kind_of(T);
  const std::byte* quants = w.group(group);
  const Scales<T> scales(w, group);
  const Table<T, kSigned> table(w);
  float* to = panel.scales;
  [[maybe_unused]] ScaleCheck check;
  std::byte* bytes = panel.bytes;
  for (std::size_t b = first; b < last; ++b) {
    B steps[kSteps];
    unpack_block(quants, b, table, steps);
    for (std::size_t s = 0; s < kSteps; ++s) {
      constexpr int kMove = panel_move<T, kSigned>();
      if constexpr (kMove != 0) steps[s] = add_bytes(steps[s], static_cast<std::int8_t>(kMove));
      store_bytes(bytes + 64 * s, steps[s]);
    }
    bytes += kPanelBlockBytes;
    const BlockScale scale = scales.block(b);
    for (int h = 0; h < kKind.halves; ++h) {
      store(to, scale.d[h]);
      if constexpr (!exact_scales<T>()) check.see(scale.d[h]);
      to += kGroupRows;
      if constexpr (kKind.affine) {
        store(to, scale.m[h]);
        to += kGroupRows;
      }
    }
  }
  panel.exact = exact_scales<T>() || check.exact();
}

inline void store_result(F value, const PackedMatrix& w, std::size_t group, std::size_t token,
                         const MatmulOutput& out) {
  const std::size_t row = group * kGroupRows;
  float* y = out.y + token * out.y_stride + (row - out.first_row);
  if (row + kGroupRows <= w.rows) {
    if (out.bias != nullptr) value = add(value, load(out.bias + row));
    if (out.accumulate) value = add(load(y), value);
    store(y, value);
    return;
  }
  float lanes[kGroupRows];
  store(lanes, value);
  for (std::size_t i = 0; row + i < w.rows; ++i) {
    if (out.bias != nullptr) lanes[i] = lanes[i] + out.bias[row + i];
    y[i] = out.accumulate ? y[i] + lanes[i] : lanes[i];
  }
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
