// `kvasir show`: what a model is, and whether it fits, from its headers alone.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <boost/json.hpp>
#include <ctime>
#include <filesystem>
#include <map>

#include "base/machine.h"
#include "chat/prompt.h"
#include "cli/commands.h"
#include "cli/load.h"
#include "cli/memory_plan.h"
#include "cli/model_store.h"
#include "executor/native.h"
#include "text/grammar.h"

namespace kvasir::cli {
namespace {

namespace json = boost::json;

struct ShowOptions {
  ModelOptions model;
  bool json = false;
  bool tensors = false;
};

struct TypeShare {
  std::size_t tensors = 0;
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
};

// What stands in the files.
struct Contents {
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  std::map<std::string, TypeShare> types;
};

// What serving would take; nothing of it where this build does not serve the model (`refused`).
struct Needs {
  std::optional<Error> refused;
  executor::Description model;
  std::string tool_format;
  bool template_has_tools = false;
  std::uint64_t loaded = 0;  // resident once loaded, KV left out
  std::uint64_t growth = 0;
  std::uint64_t budget = 0;
  bool fits = false;
  std::string why_not;
  engine::EngineOptions plan;

  double kv_bytes_per_token() const {
    return static_cast<double>(model.kv_bytes_per_block) / static_cast<double>(kBlockTokens);
  }
};

std::string type_text(const weights::TensorInfo& t) {
  using weights::TensorType;
  const weights::Scaling& s = t.scaling;
  if (t.type == TensorType::kAffine) return fmt::format("{}-bit affine, groups of {}", s.bits, s.columns);
  if (t.type == TensorType::kFp4 || t.type == TensorType::kFp8)
    return fmt::format("{}, scales for {}", weights::name_of(t.type), s.columns);
  return std::string(weights::name_of(t.type));
}

Contents contents_of(const weights::Checkpoint& file) {
  Contents c;
  for (const weights::TensorInfo& t : file.tensors()) {
    TypeShare& share = c.types[type_text(t)];
    ++share.tensors;
    share.elements += t.columns() * t.rows();
    share.bytes += t.bytes();
  }
  for (const auto& [type, share] : c.types) {
    c.elements += share.elements;
    c.bytes += share.bytes;
  }
  return c;
}

// As load_model() goes about it, but for reading weights.
Needs needs_of(const OpenedModel& model, const ModelOptions& options) {
  Needs n;
  const auto refuse = [&](const Error& error) {
    n.refused = error;
    return n;
  };
  executor::NativeOptions native;
  native.precision = precision_of(options.precision);
  native.kv_type = kv_type_of(options.kv_type);
  native.context = options.context;
  auto described = executor::measure_native(model.file, native);
  if (!described.ok()) return refuse(described.error());
  n.model = std::move(*described);
  auto tokenizer = text::Tokenizer::from_checkpoint(*model.file);
  if (!tokenizer.ok()) return refuse(tokenizer.error());
  auto grammars = text::GrammarFactory::create(*tokenizer);
  if (!grammars.ok()) return refuse(grammars.error());
  if (const auto source = model.file->string("tokenizer.chat_template")) {
    auto compiled = text::ChatTemplate::compile(*source);
    if (!compiled.ok()) return refuse(compiled.error());
    const chat::PromptRenderer renderer(std::move(*compiled), *tokenizer, std::time(nullptr));
    n.tool_format = renderer.traits().format.name;
    n.template_has_tools = renderer.traits().renders_tools;
  }
  return_freed_memory();
  n.budget = options.memory != 0 ? options.memory : memory_limit_bytes() / 2;
  n.loaded = resident_bytes() + n.model.weight_bytes;
  n.growth = growth_bytes(n.model, n.plan, n.budget, true);
  const Status planned = plan_memory(n.model, {n.loaded, n.growth}, {n.budget, options.context}, n.plan);
  n.fits = planned.ok();
  if (!planned.ok()) n.why_not = planned.error().message;
  return n;
}

std::string count_text(std::uint64_t n) {
  const auto d = static_cast<double>(n);
  return n >= 1'000'000'000 ? fmt::format("{:.2f} billion", d / 1e9) : fmt::format("{:.1f} million", d / 1e6);
}

double bits_a_weight(const TypeShare& s) {
  return s.elements == 0 ? 0 : static_cast<double>(s.bytes) * 8 / static_cast<double>(s.elements);
}

void line(std::string_view what, const std::string& text) {
  fmt::print("{:<11}{}\n", what, text);
}

std::string shape_text(const models::ModelConfig& c) {
  std::string text = fmt::format("{}, {} layers of width {}, {} heads of {}", c.family, c.layers, c.width,
                                 c.heads, c.head_dim);
  if (c.kv_heads != c.heads) text += fmt::format(" ({} for keys and values)", c.kv_heads);
  if (c.hidden != 0) text += fmt::format(", feed-forward {}", c.hidden);
  return text;
}

std::string experts_text(const weights::Checkpoint& file, const std::string& family) {
  const auto count = file.integer(family + ".expert_count");
  const auto used = file.integer(family + ".expert_used_count");
  return count && *count > 0 ? fmt::format(", {} experts, {} a token", *count, used.value_or(0)) : "";
}

void print_needs(const Needs& n) {
  if (n.refused) {
    line("serving", "not by this build: " + n.refused->message);
    return;
  }
  line("memory", fmt::format("{} once loaded ({} of it weights), up to {} more while it answers",
                             size_text(n.loaded), size_text(n.model.weight_bytes), size_text(n.growth)));
  line("KV cache",
       fmt::format("{} for 1000 tokens ({})",
                   size_text(static_cast<std::uint64_t>(n.kv_bytes_per_token() * 1000)), n.model.kv_type));
  if (!n.fits) {
    line("fits", "no: " + n.why_not);
    return;
  }
  line("fits", fmt::format("yes: within {}, conversations of up to {} tokens and {} of KV ({:.0f} tokens)",
                           size_text(n.budget), n.plan.context_length, size_text(n.plan.kv_bytes),
                           static_cast<double>(n.plan.kv_bytes) / n.kv_bytes_per_token()));
}

void print(const OpenedModel& model, const models::ModelConfig& config, const Contents& contents,
           const Needs& needs, const ShowOptions& options) {
  const weights::Checkpoint& file = *model.file;
  line("model", model.id);
  line("path", model.path);
  line("family", shape_text(config) + experts_text(file, config.family));
  line("parameters", fmt::format("{} in {} tensors, {}", count_text(contents.elements), file.tensors().size(),
                                 size_text(contents.bytes)));
  std::string_view head = "types";
  std::vector<std::pair<std::string, TypeShare>> types(contents.types.begin(), contents.types.end());
  std::ranges::sort(types, [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  for (const auto& [type, share] : types) {
    line(head, fmt::format("{}: {} tensors, {} weights, {}, {:.2f} bits each", type, share.tensors,
                           count_text(share.elements), size_text(share.bytes), bits_a_weight(share)));
    head = "";
  }
  line("context", fmt::format("{} tokens", config.context));
  line("vocabulary", fmt::format("{} tokens", config.vocab));
  const bool has_template = file.string("tokenizer.chat_template").has_value();
  std::string chat = has_template ? "its own template" : "no template: ChatML is used";
  if (has_template && !needs.refused) {
    chat += needs.template_has_tools ? ", which writes tools; calls in the form " + needs.tool_format
                                     : ", without tools: they are described to the model";
  }
  line("chat", chat);
  print_needs(needs);
  if (!options.tensors) return;
  for (const weights::TensorInfo& t : file.tensors())
    fmt::print("  {:<40} {:<28} {}\n", t.name, type_text(t), fmt::join(t.shape, " x "));
}

json::object to_json(const OpenedModel& model, const models::ModelConfig& config, const Contents& contents,
                     const Needs& needs) {
  json::object types;
  for (const auto& [type, share] : contents.types) {
    types[type] = {{"tensors", share.tensors}, {"parameters", share.elements}, {"bytes", share.bytes}};
  }
  json::object out{{"model", model.id},
                   {"path", model.path},
                   {"family", config.family},
                   {"layers", config.layers},
                   {"width", config.width},
                   {"heads", config.heads},
                   {"kv_heads", config.kv_heads},
                   {"head_dim", config.head_dim},
                   {"parameters", contents.elements},
                   {"bytes", contents.bytes},
                   {"types", std::move(types)},
                   {"context", config.context},
                   {"vocabulary", config.vocab},
                   {"chat_template", model.file->string("tokenizer.chat_template").has_value()}};
  if (needs.refused) {
    out["served"] = false;
    out["why_not"] = needs.refused->message;
    return out;
  }
  out["served"] = true;
  out["tool_format"] = needs.tool_format.empty() ? json::value(nullptr) : json::value(needs.tool_format);
  out["memory"] = {{"loaded_bytes", needs.loaded},   {"weight_bytes", needs.model.weight_bytes},
                   {"growth_bytes", needs.growth},   {"kv_bytes_per_token", needs.kv_bytes_per_token()},
                   {"kv_type", needs.model.kv_type}, {"budget_bytes", needs.budget}};
  out["fits"] = needs.fits;
  if (needs.fits) {
    out["context_that_fits"] = needs.plan.context_length;
    out["kv_bytes"] = needs.plan.kv_bytes;
  } else {
    out["why_not"] = needs.why_not;
  }
  return out;
}

int show(const ShowOptions& options) {
  const auto model = open_model(options.model.model);
  if (!model.ok()) return fail(model.error());
  const auto config = models::read_config(*model->file);
  if (!config.ok()) return fail(config.error());
  const Contents contents = contents_of(*model->file);
  const Needs needs = needs_of(*model, options.model);
  if (options.json)
    fmt::print("{}\n", json::serialize(to_json(*model, *config, contents, needs)));
  else
    print(*model, *config, contents, needs, options);
  return 0;
}

}  // namespace

void add_show(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("show", "What a model is, the memory it needs, and whether it fits this machine");
  command->footer(
      "Only headers are read, so it takes a second for a model of any size.\n"
      "Examples:\n"
      "  kvasir show qwen2.5-coder\n"
      "  kvasir show model.gguf --memory 6GB --ctx 32768 --kv-type q8");
  auto options = std::make_shared<ShowOptions>();
  command
      ->add_option("model", options->model.model, "A GGUF file, a folder, or a name that 'kvasir list' shows")
      ->required()
      ->type_name("MODEL");
  command
      ->add_option("--memory", options->model.memory,
                   "Memory to fit it into, as for serve (default: half of this machine's)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE, like 6GB");
  command->add_option("--ctx", options->model.context, "Tokens that a conversation shall be able to hold")
      ->type_name("TOKENS");
  command->add_option("--kv-type", options->model.kv_type, "How keys and values are cached")
      ->capture_default_str()
      ->check(CLI::IsMember({"f16", "bf16", "q8"}));
  command->add_flag("--tensors", options->tensors, "List every tensor as well");
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->callback([options, &exit_code] { exit_code = show(*options); });
}

}  // namespace kvasir::cli
