#include "chat/call_reader.h"

#include "chat/call_object.h"
#include "chat/literal_call.h"
#include "chat/named_call.h"
#include "chat/tagged_call.h"

namespace kvasir::chat {

std::unique_ptr<CallReader> make_call_reader(const CallReaderContext& context) {
  if (context.format->as<NamedJsonStyle>() != nullptr) return std::make_unique<NamedCall>(context);
  if (context.format->as<TaggedStyle>() != nullptr) return std::make_unique<TaggedCall>(context);
  if (context.format->as<LiteralStyle>() != nullptr) return std::make_unique<LiteralCall>(context);
  return std::make_unique<CallObject>(context);
}

}  // namespace kvasir::chat
