#pragma once
// vLLM's structural tags: answers of which some parts are fixed. The old form ({"structures": [{"begin",
// "schema", "end"}], "triggers": [...]}) and xgrammar's newer one ({"format": {...}}).

#include <string>

#include "api/fields.h"
#include "base/error.h"

namespace kvasir::api {

// In llguidance's Lark dialect. Throws FieldError.
std::string structural_tag_grammar(const Fields& tag);

}  // namespace kvasir::api
