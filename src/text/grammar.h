#pragma once
// Grammar-constrained decoding: which tokens may come next. Faces over llguidance through text-ffi.

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "text/tokenizer.h"

namespace kvasir::text {

class GrammarMatcher;

// What a factory keeps for each token of the vocabulary: 428 bytes were seen with 152k tokens, 380 with 49k.
inline constexpr std::size_t kGrammarBytesPerToken = 450;

// Per-vocabulary set-up (about 0.45 s for 152k tokens); made once per model. Any thread may compile; matchers
// are independent of each other and keep the factory alive.
class GrammarFactory : public std::enable_shared_from_this<GrammarFactory> {
 public:
  static Result<std::shared_ptr<GrammarFactory>> create(std::shared_ptr<const Tokenizer> tokenizer);
  ~GrammarFactory();

  // A grammar in llguidance's Lark dialect; JSON Schemas go inline as `%json { ... }`. kInvalidArgument with
  // the engine's words when it does not compile. The 64 grammars used last are kept compiled, by content.
  //
  // Tokens with a text of their own, in a grammar:
  // - Control tokens (Tokenizer::is_special) are named without quotes, `<|im_end|>`; a string literal never
  //   produces one, so user text cannot smuggle one in. A name that is not of the form <...> is written by
  //   its id, `<[2]>`.
  // - Added tokens that are text (`<tool_call>` in Qwen) belong in string literals, "<tool_call>": the model
  // may
  //   then write them as the one token or piece by piece. To insist on the one token, use its id,
  //   `<[151657]>`.
  // - Where a family makes such a marker a control token, write both: ( <|tool_call|> | "<|tool_call|>" ).
  Result<std::unique_ptr<GrammarMatcher>> compile_lark(std::string_view lark);
  // Exactly one JSON value that the schema admits (compact or spaced as the model likes).
  Result<std::unique_ptr<GrammarMatcher>> compile_json_schema(std::string_view schema_json);

  const Tokenizer& tokenizer() const;

  struct Impl;

 private:
  enum class Kind { kLark, kJsonSchema };
  explicit GrammarFactory(std::unique_ptr<Impl> impl);
  Result<std::unique_ptr<GrammarMatcher>> compile(Kind kind, std::string_view source);
  std::unique_ptr<Impl> impl_;
};

// A factory, or one that is being made on another thread: whoever is first to need it waits. Null where the
// vocabulary can have none. Copies share it.
class Grammars {
 public:
  Grammars() = default;
  Grammars(std::shared_ptr<GrammarFactory> made) : made_(std::move(made)) {}  // NOLINT: implicit by design
  explicit Grammars(std::shared_future<std::shared_ptr<GrammarFactory>> coming)
      : coming_(std::move(coming)) {}

  const std::shared_ptr<GrammarFactory>& get() const { return coming_.valid() ? coming_.get() : made_; }

 private:
  std::shared_ptr<GrammarFactory> made_;
  std::shared_future<std::shared_ptr<GrammarFactory>> coming_;
};

// The state of one generated sequence. Not thread-safe: one caller at a time.
class GrammarMatcher {
 public:
  ~GrammarMatcher();
  GrammarMatcher(const GrammarMatcher&) = delete;
  GrammarMatcher& operator=(const GrammarMatcher&) = delete;

  // Bit t of word t/32 is set when token t may come next; ceil(vocab_size / 32) words. When the grammar is
  // complete, the tokenizer's end tokens are set. Valid until the next call.
  Result<std::span<const std::uint32_t>> mask();
  // Advances by a token that the mask allowed. kInternal when it was not allowed; the state is then
  // unchanged.
  Status accept(TokenId token);
  // Accepts what the grammar leaves no choice about, at most `most` tokens, and returns it: the text that
  // must come, cut as the tokenizer cuts it, up to where a token might run on into text that is open. Empty
  // where there is a choice now.
  std::vector<TokenId> take_forced(std::size_t most);
  // The same in the middle of a text: only where what must come is at least `least` tokens long and does not
  // complete the grammar's sentence, whose end is the model's to cut.
  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least);
  // The text so far is a whole sentence of the grammar (the end may come now).
  bool is_accepting();
  // Nothing but the end may follow.
  bool is_stopped();
  // An independent copy in the same state, in microseconds. It shares lexer tables with its original, under a
  // lock of the engine's own. Null only when the engine panics.
  std::unique_ptr<GrammarMatcher> clone() const;

  struct Impl;
  explicit GrammarMatcher(std::unique_ptr<Impl> impl);

 private:
  std::string forced_text();
  bool may_run_past(std::string_view text);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvasir::text
