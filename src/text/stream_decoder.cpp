// Splits a byte stream at character boundaries. Invalid input becomes U+FFFD per maximal subpart, as the
// Unicode standard recommends and as Rust and Python do when they decode with replacement.

#include "text/tokenizer.h"

namespace kvasir::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// What the first bytes of `s` (not empty) are.
struct Step {
  enum Kind { kWhole, kInvalid, kPartial } kind;
  std::size_t size;  // bytes of the character, or of the ill-formed subpart
};

bool between(unsigned char c, unsigned low, unsigned high) {
  return c >= low && c <= high;
}

// Table 3-7 of the Unicode standard: the second byte's range depends on the first.
Step classify(std::string_view s) {
  const auto first = static_cast<unsigned char>(s[0]);
  if (first < 0x80) return {Step::kWhole, 1};
  if (!between(first, 0xC2, 0xF4)) return {Step::kInvalid, 1};
  const std::size_t size = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (std::size_t i = 1; i < size; ++i) {
    if (i == s.size()) return {Step::kPartial, i};
    const auto c = static_cast<unsigned char>(s[i]);
    unsigned low = 0x80;
    unsigned high = 0xBF;
    if (i == 1 && first == 0xE0) low = 0xA0;
    if (i == 1 && first == 0xED) high = 0x9F;
    if (i == 1 && first == 0xF0) low = 0x90;
    if (i == 1 && first == 0xF4) high = 0x8F;
    if (!between(c, low, high)) return {Step::kInvalid, i};
  }
  return {Step::kWhole, size};
}

}  // namespace

std::string StreamDecoder::feed(std::string_view bytes) {
  if (bytes.empty()) return {};
  pending_.append(bytes);
  std::string_view rest = pending_;
  std::string out;
  out.reserve(rest.size());
  while (!rest.empty()) {
    const Step step = classify(rest);
    if (step.kind == Step::kPartial) break;
    out.append(step.kind == Step::kWhole ? rest.substr(0, step.size) : kReplacement);
    rest.remove_prefix(step.size);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return out;
}

std::string StreamDecoder::finish() {
  // What is held back is one ill-formed subpart: a character that never ended.
  std::string out(pending_.empty() ? std::string_view{} : kReplacement);
  pending_.clear();
  return out;
}

}  // namespace kvasir::text
