#pragma once
// How an answer is put into the model's replay table, so that it comes back as it was sampled.

#include <string>

#include "chat/conversation.h"
#include "chat/turn_recorder.h"
#include "server/model_slot.h"

namespace kvasir::server {

// For the answer to `conversation`, whose prompt is RenderedPrompt::recordable.
chat::TurnRecorderOptions recorder_options(const chat::Conversation& conversation, const LoadedModel& model,
                                           const std::string& cache_namespace);

}  // namespace kvasir::server
