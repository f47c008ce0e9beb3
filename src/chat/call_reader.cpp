#include "chat/call_reader.h"

#include <algorithm>

#include "chat/call_object.h"
#include "chat/literal_call.h"
#include "chat/named_call.h"
#include "chat/tagged_call.h"

namespace kvasir::chat {

CallReader::CallReader(const CallReaderContext& context) {
  if (context.declared_only && !context.bare) expected_ = context.tools;
}

void CallReader::foresee(std::string_view beginning) {
  if (foreseen_ != nullptr) return;
  const auto begins_so = [&](const Tool& tool) { return tool.name.starts_with(beginning); };
  const auto first = std::ranges::find_if(expected_, begins_so);
  if (first == expected_.end() || std::find_if(first + 1, expected_.end(), begins_so) != expected_.end())
    return;
  foreseen_ = &*first;
}

std::unique_ptr<CallReader> make_call_reader(const CallReaderContext& context) {
  if (context.format->as<NamedJsonStyle>() != nullptr) return std::make_unique<NamedCall>(context);
  if (context.format->as<TaggedStyle>() != nullptr) return std::make_unique<TaggedCall>(context);
  if (context.format->as<LiteralStyle>() != nullptr) return std::make_unique<LiteralCall>(context);
  return std::make_unique<CallObject>(context);
}

}  // namespace kvasir::chat
