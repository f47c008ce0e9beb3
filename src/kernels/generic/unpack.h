// Packed weights (packed.h) back to bytes that the dot instructions take, and to scales. Compiled once an
// instruction set, in front of matmul.h. Always inlined where a block is a few dots' time: through a call,
// bytes would go through memory, which was measured to cost up to two thirds of the speed.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

constexpr std::size_t kSteps = 8;  // dot steps of 4 k in a block

// How a type is multiplied; all else about it ends with unpacking.
struct Kind {
  bool affine;
  int halves;  // 2 where a block of 32 has two scales
  bool wide;   // its bytes take all 8 bits: on every path they are moved as a panel's are
};
constexpr Kind kind_of(PackedType t) {
  return {is_affine(t), scales_by_16(t) ? 2 : 1, bits_of(t) == 8 || has_table(t) || has_grid(t)};
}

// What codes are looked up in: signed bytes where those are multiplied (kSigned), else 128 more.
template <PackedType T, bool kSigned = kSignedPanel>
struct Table {
  B codebook{};                   // of table types: four copies
  const void* entries = nullptr;  // of grid types
  TritTable trits{};

  explicit Table(const PackedMatrix& w) {
    if constexpr (has_grid(T)) {
      if constexpr (kSigned)
        entries = w.grid->entries.data();
      else
        entries = w.grid->entries_moved.data();
    }
    if constexpr (T == PackedType::kTrit) trits = trit_table();
    if constexpr (has_table(T)) {
      std::uint8_t bytes[64];
      for (std::size_t i = 0; i < sizeof(bytes); ++i) {
        bytes[i] = static_cast<std::uint8_t>(w.codebook[i % 16] + (kSigned ? 0 : 128));
      }
      codebook = load_bytes(bytes);
    }
  }
};

// Codes of 2 to 8 bits, a weight each.
template <PackedType T>
[[gnu::always_inline]] inline void unpack_codes(const std::byte* q, [[maybe_unused]] const B& codebook,
                                                B* steps) {
  constexpr unsigned kBits = bits_of(T);
  if constexpr (kBits == 8) {
    for (std::size_t s = 0; s < kSteps; ++s) steps[s] = load_bytes(q + 64 * s);
  } else if constexpr (kBits < 4) {
    for (std::size_t h = 0; h < 2; ++h) {
      const B x = load_bytes(q + 64 * h);
      steps[h] = bits<0>(x, 3);
      steps[h + 2] = bits<2>(x, 3);
      steps[h + 4] = bits<4>(x, 3);
      steps[h + 6] = bits<6>(x, 3);
    }
  } else {
    for (std::size_t j = 0; j < 4; ++j) {
      const B x = load_bytes(q + 64 * j);
      steps[j] = bits<0>(x, 15);
      steps[j + 4] = bits<4>(x, 15);
    }
  }
  if constexpr (kBits == 3) {
    for (std::size_t s = 0; s < kSteps; ++s) steps[s] = or_bit<2>(steps[s], q + 128 + 8 * s);
  }
  if constexpr (kBits == 5) {
    for (std::size_t s = 0; s < kSteps; ++s) steps[s] = or_bit<4>(steps[s], q + 256 + 8 * s);
  }
  if constexpr (kBits == 6) {
    for (std::size_t h = 0; h < 2; ++h) {
      const B two = load_bytes(q + 256 + 64 * h);
      steps[4 * h] = or_high2(steps[4 * h], bits<0>(two, 3));
      steps[4 * h + 1] = or_high2(steps[4 * h + 1], bits<2>(two, 3));
      steps[4 * h + 2] = or_high2(steps[4 * h + 2], bits<4>(two, 3));
      steps[4 * h + 3] = or_high2(steps[4 * h + 3], bits<6>(two, 3));
    }
  }
  if constexpr (has_table(T)) {
    for (std::size_t s = 0; s < kSteps; ++s) steps[s] = look_up(codebook, steps[s]);
  }
}

// Block b of a group's codes as bytes: of grid and table types those that are multiplied, of all others u.
template <PackedType T, bool kSigned>
[[gnu::always_inline]] inline void unpack_block(const std::byte* quants, std::size_t b,
                                                const Table<T, kSigned>& table, B* steps) {
  if constexpr (T == PackedType::kTrit) {
    unpack_trits(quants + b / 2 * (2 * quant_bytes(T)), b % 2 != 0, table.trits, steps);
  } else if constexpr (has_grid(T)) {
    unpack_grid<T>(quants + b * quant_bytes(T), table.entries, steps,
                   std::make_index_sequence<indices_of(T)>{});
  } else {
    unpack_codes<T>(quants + b * quant_bytes(T), table.codebook, steps);
  }
}

inline F load_scale(ScaleType type, const std::byte* p) {
  switch (type) {
    case ScaleType::kF16:
      return load_f16(p);
    case ScaleType::kBF16:
      return load_bf16(p);
    case ScaleType::kF32:
      return load(reinterpret_cast<const float*>(p));
    case ScaleType::kE8M0:
      return load_e8m0(p);
    default:
      return load_e4m3(p);
  }
}

// Scale and, of affine types, minimum of each half of a block; of its whole, where halves is 1.
struct BlockScale {
  F d[2]{};
  F m[2]{};
};
inline BlockScale one_scale(F d, F m = F{}) {
  BlockScale s;
  s.d[0] = d;
  s.m[0] = m;
  return s;
}

