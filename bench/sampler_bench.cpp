// What sampling costs on a row of Qwen's size, by options, against reading the row from memory once.

#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include "engine/sampler.h"

namespace {

using kvasir::engine::SampleInput;
using kvasir::engine::Sampler;
using kvasir::engine::SamplingParams;

constexpr std::size_t kVocab = 151'936;
constexpr int kRounds = 200;

template <class Work>
double microseconds(Work work) {
  work();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) work();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count() /
         kRounds;
}

void report(const char* name, const SamplingParams& params, const SampleInput& input, double pass) {
  Sampler sampler;
  SampleInput at = input;
  long sum = 0;
  const double us = microseconds([&] {
    ++at.position;
    sum += sampler.sample(params, at).value().token;
  });
  std::printf("%-34s %8.1f us   %6.1f passes   (token sum %ld)\n", name, us, us / pass, sum);
}

}  // namespace

int main() {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal(0.0F, 2.5F);
  std::vector<float> logits(kVocab);
  for (float& x : logits) x = normal(random);
  for (int i = 0; i < 20; ++i) logits[random() % kVocab] += 12.0F;  // peaked, as models are
  std::vector<kvasir::TokenId> history(20'000);
  for (auto& token : history) token = static_cast<kvasir::TokenId>(random() % kVocab);

  std::vector<float> copy(kVocab);
  const double pass = microseconds([&] { copy.assign(logits.begin(), logits.end()); });
  std::printf("row of %zu floats; copying it once takes %.1f us\n", kVocab, pass);

  SampleInput input;
  input.logits = logits;
  input.history = history;
  SamplingParams params;
  params.temperature = 0;
  report("greedy", params, input, pass);
  const std::vector<std::uint32_t> mask(kVocab / 32, 0x11111111U);
  SampleInput masked = input;
  masked.mask = mask;
  report("greedy, mask", params, masked, pass);
  SampleInput logprobs = input;
  logprobs.top_logprobs = 20;
  report("greedy, 20 logprobs", params, logprobs, pass);
  params.repetition_penalty = 1.1F;
  report("greedy, penalty over 20k tokens", params, input, pass);
  params = {};
  report("temperature 1", params, input, pass);
  params.top_k = 20;
  params.top_p = 0.8F;
  report("top_k 20, top_p 0.8", params, input, pass);
  params.top_k = 0;
  params.top_p = 0.95F;
  report("top_p 0.95", params, input, pass);
  params.temperature = 2.0F;
  report("top_p 0.95, temperature 2", params, input, pass);
  params = {};
  params.min_p = 0.05F;
  report("min_p 0.05", params, input, pass);
  return 0;
}
