#pragma once
// Cuts a rendered prompt at assistant turns, so that sampled tokens can stand in place of their text.
//
// Such a turn was generated behind a prompt that ended with the template's opening of an assistant turn, and
// ended with a special token. If the template writes it back between the same two, the prompt can be cut
// there: the text before, the sampled tokens, the text behind, each tokenised apart as it was when the turn
// was generated. Then the longer prompt begins with exactly the tokens of the shorter one and of its answer.
//
// Templates are not trusted to do so. They are probed once, and every prompt is checked: it is rendered a
// second time with marks in place of the turns, and a turn whose marks do not stand where they must (an old
// thought stripped, text rewritten) is left to the template's own words.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "chat/conversation.h"
#include "chat/replay_table.h"
#include "chat/tool_format.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

// How a template writes assistant turns.
struct TurnBoundaries {
  enum class Calls {
    kNever,          // turns with calls are not written as they were generated
    kAsContent,      // the turn's text may stand for its calls
    kBesideContent,  // the template insists on seeing the calls
  };
  bool keeps_turns = false;  // turns of text alone are kept; without this nothing is
  Calls calls = Calls::kNever;
  std::string opening;  // what the template adds for the answer to begin; may be empty
  std::string end;      // the special token's text that ends a turn
};

using RenderTurns = std::function<Result<std::string>(const Conversation&, bool add_generation_prompt)>;

TurnBoundaries probe_turns(const RenderTurns& render, const text::Tokenizer& tokenizer);

struct ReplayTurn {
  std::size_t message = 0;  // index in Conversation::messages
  std::shared_ptr<const ReplayEntry> entry;
};

// A prompt's text with marks, and where the replayed turns lie in it.
struct CutPrompt {
  struct Turn {
    ReplayTurn turn;
    std::size_t begin = 0;  // [begin, end) of `marked` gives way to the sampled tokens
    std::size_t end = 0;
  };
  std::string marked;
  std::vector<Turn> turns;
  // (turns.size() + 1) what stands between.
  std::vector<std::string_view> pieces() const;
};

class TurnJoiner {
 public:
  TurnJoiner() = default;
  TurnJoiner(TurnBoundaries boundaries, ReasoningFormat reasoning);

  const TurnBoundaries& boundaries() const { return boundaries_; }
  // The prompt ends where an answer begins: what is generated behind it can be replayed.
  bool ends_with_opening(std::string_view prompt) const;
  // `canonical` is the prompt as the template writes it. Those of `turns` that it does not keep are left out;
  // nullopt where none remains.
  std::optional<CutPrompt> cut(const Conversation& conversation, std::string_view canonical,
                               std::vector<ReplayTurn> turns, const RenderTurns& render) const;
  // A text that stands nowhere else, for marking things in a conversation.
  std::string mark(char kind, std::size_t index) const;

 private:
  bool find_turn(std::string_view text, std::size_t from, const Message& message,
                 CutPrompt::Turn& turn) const;
  std::optional<std::size_t> begin_of(std::string_view text, std::size_t from, const Message& message,
                                      std::size_t index, std::size_t content) const;

  TurnBoundaries boundaries_;
  ReasoningFormat reasoning_;
  std::string nonce_;
};

// The conversation with marks for the words of these turns.
Conversation with_marks(const Conversation& conversation, const std::vector<ReplayTurn>& turns,
                        const TurnJoiner& joiner);

}  // namespace kvasir::chat
