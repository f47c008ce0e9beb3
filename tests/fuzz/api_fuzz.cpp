// libFuzzer: any bytes at all, through the request parsers of every endpoint. Each answers with a request or
// an error that is one line; nothing may crash, throw or read outside.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/anthropic_messages.h"
#include "api/errors.h"
#include "api/openai_chat.h"
#include "api/openai_completions.h"

namespace {

template <class T>
void check(const kvasir::Result<T>& result) {
  if (result.ok()) return;
  if (result.error().message.empty()) std::abort();
  (void)kvasir::api::error_body(kvasir::api::Dialect::kOpenAi, result.error());
  (void)kvasir::api::error_body(kvasir::api::Dialect::kAnthropic, result.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  check(kvasir::api::parse_openai_chat(body));
  check(kvasir::api::parse_openai_completions(body));
  check(kvasir::api::parse_anthropic_messages(body));
  check(kvasir::api::parse_anthropic_count_tokens(body));
  return 0;
}
