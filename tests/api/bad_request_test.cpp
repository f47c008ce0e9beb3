// Bad input to every parser: an error that names the field, in words and in `subject`.

#include <gtest/gtest.h>

#include "api/anthropic_messages.h"
#include "api/openai_chat.h"
#include "api/openai_completions.h"

namespace kvasir::api {
namespace {

enum class Endpoint { kChat, kCompletions, kMessages };

struct Case {
  Endpoint endpoint;
  std::string body;
  std::string subject;
  std::string words;  // in the message
};

// A body with the fields that the endpoint requires, and `extra`.
std::string chat(const std::string& extra) {
  return R"({"messages":[{"role":"user","content":"Hi"}],)" + extra + "}";
}
std::string messages(const std::string& extra) {
  return R"({"max_tokens":5,"messages":[{"role":"user","content":"Hi"}],)" + extra + "}";
}
std::string completion(const std::string& extra) {
  return R"({"prompt":"Hi",)" + extra + "}";
}

const std::vector<Case>& cases() {
  using enum Endpoint;
  static const std::vector<Case> table = {
      {kChat, "", "", "not valid JSON at byte 0"},
      {kChat, "{\"messages\":[", "", "not valid JSON"},
      {kChat, "{} x", "", "something follows"},
      {kChat, "[]", "", "must be a JSON object"},
      {kChat, "{\"a\":\"\xff\"}", "", "not valid UTF-8 at byte 6"},
      {kChat, "{\"a\":\"\xc0\x80\"}", "", "not valid UTF-8 at byte 6"},
      {kChat, "{\"a\":\"\xed\xa0\x80\"}", "", "not valid UTF-8 at byte 6"},
      {kChat, std::string(5000, '[') + std::string(5000, ']'), "", "not valid JSON"},
      {kChat, "{}", "messages", "messages: is required"},
      {kChat, R"({"messages":null})", "messages", "is required"},
      {kChat, R"({"messages":{}})", "messages", "must be a list"},
      {kChat, R"({"messages":[]})", "messages", "at least one"},
      {kChat, R"({"messages":["x"]})", "messages[0]", "must be an object"},
      {kChat, R"({"messages":[{"content":"x"}]})", "messages[0].role", "is required"},
      {kChat, R"({"messages":[{"role":"boss","content":"x"}]})", "messages[0].role",
       "\"boss\" is not one of"},
      {kChat, R"({"messages":[{"role":"user"}]})", "messages[0].content", "is required"},
      {kChat, R"({"messages":[{"role":"user","content":"a"}],"continue_final_message":true})",
       "continue_final_message", "last message of the assistant"},
      {kChat,
       R"({"messages":[{"role":"assistant","content":"a"}],"continue_final_message":true,"add_generation_prompt":true})",
       "continue_final_message", "both"},
      {kChat,
       R"({"messages":[{"role":"user","content":"a"},{"role":"user","content":"a"},{"role":"user","content":5}]})",
       "messages[2].content", "messages[2].content: must be a string or a list of parts"},
      {kChat, R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})",
       "messages[0].content[0].type", "text only"},
      {kChat, R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text",
       "required"},
      {kChat, R"({"messages":[{"role":"assistant","tool_calls":[{"id":"1"}]}]})",
       "messages[0].tool_calls[0].function", "required"},
      {kChat, R"({"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":5}}]}]})",
       "messages[0].tool_calls[0].function.arguments", "JSON object"},
      {kChat, chat(R"("temperature":-1)"), "temperature", "between 0 and 2, not -1"},
      {kChat, chat(R"("temperature":"hot")"), "temperature", "must be a number"},
      {kChat, chat(R"("temperature":1e400)"), "temperature", "between 0 and 2"},
      {kChat, chat(R"("top_p":1.5)"), "top_p", "between 0 and 1"},
      {kChat, chat(R"("top_k":-2)"), "top_k", "between -1"},
      {kChat, chat(R"("top_k":1.5)"), "top_k", "whole number"},
      {kChat, chat(R"("min_p":-0.1)"), "min_p", "between"},
      {kChat, chat(R"("repetition_penalty":0)"), "repetition_penalty", "more than 0"},
      {kChat, chat(R"("typical_p":1.1)"), "typical_p", "between 0 and 1"},
      {kChat, chat(R"("xtc_probability":-0.1)"), "xtc_probability", "between 0 and 1"},
      {kChat, chat(R"("xtc_threshold":"low")"), "xtc_threshold", "must be a number"},
      {kChat, chat(R"("dry_multiplier":-1)"), "dry_multiplier", "between 0"},
      {kChat, chat(R"("dry_base":0.5)"), "dry_base", "between 1"},
      {kChat, chat(R"("dry_allowed_length":-1)"), "dry_allowed_length", "between 0"},
      {kChat, chat(R"("dry_penalty_last_n":-2)"), "dry_penalty_last_n", "between -1"},
      {kChat, chat(R"("dry_sequence_breakers":"x")"), "dry_sequence_breakers", "list of strings"},
      {kChat, chat(R"("dry_sequence_breakers":["a",""])"), "dry_sequence_breakers[1]", "1 to 256 bytes"},
      {kChat, chat(R"("min_tokens":-1)"), "min_tokens", "between 0"},
      {kChat, chat(R"("ignore_eos":1)"), "ignore_eos", "true or false"},
      {kChat, chat(R"("stop_token_ids":[1,"2"])"), "stop_token_ids[1]", "token id"},
      {kCompletions, completion(R"("echo":"yes")"), "echo", "true or false"},
      {kChat, chat(R"("presence_penalty":3)"), "presence_penalty", "between -2 and 2"},
      {kChat, chat(R"("max_tokens":0)"), "max_tokens", "between 1"},
      {kChat, chat(R"("max_tokens":-5)"), "max_tokens", "not -5"},
      {kChat, chat(R"("max_completion_tokens":99999999999)"), "max_completion_tokens", "between 1"},
      {kChat, chat(R"("n":0)"), "n", "between 1 and 128"},
      {kChat, chat(R"("n":129)"), "n", "between 1 and 128"},
      {kChat, chat(R"("seed":"x")"), "seed", "whole number"},
      {kChat, chat(R"("stop":5)"), "stop", "string or a list"},
      {kChat, chat(R"("stop":["a",5])"), "stop[1]", "must be a string"},
      {kChat, chat(R"("stop":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q"])"), "stop",
       "at most 16"},
      {kChat, chat(R"("stream":"yes")"), "stream", "true or false"},
      {kChat, chat(R"("stream_options":5)"), "stream_options", "must be an object"},
      {kChat, chat(R"("logprobs":5)"), "logprobs", "true or false"},
      {kChat, chat(R"("logprobs":true,"top_logprobs":21)"), "top_logprobs", "between 0 and 20"},
      {kChat, chat(R"("top_logprobs":2)"), "top_logprobs", "needs"},
      {kChat, chat(R"("logit_bias":{"x":1})"), "logit_bias.x", "token id"},
      {kChat, chat(R"("logit_bias":{"5":101})"), "logit_bias.5", "between -100 and 100"},
      {kChat, chat(R"("tools":{})"), "tools", "must be a list"},
      {kChat, chat(R"("tools":[{"type":"function"}])"), "tools[0].function", "required"},
      {kChat, chat(R"("tools":[{"type":"function","function":{"name":5}}])"), "tools[0].function.name",
       "string"},
      {kChat, chat(R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])"),
       "tools[0].function.parameters", "object"},
      {kChat, chat(R"("tool_choice":"maybe")"), "tool_choice", "not one of"},
      {kChat, chat(R"("tool_choice":"required")"), "tool_choice", "at least one"},
      {kChat, chat(R"("tool_choice":{"type":"function","function":{"name":"f"}})"), "tool_choice",
       "not declared"},
      {kChat, chat(R"("response_format":{"type":"xml"})"), "response_format.type", "not one of"},
      {kChat, chat(R"("response_format":{"type":"json_schema"})"), "response_format.json_schema", "required"},
      {kChat, chat(R"("response_format":{"type":"json_schema","json_schema":{"name":"a b","schema":{}}})"),
       "response_format.json_schema.name", "64 letters"},
      {kChat, chat(R"("response_format":{"type":"json_schema","json_schema":{"name":"n"}})"),
       "response_format.json_schema.schema", "required"},
      {kChat, chat(R"("response_format":{"type":"json_schema","json_schema":{"strict":1,"schema":{}}})"),
       "response_format.json_schema.strict", "true or false"},
      {kChat, chat(R"("response_format":{"type":"json_object"},"guided_regex":"a")"), "guided_regex",
       "cannot be combined with response_format"},
      {kChat, chat(R"("guided_choice":["a"],"structured_outputs":{"regex":"a"})"), "structured_outputs",
       "cannot be combined with guided_choice"},
      {kChat, chat(R"("structured_outputs":{"regex":"a","choice":["b"]})"), "structured_outputs.choice",
       "cannot be combined with structured_outputs.regex"},
      {kChat, chat(R"("guided_json":"{nope")"), "guided_json", "not valid JSON"},
      {kChat, chat(R"("guided_json":[])"), "guided_json", "JSON Schema"},
      {kChat, chat(R"x("guided_regex":"a(?=b)")x"), "guided_regex", "at character 2"},
      {kChat, chat(R"("guided_choice":"a")"), "guided_choice", "list of strings"},
      {kChat, chat(R"("guided_choice":["a",5])"), "guided_choice[1]", "must be a string"},
      {kChat, chat(R"("guided_choice":[])"), "guided_choice", "at least one"},
      {kChat, chat(R"("guided_grammar":"root ::= x")"), "guided_grammar", "line 1, column 10"},
      {kChat, chat(R"("grammar":5)"), "grammar", "must be a string"},
      {kChat, chat(R"("structural_tag":{"format":{"type":"poem"}})"), "structural_tag.format.type",
       "not one of"},
      {kChat,
       chat(
           R"("response_format":{"type":"structural_tag","structures":[{"begin":"<f>","schema":{},"end":"</f>"}],
            "triggers":["<g"]})"),
       "response_format.triggers[0]", "no tag begins"},
      {kCompletions, completion(R"x("guided_regex":"(")x"), "guided_regex", "not closed"},
      {kMessages,
       R"({"max_tokens":5,"messages":[{"role":"user","content":"U"}],"output_format":{"type":"x"}})",
       "output_format.type", "json_schema"},
      {kChat, chat(R"("chat_template_kwargs":[])"), "chat_template_kwargs", "object"},
      {kCompletions, "{}", "prompt", "is required"},
      {kCompletions, R"({"prompt":5})", "prompt", "must be a string"},
      {kCompletions, R"({"prompt":[]})", "prompt", "must not be empty"},
      {kCompletions, R"({"prompt":[1,-2]})", "prompt[1]", "token id"},
      {kCompletions, R"({"prompt":["a",5]})", "prompt[1]", "must be a string or"},
      {kCompletions, completion(R"("max_tokens":-1)"), "max_tokens", "between 0"},
      {kCompletions, completion(R"("logprobs":true)"), "logprobs", "whole number"},
      {kCompletions, completion(R"("suffix":["x"])"), "suffix", "string"},
      {kMessages, "{}", "max_tokens", "is required"},
      {kMessages, R"({"max_tokens":5})", "messages", "is required"},
      {kMessages, R"({"max_tokens":"5","messages":[]})", "max_tokens", "whole number"},
      {kMessages, R"({"max_tokens":5,"messages":[{"role":"tool","content":"x"}]})", "messages[0].role",
       "not one of"},
      {kMessages, R"({"max_tokens":5,"messages":[{"role":"user"}]})", "messages[0].content",
       "string or a list"},
      {kMessages, R"({"max_tokens":5,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]})",
       "messages[0].content[0].tool_use_id", "required"},
      {kMessages,
       R"({"max_tokens":5,"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":7}]}]})",
       "messages[0].content[0].content", "string or a list"},
      {kMessages,
       R"({"max_tokens":5,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a"}]}]})",
       "messages[0].content[0].name", "required"},
      {kMessages, messages(R"("system":5)"), "system", "string or a list"},
      {kMessages, messages(R"("temperature":1.5)"), "temperature", "between 0 and 1"},
      {kMessages, messages(R"("stop_sequences":[5])"), "stop_sequences[0]", "string"},
      {kMessages, messages(R"("tools":[{"name":""}])"), "tools[0].name", "empty"},
      {kMessages, messages(R"("tool_choice":{"type":"maybe"})"), "tool_choice.type", "not one of"},
      {kMessages, messages(R"("tool_choice":{"type":"tool","name":"f"})"), "tool_choice.name",
       "not declared"},
  };
  return table;
}

class BadRequest : public testing::TestWithParam<std::size_t> {};

TEST_P(BadRequest, NamesTheField) {
  const Case& c = cases()[GetParam()];
  std::optional<Error> error;
  if (c.endpoint == Endpoint::kCompletions) {
    const auto parsed = parse_openai_completions(c.body);
    if (!parsed) error = parsed.error();
  } else {
    const auto parsed =
        c.endpoint == Endpoint::kChat ? parse_openai_chat(c.body) : parse_anthropic_messages(c.body);
    if (!parsed) error = parsed.error();
  }
  ASSERT_TRUE(error.has_value()) << c.body;
  EXPECT_EQ(error->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error->subject, c.subject) << error->message;
  EXPECT_NE(error->message.find(c.words), std::string::npos) << error->message;
  EXPECT_NE(error->message.find(c.subject), std::string::npos) << error->message;
}

INSTANTIATE_TEST_SUITE_P(Table, BadRequest, testing::Range<std::size_t>(0, cases().size()));

}  // namespace
}  // namespace kvasir::api
