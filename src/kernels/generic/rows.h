// Row kernels: norm, activation, rotation, quantisation. Compiled once an instruction set; see kernels.h for
// contracts.

#include <cmath>

namespace kvasir::kernels::KVASIR_SIMD {
namespace {

// e^x for x <= 88: Cody-Waite reduction and a degree-6 polynomial, about 1 ulp. Below -87 it flushes near
// 1e-38.
inline F exp(F x) {
  x = max(min(x, set1(88.0F)), set1(-87.0F));
  const I n = to_int(mul(x, set1(1.44269504F)));
  const F nf = to_float(n);
  F r = fma(nf, set1(-0.693359375F), x);
  r = fma(nf, set1(2.12194440e-4F), r);
  F p = set1(1.9875691500e-4F);
  p = fma(p, r, set1(1.3981999507e-3F));
  p = fma(p, r, set1(8.3334519073e-3F));
  p = fma(p, r, set1(4.1665795894e-2F));
  p = fma(p, r, set1(1.6666665459e-1F));
  p = fma(p, r, set1(5.0000001201e-1F));
  p = fma(p, mul(r, r), add(r, set1(1.0F)));
  return mul(p, pow2(n));
}

void rms_norm(const float* x, const float* weight, float eps, std::size_t n, float* out) {
  F sum = set1(0.0F);
  for (std::size_t i = 0; i < n; i += 16) {
    const F v = load(x + i);
    sum = fma(v, v, sum);
  }
  const float mean = reduce_add(sum) / static_cast<float>(n);
  const F factor = set1(1.0F / std::sqrt(mean + eps));
  for (std::size_t i = 0; i < n; i += 16) store(out + i, mul(mul(load(x + i), factor), load(weight + i)));
}

void silu_mul(const float* gate, const float* up, std::size_t n, float* out) {
  const F one = set1(1.0F);
  for (std::size_t i = 0; i < n; i += 16) {
    const F g = load(gate + i);
    const F s = div(g, add(one, exp(sub(set1(0.0F), g))));
    store(out + i, mul(s, load(up + i)));
  }
}

void sigmoid_mul(const float* gate, const float* up, std::size_t n, float* out) {
  const F one = set1(1.0F);
  for (std::size_t i = 0; i < n; i += 16) {
    const F e = exp(sub(set1(0.0F), load(gate + i)));
    store(out + i, div(load(up + i), add(one, e)));
  }
}

// 0.5 g (1 + tanh u) = g / (1 + exp(-2u)), u = sqrt(2 / pi) (g + 0.044715 g^3).
void gelu_mul(const float* gate, const float* up, std::size_t n, float* out) {
  const F one = set1(1.0F);
  const F minus_two_root = set1(-1.5957691216F);  // -2 sqrt(2 / pi)
  const F cubic = set1(0.044715F);
  for (std::size_t i = 0; i < n; i += 16) {
    const F g = load(gate + i);
    const F u = mul(g, fma(mul(cubic, g), g, one));
    const F gelu = div(g, add(one, exp(mul(u, minus_two_root))));
    store(out + i, mul(gelu, load(up + i)));
  }
}

void clamped_swiglu(const float* gate, const float* up, float alpha, float limit, std::size_t n, float* out) {
  const F one = set1(1.0F);
  const F most = set1(limit);
  const F least = set1(-limit);
  const F minus_alpha = set1(-alpha);
  for (std::size_t i = 0; i < n; i += 16) {
    const F g = min(load(gate + i), most);
    const F u = min(max(load(up + i), least), most);
    const F swish = div(g, add(one, exp(mul(minus_alpha, g))));
    store(out + i, mul(swish, add(u, one)));
  }
}

void add_scaled(float* x, const float* y, float factor, std::size_t n) {
  const F f = set1(factor);
  for (std::size_t i = 0; i < n; i += 16) store(x + i, fma(load(y + i), f, load(x + i)));
}

// tanh(y) = 1 - 2 / (exp(2y) + 1): right to about 1e-7 of the cap, which is what its callers add it to.
inline F soft_capped(F x, F cap, F two_over_cap) {
  const F one = set1(1.0F);
  const F e = exp(mul(x, two_over_cap));
  return mul(cap, sub(one, div(set1(2.0F), add(e, one))));
}

void soft_cap(float* x, float cap, std::size_t n) {
  const F c = set1(cap);
  const F factor = set1(2.0F / cap);
  const std::size_t whole = n / 16 * 16;
  for (std::size_t i = 0; i < whole; i += 16) store(x + i, soft_capped(load(x + i), c, factor));
  float tail[16] = {};
  std::copy(x + whole, x + n, tail);
  store(tail, soft_capped(load(tail), c, factor));
  std::copy(tail, tail + (n - whole), x + whole);
}

void scale(float* x, float factor, std::size_t n) {
  const F f = set1(factor);
  for (std::size_t i = 0; i < n; i += 16) store(x + i, mul(load(x + i), f));
}

void rope_neox(float* x, const float* cos, const float* sin, std::size_t head_dim) {
  const std::size_t half = head_dim / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

void rope_interleaved(float* x, const float* cos, const float* sin, std::size_t head_dim) {
  for (std::size_t i = 0; i < head_dim / 2; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

// Writes 16 quantised values as one plane or two and returns them.
template <bool kTwoPlanes>
inline I store_planes(F x, F inverse, const QuantizedRows& out, std::size_t at) {
  const I q = to_int(mul(x, inverse));
  if constexpr (kTwoPlanes) {
    const I high = shift_right7(add_int(q, set1_int(64)));
    store_i8(out.q + at, high);
    store_i8(out.low + at, sub_int(q, shift_left7(high)));
  } else {
    store_i8(out.q + at, q);
  }
  return q;
}

template <bool kTwoPlanes>
void quantize_as(const float* x, const QuantizedRows& out, std::size_t row, std::size_t first,
                 std::size_t count) {
  constexpr float kLimit = kTwoPlanes ? 127.0F * 128.0F : 127.0F;
  const std::size_t blocks = out.k / kBlockK;
  for (std::size_t b = first; b < first + count; ++b, x += kBlockK) {
    const std::size_t at = row * out.k + b * kBlockK;
    const F lo = load(x);
    const F hi = load(x + 16);
    const float largest = reduce_max(max(abs(lo), abs(hi)));
    const F inverse = set1(largest > 0.0F ? kLimit / largest : 0.0F);
    const std::int32_t sum_lo = reduce_add_int(store_planes<kTwoPlanes>(lo, inverse, out, at));
    const std::int32_t sum_hi = reduce_add_int(store_planes<kTwoPlanes>(hi, inverse, out, at + 16));
    const float s = largest / kLimit;
    out.scale[row * blocks + b] = s;
    out.scaled_sum[row * blocks + b] = s * static_cast<float>(sum_lo + sum_hi);
    out.shift[(row * blocks + b) * 2] = kSumBase - 128 * sum_lo;
    out.shift[(row * blocks + b) * 2 + 1] = kSumBase - 128 * sum_hi;
    out.shift32[row * blocks + b] = kSumBase - 128 * (sum_lo + sum_hi);
  }
}

void quantize_blocks(const float* x, const QuantizedRows& out, std::size_t row, std::size_t first,
                     std::size_t count) {
  if (out.low != nullptr)
    quantize_as<true>(x, out, row, first, count);
  else
    quantize_as<false>(x, out, row, first, count);
}

void quantize(const float* x, const QuantizedRows& out, std::size_t row) {
  quantize_blocks(x, out, row, 0, out.k / kBlockK);
}

}  // namespace
}  // namespace kvasir::kernels::KVASIR_SIMD
