// Prompts in which earlier answers stand as the tokens that were sampled, over templates of many kinds.

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "chat/output_parser.h"
#include "chat/prompt.h"
#include "chat/turn_recorder.h"
#include "text/models.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;
using Tokens = std::vector<TokenId>;

// Special tokens of the Qwen vocabulary take the places of other families' own.
constexpr const char* kLlamaLike =
    "{{ '<|endoftext|>' }}{% for m in messages %}"
    "{{ '<|object_ref_start|>' + m.role + '<|object_ref_end|>\n\n' + m.content|trim + '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|object_ref_start|>assistant<|object_ref_end|>\n\n' }}{% endif %}";
constexpr const char* kMistralLike =
    "{{ '<|endoftext|>' }}{% set ns = namespace(turn=0) %}{% for m in messages %}{% if m.role != 'system' %}"
    "{% if (m.role == 'user') != (ns.turn % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif "
    "%}"
    "{% set ns.turn = ns.turn + 1 %}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content|trim + '<|im_end|>' }}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}";
// Qwen3's rules: thoughts stay from the last question on, and go before it.
constexpr const char* kThinking =
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = "
    "loop.index0 "
    "%}{% endif %}{% endfor %}{% if tools %}{{ '<|im_start|>system\n' }}{% for t in tools %}{{ t|tojson }}"
    "{% endfor %}{{ '<|im_end|>\n' }}{% endif %}{% for m in messages %}{% if m.role == 'tool' %}"
    "{{ '<|im_start|>user\n<tool_response>\n' + m.content + '\n</tool_response><|im_end|>\n' }}{% else %}"
    "{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and m.reasoning_content and loop.index0 > ns.last %}"
    "{{ '<think>\n' + m.reasoning_content.strip('\n') + '\n</think>\n\n' }}{% endif %}"
    "{{ m.content.split('</think>')[-1].lstrip('\n') }}"
    "{% for c in m.tool_calls %}{{ '\n<tool_call>\n{\"name\": \"' + c.function.name + '\", \"arguments\": ' "
    "}}"
    "{{ c.function.arguments|tojson }}{{ '}\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
// Opens every answer with a thought that it never writes back.
constexpr const char* kStripping =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content.split('</think>')[-1] + "
    "'<|im_end|>\n' "
    "}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}";
constexpr const char* kUpper =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content|upper + '<|im_end|>\n' }}{% endfor "
    "%}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
constexpr const char* kNoSpecialEnd =
    "{% for m in messages %}{{ '### ' + m.role + ': ' + m.content + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant: ' }}{% endif %}";

PromptRenderer make_renderer(std::string_view source, const text::Model& model) {
  auto compiled = text::ChatTemplate::compile(source);
  EXPECT_TRUE(compiled.ok());
  return PromptRenderer(*compiled, model.tokenizer, 0);
}
PromptRenderer own_renderer(const text::Model& model) {
  return make_renderer(*model.file->string("tokenizer.chat_template"), model);
}

Message turn(Role role, std::string content) {
  Message message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

std::vector<Tool> tools() {
  return {
      {"get_weather", "Weather of a city",
       json::parse(R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"number"}}})")}};
}

bool begins_with(const Tokens& whole, const Tokens& part) {
  return whole.size() >= part.size() && std::equal(part.begin(), part.end(), whole.begin());
}

// A conversation with a model that spells its answers in other tokens than the tokenizer would.
class Chat {
 public:
  explicit Chat(const PromptRenderer& renderer, const text::Model& model = text::qwen())
      : renderer_(renderer), tokenizer_(model.tokenizer) {
    conversation.tools = tools();
  }

  RenderedPrompt prompt() {
    auto rendered = renderer_.render(conversation, {table.get(), "space"});
    EXPECT_TRUE(rendered.ok()) << rendered.error().message;
    return rendered.ok() ? *rendered : RenderedPrompt();
  }
  Tokens canonical() {
    auto rendered = renderer_.render(conversation);
    EXPECT_TRUE(rendered.ok());
    return rendered->tokens;
  }

  // The model answers; the client keeps the answer as it saw it. Returns prompt and answer.
  Tokens answer(const std::string& text) {
    const RenderedPrompt before = prompt();
    Tokens sampled = spell(text);
    OutputParserOptions parsing;
    parsing.format = renderer_.traits().format;
    parsing.reasoning = renderer_.traits().reasoning;
    parsing.tools = {{"get_weather", {}, {}}};
    parsing.starts_in_reasoning = before.opens_reasoning;
    parsing.make_id = [this] { return "call_" + std::to_string(++ids_); };
    OutputParser parser(std::move(parsing));
    TurnRecorderOptions recording;
    recording.table = table;
    recording.tokenizer = tokenizer_;
    recording.cache_namespace = "space";
    recording.before = context_of(conversation);
    recording.reasoning = renderer_.traits().reasoning;
    recording.opening = renderer_.joiner().boundaries().opening;
    recording.end = renderer_.joiner().boundaries().end;
    TurnRecorder recorder(std::move(recording));

    engine::Text event;
    event.text = text;
    for (const TokenId token : sampled) event.tokens.push_back({token, 0, {}});
    std::vector<OutputEvent> events;
    parser.feed(text, events);
    recorder.add(event, events);
    std::vector<OutputEvent> last;
    parser.finish(last);
    if (before.recordable) recorder.finish(last);
    events.insert(events.end(), last.begin(), last.end());

    Message kept = turn(Role::kAssistant, "");
    for (const OutputEvent& e : events) {
      if (const auto* piece = std::get_if<TextDelta>(&e)) kept.content += piece->text;
      if (const auto* thought = std::get_if<ReasoningDelta>(&e)) kept.reasoning += thought->text;
      if (const auto* call = std::get_if<ToolCallBegin>(&e))
        kept.tool_calls.push_back({call->id, call->name, ""});
      if (const auto* piece = std::get_if<ToolCallArguments>(&e)) {
        kept.tool_calls[piece->index].arguments += piece->fragment;
      }
    }
    conversation.messages.push_back(kept);
    Tokens all = before.tokens;
    all.insert(all.end(), sampled.begin(), sampled.end());
    return all;
  }

  void user(const std::string& text) { conversation.messages.push_back(turn(Role::kUser, text)); }
  void result(const std::string& text) {
    Message message = turn(Role::kTool, text);
    message.tool_call_id = conversation.messages.back().tool_calls.back().id;
    message.name = "get_weather";
    conversation.messages.push_back(std::move(message));
  }

  Conversation conversation;
  std::shared_ptr<ReplayTable> table = std::make_shared<ReplayTable>();

 private:
  // Tokens of every few letters apart: the text they make is the same, they are not.
  Tokens spell(const std::string& text) {
    Tokens tokens;
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = std::min(text.size(), at + 1 + random_() % 4);
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
      const auto piece = tokenizer_->encode(text.substr(at, end - at), text::SpecialText::kAsText);
      tokens.insert(tokens.end(), piece.begin(), piece.end());
      at = end;
    }
    return tokens;
  }

  const PromptRenderer& renderer_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::mt19937 random_{7};
  int ids_ = 0;
};

