#include "weights/quantize.h"

#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "kernels/half.h"
#include "weights/dequantize.h"
#include "weights/form_choice.h"
#include "weights/gguf.h"
#include "weights/gguf_writer.h"
#include "weights/recode.h"

namespace kvasir::weights {
namespace {

constexpr std::size_t kColumns = 512;
constexpr std::size_t kRows = 24;

// Weights as models have them: bell-shaped, some rows larger than others, a few outliers, a row of zeros.
std::vector<float> weights_like_a_models() {
  std::mt19937 random(7);
  std::normal_distribution<float> bell(0, 0.02F);
  std::vector<float> w(kRows * kColumns);
  for (std::size_t i = 0; i < w.size(); ++i) {
    const std::size_t row = i / kColumns;
    w[i] = bell(random) * (1 + static_cast<float>(row % 5));
    if (i % 211 == 0) w[i] *= 6;
    if (row == 3) w[i] = 0;
  }
  return w;
}

TensorInfo tensor_of(TensorType type, std::span<const std::byte> data) {
  TensorInfo t;
  t.name = "w";
  t.type = type;
  t.shape = {kColumns, kRows};
  TensorPart part;
  part.rows = kRows;
  part.data = data;
  t.parts = {part};
  return t;
}

double rms_error(std::span<const float> a, std::span<const float> b) {
  double error = 0;
  double all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += std::pow(static_cast<double>(a[i] - b[i]), 2);
    all += std::pow(static_cast<double>(a[i]), 2);
  }
  return std::sqrt(error / all);
}

std::vector<float> through(TensorType type, const std::vector<float>& w) {
  const std::size_t row = kColumns / elements_per_block(type) * bytes_per_block(type);
  std::vector<std::byte> data(row * kRows);
  for (std::size_t r = 0; r < kRows; ++r)
    quantize_row(type, std::span(w).subspan(r * kColumns, kColumns), data.data() + r * row);
  return dequantize(tensor_of(type, data));
}

// The plain way: the scale that reaches the extremes of a block of 32.
double naive_error(const std::vector<float>& w, int levels) {
  std::vector<float> out(w.size());
  for (std::size_t b = 0; b < w.size(); b += 32) {
    const auto [low, high] = std::minmax_element(w.begin() + b, w.begin() + b + 32);
    const float d = (*high - *low) / static_cast<float>(levels - 1);
    for (std::size_t i = b; i < b + 32; ++i)
      out[i] = d == 0 ? *low : std::nearbyint((w[i] - *low) / d) * d + *low;
  }
  return rms_error(w, out);
}

TEST(Quantising, LosesLessThanScalesThatReachTheExtremes) {
  const std::vector<float> w = weights_like_a_models();
  EXPECT_LT(rms_error(w, through(TensorType::kQ4_1, w)), 0.95 * naive_error(w, 16));
  EXPECT_LT(rms_error(w, through(TensorType::kQ5_1, w)), 0.97 * naive_error(w, 32));
}

TEST(Quantising, LosesAsMuchAsTheTypeHasTo) {
  const std::vector<float> w = weights_like_a_models();
  const std::pair<TensorType, double> kMost[] = {
      {TensorType::kF32, 0},      {TensorType::kF16, 4e-4},   {TensorType::kBF16, 3e-3},
      {TensorType::kQ8_0, 8e-3},  {TensorType::kQ6_K, 0.025}, {TensorType::kQ5_K, 0.05},
      {TensorType::kQ5_1, 0.045}, {TensorType::kQ5_0, 0.06},  {TensorType::kQ4_K, 0.1},
      {TensorType::kQ4_1, 0.09},  {TensorType::kQ4_0, 0.12}};
  for (const auto& [type, most] : kMost) {
    EXPECT_TRUE(can_quantize(type));
    EXPECT_LE(rms_error(w, through(type, w)), most) << name_of(type);
  }
}

TEST(Quantising, KeepsZerosAndOneSidedBlocks) {
  std::vector<float> w(kRows * kColumns, 0.0F);
  for (std::size_t i = 0; i < kColumns; ++i) w[kColumns + i] = 0.5F + 0.001F * static_cast<float>(i % 32);
  for (std::size_t i = 0; i < kColumns; ++i)
    w[2 * kColumns + i] = -0.5F - 0.001F * static_cast<float>(i % 32);
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
                                TensorType::kQ8_0, TensorType::kQ4_K, TensorType::kQ5_K, TensorType::kQ6_K}) {
    const std::vector<float> back = through(type, w);
    for (std::size_t i = 0; i < kColumns; ++i) ASSERT_EQ(back[i], 0.0F) << name_of(type);
    EXPECT_LT(rms_error(w, back), 0.06) << name_of(type);
  }
}

