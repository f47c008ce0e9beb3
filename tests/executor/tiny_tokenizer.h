#pragma once
// A small byte-level BPE tokenizer with ChatML's special tokens, made in memory: tests of the engine need one
// that can spell anything, not a real model's.

#include <array>
#include <boost/json.hpp>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace kvasir::testing_support {

// GPT-2's printable stand-in for a byte, as UTF-8.
inline std::string byte_char(unsigned byte) {
  const auto printable = [](unsigned b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  unsigned code = byte;
  if (!printable(byte)) {
    code = 256;
    for (unsigned b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
  }
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0U | (code >> 6U)), static_cast<char>(0x80U | (code & 0x3FU))};
}

// `more`: further tokens with a text of their own; control tokens where it has a bar.
inline std::shared_ptr<const text::Tokenizer> tiny_tokenizer(const std::vector<std::string>& more = {}) {
  namespace json = boost::json;
  json::object vocab;
  for (unsigned byte = 0; byte < 256; ++byte) vocab[byte_char(byte)] = byte;
  json::array merges;
  constexpr std::array<std::array<const char*, 2>, 6> kMerges = {
      {{"t", "h"}, {"th", "e"}, {"i", "n"}, {"a", "n"}, {"e", "r"}, {"o", "n"}}};
  for (const auto& [left, right] : kMerges) {
    vocab[std::string(left) + right] = vocab.size();
    merges.push_back(json::value(std::string(left) + " " + right));
  }
  json::array added;
  std::size_t next = vocab.size();
  std::vector<std::string> names = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>",
                                    "</tool_call>"};
  names.insert(names.end(), more.begin(), more.end());
  for (const std::string& name : names) {
    const bool special = name.find('|') != std::string::npos;
    added.push_back({{"id", next++},
                     {"content", name},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", special}});
  }
  const json::value whole = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"pre_tokenizer",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"decoder",
       {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
  auto tokenizer = text::Tokenizer::from_tokenizer_json(json::serialize(whole));
  return tokenizer.ok() ? *tokenizer : nullptr;
}

}  // namespace kvasir::testing_support
