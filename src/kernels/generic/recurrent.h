// What recurrent layers keep of the past, token by token in order: a short convolution's last inputs, and the
// matrix of a linear recurrence. Any cut of a sequence into calls gives the same bits; so do any channels or
// heads at a time. Compiled once an instruction set; see kernels.h for contracts.

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

inline F silu(F x) {
  return div(x, add(set1(1.0F), exp(sub(set1(0.0F), x))));
}

void convolve(const ConvInput& in) {
  const std::size_t kept = in.taps - 1;
  for (std::size_t c = 0; c < in.channels; c += 16) {
    F window[kMaxTaps];
    F weight[kMaxTaps];
    for (std::size_t j = 0; j < kept; ++j) window[j] = load(in.state + j * in.channel_stride + c);
    for (std::size_t j = 0; j < in.taps; ++j) weight[j] = load(in.weight + j * in.channel_stride + c);
    const F bias = in.bias != nullptr ? load(in.bias + c) : set1(0.0F);
    for (std::size_t t = 0; t < in.tokens; ++t) {
      const std::size_t at = t * in.x_stride + c;
      F u = load(in.x + at);
      if (in.in_gate != nullptr) u = mul(u, load(in.in_gate + at));
      window[kept] = u;
      F y = bias;
      for (std::size_t j = 0; j < in.taps; ++j) y = fma(window[j], weight[j], y);
      if (in.silu) y = silu(y);
      if (in.out_gate != nullptr) y = mul(y, load(in.out_gate + at));
      store(in.out + t * in.out_stride + c, y);
      for (std::size_t j = 0; j < kept; ++j) window[j] = window[j + 1];
    }
    for (std::size_t j = 0; j < kept; ++j) store(in.state + j * in.channel_stride + c, window[j]);
  }
}

// Registers of 16 columns at a time: independent chains, to cover the latency of a multiply-add. The state's
// columns stay in the first-level cache over the tokens.
inline constexpr std::size_t kStateVectors = 4;

template <std::size_t kVectors>
void scan_columns(const RecurrenceInput& in, std::size_t column) {
  for (std::size_t t = 0; t < in.tokens; ++t) {
    const float* key = in.key + t * in.key_stride;
    const float* query = in.query + t * in.key_stride;
    const F decay = set1(in.decay[t * in.scalar_stride]);
    const F rate = set1(in.rate[t * in.scalar_stride]);
    F value[kVectors];
    F written[kVectors];
    F sum[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) {
      value[v] = load(in.value + t * in.value_stride + column + 16 * v);
      written[v] = mul(value[v], rate);
      sum[v] = set1(0.0F);
    }
    for (std::size_t r = 0; r < in.rows; ++r) {
      const F k = set1(key[r]);
      const F q = set1(query[r]);
      float* state = in.state + r * in.columns + column;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const F s = fma(load(state + 16 * v), decay, mul(written[v], k));
        store(state + 16 * v, s);
        sum[v] = fma(s, q, sum[v]);
      }
    }
    for (std::size_t v = 0; v < kVectors; ++v) {
      store(in.out + t * in.out_stride + column + 16 * v, fma(value[v], set1(in.skip), sum[v]));
    }
  }
}

template <std::size_t kVectors>
void delta_columns(const RecurrenceInput& in, std::size_t column) {
  for (std::size_t t = 0; t < in.tokens; ++t) {
    const float* key = in.key + t * in.key_stride;
    const float* query = in.query + t * in.key_stride;
    const F decay = set1(in.decay[t * in.scalar_stride]);
    const F rate = set1(in.rate[t * in.scalar_stride]);
    F change[kVectors];
    F sum[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) change[v] = sum[v] = set1(0.0F);
    for (std::size_t r = 0; r < in.rows; ++r) {
      const F k = set1(key[r]);
      float* state = in.state + r * in.columns + column;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const F s = mul(load(state + 16 * v), decay);
        store(state + 16 * v, s);
        change[v] = fma(s, k, change[v]);
      }
    }
    for (std::size_t v = 0; v < kVectors; ++v) {
      const F value = load(in.value + t * in.value_stride + column + 16 * v);
      change[v] = mul(sub(value, change[v]), rate);
    }
    for (std::size_t r = 0; r < in.rows; ++r) {
      const F k = set1(key[r]);
      const F q = set1(query[r]);
      float* state = in.state + r * in.columns + column;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const F s = fma(change[v], k, load(state + 16 * v));
        store(state + 16 * v, s);
        sum[v] = fma(s, q, sum[v]);
      }
    }
    for (std::size_t v = 0; v < kVectors; ++v) {
      store(in.out + t * in.out_stride + column + 16 * v, sum[v]);
    }
  }
}

void scan(const RecurrenceInput& in) {
  std::size_t c = 0;
  for (; c + 16 * kStateVectors <= in.columns; c += 16 * kStateVectors) scan_columns<kStateVectors>(in, c);
  for (; c < in.columns; c += 16) scan_columns<1>(in, c);
}

void delta_rule(const RecurrenceInput& in) {
  std::size_t c = 0;
  for (; c + 16 * kStateVectors <= in.columns; c += 16 * kStateVectors) delta_columns<kStateVectors>(in, c);
  for (; c < in.columns; c += 16) delta_columns<1>(in, c);
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
