// The rows of the table: what each family's own chat templates write.

#include <algorithm>
#include <array>

#include "chat/json_text.h"
#include "chat/tool_format.h"

namespace kvasir::chat {
namespace {

using Parallel = ParallelForm;

template <class Change>
ToolFormat changed(ToolFormat format, std::string name, Change change) {
  format.name = std::move(name);
  change(format);
  return format;
}

// Qwen2.5, Qwen3, QwQ, Hermes 2 and 3, Granite 4, SmolLM3, MiMo, Bielik
ToolFormat hermes() {
  ToolFormat f{.name = "hermes"};
  f.section = {"<tool_call>\n", "\n</tool_call>"};
  f.separator = "\n";
  f.bare_call_opens_line = true;
  f.hint = "<tool_call>\n{\"name\"";
  return f;
}

void add_json_lists(std::vector<ToolFormat>& formats) {
  ToolFormat f{.name = "granite"};  // Granite 3.x
  f.section = {"<|tool_call|>", ""};
  f.list = {"[", "]"};
  f.separator = ", ";
  f.parallel = Parallel::kInSection;
  f.hint = "<|tool_call|>";
  formats.push_back(f);
  formats.push_back(changed(f, "phi4", [](ToolFormat& g) {  // Phi-4-mini, Firefunction
    g.section.open = "functools";
    g.hint = "<|tool|>";
  }));
  formats.push_back(changed(f, "nemotron", [](ToolFormat& g) {  // Nemotron Nano 2
    g.section = {"<TOOLCALL>", "</TOOLCALL>"};
    g.hint = {};
  }));
  formats.push_back(changed(f, "minimax-m1", [](ToolFormat& g) {
    g.section = {"<tool_calls>\n", "\n</tool_calls>"};
    g.list = {};
    g.separator = "\n";
    g.hint = {};
  }));
  formats.push_back(changed(f, "apertus", [](ToolFormat& g) {
    g.section = {"<|tools_prefix|>", "<|tools_suffix|>"};
    g.style = JsonCallStyle{.name_key = ""};
    g.hint = {};
  }));
  formats.push_back(changed(f, "apriel", [](ToolFormat& g) {
    g.section = {"<tool_calls>", "</tool_calls>"};
    g.style = JsonCallStyle{.id_key = "id"};
    g.silent = {"[BEGIN FINAL RESPONSE]", "[END FINAL RESPONSE]"};
    g.hint = {};
  }));
  formats.push_back(changed(f, "mistral-list", [](ToolFormat& g) {  // Mistral up to Nemo
    g.section = {"[TOOL_CALLS]", ""};
    g.style = JsonCallStyle{.id_key = "id"};
    g.ids = IdRule::kNine;
    g.hint = {};
  }));
  formats.push_back(changed(f, "command-r7b", [](ToolFormat& g) {
    g.section = {"<|START_ACTION|>", "<|END_ACTION|>"};
    g.list = {"[\n    ", "\n]"};
    g.separator = ",\n    ";
    g.style = JsonCallStyle{"tool_name", {"parameters", "arguments"}, "tool_call_id", {}};
    g.silent = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"};
    g.hint = {};
  }));
  formats.push_back(changed(f, "command-r-plus", [](ToolFormat& g) {
    g.section = {"Action:\n```json\n", "```"};
    g.list = {"[\n    ", "\n]"};
    g.separator = ",\n    ";
    g.style = JsonCallStyle{"tool_name", {"parameters", "arguments"}, {}, {}};
    g.hint = {};
  }));
}

void add_bare_json(std::vector<ToolFormat>& formats) {
  ToolFormat llama{.name = "llama3"};  // Llama 3.1 to 3.3
  llama.style = JsonCallStyle{"name", {"parameters", "arguments"}, {}, {}};
  llama.bare_call_opens_line = true;
  llama.other_call_opens = {"<|python_tag|>"};
  llama.parallel = Parallel::kSingle;
  llama.silent = {"<|python_tag|>", "<|eom_id|>"};
  formats.push_back(std::move(llama));
  ToolFormat giga{.name = "gigachat"};
  giga.call = {"<|function_call|>", ""};
  giga.parallel = Parallel::kSingle;
  formats.push_back(giga);
  formats.push_back(changed(giga, "gigachat3", [](ToolFormat& g) {
    g.call.open = "<|message_sep|>\n\nfunction call<|role_sep|>\n";
  }));
}

void add_named_json(std::vector<ToolFormat>& formats) {
  ToolFormat mistral{.name = "mistral"};  // Devstral, Ministral 3
  mistral.call = {"[TOOL_CALLS]", ""};
  mistral.style = NamedJsonStyle{.name_end = "[ARGS]"};
  mistral.ids = IdRule::kNine;
  formats.push_back(mistral);
  formats.push_back(changed(mistral, "mistral-call-id", [](ToolFormat& g) {  // Mistral Small 3.2
    g.style = NamedJsonStyle{.name_end = "[ARGS]", .id_mark = "[CALL_ID]"};
  }));

  ToolFormat deepseek{.name = "deepseek-v3.1"};
  deepseek.section = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"};
  deepseek.call = {"<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"};
  deepseek.style = NamedJsonStyle{.name_end = "<｜tool▁sep｜>"};
  deepseek.parallel = Parallel::kInSection;
  formats.push_back(deepseek);
  formats.push_back(changed(deepseek, "deepseek-r1", [](ToolFormat& g) {
    g.call = {"<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "\n```<｜tool▁call▁end｜>"};
    g.style = NamedJsonStyle{.name_end = "\n```json\n"};
    g.separator = "\n";
    g.hint = "<｜tool▁call";
  }));

  ToolFormat kimi{.name = "kimi-k2"};
  kimi.section = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"};
  kimi.call = {"<|tool_call_begin|>functions.", "<|tool_call_end|>"};
  kimi.other_call_opens = {"<|tool_call_begin|>"};
  kimi.style = NamedJsonStyle{.name_end = "<|tool_call_argument_begin|>", .index_mark = ":"};
  kimi.parallel = Parallel::kInSection;
  kimi.hint = "tool_declare<|im_middle|>";
  formats.push_back(std::move(kimi));

  ToolFormat functionary{.name = "functionary-v3.1"};
  functionary.call = {"<function=", "</function>"};
  functionary.style = NamedJsonStyle{.name_end = ">"};
  formats.push_back(std::move(functionary));
  ToolFormat recipients{.name = "functionary-v3.2"};
  recipients.call = {">>>", ""};
  recipients.style = NamedJsonStyle{.name_end = "\n", .text_name = "all"};
  recipients.answer_open = ">>>all\n";
  formats.push_back(std::move(recipients));

  ToolFormat harmony{.name = "harmony"};  // gpt-oss
  harmony.call = {" to=functions.", "<|call|>"};
  harmony.other_call_opens = {"<|channel|>commentary to=functions.", "<|channel|>analysis to=functions."};
  harmony.style = NamedJsonStyle{
      .name_end = "<|channel|>commentary json<|message|>",
      .other_name_ends = {"<|channel|>commentary <|constrain|>json<|message|>",
                          "<|channel|>commentary<|message|>", "<|channel|>analysis json<|message|>",
                          "<|channel|>analysis<|message|>", "<|constrain|>json<|message|>", "json<|message|>",
                          "code<|message|>", "<|message|>"}};
  harmony.parallel = Parallel::kSingle;
  harmony.silent = {"<|start|>assistant",
                    "<|channel|>final<|message|>",
                    "<|channel|>commentary<|message|>",
                    "<|channel|>final <|constrain|>json<|message|>",
                    "<|end|>",
                    "<|return|>",
                    "<|call|>"};
  harmony.turn_open = "<|start|>assistant";
  harmony.answer_open = "<|channel|>final<|message|>";
  formats.push_back(std::move(harmony));
}

void add_tagged(std::vector<ToolFormat>& formats) {
  ToolFormat qwen{.name = "qwen3-coder"};  // Qwen3-Coder, Qwen3.5, Nemotron 3
  qwen.section = {"<tool_call>\n", "\n</tool_call>"};
  qwen.call = {"<function=", "</function>"};
  qwen.separator = "\n";
  qwen.style = TaggedStyle{.name_end = ">\n",
                           .parameter_open = "<parameter=",
                           .parameter_name_end = ">",
                           .value_space = {"\n", "\n"},
                           .parameter_close = "</parameter>",
                           .parameter_separator = "\n",
                           .python_words = true};
  formats.push_back(qwen);
  formats.push_back(changed(qwen, "step3.5", [](ToolFormat& g) { g.separator = ""; }));
  formats.push_back(changed(qwen, "seed-oss", [](ToolFormat& g) {
    g.section = {"<seed:tool_call>\n", "\n</seed:tool_call>"};
    std::get<TaggedStyle>(g.style).value_space = {};
  }));

  ToolFormat dsml{.name = "deepseek-v3.2"};
  dsml.section = {"<｜DSML｜function_calls>\n", "\n</｜DSML｜function_calls>"};
  dsml.call = {"<｜DSML｜invoke name=\"", "</｜DSML｜invoke>"};
  dsml.separator = "\n";
  dsml.parallel = Parallel::kInSection;
  dsml.style = TaggedStyle{.name_end = "\">\n",
                           .parameter_open = "<｜DSML｜parameter name=\"",
                           .parameter_name_end = "\" string=\"true\">",
                           .other_name_end = "\" string=\"false\">",
                           .parameter_close = "</｜DSML｜parameter>",
                           .parameter_separator = "\n"};
  formats.push_back(dsml);
  formats.push_back(changed(dsml, "deepseek-v4", [](ToolFormat& g) {
    g.section = {"<｜DSML｜tool_calls>\n", "\n</｜DSML｜tool_calls>"};
  }));

  ToolFormat minimax{.name = "minimax-m2"};
  minimax.section = {"<minimax:tool_call>\n", "\n</minimax:tool_call>"};
  minimax.call = {"<invoke name=\"", "</invoke>"};
  minimax.separator = "\n";
  minimax.parallel = Parallel::kInSection;
  minimax.style = TaggedStyle{.name_end = "\">\n",
                              .parameter_open = "<parameter name=\"",
                              .parameter_name_end = "\">",
                              .parameter_close = "</parameter>",
                              .parameter_separator = "\n"};
  formats.push_back(std::move(minimax));
  ToolFormat minicpm{.name = "minicpm5"};
  minicpm.call = {"<function name=\"", "</function>"};
  minicpm.separator = "\n";
  minicpm.style = TaggedStyle{.name_end = "\">",
                              .parameter_open = "<param name=\"",
                              .parameter_name_end = "\">",
                              .parameter_close = "</param>",
                              .python_words = true};
  formats.push_back(std::move(minicpm));

  ToolFormat glm{.name = "glm-4.5"};  // GLM 4.5 and 4.6
  glm.call = {"<tool_call>", "</tool_call>"};
  glm.separator = "\n";
  glm.style = TaggedStyle{.name_end = "\n",
                          .parameter_open = "<arg_key>",
                          .parameter_name_end = "</arg_key>\n",
                          .value_open = "<arg_value>",
                          .parameter_close = "</arg_value>",
                          .parameter_separator = "\n"};
  formats.push_back(glm);
  formats.push_back(changed(glm, "glm-4.7", [](ToolFormat& g) {  // also Spark 2.5, Laguna S
    g.separator = "";
    auto& style = std::get<TaggedStyle>(g.style);
    style.name_end = style.parameter_separator = "";
    style.parameter_name_end = "</arg_key>";
  }));
  formats.push_back(changed(glm, "ling-3", [](ToolFormat& g) {
    g.call.close = "\n</tool_call>";
    std::get<TaggedStyle>(g.style).parameter_separator = "";
  }));
  formats.push_back(changed(glm, "hunyuan", [](ToolFormat& g) {  // Hy3
    g.section = {"<tool_calls:opensource>\n", "\n</tool_calls:opensource>"};
    g.call = {"<tool_call:opensource>", "</tool_call:opensource>"};
    g.parallel = Parallel::kInSection;
    g.style = TaggedStyle{.name_end = "<tool_sep:opensource>\n",
                          .parameter_open = "<arg_key:opensource>",
                          .parameter_name_end = "</arg_key:opensource>\n",
                          .value_open = "<arg_value:opensource>",
                          .parameter_close = "</arg_value:opensource>",
                          .parameter_separator = "\n"};
  }));
}

void add_literal(std::vector<ToolFormat>& formats) {
  ToolFormat lfm{.name = "lfm2"};
  lfm.section = {"<|tool_call_start|>", "<|tool_call_end|>"};
  lfm.list = {"[", "]"};
  lfm.separator = ", ";
  lfm.parallel = Parallel::kInSection;
  lfm.style = LiteralStyle{
      .arguments = {"(", ")"}, .assign = "=", .separator = ", ", .quote = {}, .python_words = true};
  lfm.hint = "List of tools: ";
  formats.push_back(std::move(lfm));
  ToolFormat gemma{.name = "gemma4"};
  gemma.call = {"<|tool_call>call:", "<tool_call|>"};
  gemma.style = LiteralStyle{
      .arguments = {"{", "}"}, .assign = ":", .separator = ",", .quote = "<|\"|>", .bare_keys = true};
  gemma.silent = {"<|channel>final\n", "<|tool_response>"};
  formats.push_back(gemma);
  formats.push_back(changed(gemma, "function-gemma", [](ToolFormat& g) {
    g.call = {"<start_function_call>call:", "<end_function_call>"};
    g.silent = {"<start_function_response>"};
    std::get<LiteralStyle>(g.style).quote = "<escape>";
  }));
}

std::vector<ToolFormat> make_formats() {
  std::vector<ToolFormat> formats = {hermes()};
  formats.push_back(changed(hermes(), "reka", [](ToolFormat& g) {
    g.separator = "";
    g.hint = {};
  }));
  add_json_lists(formats);
  add_named_json(formats);
  add_tagged(formats);
  add_literal(formats);
  add_bare_json(formats);  // last: their marks stand in other families' calls too
  return formats;
}

}  // namespace

std::span<const ToolFormat> known_tool_formats() {
  static const std::vector<ToolFormat> formats = make_formats();
  return formats;
}

const ToolFormat& hermes_format() {
  return known_tool_formats().front();
}

const ToolFormat* find_tool_format(std::string_view name) {
  const auto formats = known_tool_formats();
  const auto found = std::ranges::find(formats, name, &ToolFormat::name);
  return found == formats.end() ? nullptr : &*found;
}

ReasoningFormat find_reasoning_format(std::string_view template_source) {
  static const std::array<ReasoningFormat, 9> kFormats = {{
      {"<|channel|>analysis<|message|>", "<|end|>", true, {}, ""},
      {"<|channel>thought\n", "<channel|>", true, {"", "\n"}, ""},
      {"<think:opensource>", "</think:opensource>"},
      {"<seed:think>", "</seed:think>"},
      {"<mm:think>", "</mm:think>"},
      {"[THINK]", "[/THINK]", false, {}, ""},
      {"<|START_THINKING|>", "<|END_THINKING|>", false, {}, ""},
      {"Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]", false, {"", "\n"}, "\n"},
      {"<think>", "</think>"},
  }};
  for (const ReasoningFormat& format : kFormats) {
    // A template may write the opening in parts, and need not write the closing at all.
    const std::string_view mark = format.anywhere ? trim(format.open) : std::string_view(format.close);
    if (template_source.find(mark) != std::string_view::npos) return format;
  }
  return {};
}

std::vector<std::string> call_openers(const ToolFormat& format) {
  std::vector<std::string> openers;
  const auto add = [&](std::string_view open) {
    const std::string_view mark = trim(open);
    if (!mark.empty() && std::ranges::find(openers, mark) == openers.end()) openers.emplace_back(mark);
  };
  add(format.section.open);
  add(format.call.open);
  for (const std::string& open : format.other_call_opens) add(open);
  return openers;
}

}  // namespace kvasir::chat
