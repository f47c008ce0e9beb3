#include "cli/load.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <vector>

#include "base/machine.h"
#include "base/version.h"
#include "cli/known_models.h"
#include "cli/memory_plan.h"
#include "cli/model_store.h"
#include "executor/native.h"
#include "executor/scripted.h"
#include "models/model.h"

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;

// What is done sooner shows no progress.
constexpr std::chrono::milliseconds kMoment{700};

// A few blocks, so that writing is not one by one.
constexpr std::size_t kDiskQueueLeast = std::size_t{8} << 20;

// For a file without a chat template of its own: ChatML, which most instruction-tuned models have seen.
constexpr const char* kChatMl =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

Result<std::unique_ptr<executor::Executor>> scripted_executor(
    const std::string& script_file, const std::shared_ptr<const text::Tokenizer>& tokenizer) {
  KVASIR_ASSIGN_OR_RETURN(executor::Script script, executor::load_script(script_file));
  KVASIR_ASSIGN_OR_RETURN(auto scripted, executor::ScriptedExecutor::create(tokenizer, std::move(script)));
  return std::unique_ptr<executor::Executor>(std::move(scripted));
}

Result<std::unique_ptr<executor::Executor>> native_executor(const OpenedModel& model,
                                                            const ModelOptions& options,
                                                            const std::function<void(double)>& progress,
                                                            const std::atomic<bool>& stop) {
  executor::NativeOptions native;
  native.pool = std::make_shared<ThreadPool>(options.threads != 0 ? options.threads : default_thread_count());
  native.progress = progress;
  native.stop = &stop;
  native.precision = precision_of(options.precision);
  native.kv_type = kv_type_of(options.kv_type);
  native.context = options.context;
  return executor::load_native(model.file, std::move(native));
}

std::string template_source(const OpenedModel& model, const ModelOptions& options) {
  if (!options.chat_template.empty()) {
    std::ifstream file(options.chat_template, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  const auto source = model.file->string("tokenizer.chat_template");
  if (!source) spdlog::warn("{} has no chat template; ChatML is used", model.path);
  return std::string(source.value_or(kChatMl));
}

// The vocabulary and the chat template.
struct TextParts {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::unique_ptr<chat::PromptRenderer> renderer;
};

Result<TextParts> make_text_parts(const OpenedModel& model, const ModelOptions& options) {
  TextParts parts;
  KVASIR_ASSIGN_OR_RETURN(parts.tokenizer, text::Tokenizer::from_checkpoint(*model.file));
  // What reading a vocabulary took in between would else add to the weights' peak.
  return_freed_memory();
  KVASIR_ASSIGN_OR_RETURN(auto chat_template, text::ChatTemplate::compile(template_source(model, options)));
  parts.renderer = std::make_unique<chat::PromptRenderer>(std::move(chat_template), parts.tokenizer,
                                                          static_cast<std::int64_t>(std::time(nullptr)),
                                                          chat::find_tool_format(options.tool_format));
  const chat::TemplateTraits& traits = parts.renderer->traits();
  spdlog::info("tool calls: {}{}", traits.format.name,
               traits.renders_tools ? "" : ", described in the system turn: the chat template knows none");
  return parts;
}

// Grammars take a third of a second to set up: after the weights, while the first request is read, which
// waits for them only where it needs one.
text::Grammars set_up_grammars(std::shared_ptr<const text::Tokenizer> tokenizer) {
  return text::Grammars(std::async(std::launch::async, [tokenizer = std::move(tokenizer)] {
                          auto made = text::GrammarFactory::create(tokenizer);
                          return_freed_memory();
                          if (made.ok()) return std::move(made).value();
                          spdlog::error("no call and no format can be held to a grammar: {}",
                                        made.error().message);
                          return std::shared_ptr<text::GrammarFactory>();
                        }).share());
}

}  // namespace

Result<std::string> find_model_file(const std::string& name) {
  std::error_code ignored;
  if (hub::is_hub_name(name)) {
    KVASIR_ASSIGN_OR_RETURN(const hub::ModelName parsed, hub::parse_hub_name(name));
    return hub::find_pulled(hub::default_hub_cache(), parsed);
  }
  if (!fs::exists(name, ignored)) {
    if (const auto model = find_installed(name)) return model->path;
    if (find_known_model(name) != nullptr) {
      return make_error(ErrorCode::kNotFound,
                        "the model '" + name + "' has not been fetched yet: run 'kvasir pull " + name + "'",
                        name);
    }
  }
  if (!fs::is_directory(name, ignored)) return name;
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(name, ignored)) {
    // Of a split set, the first file stands for all.
    const std::string file = entry.path().string();
    if (file.ends_with(".gguf") && weights::split_number(file).value_or(1) == 1) found.push_back(file);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) return name;  // safetensors, or an error that says what is missing
  return make_error(ErrorCode::kInvalidArgument,
                    name + " is a folder with several .gguf files; name one of them", name);
}

