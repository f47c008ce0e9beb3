#include "models/tiny_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "kernels/half.h"
#include "weights/gguf.h"

namespace kvasir::models {
namespace {

const std::filesystem::path kFolder = "tests/models/golden/families";

struct Law {
  float centre = 0;
  float spread = 0;
  std::uint32_t quantised = 0;
};

std::uint64_t splitmix64(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

std::uint64_t fnv1a64(const std::string& text) {
  std::uint64_t seed = 0xCBF29CE484222325U;
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return seed;
}

// Element i of a quantised tensor: what a judge's F32 file holds is scale * q.
std::int8_t quant(std::uint64_t seed, std::uint64_t i) {
  return static_cast<std::int8_t>(static_cast<std::uint8_t>(splitmix64(seed + i) >> 56U));
}

std::uint16_t scale_of(const Law& law) {
  return kernels::f32_to_f16(law.spread / 127.0F);
}

std::vector<float> floats_of(const weights::TensorInfo& t, const Law& law) {
  const std::uint64_t seed = fnv1a64(t.name);
  std::vector<float> out(static_cast<std::size_t>(t.columns() * t.rows()));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto u = static_cast<float>(splitmix64(seed + i) >> 40U) / 8388608.0F - 1.0F;
    out[i] = law.quantised != 0 ? kernels::f16_to_f32(scale_of(law)) * static_cast<float>(quant(seed, i))
                                : law.centre + law.spread * u;
  }
  return out;
}

std::vector<std::byte> q8_of(const weights::TensorInfo& t, const Law& law) {
  const std::uint64_t seed = fnv1a64(t.name);
  const std::uint16_t scale = scale_of(law);
  const std::uint64_t blocks = t.columns() * t.rows() / 32;
  std::vector<std::byte> out(static_cast<std::size_t>(blocks) * 34);
  for (std::uint64_t b = 0; b < blocks; ++b) {
    std::memcpy(out.data() + b * 34, &scale, sizeof(scale));
    for (std::uint64_t i = 0; i < 32; ++i)
      out[b * 34 + 2 + i] = static_cast<std::byte>(quant(seed, b * 32 + i));
  }
  return out;
}

// A file in memory that owns its bytes.
class OwnedFile final : public weights::Checkpoint {
 public:
  OwnedFile(std::vector<std::byte> bytes, const std::vector<Law>& laws, const std::string& name)
      : bytes_(std::move(bytes)) {
    const auto parsed = weights::GgufFile::parse(bytes_, name);
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    file_ = *parsed;
    path_ = name;
    metadata_ = file_->metadata();
    tensors_ = file_->tensors();
    for (std::size_t i = 0; i < laws.size(); ++i) {
      const std::vector<float> values = floats_of(tensors_[i], laws[i]);
      const auto at = tensors_[i].parts.front().data.data() - bytes_.data();
      std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(float));
    }
    index_tensors();
  }
  void release(const weights::TensorInfo& /*tensor*/) const override {}

 private:
  std::vector<std::byte> bytes_;
  std::shared_ptr<const weights::Checkpoint> file_;
};

// The same model with quantised matrices.
class QuantisedFile final : public weights::Checkpoint {
 public:
  QuantisedFile(std::shared_ptr<const weights::Checkpoint> of, const std::vector<Law>& laws)
      : of_(std::move(of)), bytes_(laws.size()) {
    path_ = of_->path();
    metadata_ = of_->metadata();
    tensors_ = of_->tensors();
    for (std::size_t i = 0; i < laws.size(); ++i) {
      if (laws[i].quantised == 0) continue;
      bytes_[i] = q8_of(tensors_[i], laws[i]);
      tensors_[i].type = weights::TensorType::kQ8_0;
      tensors_[i].parts.resize(1);
      tensors_[i].parts.front().data = bytes_[i];
    }
    index_tensors();
  }
  void release(const weights::TensorInfo& /*tensor*/) const override {}

 private:
  std::shared_ptr<const weights::Checkpoint> of_;
  std::vector<std::vector<std::byte>> bytes_;
};

template <class T>
std::vector<T> read_many(std::ifstream& in, std::size_t n) {
  std::vector<T> out(n);
  in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(n * sizeof(T)));
  return out;
}

// Bytes of all tensors as F32, each at a multiple of 32.
std::size_t data_bytes(const std::vector<std::byte>& header, const std::string& name) {
  // The parser wants the whole file, so give it more than any tiny model has.
  constexpr std::size_t kPlenty = 8U << 20U;
  std::vector<std::byte> padded = header;
  padded.resize(header.size() + kPlenty);
  const auto parsed = weights::GgufFile::parse(padded, name);
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  std::size_t bytes = 0;
  for (const weights::TensorInfo& t : (*parsed)->tensors())
    bytes += (static_cast<std::size_t>(t.bytes()) + 31) / 32 * 32;
  return bytes;
}

}  // namespace

std::vector<std::string> tiny_model_names() {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder, missing))
    names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return names;
}

TinyModel read_tiny_model(const std::string& name) {
  std::ifstream in(kFolder / (name + ".bin"), std::ios::binary);
  EXPECT_TRUE(in.good()) << "run from the repository's root";
  const auto head = read_many<std::uint32_t>(in, 7);
  EXPECT_EQ(head[0], 0x4746564BU);
  auto bytes = read_many<std::byte>(in, head[2]);
  const auto laws = read_many<Law>(in, head[3]);
  TinyModel m;
  m.name = name;
  m.vocab = head[4];
  for (const std::uint8_t t : read_many<std::uint8_t>(in, head[5])) m.tokens.push_back(t);
  for (const std::uint16_t p : read_many<std::uint16_t>(in, head[6])) m.positions.push_back(p);
  m.judged = read_many<float>(in, m.positions.size() * m.vocab);
  EXPECT_TRUE(in.good());
  bytes.resize(bytes.size() + data_bytes(bytes, name));
  m.floats = std::make_shared<OwnedFile>(std::move(bytes), laws, name);
  m.quantised = std::make_shared<QuantisedFile>(m.floats, laws);
  return m;
}

}  // namespace kvasir::models
