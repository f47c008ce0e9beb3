// The GGUF reader against files written by the `gguf` package, and against files that lie.

#include "weights/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "kernels/packed.h"
#include "weights/dequantize.h"
#include "weights/repack.h"

namespace kvasir::weights {
namespace {

constexpr const char* kFile = "tests/weights/golden/types.gguf";

std::shared_ptr<const GgufFile> golden() {
  auto file = GgufFile::open(kFile);
  EXPECT_TRUE(file.ok()) << "run from the repository's root";
  return *file;
}

std::vector<float> expected_values() {
  std::ifstream in("tests/weights/golden/types.f32", std::ios::binary | std::ios::ate);
  std::vector<float> values(static_cast<std::size_t>(in.tellg()) / sizeof(float));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(values.data()),
          static_cast<std::streamsize>(values.size() * sizeof(float)));
  return values;
}

std::vector<std::byte> golden_bytes() {
  const auto file = golden();
  return {file->bytes().begin(), file->bytes().end()};
}

TEST(Gguf, ReadsMetadataOfEveryKind) {
  const auto file = golden();
  EXPECT_EQ(file->string("general.architecture"), "llama");
  EXPECT_EQ(file->integer("test.answer"), 42U);
  EXPECT_EQ(file->number("test.float"), 1.5);
  EXPECT_EQ(file->boolean("test.flag"), true);
  EXPECT_EQ(file->string("test.text"), "héllo");
  EXPECT_EQ(*file->strings("test.words"), (std::vector<std::string_view>{"a", "", "ccc"}));
  EXPECT_EQ(*file->integers("test.numbers"), (std::vector<std::int64_t>{1, -2, 3}));
  EXPECT_EQ(*file->numbers("test.floats"), (std::vector<double>{0.5, -0.25}));
  EXPECT_EQ(file->find("absent"), nullptr);
  EXPECT_EQ(file->integer("test.text"), std::nullopt);
}

TEST(Gguf, DecodesEveryTypeAsTheGgufPackageDoes) {
  const auto file = golden();
  const std::vector<float> expected = expected_values();
  std::size_t at = 0;
  ASSERT_EQ(file->tensors().size(), 26U);
  for (const TensorInfo& tensor : file->tensors()) {
    EXPECT_EQ(tensor.name, "tensor." + std::string(name_of(tensor.type)));
    for (const float value : dequantize(tensor)) {
      ASSERT_NEAR(value, expected[at], 2e-7F * std::abs(expected[at]) + 1e-7F)
          << tensor.name << " element " << at;
      ++at;
    }
  }
  EXPECT_EQ(at, expected.size());
}

TEST(Repack, KeepsEveryValueExactly) {
  const auto file = golden();
  ThreadPool pool(2);
  for (const TensorInfo& tensor : file->tensors()) {
    const auto packed = repack(tensor, pool);
    ASSERT_TRUE(packed.ok());
    const std::vector<float> expected = dequantize(tensor);
    std::vector<float> row(packed->columns);
    for (std::size_t r = 0; r < packed->rows; ++r) {
      kernels::dequantize_row(*packed, r, row.data());
      for (std::size_t i = 0; i < row.size(); ++i) {
        ASSERT_EQ(row[i], expected[r * row.size() + i]) << tensor.name << " row " << r << " column " << i;
      }
    }
  }
}

// The golden tensors of few bits have few rows; a packed group has 16, and some types' rows share bytes.
TEST(Repack, KeepsEveryValueOfRandomBlocksInEveryLane) {
  constexpr std::uint64_t kRows = 37;
  constexpr std::uint64_t kColumns = 768;
  std::mt19937 rng(8);
  ThreadPool pool(2);
  const auto file = golden();
  for (const TensorInfo& known : file->tensors()) {
    TensorInfo tensor{known.name, known.type, {kColumns, kRows}, {}, {}, 0};
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.row_bytes() * kRows));
    for (std::byte& b : bytes) b = static_cast<std::byte>(rng());
    TensorPart part;
    part.rows = kRows;
    part.data = bytes;
    tensor.parts = {part};
    const auto packed = repack(tensor, pool);
    ASSERT_TRUE(packed.ok());
    EXPECT_EQ(packed->groups() * packed->group_bytes(), packed_bytes(tensor));
    const std::vector<float> expected = dequantize(tensor);
    std::vector<float> row(kColumns);
    for (std::size_t r = 0; r < kRows; ++r) {
      kernels::dequantize_row(*packed, r, row.data());
      for (std::size_t i = 0; i < kColumns; ++i) {
        const float value = expected[r * kColumns + i];
        if (std::isnan(value))
          ASSERT_TRUE(std::isnan(row[i])) << tensor.name << " row " << r << " column " << i;
        else
          ASSERT_EQ(row[i], value) << tensor.name << " row " << r << " column " << i;
      }
    }
  }
}

