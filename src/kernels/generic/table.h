// Included last by each instruction set's file: gathers its kernels into the table that the dispatcher hands
// out.

namespace kvasir::kernels::KVASIR_SIMD {

const KernelTable& table() {
  static constexpr KernelTable kTable{
      .name = kName,
      .rms_norm = rms_norm,
      .quantize = quantize,
      .quantize_blocks = quantize_blocks,
      .matmul = matmul,
      .matmul_float = matmul_float,
      .silu_mul = silu_mul,
      .gelu_mul = gelu_mul,
      .clamped_swiglu = clamped_swiglu,
      .sigmoid_mul = sigmoid_mul,
      .rope_neox = rope_neox,
      .rope_interleaved = rope_interleaved,
      .scale = scale,
      .add_scaled = add_scaled,
      .soft_cap = soft_cap,
      .store_kv = store_kv,
      .attention_segment = attention_segment,
#if defined(KVASIR_AMX)
      .attention_segment_bf16 = attention_segment_tiles,
#elif defined(KVASIR_AVX512_BF16)
      .attention_segment_bf16 = attention_segment_bf16,
#endif
      .attention_merge = attention_merge,
      .attention_finish = attention_finish,
      .convolve = convolve,
      .scan = scan,
      .delta_rule = delta_rule,
      .read_bytes = read_bytes,
      .dot_bytes = dot_bytes,
      .fma_floats = fma_floats,
#ifdef KVASIR_AVX512_BF16
      .dot_pairs = dot_pairs,
#endif
  };
  return kTable;
}

}  // namespace kvasir::kernels::KVASIR_SIMD