// The scales of one group of rows.
template <PackedType T>
class Scales {
 public:
  Scales(const PackedMatrix& w, std::size_t group)
      : base_(w.group(group) + w.scales_offset()), type_(w.scale_type), factor_(set1(w.scale_factor)) {
    while (kBlockK << shift_ < w.scale_k) ++shift_;
  }

  [[gnu::always_inline]] BlockScale block(std::size_t b) const {
    if constexpr (has_super_blocks(T))
      return of_super_block(base_ + b / 8 * super_bytes(T), b % 8);
    else if constexpr (has_table(T))
      return of_table(b);
    else if constexpr (has_grid(T))
      return of_grid(b);
    else if constexpr (is_affine(T))
      return of_affine(base_ + (b >> shift_) * (2 * kGroupRows * bytes_of(type_)));
    else if constexpr (T == PackedType::kU2Sym || T == PackedType::kTrit)
      return one_scale(load_f16(base_ + (b >> shift_) * 32));
    else
      return one_scale(load_f16(base_ + b * 32));
  }
  // Where the scales of block b lie, about: to prefetch those of the next group.
  const std::byte* near(std::size_t b) const {
    if constexpr (has_super_blocks(T)) return base_ + b / 8 * super_bytes(T);
    if constexpr (is_affine(T)) return base_ + (b >> shift_) * (2 * kGroupRows * bytes_of(type_));
    if constexpr (has_grid(T)) return base_ + b / 8 * kGridSuperBytes;
    if constexpr (T == PackedType::kTrit) return base_ + (b >> shift_) * 32;
    return base_ + b * 32;
  }

 private:
  // f16 d[16], then a nibble a scale.
  static constexpr std::size_t kGridSuperBytes = 32 + (kind_of(T).halves == 2 ? 128 : 64);

  [[gnu::always_inline]] static BlockScale of_super_block(const std::byte* super, std::size_t b) {
    const F d = load_f16(super);
    if constexpr (T == PackedType::kU3K || T == PackedType::kU6K) {
      const std::byte* p = super + 32 + b * 32;
      BlockScale s;
      s.d[0] = mul(d, load_i8(p));
      s.d[1] = mul(d, load_i8(p + 16));
      return s;
    } else {
      const F dmin = load_f16(super + 32);
      const F zero = set1(0.0F);
      BlockScale s;
      if constexpr (T == PackedType::kU2K) {
        for (std::size_t h = 0; h < 2; ++h) {
          const std::byte* p = super + 64 + (b * 2 + h) * kGroupRows;
          s.d[h] = mul(d, load_low_nibbles(p));
          s.m[h] = sub(zero, mul(dmin, load_high_nibbles(p)));
        }
      } else {
        const std::byte* p = super + 64 + b * 32;
        s.d[0] = mul(d, load_u8(p));
        s.m[0] = sub(zero, mul(dmin, load_u8(p + 16)));
      }
      return s;
    }
  }

  [[gnu::always_inline]] BlockScale of_affine(const std::byte* p) const {
    switch (type_) {
      case ScaleType::kF16:
        return one_scale(load_f16(p), load_f16(p + 32));
      case ScaleType::kBF16:
        return one_scale(load_bf16(p), load_bf16(p + 32));
      default:
        return one_scale(load(reinterpret_cast<const float*>(p)),
                         load(reinterpret_cast<const float*>(p + 64)));
    }
  }

  [[gnu::always_inline]] BlockScale of_table(std::size_t b) const {
    BlockScale s;
    constexpr std::size_t kHalves = kind_of(T).halves;
    for (std::size_t h = 0; h < kHalves; ++h) {
      const std::size_t unit = kHalves == 2 ? 2 * b + h : b >> shift_;
      if (type_ == ScaleType::kF16I8) {
        constexpr std::size_t kSubs =
            kHalves == 2 ? 16 : 8;  // of a super-block; these types have scale_k 16 or 32
        const std::byte* super = base_ + unit / kSubs * (32 + kSubs * kGroupRows);
        s.d[h] = mul(mul(load_f16(super), load_i8(super + 32 + unit % kSubs * kGroupRows)), factor_);
      } else {
        s.d[h] = mul(load_scale(type_, base_ + unit * kGroupRows * bytes_of(type_)), factor_);
      }
    }
    return s;
  }

  [[gnu::always_inline]] BlockScale of_grid(std::size_t b) const {
    const std::byte* super = base_ + b / 8 * kGridSuperBytes;
    const F d = load_f16(super);
    const auto scaled = [&](F n) { return mul(mul(d, add(add(n, n), set1(1.0F))), factor_); };
    BlockScale s;
    if constexpr (kind_of(T).halves == 2) {
      const std::byte* p = super + 32 + b % 8 * kGroupRows;
      s.d[0] = scaled(load_low_nibbles(p));
      s.d[1] = scaled(load_high_nibbles(p));
    } else {
      const std::byte* p = super + 32 + b % 8 / 2 * kGroupRows;
      s.d[0] = scaled(b % 2 == 0 ? load_low_nibbles(p) : load_high_nibbles(p));
    }
    return s;
  }

  const std::byte* base_;
  ScaleType type_;
  unsigned shift_ = 0;
  F factor_;
};

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