constexpr const char* kCall =
    "I look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Málaga\", \"days\": "
    "2.0}}\n</tool_call>";

// Each prompt begins with the one before and its answer, through calls, results and plain text.
void expect_stable(const PromptRenderer& renderer, const text::Model& model = text::qwen()) {
  KVASIR_REQUIRE_MODEL(model);
  Chat chat(renderer, model);
  chat.conversation.messages = {turn(Role::kSystem, "Be brief."), turn(Role::kUser, "Weather?")};
  std::uint32_t turns = 0;
  for (int round = 0; round < 4; ++round) {
    Tokens before = chat.answer(kCall);
    // The client writes the arguments anew, in another order.
    chat.conversation.messages.back().tool_calls[0].arguments = R"({ "days":2,"city":"M\u00e1laga" })";
    chat.result("4 degrees");
    RenderedPrompt prompt = chat.prompt();
    EXPECT_TRUE(begins_with(prompt.tokens, before)) << "after a call, round " << round;
    EXPECT_EQ(prompt.replayed.size(), ++turns);
    before = chat.answer("\n It is 4 degrees, naïvely 漢字.\n");
    chat.conversation.messages.back().content = "It is 4 degrees, naïvely 漢字.";
    chat.user("And tomorrow, in round " + std::to_string(round) + "?");
    prompt = chat.prompt();
    EXPECT_TRUE(begins_with(prompt.tokens, before)) << "after text, round " << round;
    EXPECT_EQ(prompt.replayed.size(), ++turns);
    EXPECT_NE(prompt.tokens, chat.canonical());
  }
}

TEST(ReplayPrompt, QwenTemplate) {
  expect_stable(own_renderer(text::qwen()));
}
TEST(ReplayPrompt, SmolTemplateWithoutTools) {
  expect_stable(own_renderer(text::smol()), text::smol());
}
TEST(ReplayPrompt, LlamaLikeTemplate) {
  expect_stable(make_renderer(kLlamaLike, text::qwen()));
}
TEST(ReplayPrompt, MistralLikeTemplate) {
  expect_stable(make_renderer(kMistralLike, text::qwen()));
}
TEST(ReplayPrompt, ThinkingTemplateWithoutThoughts) {
  expect_stable(make_renderer(kThinking, text::qwen()));
}

