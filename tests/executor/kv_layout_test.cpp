// What describe().kv_layout says about a block's bytes, held against forward passes of the real models.

#include <gtest/gtest.h>

#include "executor/native_fixture.h"
#include "executor/scripted.h"
#include "executor/tiny_tokenizer.h"

namespace kvasir::executor {
namespace {

// Each byte of a block belongs to exactly one token.
void expect_covers_each_byte_once(const Description& d) {
  std::vector<int> owners(d.kv_bytes_per_block);
  for (const kv::BlockRegion& region : d.kv_layout) {
    const std::size_t row_bytes = kBlockTokens * region.token_bytes;
    for (std::size_t row = 0; row < region.rows; ++row) {
      const std::size_t begin = region.offset + row * region.row_stride;
      ASSERT_LE(begin + row_bytes, owners.size());
      for (std::size_t i = 0; i < row_bytes; ++i) ++owners[begin + i];
    }
  }
  EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), static_cast<std::ptrdiff_t>(owners.size()));
}

TEST(ScriptedKvLayout, CoversEachByteOnce) {
  const auto tokenizer = testing_support::tiny_tokenizer();
  const auto executor =
      ScriptedExecutor::create(tokenizer, parse_script(R"({"rules": [{"reply": "yes"}]})").value());
  ASSERT_TRUE(executor.ok());
  expect_covers_each_byte_once((*executor)->describe());
}

class NativeKvLayout : public testing::TestWithParam<Case> {
 protected:
  Executor& executor() { return model(GetParam(), kernels::available_kernels().back(), 2); }
};

INSTANTIATE_TEST_SUITE_P(Models, NativeKvLayout, testing::ValuesIn(real_models()), case_name);

TEST_P(NativeKvLayout, CoversEachByteOnce) {
  expect_covers_each_byte_once(executor().describe());
}

// A prompt's KV reaches other blocks only through pack and unpack, in pieces; what follows must not notice.
TEST_P(NativeKvLayout, PackedTokensUnpackedElsewhereGiveTheSameLogits) {
  Executor& e = executor();
  const kv::BlockLayout& layout = e.describe().kv_layout;
  const auto tokens = golden_prompt(GetParam().name, 130);
  constexpr std::size_t kRead = 110;  // the second block is partly written
  const std::size_t vocab = e.describe().vocab_size;
  const auto expected = whole(e, tokens);

  Memory memory(e, 3);
  const auto table = memory.take(tokens.size());
  forward(e, memory, {{std::span(tokens).first(kRead), 0, table, 0}});
  Memory other(e, 3);  // zeroed
  const auto other_table = other.take(tokens.size());
  for (const auto& [begin, end] : {std::pair(20U, 64U), std::pair(64U, 110U), std::pair(0U, 20U)}) {
    std::vector<std::byte> packed(kv::packed_bytes(layout, end - begin));
    const std::uint32_t first = begin % kBlockTokens;
    const std::uint32_t last = first + (end - begin);
    const std::size_t block = begin / kBlockTokens;
    kv::pack_tokens(layout, memory.block(table[block]), first, last, packed);
    kv::unpack_tokens(layout, packed, first, last, other.block(other_table[block]));
  }
  const std::span rest = std::span(tokens).subspan(kRead);
  const auto logits =
      forward(e, other, {{rest, kRead, other_table, static_cast<std::uint32_t>(rest.size())}});
  EXPECT_TRUE(same(logits.data(), expected.data() + kRead * vocab, logits.size()));
}

}  // namespace
}  // namespace kvasir::executor
