// Every tool format: what the grammar admits, the parser reads as calls that fit their schemas.

#include "chat/tool_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "chat/call_writer.h"
#include "chat/json_text.h"
#include "chat/markers.h"
#include "event_lines.h"
#include "formats.h"
#include "text/grammar.h"
#include "text/models.h"

namespace kvasir::chat {
namespace {

namespace json = boost::json;

// A vocabulary of the 256 bytes, some words, and the given control tokens.
std::shared_ptr<const text::Tokenizer> byte_tokenizer(const std::vector<std::string>& control) {
  json::object vocab;
  // Byte-level BPE shows a byte as a character of its own.
  std::vector<std::string> shown(256);
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const int code = plain ? byte : next++;
    std::string& text = shown[static_cast<std::size_t>(byte)];
    if (code < 0x80) {
      text = std::string(1, static_cast<char>(code));
    } else {
      text = {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  for (const std::string& text : shown) vocab[text] = vocab.size();
  json::array added;
  std::vector<std::string> names = {"<|im_end|>"};
  names.insert(names.end(), control.begin(), control.end());
  for (const std::string& name : names) {
    added.push_back(json::object{{"id", vocab.size() + added.size()},
                                 {"content", name},
                                 {"single_word", false},
                                 {"lstrip", false},
                                 {"rstrip", false},
                                 {"normalized", false},
                                 {"special", true}});
  }
  const json::object byte_level{
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const json::object file{
      {"version", "1.0"},
      {"added_tokens", added},
      {"pre_tokenizer", byte_level},
      {"decoder", byte_level},
      {"model", json::object{{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}};
  auto made = text::Tokenizer::from_tokenizer_json(json::serialize(file));
  EXPECT_TRUE(made.ok()) << made.error().message;
  return made.ok() ? *made : nullptr;
}

bool is_of_type(const json::value& value, std::string_view type) {
  if (type == "string") return value.is_string();
  if (type == "integer")
    return value.is_number() && std::trunc(value.to_number<double>()) == value.to_number<double>();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "array") return value.is_array();
  return value.is_object();
}

// A small validator of its own: what the tests' schemas use.
bool fits(const json::value& root, const json::value& schema, const json::value& value) {
  const json::value& at = resolved(root, schema);
  if (!at.is_object()) return true;
  const json::object& rules = at.get_object();
  if (const auto* any = rules.if_contains("anyOf")) {
    return std::ranges::any_of(any->get_array(), [&](const auto& one) { return fits(root, one, value); });
  }
  if (const auto* values = rules.if_contains("enum")) {
    return std::ranges::find(values->get_array(), value) != values->get_array().end();
  }
  if (const auto* type = rules.if_contains("type")) {
    const bool listed =
        type->is_array()
            ? std::ranges::any_of(type->get_array(),
                                  [&](const auto& one) { return is_of_type(value, one.get_string()); })
            : is_of_type(value, type->get_string());
    if (!listed) return false;
  }
  if (const auto* most = rules.if_contains("maxLength"); most != nullptr && value.is_string()) {
    if (value.get_string().size() > most->to_number<std::size_t>() * 4) return false;
  }
  if (const auto* least = rules.if_contains("minimum"); least != nullptr && value.is_number()) {
    if (value.to_number<double>() < least->to_number<double>()) return false;
  }
  if (value.is_array()) {
    const auto* items = rules.if_contains("items");
    const auto* most = rules.if_contains("maxItems");
    if (most != nullptr && value.get_array().size() > most->to_number<std::size_t>()) return false;
    return items == nullptr ||
           std::ranges::all_of(value.get_array(), [&](const auto& one) { return fits(root, *items, one); });
  }
  if (!value.is_object()) return true;
  const auto* properties = rules.if_contains("properties");
  if (const auto* required = rules.if_contains("required")) {
    for (const auto& name : required->get_array()) {
      if (!value.get_object().contains(name.get_string())) return false;
    }
  }
  for (const auto& field : value.get_object()) {
    const auto* schema_of =
        properties == nullptr ? nullptr : properties->get_object().if_contains(field.key());
    if (schema_of == nullptr) return properties == nullptr;
    if (!fits(root, *schema_of, field.value())) return false;
  }
  return true;
}

std::vector<Tool> walked_tools() {
  std::vector<Tool> tools = test_tools();
  tools.push_back({"set", "Many kinds", json::parse(R"({"type":"object","properties":{
    "mode":{"type":"string","enum":["fast","slow \"x\""]},"level":{"type":"integer","minimum":0},
    "code":{"type":"string","pattern":"^[a-z]{2,4}$"},"short":{"type":"string","maxLength":5},
    "list":{"type":"array","items":{"type":"integer"},"maxItems":2},"flag":{"type":"boolean"},
    "nested":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"array","items":{"type":"boolean"}}},
      "required":["b"],"additionalProperties":false},
    "either":{"anyOf":[{"type":"integer"},{"type":"boolean"}]},"none":{"type":"null"}},
    "required":["level","mode","nested"],"additionalProperties":false})")});
  tools.push_back({"ping", "Nothing to say",
                   json::parse(R"({"type":"object","properties":{},"additionalProperties":false})")});
  return tools;
}

// Walks at random through the masks, with a liking for endings once it is long.
// `end`: what ends free text in the format.
std::string random_walk(text::GrammarMatcher& matcher, const text::Tokenizer& tokenizer, unsigned seed,
                        const std::string& end) {
  std::mt19937 random(seed);
  std::string text;
  for (int step = 0; step < 6000; ++step) {
    auto mask = matcher.mask();
    if (!mask.ok()) {
      ADD_FAILURE() << mask.error().message << "\nafter " << text.substr(0, 500);
      return {};
    }
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < static_cast<TokenId>(tokenizer.vocab_size()); ++id) {
      if (((*mask)[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1U) != 0) allowed.push_back(id);
    }
    if (allowed.empty()) {
      ADD_FAILURE() << "dead end after " << text.substr(0, 500);
      return {};
    }
    // Free text would go on for long: letters mostly, and after a while whatever ends it.
    TokenId choice = allowed[random() % allowed.size()];
    if (allowed.size() > 100) {
      const bool long_enough = step > 60 || random() % 6 == 0;
      // Or of a JSON string within it: one of the two ends what is being written.
      const std::string_view close = step / 40 % 2 == 0 ? std::string_view(end) : "\"";
      std::size_t written = std::min(close.size() - 1, text.size());
      while (!text.ends_with(close.substr(0, written))) --written;
      const std::string_view ends = close.substr(written, 1);
      const std::string_view letters = "abc xyz\n,]})>";
      const std::string_view& from = long_enough ? ends : letters;
      const char wanted = from[random() % from.size()];
      for (const TokenId id : allowed) {
        const std::string_view bytes = tokenizer.bytes(id);
        if (bytes.size() == 1 && bytes[0] == wanted) choice = id;
        if (long_enough && tokenizer.is_special(id)) {
          choice = id;
          break;
        }
      }
    } else if (step > 80) {
      // Half a character of a mark that is none of ASCII.
      std::size_t written = std::min(end.size() - 1, text.size());
      while (!text.ends_with(std::string_view(end).substr(0, written))) --written;
      for (const TokenId id : allowed) {
        const std::string_view bytes = tokenizer.bytes(id);
        if (bytes == "\"" || bytes == "}" || bytes == "]" || bytes == "/" || bytes == "'" || bytes == "<" ||
            bytes == ")" || (written > 0 && bytes == std::string_view(end).substr(written, 1))) {
          choice = id;
        }
      }
    }
    if (step > 100) {
      for (const TokenId id : tokenizer.end_tokens()) {
        if (std::ranges::find(allowed, id) != allowed.end()) choice = id;
      }
    }
    EXPECT_TRUE(matcher.accept(choice).ok());
    const auto ends = tokenizer.end_tokens();
    if (std::ranges::find(ends, choice) != ends.end()) return text;
    text += tokenizer.bytes(choice);
    if (matcher.is_stopped()) return text;
  }
  ADD_FAILURE() << "no end after " << text.substr(text.size() - 300);
  return {};
}

std::string text_end(const ToolFormat& format) {
  if (const auto* style = format.as<TaggedStyle>()) return style->parameter_close;
  const auto* style = format.as<LiteralStyle>();
  if (style == nullptr) return "\"";
  return style->quote.empty() ? "'" : style->quote;
}

class ToolGrammars : public testing::TestWithParam<std::string> {};

std::vector<std::string> names() {
  std::vector<std::string> list;
  for (const ToolFormat& format : known_tool_formats()) list.push_back(format.name);
  return list;
}
INSTANTIATE_TEST_SUITE_P(Every, ToolGrammars, testing::ValuesIn(names()), [](const auto& format) {
  std::string name = format.param;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
});

// Marks of the format that look like tokens: <...> and [...] words.
std::vector<std::string> mark_tokens(const ToolFormat& format) {
  std::vector<std::string> tokens;
  for (const std::string& text :
       {format.section.open, format.section.close, format.call.open, format.call.close}) {
    const std::string_view mark = trim(text);
    if (mark.find_first_of("<[") == 0 && mark.find_first_of(">]") == mark.size() - 1)
      tokens.emplace_back(mark);
  }
  std::ranges::sort(tokens);
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

void walk(const ToolFormat& format, const std::vector<std::string>& control, bool parallel) {
  const auto tokenizer = byte_tokenizer(control);
  ASSERT_NE(tokenizer, nullptr);
  auto factory = text::GrammarFactory::create(tokenizer);
  ASSERT_TRUE(factory.ok()) << factory.error().message;
  const std::vector<Tool> tools = walked_tools();
  std::vector<CallableTool> callable;
  for (const Tool& tool : tools) callable.push_back({&tool, SchemaReading::kStrict});
  const std::vector<Marker> markers = find_markers(format, {}, *tokenizer);
  EXPECT_EQ(markers.size(), control.size());
  const std::string grammar = calls_grammar({&format, markers, callable, parallel, {}});
  auto pristine = (*factory)->compile_lark(grammar);
  ASSERT_TRUE(pristine.ok()) << pristine.error().message << "\n" << grammar;
  for (unsigned seed = 0; seed < 40; ++seed) {
    const std::string text = random_walk(*(*pristine)->clone(), *tokenizer, seed, text_end(format));
    ASSERT_FALSE(text.empty());
    OutputParserOptions options = options_for(format);
    options.tools = tools;
    OutputParser parser(options);
    std::vector<OutputEvent> events;
    parser.feed(text, events);
    parser.finish(events);
    std::vector<ToolCall> calls;
    for (const OutputEvent& event : events) {
      if (const auto* delta = std::get_if<TextDelta>(&event))
        ADD_FAILURE() << "text: " << delta->text << "\nin " << text;
      if (const auto* begin = std::get_if<ToolCallBegin>(&event)) calls.push_back({"", begin->name, ""});
      if (const auto* part = std::get_if<ToolCallArguments>(&event)) calls.back().arguments += part->fragment;
    }
    ASSERT_GE(calls.size(), 1U) << text;
    if (!parallel) {
      EXPECT_EQ(calls.size(), 1U) << text;
    }
    for (const ToolCall& call : calls) {
      const auto tool = std::ranges::find(tools, call.name, &Tool::name);
      ASSERT_NE(tool, tools.end()) << call.name;
      boost::system::error_code failed;
      const json::value value = json::parse(call.arguments, failed);
      ASSERT_FALSE(failed) << call.arguments << "\nin " << text;
      EXPECT_TRUE(fits(tool->parameters, tool->parameters, value))
          << call.name << call.arguments << "\nin " << text;
    }
    if (testing::Test::HasFailure()) return;
  }
}

TEST_P(ToolGrammars, RandomWalksAreCallsThatFitTheirSchemas) {
  walk(*find_tool_format(GetParam()), {}, true);
}

TEST_P(ToolGrammars, RandomWalksOfOneCallWithMarksThatAreControlTokens) {
  const ToolFormat& format = *find_tool_format(GetParam());
  walk(format, mark_tokens(format), false);
}

// What the format writes, its grammar admits, in any order of the arguments where no JSON object holds them.
TEST_P(ToolGrammars, AdmitsWhatTheFormatWrites) {
  const ToolFormat& format = *find_tool_format(GetParam());
  const auto tokenizer = byte_tokenizer({});
  auto factory = text::GrammarFactory::create(tokenizer);
  ASSERT_TRUE(factory.ok());
  const std::vector<Tool> tools = test_tools();
  std::vector<CallableTool> callable;
  for (const Tool& tool : tools) callable.push_back({&tool, SchemaReading::kStrict});
  const bool ordered = format.as<JsonCallStyle>() != nullptr || format.as<NamedJsonStyle>() != nullptr;
  std::vector<std::string> arguments = {R"({"city": "Oslo", "days": 3, "tags": ["a", "b"]})",
                                        R"({"city": "x"})"};
  if (!ordered) arguments.emplace_back(R"({"tags": ["a"], "days": 3, "city": "Oslo"})");
  const CallGrammarContext context{&format, {}, callable, true, {}};
  for (const std::string& text : arguments) {
    const ToolCall call{"abc123XYZ", "get_weather", text};
    const std::string written = write_calls(format, {&call, 1});
    const auto admits = [&](const std::string& grammar, std::string_view what) {
      auto matcher = (*factory)->compile_lark(grammar);
      ASSERT_TRUE(matcher.ok()) << matcher.error().message << grammar;
      std::string so_far;
      for (const TokenId token : tokenizer->encode(what, text::SpecialText::kAsText)) {
        ASSERT_TRUE((*matcher)->accept(token).ok()) << "after " << so_far << "\nof " << what << "\n"
                                                    << grammar;
        so_far += tokenizer->bytes(token);
      }
      EXPECT_TRUE((*matcher)->is_accepting()) << what << "\n" << grammar;
    };
    admits(calls_grammar(context), written);
    if (format.parallel != ParallelForm::kSingle) {
      const std::vector<ToolCall> three = {call, {"abc123XYZ", "bash", R"({"command": "ls"})"}, call};
      const std::string turn = write_calls(format, three);
      admits(calls_grammar(context), turn);
      // A line break behind the last: the token that ended it may hold one.
      if (format.parallel == ParallelForm::kRepeated && format.separator == "\n")
        admits(calls_grammar(context), turn + "\n");
    }
    for (const std::string& opener : call_openers(format)) {
      const std::size_t at = written.find(opener);
      if (at == std::string::npos) continue;
      std::string rest = written.substr(at + opener.size());
      // A call's own opener: to the call's end, not the section's.
      if (opener != trim(format.section.open)) {
        rest.resize(rest.size() - format.list.close.size() - format.section.close.size());
      }
      admits(call_rest_grammar(context, opener), rest);
    }
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace kvasir::chat
