// What each type of KV costs in fidelity: the divergence of the logits from those with 32-bit KV, over a text
// of prose and code that the models read as a conversation. Run it alone for the table of
// docs/benchmarks/kv-types.md:
//
//   KVASIR_KV_QUALITY=1 build/executor_test --gtest_filter='*KvQuality*'
//
// Without the variable the larger model, which takes a minute, is left out.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "executor/native_fixture.h"
#include "text/tokenizer.h"

namespace kvasir::executor {
namespace {

using kernels::KvType;

std::vector<TokenId> read_text(const std::string& model_path) {
  std::ifstream in("tests/executor/kv_quality_text.txt");
  EXPECT_TRUE(in.good()) << "run from the repository's root";
  std::stringstream text;
  text << in.rdbuf();
  const auto file = weights::open_checkpoint(model_path);
  EXPECT_TRUE(file.ok()) << "make models";
  const auto tokenizer = text::Tokenizer::from_checkpoint(**file);
  EXPECT_TRUE(tokenizer.ok());
  return (*tokenizer)->encode(text.str(), text::SpecialText::kParse);
}

// Reads a text in steps, so that the logits of one step only are held.
class Reader {
 public:
  Reader(Executor& e, std::size_t tokens)
      : executor_(e), memory_(e, tokens / kBlockTokens + 1), table_(memory_.take(tokens)) {}
  std::vector<float> read(std::span<const TokenId> tokens) {
    const auto start = std::exchange(read_, read_ + static_cast<std::uint32_t>(tokens.size()));
    return forward(executor_, memory_, {{tokens, start, table_, static_cast<std::uint32_t>(tokens.size())}});
  }

 private:
  Executor& executor_;
  Memory memory_;
  std::vector<BlockId> table_;
  std::uint32_t read_ = 0;
};

std::vector<double> log_softmax(std::span<const float> logits) {
  const float most = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x) - most);
  std::vector<double> out;
  out.reserve(logits.size());
  for (const float x : logits) out.push_back(static_cast<double>(x) - most - std::log(sum));
  return out;
}

struct Divergence {
  double kl = 0;       // mean of KL(f32 KV || this type) in nats
  double most_kl = 0;  // of one token
  double top1 = 0;     // share of tokens whose likeliest next token is the same
  std::size_t tokens = 0;

  void add(std::span<const float> reference, std::span<const float> logits) {
    const auto p = log_softmax(reference);
    const auto q = log_softmax(logits);
    double row = 0;
    for (std::size_t i = 0; i < p.size(); ++i) row += std::exp(p[i]) * (p[i] - q[i]);
    kl += row;
    most_kl = std::max(most_kl, row);
    top1 += std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin() ? 1 : 0;
    ++tokens;
  }
};

// Of each of `types`; with precise activations, so that nothing but the KV makes a difference.
std::vector<Divergence> measure(const std::string& path, const std::vector<KvType>& types) {
  const auto tokens = read_text(path);
  const auto reader = [&](KvType type) {
    return Reader(model(path, {{}, nullptr, models::Precision::kHigh, type, {}}, 2), tokens.size());
  };
  Reader reference = reader(KvType::kF32);
  std::vector<Reader> readers;
  for (const KvType type : types) readers.push_back(reader(type));
  std::vector<Divergence> result(types.size());
  for (std::size_t at = 0; at < tokens.size();) {
    const auto step = std::span(tokens).subspan(at, std::min<std::size_t>(64, tokens.size() - at));
    const auto expected = reference.read(step);
    const std::size_t vocab = expected.size() / step.size();
    for (std::size_t i = 0; i < types.size(); ++i) {
      const auto logits = readers[i].read(step);
      for (std::size_t row = 0; row < step.size(); ++row) {
        result[i].add(std::span(expected).subspan(row * vocab, vocab),
                      std::span(logits).subspan(row * vocab, vocab));
      }
    }
    at += step.size();
  }
  for (Divergence& d : result) {
    d.kl /= static_cast<double>(d.tokens);
    d.top1 /= static_cast<double>(d.tokens);
  }
  return result;
}

struct Quality {
  std::string name;
  std::string path;
  bool always = true;
  double most_kl[3];  // of f16, bf16 and q8: about twice what was measured
};

class KvQuality : public testing::TestWithParam<Quality> {};
INSTANTIATE_TEST_SUITE_P(Models, KvQuality,
                         testing::Values(Quality{"SmolLM2", test::smollm2(), true, {2e-6, 8e-5, 2e-3}},
                                         Quality{
                                             "Qwen2_5_Coder", test::qwen_coder(), false, {3e-6, 4e-4, 4e-2}}),
                         [](const auto& model) { return model.param.name; });

TEST_P(KvQuality, IsWhatTheDocumentsSay) {
  if (!GetParam().always && std::getenv("KVASIR_KV_QUALITY") == nullptr) GTEST_SKIP() << "takes a minute";
  const std::vector<KvType> types{KvType::kF16, KvType::kBf16, KvType::kQ8};
  const auto result = measure(GetParam().path, types);
  for (std::size_t i = 0; i < types.size(); ++i) {
    std::printf("%-14s %-4s  KL %.7f, of one token at most %.5f, top-1 %.4f (%zu tokens)\n",
                GetParam().name.c_str(), kernels::name_of(types[i]).data(), result[i].kl, result[i].most_kl,
                result[i].top1, result[i].tokens);
    EXPECT_LE(result[i].kl, GetParam().most_kl[i]);
  }
}

}  // namespace
}  // namespace kvasir::executor
