#pragma once
// Text <-> tokens, exactly as the Hugging Face `tokenizers` library does it for the same vocabulary.
// GGUF vocabularies: byte-level BPE (gpt2) with the pre-tokenizers of text-ffi/src/pre_tokenizers.rs,
// SentencePiece BPE (llama) and Gemma 4 (gemma4); others are kUnsupported.
//
// A Tokenizer is immutable after creation and may be used from any thread at once.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "text/fill_middle.h"

namespace kvasir::weights {
class Checkpoint;
}

namespace kvasir::text {

// How special-token text ("<|im_start|>") inside the input is treated.
enum class SpecialText {
  kParse,   // becomes the special token: for rendered prompts
  kAsText,  // is ordinary text. Added tokens that are not control tokens (<tool_call> in Qwen) are still
            // recognised, as in the reference library
};

class Tokenizer {
 public:
  // From the metadata of a checkpoint: `tokenizer.ggml.*`, or a folder's tokenizer.json with the roles that
  // its other files name (weights/folder.h).
  static Result<std::shared_ptr<const Tokenizer>> from_checkpoint(const weights::Checkpoint& file);
  // From the contents of a Hugging Face tokenizer.json.
  static Result<std::shared_ptr<const Tokenizer>> from_tokenizer_json(std::string_view json);

  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // `text` may hold invalid UTF-8: such bytes are replaced by U+FFFD, as the oracle's Python binding would.
  // No token is added in front or behind (add_special_tokens = false): the chat template writes BOS itself; a
  // caller that completes raw text asks adds_bos().
  // Loading proves that the vocabulary takes every character; should the library fail on a text all the same
  // (a bug), the result is empty.
  std::vector<TokenId> encode(std::string_view text, SpecialText special) const;

  // The bytes that a token stands for. Special tokens give their text. Out of range ids give an empty string.
  std::string_view bytes(TokenId id) const;
  // Concatenated bytes; may end in half a character (see StreamDecoder). skip_special drops control tokens.
  std::string decode(std::span<const TokenId> tokens, bool skip_special) const;

  std::size_t vocab_size() const;
  // Names the vocabulary: a hash of every token's bytes and of which are special.
  std::string fingerprint() const;
  bool is_special(TokenId id) const;  // control tokens: never part of a visible answer
  // A special or added token by its exact text, or kNoToken.
  TokenId find(std::string_view token_text) const;
  TokenId bos() const;
  TokenId eos() const;
  bool adds_bos() const;
  // Every token that ends an answer: eos, eot, eom, <|im_end|>, <|endoftext|>, ... as the file's metadata
  // names them.
  std::span<const TokenId> end_tokens() const;
  // nullopt where the vocabulary has no tokens for it.
  const std::optional<FillMiddle>& fill_middle() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of token bytes into whole UTF-8 characters: never emits half a character; invalid sequences
// come out as U+FFFD as soon as they are known to be invalid. One per generated sequence; not thread-safe.
class StreamDecoder {
 public:
  // Bytes of the next token; returns the text that is certain now (possibly empty).
  std::string feed(std::string_view bytes);
  // End of stream: what is held back comes out as U+FFFD.
  std::string finish();

 private:
  std::string pending_;  // an incomplete character, at most 3 bytes
};

}  // namespace kvasir::text
