#pragma once
// What /tokenize, /detokenize and /apply-template answer, for the model that is loaded. Nothing is generated
// and nothing cached. A turn that was generated here stands as its text says, not as it was sampled: what the
// next prompt is read as can differ by that (chat/prompt.h).

#include "api/tokenize.h"
#include "server/http_server.h"
#include "server/model_slot.h"

namespace kvasir::server {

HttpResponse tokenize_response(const api::TokenizeRequest& request, const LoadedModel& model);
HttpResponse detokenize_response(const api::DetokenizeRequest& request, const LoadedModel& model);
HttpResponse apply_template_response(const api::TemplateRequest& request, const LoadedModel& model);

}  // namespace kvasir::server
