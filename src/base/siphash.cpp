#include "base/siphash.h"

#include <bit>
#include <cstddef>

namespace kvasir {
namespace {

constexpr std::size_t kWord = 8;

// Little-endian on every machine.
template <class Bytes>
std::uint64_t word_at(const Bytes& bytes, std::size_t at, std::size_t length = kWord) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < length; ++i)
    word |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  return word;
}

class State {
 public:
  State(std::uint64_t k0, std::uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575ULL),
        v1_(k1 ^ 0x646f72616e646f6dULL ^ 0xee),  // 0xee: the form with 128 bits
        v2_(k0 ^ 0x6c7967656e657261ULL),
        v3_(k1 ^ 0x7465646279746573ULL) {}

  void take(std::uint64_t word) {
    v3_ ^= word;
    rounds(2);
    v0_ ^= word;
  }
  std::uint64_t first() {
    v2_ ^= 0xee;
    return finish();
  }
  std::uint64_t second() {
    v1_ ^= 0xdd;
    return finish();
  }

 private:
  std::uint64_t finish() {
    rounds(4);
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0_ += v1_;
      v1_ = std::rotl(v1_, 13) ^ v0_;
      v0_ = std::rotl(v0_, 32);
      v2_ += v3_;
      v3_ = std::rotl(v3_, 16) ^ v2_;
      v0_ += v3_;
      v3_ = std::rotl(v3_, 21) ^ v0_;
      v2_ += v1_;
      v1_ = std::rotl(v1_, 17) ^ v2_;
      v2_ = std::rotl(v2_, 32);
    }
  }

  std::uint64_t v0_;
  std::uint64_t v1_;
  std::uint64_t v2_;
  std::uint64_t v3_;
};

}  // namespace

SipTag siphash(const SipKey& key, std::string_view text) {
  State state(word_at(key, 0), word_at(key, kWord));
  const std::size_t whole = text.size() / kWord * kWord;
  for (std::size_t at = 0; at < whole; at += kWord) state.take(word_at(text, at));
  state.take(word_at(text, whole, text.size() - whole) | std::uint64_t{text.size()} << 56);
  SipTag tag{};
  const std::array<std::uint64_t, 2> words{state.first(), state.second()};
  for (std::size_t i = 0; i < tag.size(); ++i)
    tag[i] = static_cast<std::uint8_t>(words[i / kWord] >> (8 * (i % kWord)));
  return tag;
}

}  // namespace kvasir
