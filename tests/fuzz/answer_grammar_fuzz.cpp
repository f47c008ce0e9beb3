// libFuzzer: any text as a GBNF grammar and as a regular expression. Each is refused with a reason or gives a
// grammar of bounded size, in bounded time (-timeout).

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chat/gbnf_lark.h"
#include "chat/python_regex.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto lark = kvasir::chat::gbnf_to_lark(text);
  if (lark.ok() ? lark->size() > 100'000 + 200 * size : lark.error().message.empty()) std::abort();
  const auto regex = kvasir::chat::python_regex(text);
  if (regex.ok() ? regex->size() > 20 * size : regex.error().message.empty()) std::abort();
  return 0;
}
