#include "server/turn_recording.h"

namespace kvasir::server {

chat::TurnRecorderOptions recorder_options(const chat::Conversation& conversation, const LoadedModel& model,
                                           const std::string& cache_namespace) {
  chat::TurnRecorderOptions options;
  options.table = model.replay;
  options.tokenizer = model.tokenizer;
  options.cache_namespace = cache_namespace;
  options.before = chat::context_of(conversation);
  options.reasoning = model.renderer->traits().reasoning;
  options.opening = model.renderer->joiner().boundaries().opening;
  options.end = model.renderer->joiner().boundaries().end;
  options.shown_tokens = model.renderer->traits().shown_tokens();
  return options;
}

}  // namespace kvasir::server
