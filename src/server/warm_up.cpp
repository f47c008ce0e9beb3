#include "server/warm_up.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "api/anthropic_messages.h"
#include "api/openai_chat.h"
#include "api/openai_completions.h"

namespace kvasir::server {
namespace {

namespace json = boost::json;
using Prompts = std::vector<std::vector<TokenId>>;

Status take_conversation(const LoadedModel& model, Result<api::ChatRequest> parsed,
                         const std::string& name_space, Prompts& out) {
  if (!parsed.ok()) return parsed.error();
  KVASIR_ASSIGN_OR_RETURN(auto prompt,
                          model.renderer->render(parsed->conversation, {model.replay.get(), name_space}));
  out.push_back(std::move(prompt.tokens));
  return {};
}

Status take_line(const LoadedModel& model, std::string_view line, const std::string& name_space,
                 Prompts& out) {
  boost::system::error_code failed;
  const json::value body = json::parse(line, failed);
  if (failed || !body.is_object()) return make_error(ErrorCode::kInvalidArgument, "is no JSON object");
  if (body.get_object().contains("messages")) {
    return body.get_object().contains("system")
               ? take_conversation(model,
                                   api::parse_anthropic_count_tokens(line, api::ThoughtSigner(name_space)),
                                   name_space, out)
               : take_conversation(model, api::parse_openai_chat(line), name_space, out);
  }
  KVASIR_ASSIGN_OR_RETURN(auto request, api::parse_openai_completions(line));
  for (const auto& prompt : request.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt)) {
      std::vector<TokenId> tokens = model.tokenizer->encode(*text, text::SpecialText::kParse);
      if (model.tokenizer->adds_bos()) tokens.insert(tokens.begin(), model.tokenizer->bos());
      out.push_back(std::move(tokens));
    } else {
      out.push_back(std::get<std::vector<TokenId>>(prompt));
    }
  }
  return {};
}

Result<engine::Usage> read(engine::Engine& engine, std::vector<TokenId> tokens, const std::string& name_space,
                           const std::function<bool()>& goes_on) {
  engine::Request request;
  request.prompt = std::move(tokens);
  request.max_tokens = 1;
  request.cache_namespace = name_space;
  auto done = std::make_shared<std::promise<Result<engine::Usage>>>();
  auto result = done->get_future();
  KVASIR_ASSIGN_OR_RETURN(const engine::RequestId id,
                          engine.submit(std::move(request), [done](engine::Event event) {
                            if (const auto* finished = std::get_if<engine::Finished>(&event)) {
                              done->set_value(finished->usage);
                            } else if (auto* failed = std::get_if<engine::Failed>(&event)) {
                              done->set_value(std::move(failed->error));
                            }
                          }));
  while (result.wait_for(std::chrono::milliseconds(100)) != std::future_status::ready) {
    if (!goes_on()) engine.cancel(id);
  }
  return result.get();
}

}  // namespace

Result<WarmUp> warm_up(const LoadedModel& model, std::string_view lines, const std::string& name_space,
                       const std::function<bool(double)>& progress) {
  Prompts prompts;
  for (std::size_t number = 1; !lines.empty(); ++number) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] == '#') continue;
    if (const Status status = take_line(model, line, name_space, prompts); !status.ok()) {
      return make_error(status.error().code,
                        "line " + std::to_string(number) + ": " + status.error().message);
    }
  }
  WarmUp report;
  for (auto& prompt : prompts) {
    const auto goes_on = [&] {
      return progress(static_cast<double>(report.prompts) / static_cast<double>(prompts.size()));
    };
    if (!goes_on()) return make_error(ErrorCode::kCancelled, "was ended before its time");
    KVASIR_ASSIGN_OR_RETURN(const engine::Usage usage,
                            read(*model.engine, std::move(prompt), name_space, goes_on));
    ++report.prompts;
    report.tokens += usage.prompt_tokens;
    report.computed_tokens += usage.prompt_tokens - usage.cached_tokens;
  }
  return report;
}

}  // namespace kvasir::server