TEST(ReplayPrompt, ThoughtsStayAsLongAsTheTemplateKeepsThem) {
  const PromptRenderer renderer = make_renderer(kThinking, text::qwen());
  Chat chat(renderer);
  chat.user("Weather?");
  const Tokens called = chat.answer(std::string("<think>\nHmm, Oslo.\n</think>\n\n") + kCall);
  EXPECT_FALSE(chat.conversation.messages.back().reasoning.empty());
  chat.result("4 degrees");
  EXPECT_TRUE(begins_with(chat.prompt().tokens, called));
  const Tokens answered = chat.answer("<think>\nCold.\n</think>\n\n4 degrees.");
  chat.user("Thanks");
  // A new question: the template drops the old thoughts, and so do we.
  const RenderedPrompt later = chat.prompt();
  EXPECT_FALSE(begins_with(later.tokens, answered));
  EXPECT_EQ(later.replayed_tokens, 0u);
  EXPECT_EQ(later.tokens, chat.canonical());
  EXPECT_EQ(later.text.find("<think>"), std::string::npos);
}

TEST(ReplayPrompt, ThoughtThatTheClientDoesNotSendBackIsNotBroughtBack) {
  const PromptRenderer renderer = make_renderer(kThinking, text::qwen());
  Chat chat(renderer);
  chat.user("Weather?");
  chat.answer(std::string("<think>\nHmm.\n</think>\n\n") + kCall);
  chat.conversation.messages.back().reasoning.clear();
  chat.result("4 degrees");
  EXPECT_EQ(chat.prompt().tokens, chat.canonical());
}

TEST(ReplayPrompt, EmptyThoughtIsNotReplayed) {
  const PromptRenderer renderer = make_renderer(kThinking, text::qwen());
  Chat chat(renderer);
  chat.user("Weather?");
  chat.answer("<think>\n\n</think>\n\nCold.");
  chat.user("Thanks");
  EXPECT_EQ(chat.prompt().tokens, chat.canonical());
}

void expect_canonical(const char* source) {
  const PromptRenderer renderer = make_renderer(source, text::qwen());
  EXPECT_FALSE(renderer.joiner().boundaries().keeps_turns);
  Chat chat(renderer);
  chat.user("Weather?");
  chat.answer("Hm.</think>Cold.");
  chat.user("Thanks");
  chat.answer("You are welcome.");
  chat.user("Bye");
  const RenderedPrompt prompt = chat.prompt();
  EXPECT_EQ(prompt.tokens, chat.canonical());
  EXPECT_FALSE(prompt.recordable);
  EXPECT_TRUE(prompt.replayed.empty());
}

TEST(ReplayPrompt, TemplatesThatRewriteTurnsAreLeftAlone) {
  expect_canonical(kStripping);
  expect_canonical(kUpper);
  expect_canonical(kNoSpecialEnd);
}

TEST(ReplayPrompt, AnEditedTurnIsRenderedAsItWasEdited) {
  const PromptRenderer renderer = own_renderer(text::qwen());
  Chat chat(renderer);
  chat.user("Weather?");
  chat.answer("It is cold.");
  chat.conversation.messages.back().content = "It is warm.";
  chat.user("Thanks");
  EXPECT_EQ(chat.prompt().tokens, chat.canonical());
}

TEST(ReplayPrompt, SameWordsKeepTheTokensOfTheirOwnConversation) {
  const PromptRenderer renderer = own_renderer(text::qwen());
  Chat one(renderer);
  Chat two(renderer);
  two.table = one.table;
  one.user("First");
  two.user("Second");
  const Tokens first = one.answer("Done, all of it.");
  (void)two.answer("x");  // moves its spelling on
  two.conversation.messages.pop_back();
  const Tokens second = two.answer("Done, all of it.");
  one.user("More");
  two.user("More");
  EXPECT_TRUE(begins_with(one.prompt().tokens, first));
  EXPECT_TRUE(begins_with(two.prompt().tokens, second));
}

TEST(ReplayPrompt, TextThatQuotesTheTemplateChangesNothing) {
  const PromptRenderer renderer = own_renderer(text::qwen());
  Chat chat(renderer);
  chat.user("What is <|im_end|>\n<|im_start|>assistant\n?");
  const Tokens before = chat.answer("It is <|im_end|> and <|im_start|>user\n, as text.");
  chat.user("Thanks <|im_end|>");
  const RenderedPrompt prompt = chat.prompt();
  EXPECT_EQ(prompt.replayed.size(), 1u);
  EXPECT_TRUE(begins_with(prompt.tokens, before));
}

TEST(ReplayPrompt, OtherNamespacesTurnsAreNotFound) {
  const PromptRenderer renderer = own_renderer(text::qwen());
  Chat chat(renderer);
  chat.user("Weather?");
  chat.answer("It is cold.");
  chat.user("Thanks");
  auto other = renderer.render(chat.conversation, {chat.table.get(), "another"});
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->tokens, chat.canonical());
}

TEST(ReplayPrompt, CutTurnsAreKeptAsTheyAre) {
  const PromptRenderer renderer = own_renderer(text::qwen());
  Chat chat(renderer);
  chat.user("Weather?");
  const Tokens before =
      chat.answer("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Os");
  ASSERT_EQ(chat.conversation.messages.back().tool_calls.size(), 1u);
  chat.result("error");
  EXPECT_TRUE(begins_with(chat.prompt().tokens, before));
}

}  // namespace
}  // namespace kvasir::chat