Result<OpenedModel> open_model(const std::string& name) {
  OpenedModel model;
  KVASIR_ASSIGN_OR_RETURN(model.path, find_model_file(name));
  KVASIR_ASSIGN_OR_RETURN(model.file, weights::open_checkpoint(model.path));
  KVASIR_ASSIGN_OR_RETURN([[maybe_unused]] const models::ModelConfig config,
                          models::read_config(*model.file));
  std::error_code ignored;
  const fs::path path(model.path);
  // A folder's name may have dots of its own ("Qwen2.5-0.5B"), and a slash behind.
  const fs::path parent = path.parent_path();
  if (fs::is_directory(path, ignored) && parent.filename() == "snapshots") {
    // Of the hub's cache: a folder there is named by a commit, the repository's by "models--ORG--REPO".
    const std::string repo = parent.parent_path().filename().string();
    model.id = repo.substr(repo.rfind("--") == std::string::npos ? 0 : repo.rfind("--") + 2);
    return model;
  }
  model.id = fs::is_directory(path, ignored)
                 ? (path.has_filename() ? path : path.parent_path()).filename().string()
                 : path.stem().string();
  return model;
}

Result<std::shared_ptr<const server::LoadedModel>> load_model(const OpenedModel& model,
                                                              const ModelOptions& options,
                                                              const ExecutorChoice& executor,
                                                              const std::function<void(double)>& progress) {
  auto loaded = std::make_shared<server::LoadedModel>();
  // Beside the weights; what is wrong with it ends them.
  std::atomic<bool> stop{false};
  auto text = std::async(std::launch::async, [&] {
    auto parts = make_text_parts(model, options);
    if (!parts.ok()) stop = true;
    return parts;
  });
  const bool scripted = executor.kind == "scripted";
  if (scripted) text.wait();
  Result<std::unique_ptr<executor::Executor>> weights =
      make_error(ErrorCode::kInternal, "nothing was loaded");
  if (!scripted) weights = native_executor(model, options, progress, stop);
  KVASIR_ASSIGN_OR_RETURN(TextParts parts, text.get());
  if (scripted) weights = scripted_executor(executor.script, parts.tokenizer);
  KVASIR_ASSIGN_OR_RETURN(auto runner, std::move(weights));
  loaded->tokenizer = std::move(parts.tokenizer);
  loaded->renderer = std::move(parts.renderer);
  const executor::Description& d = runner->describe();
  loaded->fingerprint = std::string("kvasir-") + kVersion + "-" + d.weights_id.substr(0, 8) + "-" +
                        d.kernel_variant + "-" + d.kv_type;
  if (options.context > d.context_length) {
    spdlog::warn("--ctx {} is more than the model's context; {} is used", options.context, d.context_length);
  }
  const std::string root = engine::cache_root(d, *loaded->tokenizer);
  loaded->replay = open_replay_table(options.cache, root);
  auto disk = open_disk_store(options.cache, d, root, model.id + " " + d.kv_type);
  engine::EngineOptions plan;
  plan.prompt_lookup = options.prompt_lookup;
  const std::uint64_t budget = options.memory != 0 ? options.memory : memory_limit_bytes() / 2;
  plan.disk_queue_bytes =
      std::clamp(static_cast<std::size_t>(budget / 32), kDiskQueueLeast, plan.disk_queue_bytes);
  return_freed_memory();
  // Last of all that is set up but the grammars, so that all of it is counted.
  const std::uint64_t resident =
      resident_bytes() + loaded->tokenizer->vocab_size() * text::kGrammarBytesPerToken;
  KVASIR_RETURN_IF_ERROR(plan_memory(d, {resident, growth_bytes(d, plan, budget, disk != nullptr)},
                                     {budget, options.context}, plan));
  spdlog::info(
      "{}: {} layers, {:.0f} MB of weights, kernels {}, context {} tokens, {:.1f} GB for the KV cache "
      "({})",
      d.family, d.layers, static_cast<double>(d.weight_bytes) / 1e6,
      d.kernel_variant.empty() ? "none" : d.kernel_variant, plan.context_length,
      static_cast<double>(plan.kv_bytes) / 1e9, d.kv_type);
  plan.disk_loads =
      options.cache.loads == "always" ? engine::DiskLoads::kAlways : engine::DiskLoads::kMeasured;
  plan.disk_min_tokens = options.cache.min_tokens;
  plan.warn = [](const std::string& message) {
    spdlog::warn("the cache on disk takes no more: {}", message);
  };
  KVASIR_ASSIGN_OR_RETURN(
      loaded->engine, engine::Engine::create(std::move(runner), loaded->tokenizer, plan, std::move(disk)));
  loaded->grammars = set_up_grammars(loaded->tokenizer);
  return std::shared_ptr<const server::LoadedModel>(std::move(loaded));
}

ProgressLine::ProgressLine(std::string what)
    : what_(std::move(what)), terminal_(::isatty(STDERR_FILENO) == 1) {}

void ProgressLine::show(double share) {
  if (std::chrono::steady_clock::now() - began_ < kMoment) return;
  const int percent = static_cast<int>(share * 100);
  if (percent <= shown_ || (!terminal_ && percent / 25 <= shown_ / 25 && shown_ >= 0)) return;
  shown_ = percent;
  std::fprintf(stderr, terminal_ ? "\r%s %3d%%" : "%s %d%%\n", what_.c_str(), percent);
  std::fflush(stderr);
}

void ProgressLine::finish() {
  if (terminal_ && shown_ >= 0) std::fprintf(stderr, "\r\033[K");
}

}  // namespace kvasir::cli
