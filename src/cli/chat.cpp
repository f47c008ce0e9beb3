// `kvasir chat` and `kvasir run`: a model in the terminal, without a server.

#include <spdlog/spdlog.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <cstdio>
#include <iostream>
#include <random>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/local_chat.h"

namespace kvasir::cli {
namespace {

struct ChatOptions {
  ModelOptions model;
  std::string system;
  std::string prompt;  // run
  engine::SamplingParams sampling;
  std::uint32_t max_tokens = 0;
  std::uint64_t seed = 0;
  bool quiet = false;
};

void add_chat_options(CLI::App& app, ChatOptions& options) {
  add_model_options(app, options.model);
  add_cache_options(app, options.model.cache);
  options.sampling.temperature = 0.7F;
  options.sampling.top_p = 0.95F;
  app.add_option("--system", options.system, "System prompt");
  app.add_option("--temperature", options.sampling.temperature, "0 = always the likeliest token")
      ->capture_default_str()
      ->check(CLI::Range(0.0F, 2.0F));
  app.add_option("--top-p", options.sampling.top_p, "Keep the likeliest tokens up to this probability")
      ->capture_default_str()
      ->check(CLI::Range(0.0F, 1.0F));
  app.add_option("--seed", options.seed, "The same seed gives the same answer (default: another each time)");
  app.add_option("--max-tokens", options.max_tokens,
                 "Most tokens of an answer (default: what the context leaves)");
  app.add_flag("-q,--quiet", options.quiet, "Only the answer: no progress, no speed");
}

Result<std::shared_ptr<const server::LoadedModel>> load(const ChatOptions& options) {
  spdlog::set_level(spdlog::level::warn);
  KVASIR_ASSIGN_OR_RETURN(const OpenedModel opened, open_model(options.model.model));
  ProgressLine line("loading " + opened.id);
  auto model = load_model(opened, options.model, {}, [&](double share) {
    if (!options.quiet) line.show(share);
  });
  line.finish();
  return model;
}

chat::Conversation start(const ChatOptions& options) {
  chat::Conversation conversation;
  if (!options.system.empty()) {
    chat::Message system;
    system.role = chat::Role::kSystem;
    system.content = options.system;
    conversation.messages.push_back(std::move(system));
  }
  return conversation;
}

// Adds the user's turn, streams the answer to standard output and adds it too.
Result<LocalAnswer> turn(const server::LoadedModel& model, chat::Conversation& conversation,
                         const std::string& text, const ChatOptions& options) {
  chat::Message user;
  user.content = text;
  conversation.messages.push_back(std::move(user));
  engine::SamplingParams sampling = options.sampling;
  sampling.seed = options.seed != 0 ? options.seed : std::random_device{}();
  auto result = answer(model, conversation, sampling, options.max_tokens, [](const std::string& piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  std::printf("\n");
  if (!result.ok()) {
    conversation.messages.pop_back();
    return result;
  }
  chat::Message assistant;
  assistant.role = chat::Role::kAssistant;
  assistant.content = result->text;
  conversation.messages.push_back(std::move(assistant));
  if (!options.quiet) std::fprintf(stderr, "[%s]\n", summary(*result).c_str());
  return result;
}

int chat(const ChatOptions& options) {
  const auto model = load(options);
  if (!model.ok()) return fail(model.error());
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal) std::printf("Talk to the model. /clear forgets, /exit or Ctrl-D ends.\n");
  chat::Conversation conversation = start(options);
  std::string line;
  for (;;) {
    if (terminal) std::printf("\n> ");
    std::fflush(stdout);
    if (!std::getline(std::cin, line) || line == "/exit") break;
    if (line.empty()) continue;
    if (line == "/clear") {
      conversation = start(options);
      continue;
    }
    const auto result = turn(**model, conversation, line, options);
    if (!result.ok()) std::fprintf(stderr, "kvasir: %s\n", result.error().message.c_str());
  }
  return 0;
}

int run(ChatOptions options) {
  if (options.prompt == "-") {
    options.prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  }
  const auto model = load(options);
  if (!model.ok()) return fail(model.error());
  chat::Conversation conversation = start(options);
  const auto result = turn(**model, conversation, options.prompt, options);
  return result.ok() ? 0 : fail(result.error());
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("chat", "Talk to a model in the terminal");
  auto options = std::make_shared<ChatOptions>();
  add_chat_options(*command, *options);
  command->callback([options, &exit_code] { exit_code = chat(*options); });
}

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("run", "Answer one prompt on standard output");
  auto options = std::make_shared<ChatOptions>();
  command->add_option("prompt", options->prompt, "The prompt; - reads it from standard input")->required();
  add_chat_options(*command, *options);
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace kvasir::cli