TEST(Quantising, AffineRowsAreReadBackByTheirDefinition) {
  const std::vector<float> w = weights_like_a_models();
  for (const unsigned bits : {4U, 5U, 6U, 8U}) {
    for (const std::size_t group : {32U, 64U, 128U}) {
      const AffineForm form{bits, group, kernels::ScaleType::kF16};
      const std::size_t row = kColumns * bits / 8;
      std::vector<std::byte> codes(row * kRows);
      std::vector<std::uint16_t> scales(kRows * kColumns / group);
      std::vector<std::uint16_t> biases(scales.size());
      for (std::size_t r = 0; r < kRows; ++r) {
        const std::size_t at = r * kColumns / group;
        quantize_affine_row(form, std::span(w).subspan(r * kColumns, kColumns), codes.data() + r * row,
                            scales.data() + at, biases.data() + at);
      }
      TensorInfo t = tensor_of(TensorType::kAffine, codes);
      t.scaling = {bits, form.scales, group, 1};
      t.parts[0].scales = std::as_bytes(std::span(scales));
      t.parts[0].biases = std::as_bytes(std::span(biases));
      EXPECT_LT(rms_error(w, dequantize(t)), 2.2 / (1 << bits)) << bits << " bits in groups of " << group;
    }
  }
}

std::vector<std::byte> recoded(const TensorInfo& t, const Form& form, RowOrder order = {}) {
  ThreadPool pool(2);
  std::vector<std::byte> out;
  const Status done = recode({&t, form, order, 0, 0, t.rows()}, pool, [&](const RecodedRows& rows) -> Status {
    out.insert(out.end(), rows.codes.begin(), rows.codes.end());
    return {};
  });
  EXPECT_TRUE(done.ok());
  return out;
}

TEST(Recoding, BlocksMoveWithTheirHeads) {
  const std::vector<float> w = weights_like_a_models();
  const std::size_t row = kColumns / 32 * bytes_per_block(TensorType::kQ4_0);
  std::vector<std::byte> data(row * kRows);
  for (std::size_t r = 0; r < kRows; ++r)
    quantize_row(TensorType::kQ4_0, std::span(w).subspan(r * kColumns, kColumns), data.data() + r * row);
  const TensorInfo t = tensor_of(TensorType::kQ4_0, data);
  const std::vector<float> before = dequantize(t);
  // Two key heads, which four heads each read in turn: heads 0, 2, 4, 6 are the first's.
  RecodeJob job{&t, {TensorType::kQ4_0, {}}, {}, 0, 0, kRows};
  job.columns = {RowOrder::Kind::kHeads, 64, 2, 4, 0};
  job.order = {RowOrder::Kind::kHeads, 2, 2, 4, 8};
  ThreadPool pool(1);
  std::vector<std::byte> out;
  ASSERT_TRUE(recode(job, pool, [&](const RecodedRows& rows) -> Status {
                out.insert(out.end(), rows.codes.begin(), rows.codes.end());
                return {};
              }).ok());
  const std::vector<float> after = dequantize(tensor_of(TensorType::kQ4_0, out));
  constexpr std::size_t kFrom[] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (std::size_t r = 0; r < kRows; ++r) {
    const std::size_t from = r < 8 ? r : 8 + kFrom[(r - 8) / 2] * 2 + r % 2;
    for (std::size_t c = 0; c < kColumns; ++c)
      ASSERT_EQ(after[r * kColumns + c], before[from * kColumns + kFrom[c / 64] * 64 + c % 64])
          << r << ", " << c;
  }
}

TEST(Recoding, KeepsEveryWeightWhereTheOtherFormatCanSayIt) {
  const std::vector<float> w = weights_like_a_models();
  for (const TensorType type :
       {TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1, TensorType::kQ8_0}) {
    const std::size_t row = kColumns / 32 * bytes_per_block(type);
    std::vector<std::byte> data(row * kRows);
    for (std::size_t r = 0; r < kRows; ++r)
      quantize_row(type, std::span(w).subspan(r * kColumns, kColumns), data.data() + r * row);
    const TensorInfo t = tensor_of(type, data);
    const auto form = exact_mlx_form(t);
    ASSERT_TRUE(form && form->is_affine());
    ThreadPool pool(1);
    std::vector<std::byte> codes;
    std::vector<std::uint16_t> scales;
    std::vector<std::uint16_t> biases;
    ASSERT_TRUE(recode({&t, *form, {}, 0, 0, kRows}, pool, [&](const RecodedRows& rows) -> Status {
                  codes.insert(codes.end(), rows.codes.begin(), rows.codes.end());
                  scales.insert(scales.end(), rows.scales.begin(), rows.scales.end());
                  biases.insert(biases.end(), rows.biases.begin(), rows.biases.end());
                  return {};
                }).ok());
    TensorInfo mlx = tensor_of(TensorType::kAffine, codes);
    mlx.scaling = {form->affine.bits, form->affine.scales, form->affine.group, 1};
    mlx.parts[0].scales = std::as_bytes(std::span(scales));
    mlx.parts[0].biases = std::as_bytes(std::span(biases));
    EXPECT_EQ(dequantize(mlx), dequantize(t)) << name_of(type);
    if (form->affine.bits == 8) continue;
    const auto back = exact_gguf_form(mlx);
    ASSERT_TRUE(back.has_value());
    const std::vector<std::byte> again = recoded(mlx, *back);
    EXPECT_EQ(dequantize(tensor_of(back->type, again)), dequantize(t)) << name_of(type);
  }
}

