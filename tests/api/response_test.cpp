// Golden wire shapes: what the official clients read, byte for byte.

#include <gtest/gtest.h>

#include "api/errors.h"
#include "api/models.h"
#include "api/response_builder.h"

namespace kvasir::api {
namespace {

using chat::OutputEvent;

ResponseOptions options(bool stream) {
  ResponseOptions made;
  made.id = "x";
  made.created = 7;
  made.model = "m";
  made.fingerprint = "fp";
  made.stream = stream;
  made.token_bytes = [](TokenId token) {
    return token == 1 ? std::string_view("Hi") : std::string_view("\xc3");
  };
  return made;
}

const engine::Finished kDone{engine::FinishReason::kStop, "", {10, 4, 3}, 0, 0, 0};

std::vector<OutputEvent> call_events() {
  return {chat::TextDelta{"Ok"}, chat::ToolCallBegin{0, "c1", "f"}, chat::ToolCallArguments{0, "{\"a\""},
          chat::ToolCallArguments{0, ": 1}"}, chat::ToolCallEnd{0}};
}

std::string play(ResponseBuilder& builder, const std::vector<OutputEvent>& events,
                 const engine::Finished& finished = kDone,
                 const std::vector<engine::SampledToken>& tokens = {}) {
  std::string out = builder.opened();
  out += builder.started(0, {10, 4});
  out += builder.output(0, events, tokens);
  out += builder.finished(0, finished);
  return out + builder.ended();
}

std::string chunk(const std::string& delta, const std::string& finish = "null",
                  const std::string& more = "") {
  return R"(data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":"fp",)"
         R"("choices":[{"index":0,"delta":)" +
         delta + R"(,"finish_reason":)" + finish + "}]" + more + "}\n\n";
}

TEST(OpenAiChatResponse, StreamOfTextAndCall) {
  ResponseOptions made = options(true);
  made.include_usage = true;
  const std::string null_usage = R"(,"usage":null)";
  EXPECT_EQ(
      play(*make_openai_chat_response(made), call_events()),
      chunk(R"({"role":"assistant","content":""})", "null", null_usage) +
          chunk(R"({"content":"Ok"})", "null", null_usage) +
          chunk(
              R"({"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]})",
              "null", null_usage) +
          chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]})", "null", null_usage) +
          chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":": 1}"}}]})", "null", null_usage) +
          chunk("{}", "\"tool_calls\"", null_usage) +
          R"(data: {"id":"chatcmpl-x","object":"chat.completion.chunk","created":7,"model":"m",)"
          R"("system_fingerprint":"fp","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3,)"
          R"("total_tokens":13,"prompt_tokens_details":{"cached_tokens":4}}})"
          "\n\ndata: [DONE]\n\n");
}

TEST(OpenAiChatResponse, WholeAnswerWithCall) {
  auto builder = make_openai_chat_response(options(false));
  EXPECT_EQ(play(*builder, call_events()), "");
  EXPECT_EQ(
      builder->body(),
      R"({"id":"chatcmpl-x","object":"chat.completion","created":7,"model":"m","system_fingerprint":"fp",)"
      R"("choices":[{"index":0,"message":{"role":"assistant","content":"Ok","refusal":null,"tool_calls":[)"
      R"({"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}}]},"logprobs":null,)"
      R"("finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13,)"
      R"("prompt_tokens_details":{"cached_tokens":4}}})");
}

TEST(OpenAiChatResponse, ContentIsNullBesideACallOnly) {
  auto builder = make_openai_chat_response(options(false));
  play(*builder, {chat::ToolCallBegin{0, "c1", "f"}, chat::ToolCallArguments{0, "{}"}, chat::ToolCallEnd{0}});
  EXPECT_NE(builder->body().find(R"("content":null)"), std::string::npos);
  auto empty = make_openai_chat_response(options(false));
  play(*empty, {});
  EXPECT_NE(empty->body().find(R"("content":"")"), std::string::npos);
}

TEST(OpenAiChatResponse, LogprobsCarryBytesOfHalfCharacters) {
  ResponseOptions made = options(false);
  made.logprobs = 1;
  auto builder = make_openai_chat_response(made);
  play(*builder, {chat::TextDelta{"Hi"}}, kDone, {{1, -0.5F, {{2, -INFINITY}}}});
  EXPECT_NE(builder->body().find(
                R"("logprobs":{"content":[{"token":"Hi","logprob":-5E-1,"bytes":[72,105],"top_logprobs":[)"
                "{\"token\":\"\xef\xbf\xbd\",\"logprob\":-9.999E3,\"bytes\":[195]}]}],\"refusal\":null}"),
            std::string::npos)
      << builder->body();
}

