// The logits of a model over given tokens, for oracles: logits MODEL TOKENS OUT [standard|high] [CONTEXT]
//
// TOKENS holds little-endian i32s, OUT gets a row of f32 (vocabulary) for each. KV is kept in f32, so that
// what is measured is the forward pass.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "models/model.h"
#include "weights/checkpoint.h"

using namespace kvasir;

namespace {

int run(const std::string& path, const std::string& tokens_path, const std::string& out_path,
        const models::LoadOptions& options) {
  auto file = weights::open_checkpoint(path);
  if (!file.ok()) return std::fprintf(stderr, "%s\n", file.error().message.c_str()), 1;
  auto model = models::load_model(*file, options);
  if (!model.ok()) return std::fprintf(stderr, "%s\n", model.error().message.c_str()), 1;

  std::ifstream in(tokens_path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<TokenId> tokens(bytes.size() / sizeof(TokenId));
  std::copy_n(bytes.data(), tokens.size() * sizeof(TokenId), reinterpret_cast<char*>(tokens.data()));

  const models::ModelConfig& c = (*model)->config();
  std::vector<BlockId> blocks;
  for (std::uint32_t i = 0; i * kBlockTokens < tokens.size(); ++i) blocks.push_back(BlockId{i});
  std::vector<BlockId> state;
  while (state.size() < c.state_blocks())
    state.push_back(BlockId{static_cast<std::uint32_t>(blocks.size() + state.size())});
  std::vector<std::byte> kv((blocks.size() + state.size()) * c.kv_block_bytes());
  std::vector<float> logits(tokens.size() * c.vocab);
  const models::Span span{tokens, 0, blocks, static_cast<std::uint32_t>(tokens.size()), state, state};
  (*model)->forward({{&span, 1}, kv.data(), logits, nullptr});
  std::ofstream out(out_path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(logits.data()),
            static_cast<std::streamsize>(logits.size() * sizeof(float)));
  return out.good() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return std::fprintf(stderr, "usage: logits MODEL TOKENS OUT [standard|high] [CONTEXT]\n"), 2;
  ThreadPool pool(default_thread_count());
  models::LoadOptions options;
  options.pool = &pool;
  options.kv_type = kernels::KvType::kF32;
  options.precision = argc > 4 && std::string(argv[4]) == "standard" ? models::Precision::kStandard
                                                                     : models::Precision::kHigh;
  if (argc > 5) options.context = std::strtoul(argv[5], nullptr, 10);
  return run(argv[1], argv[2], argv[3], options);
}
