#pragma once
// Conversation -> prompt tokens, through the model's own chat template under Hugging Face's conventions.
//
// Rendering is a pure function of the conversation (docs: prompt stability): tools and keys keep the client's
// order, white space, numbers and escapes inside JSON are normalised, and what stands earlier in the
// conversation never depends on what comes later. tool_choice does not change the prompt, so that switching
// it keeps the cached prefix.

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "chat/conversation.h"
#include "chat/tool_format.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace kvasir::chat {

struct RenderedPrompt {
  std::string text;
  std::vector<TokenId> tokens;
  bool opens_reasoning =
      false;  // the template has written the opening tag: the answer begins inside a thought
};

// The template's context for `conversation`, fitted to what the template can do. Exposed for tests.
boost::json::object template_context(const Conversation& conversation, const TemplateTraits& traits);

// Immutable after creation; may be used from any thread at once.
class PromptRenderer {
 public:
  // Probes the template once (a handful of small renders). `now_unix_seconds` is what the template's clock
  // shows for the renderer's life: a date that moved would cost every conversation its cached prefix.
  PromptRenderer(std::shared_ptr<const text::ChatTemplate> chat_template,
                 std::shared_ptr<const text::Tokenizer> tokenizer, std::int64_t now_unix_seconds);

  // kInvalidArgument with the template's own words where it refuses the conversation.
  Result<RenderedPrompt> render(const Conversation& conversation) const;

  const TemplateTraits& traits() const { return traits_; }

 private:
  Result<std::string> render_context(const boost::json::object& context) const;

  std::shared_ptr<const text::ChatTemplate> template_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::int64_t now_;
  TemplateTraits traits_;
};

}  // namespace kvasir::chat