TEST(OpenAiChatResponse, LengthWinsOverCalls) {
  auto builder = make_openai_chat_response(options(true));
  engine::Finished cut = kDone;
  cut.reason = engine::FinishReason::kLength;
  EXPECT_NE(play(*builder, call_events(), cut).find(R"("finish_reason":"length")"), std::string::npos);
}

TEST(OpenAiChatResponse, UsageCountsAPromptOnceForItsAnswers) {
  ResponseOptions made = options(false);
  made.choices = 2;
  made.answers_a_prompt = 2;
  auto builder = make_openai_chat_response(made);
  builder->finished(0, kDone);
  engine::Finished second = kDone;
  second.usage.cached_tokens = 9;
  builder->finished(1, second);
  EXPECT_NE(builder->body().find(R"("usage":{"prompt_tokens":10,"completion_tokens":6,"total_tokens":16,)"
                                 R"("prompt_tokens_details":{"cached_tokens":4}})"),
            std::string::npos);
}

TEST(OpenAiCompletionsResponse, StreamAndEcho) {
  auto builder = make_openai_completions_response(options(true), {"Say "});
  const std::string head =
      R"(data: {"id":"cmpl-x","object":"text_completion","created":7,"model":"m","system_fingerprint":"fp","choices":[)";
  EXPECT_EQ(play(*builder, {chat::TextDelta{"Hi"}}),
            head + R"({"index":0,"text":"Say ","logprobs":null,"finish_reason":null}]})" + "\n\n" + head +
                R"({"index":0,"text":"Hi","logprobs":null,"finish_reason":null}]})" + "\n\n" + head +
                R"({"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]})" + "\n\ndata: [DONE]\n\n");
}

TEST(OpenAiCompletionsResponse, Logprobs) {
  ResponseOptions made = options(false);
  made.logprobs = 1;
  auto builder = make_openai_completions_response(made, {});
  play(*builder, {chat::TextDelta{"HiHi"}}, kDone, {{1, -1.0F, {{1, -1.0F}}}, {1, -2.0F, {}}});
  EXPECT_NE(builder->body().find(R"("logprobs":{"tokens":["Hi","Hi"],"token_logprobs":[-1E0,-2E0],)"
                                 R"("top_logprobs":[{"Hi":-1E0},{}],"text_offset":[0,2]})"),
            std::string::npos)
      << builder->body();
}

std::string named(const std::string& name, const std::string& data) {
  return "event: " + name + "\ndata: {\"type\":\"" + name + "\"" + data + "}\n\n";
}

TEST(AnthropicResponse, StreamOfThoughtTextAndCall) {
  auto builder = make_anthropic_response(options(true));
  std::vector<OutputEvent> events = {chat::ReasoningDelta{"hm"}};
  for (const OutputEvent& event : call_events()) events.push_back(event);
  EXPECT_EQ(
      play(*builder, events),
      named(
          "message_start",
          R"(,"message":{"id":"msg_x","type":"message","role":"assistant","model":"m","content":[],"container":null,)"
          R"("diagnostics":null,"stop_details":null,"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":6,)"
          R"("cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":0,"output_tokens_details":null,)"
          R"("server_tool_use":null,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},)"
          R"("service_tier":"standard"}})") +
          named("content_block_start",
                R"(,"index":0,"content_block":{"type":"thinking","thinking":"","signature":""})") +
          named("content_block_delta", R"(,"index":0,"delta":{"type":"thinking_delta","thinking":"hm"})") +
          named("content_block_delta", R"(,"index":0,"delta":{"type":"signature_delta","signature":")" +
                                           ThoughtSigner().sign("hm", false) + "\"}") +
          named("content_block_stop", R"(,"index":0)") +
          named("content_block_start", R"(,"index":1,"content_block":{"type":"text","text":""})") +
          named("content_block_delta", R"(,"index":1,"delta":{"type":"text_delta","text":"Ok"})") +
          named("content_block_stop", R"(,"index":1)") +
          named("content_block_start",
                R"(,"index":2,"content_block":{"type":"tool_use","id":"c1","name":"f","input":{}})") +
          named("content_block_delta",
                R"(,"index":2,"delta":{"type":"input_json_delta","partial_json":"{\"a\""})") +
          named("content_block_delta",
                R"(,"index":2,"delta":{"type":"input_json_delta","partial_json":": 1}"})") +
          named("content_block_stop", R"(,"index":2)") +
          named(
              "message_delta",
              R"(,"delta":{"container":null,"stop_details":null,"stop_reason":"tool_use","stop_sequence":null},)"
              R"("usage":{"input_tokens":6,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,)"
              R"("output_tokens":3,"output_tokens_details":null,"server_tool_use":null})") +
          named("message_stop", ""));
}