TEST(Recoding, RowOrdersUndoEachOther) {
  const RowOrder pairs{RowOrder::Kind::kHalvesToPairs, 8};
  const RowOrder halves{RowOrder::Kind::kPairsToHalves, 8};
  std::vector<std::uint64_t> seen;
  for (std::uint64_t r = 0; r < 16; ++r) {
    EXPECT_EQ(pairs.source_row(halves.source_row(r)), r);
    seen.push_back(pairs.source_row(r));
  }
  EXPECT_THAT(seen, testing::ElementsAre(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
}

TEST(FormRules, GoByPartsOfNames) {
  EXPECT_TRUE(matches("output", "output.weight"));
  EXPECT_FALSE(matches("output", "blk.0.attn_output.weight"));
  EXPECT_TRUE(matches("ffn_down", "blk.12.ffn_down.weight"));
  EXPECT_FALSE(matches("ffn_down", "blk.12.ffn_down_exps.weight"));
  EXPECT_TRUE(matches("ffn_*", "blk.12.ffn_down_exps.weight"));
  EXPECT_TRUE(matches("blk.1.*", "blk.1.attn_q.weight"));
  EXPECT_FALSE(matches("blk.1.*", "blk.12.attn_q.weight"));
}

TEST(FormRules, RefuseWhatCannotBeWritten) {
  EXPECT_FALSE(parse_rule("ffn_down", Target::kGguf).ok());
  EXPECT_FALSE(parse_rule("ffn_down=7", Target::kGguf).ok());
  EXPECT_FALSE(parse_rule("ffn_down=Q4_K", Target::kFolder).ok());
  EXPECT_EQ(parse_rule("ffn_down=q4_k", Target::kGguf)->wish.type, TensorType::kQ4_K);
}

TEST(GgufWriter, WritesWhatTheReaderReads) {
  const std::string path = testing::TempDir() + "/writer_test.gguf";
  GgufWriter out(path);
  out.set_text("general.architecture", "test");
  out.set_u32("test.block_count", 1);
  out.set_u32("test.block_count", 3);
  out.set_f32("test.scale", 0.5F);
  out.set_bool("test.flag", true);
  out.set_texts("test.names", std::vector<std::string>{"a", "", "ü"});
  out.set_i32s("test.kinds", std::vector<std::int32_t>{1, -2});
  out.add_tensor("one", TensorType::kF32, {3});
  out.add_tensor("two", TensorType::kQ8_0, {32, 2});
  ASSERT_TRUE(out.begin().ok());
  const std::vector<float> one = {1, 2, 3};
  ASSERT_TRUE(out.write(std::as_bytes(std::span(one))).ok());
  std::vector<std::byte> two(68);
  quantize_row(TensorType::kQ8_0, std::vector<float>(32, 1.0F), two.data());
  ASSERT_TRUE(out.write(std::span(two).first(34)).ok());
  ASSERT_TRUE(out.write(std::span(two).last(34)).ok());
  ASSERT_TRUE(out.finish().ok());

  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ((*file)->integer("test.block_count"), 3U);
  EXPECT_EQ((*file)->number("test.scale"), 0.5);
  EXPECT_EQ((*file)->boolean("test.flag"), true);
  EXPECT_THAT(*(*file)->strings("test.names"), testing::ElementsAre("a", "", "ü"));
  EXPECT_THAT(*(*file)->integers("test.kinds"), testing::ElementsAre(1, -2));
  EXPECT_EQ(dequantize(*(*file)->tensor("one")), one);
  EXPECT_NEAR(dequantize(*(*file)->tensor("two"))[31], 1.0F, 1e-3);

  // Copied byte for byte, but for what is left out.
  GgufWriter again("");
  again.copy_metadata(**file, [](std::string_view key) { return key == "test.flag"; });
  const std::string header = again.header();
  const auto copy = GgufFile::parse(std::as_bytes(std::span(header)), "copy");
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ((*copy)->metadata().size(), (*file)->metadata().size() - 1);
  EXPECT_THAT(*(*copy)->strings("test.names"), testing::ElementsAre("a", "", "ü"));
}

}  // namespace
}  // namespace kvasir::weights
