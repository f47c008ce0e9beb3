#pragma once
// The script that ScriptedExecutor plays: which reply follows which conversation.
//
// JSON:
//   {"rules": [{"reply": "I do not know."},
//              {"when": "weather", "unless": "<tool_response>", "reply": "<tool_call>...", "scope": "turn"},
//              {"when": "slow", "reply": "...", "delay_ms_per_step": 20}],
//    "assistant_marker": "<|im_start|>assistant\n", "turn_markers": ["<|im_start|>user\n"],
//    "generation_prefixes": ["<think>\n"], "context_length": 32768}
// Only "rules" with a "reply" each is required. The last rule in file order that applies is played: `when`
// occurs and `unless` does not, in the last turn before the assistant's opening ("scope": "turn") or in the
// whole text before it ("scope": "prompt"). Without a rule that applies the answer is empty.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace kvasir::executor {

struct ScriptRule {
  std::string when;    // empty: applies always
  std::string unless;  // empty: never stands in the way
  std::string reply;   // special tokens may be written out
  bool whole_prompt = false;
  std::uint32_t delay_ms_per_step = 0;  // slept in every step that plays a token of this rule
};

struct Script {
  std::vector<ScriptRule> rules;
  // The answer begins after the last of these.
  std::string assistant_marker = "<|im_start|>assistant\n";
  // Where a user's or a tool's turn begins; the last one before the assistant's opening bounds "turn".
  std::vector<std::string> turn_markers = {"<|im_start|>user\n", "<|im_start|>tool\n"};
  // What a template may write behind the assistant's opening: not counted as part of the answer.
  std::vector<std::string> generation_prefixes = {"<think>\n\n</think>\n\n", "<think>\n"};
  std::uint32_t context_length = 32768;
  // Blocks of a state beside KV, as a recurrent model has it: "state_blocks". 0: none.
  std::uint32_t state_blocks = 0;
};

// kInvalidArgument, naming the key, when the text is not such a script.
Result<Script> parse_script(std::string_view json);
// parse_script() of a file's contents; kNotFound and kIo besides.
Result<Script> load_script(const std::string& path);

// The rule that applies to the text before the assistant's opening, or nullptr.
const ScriptRule* find_rule(const Script& script, std::string_view text);

}  // namespace kvasir::executor