TEST(AnthropicResponse, WholeAnswer) {
  auto builder = make_anthropic_response(options(false));
  EXPECT_EQ(play(*builder, call_events()), "");
  EXPECT_EQ(
      builder->body(),
      R"({"id":"msg_x","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Ok"},)"
      R"({"type":"tool_use","id":"c1","name":"f","input":{"a":1}}],"container":null,"diagnostics":null,)"
      R"("stop_details":null,"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":6,)"
      R"("cache_creation_input_tokens":0,"cache_read_input_tokens":4,"output_tokens":3,"output_tokens_details":null,)"
      R"("server_tool_use":null,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},)"
      R"("service_tier":"standard"}})");
}

TEST(AnthropicResponse, EmptyAnswerHasABlock) {
  auto whole = make_anthropic_response(options(false));
  play(*whole, {});
  EXPECT_NE(whole->body().find(R"("content":[{"type":"text","text":""}])"), std::string::npos);
  auto stream = make_anthropic_response(options(true));
  EXPECT_NE(play(*stream, {}).find("content_block_stop"), std::string::npos);
}

TEST(AnthropicResponse, KeepaliveSaysMessageStartOnce) {
  auto builder = make_anthropic_response(options(true));
  EXPECT_EQ(builder->opened(), "");
  const std::string first = builder->keepalive();
  EXPECT_EQ(first.rfind("event: message_start", 0), 0U);
  EXPECT_NE(first.find("event: ping\ndata: {\"type\":\"ping\"}\n\n"), std::string::npos);
  EXPECT_EQ(builder->keepalive(), "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

TEST(AnthropicResponse, StopReasons) {
  auto builder = make_anthropic_response(options(false));
  play(*builder, {chat::TextDelta{"a"}}, {engine::FinishReason::kStopString, "END", {10, 4, 3}, 0, 0, 0});
  EXPECT_NE(builder->body().find(R"("stop_reason":"stop_sequence","stop_sequence":"END")"),
            std::string::npos);
  auto cut = make_anthropic_response(options(false));
  play(*cut, {chat::TextDelta{"a"}}, {engine::FinishReason::kLength, "", {10, 4, 3}, 0, 0, 0});
  EXPECT_NE(cut->body().find(R"("stop_reason":"max_tokens")"), std::string::npos);
}

// More was asked for than the context had room for.
TEST(AnthropicResponse, AnAnswerThatFillsTheContextSaysSo) {
  const auto reason = [](std::uint32_t max_tokens) {
    AnthropicNotes notes;
    notes.max_tokens = max_tokens;
    auto builder = make_anthropic_response(options(false), notes);
    play(*builder, {chat::TextDelta{"a"}}, {engine::FinishReason::kLength, "", {10, 4, 3}, 0, 0, 0});
    return std::string(boost::json::parse(builder->body()).at("stop_reason").as_string());
  };
  EXPECT_EQ(reason(3), "max_tokens");
  EXPECT_EQ(reason(4), "model_context_window_exceeded");
}

TEST(AnthropicResponse, TellsItsThoughtsTokensAndItsRequestId) {
  AnthropicNotes notes;
  notes.request_id = "req_1";
  auto builder = make_anthropic_response(options(true), notes);
  EXPECT_NE(builder->failed(make_error(ErrorCode::kInternal, "no")).find(R"("request_id":"req_1"})"),
            std::string::npos);
  builder->reasoned(0, 2);
  EXPECT_NE(builder->finished(0, kDone).find(R"("output_tokens_details":{"thinking_tokens":2})"),
            std::string::npos);
}

// Until the prompt has been looked up nothing is known of what was missed.
TEST(AnthropicResponse, DiagnosticsArePendingBeforeTheLookUp) {
  AnthropicNotes notes;
  notes.diagnoses = true;
  notes.miss = CacheMiss{"tools_changed", true, 9};
  auto early = make_anthropic_response(options(true), notes);
  EXPECT_NE(early->keepalive().find(R"("diagnostics":{"cache_miss_reason":null})"), std::string::npos);
  auto late = make_anthropic_response(options(true), notes);
  EXPECT_NE(
      late->started(0, {10, 4})
          .find(
              R"("diagnostics":{"cache_miss_reason":{"type":"tools_changed","cache_missed_input_tokens":5}})"),
      std::string::npos);
}

TEST(Errors, Shapes) {
  const Error error = make_error(ErrorCode::kInvalidArgument, "n: no", "n");
  EXPECT_EQ(error_body(Dialect::kOpenAi, error),
            R"({"error":{"message":"n: no","type":"invalid_request_error","param":"n","code":null}})");
  EXPECT_EQ(error_body(Dialect::kAnthropic, error),
            R"({"type":"error","error":{"type":"invalid_request_error","message":"n: no"}})");
  EXPECT_EQ(
      error_body(Dialect::kAnthropic, error, "req_1"),
      R"({"type":"error","error":{"type":"invalid_request_error","message":"n: no"},"request_id":"req_1"})");
  EXPECT_EQ(http_status(Dialect::kAnthropic, ErrorCode::kResourceExhausted), 529);
  EXPECT_EQ(http_status(Dialect::kOpenAi, ErrorCode::kResourceExhausted), 503);
  EXPECT_EQ(http_status(Dialect::kAnthropic, ErrorCode::kCancelled), 504);
  EXPECT_EQ(prompt_too_long(Dialect::kAnthropic, 12, 10).message,
            "prompt is too long: 12 tokens > 10 maximum");
  EXPECT_NE(
      error_body(Dialect::kOpenAi, prompt_too_long(Dialect::kOpenAi, 12, 10)).find("context_length_exceeded"),
      std::string::npos);
}

TEST(Models, Shapes) {
  const ModelEntry entry{"m", 0, 32, {}};
  EXPECT_EQ(
      models_body(Dialect::kOpenAi, {&entry, 1}),
      R"({"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"kvasir","max_model_len":32}]})");
  EXPECT_EQ(
      models_body(Dialect::kAnthropic, {&entry, 1}),
      R"({"data":[{"type":"model","id":"m","display_name":"m","created_at":"1970-01-01T00:00:00Z",)"
      R"("lifecycle":"active","max_input_tokens":32,"max_tokens":32}],"has_more":false,"first_id":"m","last_id":"m"})");
}

