#pragma once
// Watches one answer being generated and puts it into the ReplayTable as the client will know it.
//
// Not thread-safe: one per generated sequence, used where its events come.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chat/conversation.h"
#include "chat/replay_table.h"
#include "chat/tool_format.h"
#include "engine/engine.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

struct TurnRecorderOptions {
  std::shared_ptr<ReplayTable> table;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::string cache_namespace;  // the engine request's
  ReplayContext before;         // the conversation that is answered
  ReasoningFormat reasoning;
  std::string opening;  // TurnBoundaries' two: a turn that holds their special tokens would be more than one
  std::string end;
  std::vector<TokenId> shown_tokens;  // the engine request's
  // The API shows text in blocks that end at a call; clients send them back apart and they are joined by a
  // line break. Also, arguments that are no whole JSON object are shown as an empty one.
  bool text_in_blocks = false;
};

// A digest of the whole conversation, for TurnRecorderOptions::before.
ReplayContext context_of(const Conversation& conversation);

class TurnRecorder {
 public:
  explicit TurnRecorder(TurnRecorderOptions options);

  // One engine::Text and what the output parser made of it (nothing is held against the order of calls).
  void add(const engine::Text& text, std::span<const OutputEvent> events);
  // The answer has ended with `last`, which the parser had held back.
  void finish(std::span<const OutputEvent> last);
  // The turn as the client has it; whole after finish().
  const Message& turn() const { return turn_; }

 private:
  void take(const OutputEvent& event);
  bool whole() const;

  TurnRecorderOptions options_;
  Message turn_;
  bool text_block_ended_ = false;
  std::string raw_;
  std::vector<TokenId> tokens_;
};

}  // namespace kvasir::chat