// What loading takes (docs/formats/weights.md).
TEST(Repack, TakesAtMostATenthMoreThanTheFile) {
  const auto file = golden();
  for (const TensorInfo& known : file->tensors()) {
    const TensorInfo tensor{known.name, known.type, {4096, 4096}, {}, {}, 0};
    const auto stored = static_cast<double>(tensor.row_bytes() * 4096);
    EXPECT_LE(static_cast<double>(packed_bytes(tensor)), 1.1 * stored) << tensor.name;
  }
}

// Splits the golden file's tensors over `count` files, as the format's own tool does.
class Split {
 public:
  explicit Split(std::uint16_t count) : count_(count) {
    folder_ = std::filesystem::temp_directory_path() / "kvasir-split-gguf";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    for (std::uint16_t n = 0; n < count; ++n) write(n, count, golden()->tensors().size());
  }
  ~Split() { std::filesystem::remove_all(folder_); }
  std::string path(unsigned number) const {
    char name[64];
    std::snprintf(name, sizeof(name), "m-%05u-of-%05u.gguf", number + 1, static_cast<unsigned>(count_));
    return (folder_ / name).string();
  }
  void write(std::uint16_t number, std::uint16_t claimed_count, std::size_t claimed_tensors) {
    const auto whole = golden();
    std::string head;
    std::string table;
    std::string data;
    std::uint64_t tensors = 0;
    for (std::size_t i = 0; i < whole->tensors().size(); ++i) {
      if (i * count_ / whole->tensors().size() != number) continue;
      const TensorInfo& t = whole->tensors()[i];
      ++tensors;
      text(table, t.name);
      raw(table, static_cast<std::uint32_t>(t.shape.size()));
      for (const std::uint64_t extent : t.shape) raw(table, extent);
      raw(table, static_cast<std::uint32_t>(t.type));
      raw(table, static_cast<std::uint64_t>(data.size()));
      data.append(reinterpret_cast<const char*>(t.parts[0].data.data()), t.parts[0].data.size());
      data.resize((data.size() + 31) / 32 * 32);
    }
    raw(head, std::uint32_t{0x46554747});
    raw(head, std::uint32_t{3});
    raw(head, tensors);
    raw(head, std::uint64_t{3});
    entry(head, "split.no", std::uint32_t{2}, number);
    entry(head, "split.count", std::uint32_t{2}, claimed_count);
    entry(head, "split.tensors.count", std::uint32_t{5}, static_cast<std::int32_t>(claimed_tensors));
    head += table;
    head.resize((head.size() + 31) / 32 * 32);
    std::ofstream(path(number), std::ios::binary) << head << data;
  }

 private:
  template <class T>
  static void raw(std::string& to, T v) {
    to.append(reinterpret_cast<const char*>(&v), sizeof(v));
  }
  static void text(std::string& to, const std::string& s) {
    raw(to, std::uint64_t{s.size()});
    to += s;
  }
  template <class T>
  static void entry(std::string& to, const std::string& key, std::uint32_t type, T value) {
    text(to, key);
    raw(to, type);
    raw(to, value);
  }
  std::uint16_t count_;
  std::filesystem::path folder_;
};

TEST(GgufSet, IsTheWholeModel) {
  const Split split(3);
  const auto set = open_checkpoint(split.path(0));
  ASSERT_TRUE(set.ok()) << set.error().message;
  const auto whole = golden();
  ASSERT_EQ((*set)->tensors().size(), whole->tensors().size());
  for (const TensorInfo& t : whole->tensors()) {
    ASSERT_NE((*set)->tensor(t.name), nullptr);
    EXPECT_EQ(dequantize(*(*set)->tensor(t.name)), dequantize(t));
    (*set)->release(t);
  }
}

TEST(GgufSet, NamesWhatIsMissingOrForeign) {
  Split split(3);
  const auto refusal = [&](unsigned number) {
    const auto set = open_checkpoint(split.path(number));
    return set.ok() ? "accepted" : set.error().message;
  };
  EXPECT_NE(refusal(1).find("name the first"), std::string::npos);
  split.write(1, 4, 26);
  EXPECT_NE(refusal(0).find("is not file 2 of the set"), std::string::npos);
  split.write(1, 3, 26);
  split.write(0, 3, 27);
  EXPECT_NE(refusal(0).find("26 tensors, not the 27"), std::string::npos);
  std::filesystem::remove(split.path(2));
  EXPECT_NE(refusal(0).find("m-00003-of-00003.gguf"), std::string::npos);
}

TEST(Gguf, NamesAMissingFile) {
  const auto file = GgufFile::open("no/such/model.gguf");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_NE(file.error().message.find("no/such/model.gguf"), std::string::npos);
}

