#pragma once
// What a chat template does with the parts of a conversation, found by rendering small conversations with it.
// Names of models are never looked at.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "chat/conversation.h"
#include "chat/thinking_switch.h"
#include "chat/tool_format.h"

namespace kvasir::chat {

// A mark of the format that is a control token in the model's vocabulary.
struct Marker {
  std::string text;
  TokenId token = kNoToken;
  bool ends_answer = false;  // the token ends the answer, so it never reaches its text
};

struct TemplateTraits {
  ToolFormat format;  // how its calls look; Hermes where it shows none that is known
  ReasoningFormat reasoning;
  ThinkingSwitch thinking;
  std::vector<Marker> markers;  // of format and reasoning; needs the vocabulary, so probing leaves it empty

  // Those of the markers that may stand within an answer.
  std::vector<TokenId> shown_tokens() const {
    std::vector<TokenId> shown;
    for (const Marker& marker : markers) {
      if (!marker.ends_answer) shown.push_back(marker.token);
    }
    return shown;
  }

  bool renders_tools = false;          // declared tools reach the prompt
  bool renders_calls = false;          // a turn's calls are written, in `format`
  bool renders_results = false;        // turns of the role "tool" are written
  bool renders_call_text = false;      // so is the text of a turn with calls
  bool writes_calls_in_text = false;   // where not, the turn is taken with its calls written in its text
  bool several_calls = false;          // a turn may have more than one call
  bool arguments_as_text = false;      // wants a call's arguments as a string, not as an object
  bool null_content = false;           // wants a turn with calls and no text to have null for its content
  bool thought_excludes_text = false;  // refuses a turn with calls that has both
  std::string thought_key = "reasoning_content";  // where an assistant turn's thought is looked for

  bool renders_system = true;      // a leading system turn is accepted
  bool renders_mid_system = true;  // so is one after the first user turn, and it stays in place
};

// `render` turns the template's context (messages, tools, add_generation_prompt) into text, or fails.
// `forced`: the format that the model writes, whatever the template shows; null to find it.
using RenderFn = std::function<Result<std::string>(const boost::json::object& context)>;
TemplateTraits probe_template(const RenderFn& render, std::string_view template_source,
                              const ToolFormat* forced = nullptr);

}  // namespace kvasir::chat
