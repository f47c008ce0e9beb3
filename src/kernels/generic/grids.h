// Codes that stand for several weights (packed.h: grids and trits) back to bytes. Compiled once an
// instruction set, in front of unpack.h.
//
// A grid's entry is loaded as it is: 8 or 4 bytes are one row's part of two steps or one, so that loads do
// what shifts and masks would (docs/decisions/0014-low-bit-weights.md has the figures).

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// The bits above the lowest 8 of a row's indices (and what moves its entries), in the row's lane.
template <PackedType T>
[[gnu::always_inline]] inline I index_field(const std::byte* high) {
  constexpr std::size_t kBits = index_high_bytes(T) * 8 / kGroupRows;
  static_assert(kBits == 0 || kBits == 4 || kBits == 8 || kBits == 16);
  if constexpr (kBits == 4) return load_nibble_lanes(high);
  if constexpr (kBits == 8) return load_u8_lanes(high);
  if constexpr (kBits == 16) return load_u16_lanes(high);
  return zero_int();
}

template <PackedType T, std::size_t J>
[[gnu::always_inline]] inline I index_at(const std::byte* q, [[maybe_unused]] const I& field) {
  const I low = load_u8_lanes(q + J * kGroupRows);
  constexpr int kHigh = index_bits(T) - 8;
  if constexpr (kHigh == 0)
    return low;
  else
    return or_masked<((1 << kHigh) - 1) << 8>(low, shift<8 - kHigh* static_cast<int>(J)>(field));
}

template <PackedType T, std::size_t J>
[[gnu::always_inline]] inline void unpack_entries(const std::byte* q, const I& field, const void* entries,
                                                  B* steps) {
  const I index = index_at<T, J>(q, field);
  if constexpr (entry_k(T) == 4) {
    steps[J] = look_up_4(entries, index);
  } else {
    look_up_8(entries, index, steps[2 * J], steps[2 * J + 1]);
  }
  if constexpr (moves_entries(T)) {
    // The bit as a sign, spread over the lane, is -1 in each byte; or'd with ones it stays -1, else it is 1.
    const I by = or_int(shift_right31(shift<19 - static_cast<int>(J)>(field)), set1_int(0x01010101));
    steps[2 * J] = add_lanes(steps[2 * J], by);
    steps[2 * J + 1] = add_lanes(steps[2 * J + 1], by);
  }
}

template <PackedType T, std::size_t... J>
[[gnu::always_inline]] inline void unpack_grid(const std::byte* q, const void* entries, B* steps,
                                               std::index_sequence<J...> /*of*/) {
  const std::byte* high = q + index_low_bytes(T);
  const I field = index_field<T>(high);
  (unpack_entries<T, J>(q, field, entries, steps), ...);
  if constexpr (!moves_entries(T)) {
    const std::byte* signs = high + index_high_bytes(T);
    for (std::size_t s = 0; s < kBlockK / 4; ++s) steps[s] = negate(steps[s], signs + 8 * s);
  }
}

// The halves of kTritsOfCode, four copies of each.
struct TritTable {
  B low, high;
};
inline TritTable trit_table() {
  std::uint8_t bytes[128];
  for (std::size_t i = 0; i < sizeof(bytes); ++i) bytes[i] = kTritsOfCode[i / 64 * 16 + i % 16];
  return {load_bytes(bytes), load_bytes(bytes + 64)};
}

// One of the two blocks at `pair`.
[[gnu::always_inline]] inline void unpack_trits(const std::byte* pair, bool second, const TritTable& table,
                                                B* steps) {
  const std::byte* words = pair + 192 + (second ? 16 : 0);
  const B both = load_bytes(pair + (second ? 64 : 0));
  const B first = look_up_32(table.low, table.high, bits<0>(both, 15), words);
  const B next = look_up_32(table.low, table.high, bits<4>(both, 15), words + 8);
  const B ends = load_bytes(pair + 128);
  const B last = look_up(table.low, second ? bits<4>(ends, 15) : bits<0>(ends, 15));
  steps[0] = bits<0>(first, 3);
  steps[1] = bits<2>(first, 3);
  steps[2] = bits<4>(first, 3);
  steps[3] = bits<0>(next, 3);
  steps[4] = bits<2>(next, 3);
  steps[5] = bits<4>(next, 3);
  steps[6] = bits<2>(last, 3);
  steps[7] = bits<4>(last, 3);
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
