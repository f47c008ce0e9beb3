#pragma once
// Conversation -> prompt tokens, through the model's own chat template under Hugging Face's conventions.
//
// Rendering is a pure function of the conversation (docs: prompt stability): tools and keys keep the client's
// order, white space, numbers and escapes inside JSON are normalised, and what stands earlier in the
// conversation never depends on what comes later. tool_choice does not change the prompt, so that switching
// it keeps the cached prefix.
//
// One exception: an assistant turn that a ReplayTable knows stands as the tokens that were sampled for it,
// wherever the template keeps it as it was generated (turn_join.h). So the prompt of a turn, and the answer
// to it, are exactly how the next prompt begins.

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "chat/conversation.h"
#include "chat/replay_table.h"
#include "chat/template_traits.h"
#include "chat/tool_format.h"
#include "chat/turn_join.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

struct RenderedPrompt {
  std::string text;
  std::vector<TokenId> tokens;
  bool opens_reasoning =
      false;  // the template has written the opening tag: the answer begins inside a thought
  bool closes_reasoning = false;  // it has written a thought's end: the answer holds none
  std::string opens_call;         // likewise the opener of a call; empty where it has not
  std::string begun;  // what `text` ends with behind the template's own words: an answer that goes on
  // The answer to this prompt may come back as sampled tokens: it is worth recording.
  bool recordable = false;
  std::vector<ReplayTurn> replayed;   // the turns that stand as sampled tokens
  std::uint32_t replayed_tokens = 0;  // of `tokens`
};

// Where in a prompt's tokens something begins; a message with what the template opens its turn with. Names
// are "tools" (what the template says before the first), "tools[I]", "system" (a system turn at the front)
// and "messages[I]", by index in the client's list.
struct PromptPart {
  std::string name;
  std::uint32_t first_token = 0;
  std::string what;  // "user message", "tool get_weather", ...
};

// Where to look turns up. A null table: nowhere.
struct ReplaySource {
  ReplayTable* table = nullptr;
  std::string_view cache_namespace;
};

// The answer that goes on, without white space at its end (no model goes on well from a token that its
// vocabulary would have joined); empty where none does.
std::string_view begun_answer(const Conversation& conversation);
// The conversation in front of it, which is to be answered without a thought.
Conversation without_begun(Conversation conversation);

// The template's context for `conversation`, fitted to what the template can do. Exposed for tests.
boost::json::object template_context(const Conversation& conversation, const TemplateTraits& traits);

// Immutable after creation; may be used from any thread at once.
class PromptRenderer {
 public:
  // Probes the template once (a handful of small renders). `now_unix_seconds` is what the template's clock
  // shows for the renderer's life: a date that moved would cost every conversation its cached prefix.
  // `forced`: the model's tool format, whatever the template shows; null to find it.
  PromptRenderer(std::shared_ptr<const text::ChatTemplate> chat_template,
                 std::shared_ptr<const text::Tokenizer> tokenizer, std::int64_t now_unix_seconds,
                 const ToolFormat* forced = nullptr);

  // kInvalidArgument with the template's own words where it refuses the conversation. An answer that goes on
  // (Conversation::continues_answer) stands behind the opening of its turn, without white space at its end
  // and without a thought.
  Result<RenderedPrompt> render(const Conversation& conversation, ReplaySource replay = {}) const;

  // The text alone, as the template writes it. Errors as render().
  Result<std::string> render_text(const Conversation& conversation, bool add_generation_prompt) const;

  // What the prompt of the next request will begin with, once the answered conversation comes back with
  // `turn` and something new behind it: all that does not depend on what that is. Templates that rewrite
  // earlier turns are why this can be more than the last prompt and the answer. Costs two renders; empty
  // where the template refuses.
  std::vector<TokenId> next_prompt(Conversation conversation, Message turn, ReplaySource replay = {}) const;

  // Where the parts of `prompt` begin, which render() made of `conversation`: to tell what changed between
  // two prompts. Costs three renders. Parts whose place is not certain are left out.
  std::vector<PromptPart> parts(const Conversation& conversation, const RenderedPrompt& prompt) const;

  const TemplateTraits& traits() const { return traits_; }
  const TurnJoiner& joiner() const { return joiner_; }

 private:
  Result<RenderedPrompt> render_opened(const Conversation& conversation, std::string begun,
                                       ReplaySource replay) const;
  Result<std::string> render_context(const boost::json::object& context) const;
  RenderTurns renderer() const;
  std::vector<ReplayTurn> known_turns(const Conversation& conversation, ReplaySource replay) const;

  std::shared_ptr<const text::ChatTemplate> template_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::int64_t now_;
  TemplateTraits traits_;
  TurnJoiner joiner_;
};

}  // namespace kvasir::chat