TEST(Gguf, RefusesAFileThatIsNotGguf) {
  const std::string text = "<!DOCTYPE html><html>not found</html>";
  const auto file = GgufFile::parse(std::as_bytes(std::span(text)), "page.gguf");
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::kUnsupported);
}

TEST(Gguf, RefusesEveryTruncation) {
  const auto bytes = golden_bytes();
  for (std::size_t n = 0; n < bytes.size(); n += n < 4096 ? 1 : 997) {
    const auto file = GgufFile::parse(std::span(bytes).first(n), "cut.gguf");
    ASSERT_FALSE(file.ok()) << "a file cut to " << n << " bytes was accepted";
    EXPECT_EQ(file.error().message.find('\n'), std::string::npos) << "an error is one line";
  }
}

TEST(Gguf, SurvivesRandomDamageToItsHeader) {
  const auto bytes = golden_bytes();
  std::mt19937 rng(3);
  for (int round = 0; round < 3000; ++round) {
    auto damaged = bytes;
    for (int i = 0; i < 4; ++i) damaged[rng() % 2500] = static_cast<std::byte>(rng());
    const auto file = GgufFile::parse(damaged, "damaged.gguf");
    if (!file.ok()) continue;
    for (const TensorInfo& t : (*file)->tensors()) {
      ASSERT_EQ(t.parts.size(), 1U);
      ASSERT_GE(t.parts[0].data.data(), damaged.data());
      ASSERT_LE(t.parts[0].data.data() + t.parts[0].data.size(), damaged.data() + damaged.size());
    }
  }
}

// A hand-made file: header, then what the caller appends.
class Maker {
 public:
  Maker(std::uint64_t tensors, std::uint64_t metadata) {
    add(std::uint32_t{0x46554747});
    add(std::uint32_t{3});
    add(tensors);
    add(metadata);
  }
  template <class T>
  Maker& add(T value) {
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), p, p + sizeof(T));
    return *this;
  }
  Maker& text(std::string_view s) {
    add(std::uint64_t{s.size()});
    const auto b = std::as_bytes(std::span(s));
    bytes_.insert(bytes_.end(), b.begin(), b.end());
    return *this;
  }
  Maker& pad(std::size_t n) {
    bytes_.resize(bytes_.size() + n);
    return *this;
  }
  Error error() const {
    const auto file = GgufFile::parse(bytes_, "lying.gguf");
    return file.ok() ? Error{ErrorCode::kInternal, "was accepted", {}} : file.error();
  }

 private:
  std::vector<std::byte> bytes_;
};

void expect_refused(const Error& error, ErrorCode code, std::string_view words) {
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
}

TEST(Gguf, RefusesLies) {
  expect_refused(Maker(1ULL << 60, 0).error(), ErrorCode::kCorruptData, "absurd");
  expect_refused(Maker(0, 1ULL << 60).error(), ErrorCode::kCorruptData, "absurd");
  expect_refused(Maker(1000, 0).error(), ErrorCode::kCorruptData, "more tensors than");
  expect_refused(Maker(0, 1).text("k").add(std::uint32_t{99}).error(), ErrorCode::kCorruptData,
                 "unknown type");
  expect_refused(
      Maker(0, 1).text("k").add(std::uint32_t{9}).add(std::uint32_t{4}).add(std::uint64_t{1} << 62).error(),
      ErrorCode::kCorruptData, "more than the file holds");
  expect_refused(Maker(1, 0).text("w").add(std::uint32_t{9}).pad(64).error(), ErrorCode::kCorruptData,
                 "dimensions");
  const auto tensor = [](std::uint64_t rows, std::uint32_t type, std::uint64_t offset) {
    return Maker(1, 0)
        .text("w")
        .add(std::uint32_t{2})
        .add(std::uint64_t{32})
        .add(rows)
        .add(type)
        .add(offset)
        .pad(64);
  };
  expect_refused(tensor(1ULL << 61, 0, 0).error(), ErrorCode::kCorruptData, "absurd shape");
  expect_refused(tensor(0, 0, 0).error(), ErrorCode::kCorruptData, "absurd shape");
  expect_refused(tensor(1, 77, 0).error(), ErrorCode::kUnsupported, "type 77");
  expect_refused(tensor(1, 41, 0).error(), ErrorCode::kUnsupported, "type Q1_0,");
  expect_refused(tensor(1, 24, 0).error(), ErrorCode::kUnsupported, "type I8,");
  expect_refused(tensor(1, 28, 0).error(), ErrorCode::kUnsupported, "type F64,");
  expect_refused(tensor(1, 12, 0).error(), ErrorCode::kCorruptData, "whole blocks");
  expect_refused(tensor(1, 0, ~std::uint64_t{31}).error(), ErrorCode::kCorruptData, "outside the file");
  expect_refused(tensor(9, 0, 0).error(), ErrorCode::kCorruptData, "outside the file");
}

}  // namespace
}  // namespace kvasir::weights