TEST(Models, Pages) {
  std::vector<ModelEntry> models{{"a", 0, 0, {}}, {"b", 0, 0, {}}, {"c", 0, 0, {}}, {"c", 0, 0, {}}};
  models.back().alias = "claude-c";
  const auto page = [&](const std::optional<std::string>& limit, const std::optional<std::string>& after,
                        const std::optional<std::string>& before) {
    const auto parsed = parse_model_page(limit, after, before, models);
    if (!parsed.ok()) return parsed.error().message;
    const auto body = boost::json::parse(models_body(Dialect::kAnthropic, models, *parsed));
    std::string ids;
    for (const auto& model : body.at("data").as_array()) ids += std::string(model.at("id").as_string()) + " ";
    return ids + (body.at("has_more").as_bool() ? "more" : "end");
  };
  EXPECT_EQ(page({}, {}, {}), "a b c claude-c end");
  EXPECT_EQ(page("2", {}, {}), "a b more");
  EXPECT_EQ(page("2", "b", {}), "c claude-c end");
  EXPECT_EQ(page("1", {}, "c"), "b more");
  EXPECT_EQ(page("9", {}, "c"), "a b end");
  EXPECT_EQ(page({}, "claude-c", {}), "end");
  EXPECT_EQ(page("0", {}, {}), "limit: must be a whole number from 1 to 1000");
  EXPECT_EQ(page("2x", {}, {}), "limit: must be a whole number from 1 to 1000");
  EXPECT_EQ(page({}, "z", {}), "after_id: \"z\" is not in the list");
}

}  // namespace
}  // namespace kvasir::api
