#include "text/ffi.h"

#include <utility>

namespace kvasir::text::ffi {

std::string take(kvt_buffer buffer) {
  std::string text;
  if (buffer.size > 0) text.assign(reinterpret_cast<const char*>(buffer.data), buffer.size);
  kvt_buffer_free(buffer);
  return text;
}

Error error_of(kvt_status status, kvt_buffer words, std::string subject) {
  auto code = ErrorCode::kInternal;
  switch (status) {
    case KVT_INVALID:
      code = ErrorCode::kInvalidArgument;
      break;
    case KVT_CORRUPT:
      code = ErrorCode::kCorruptData;
      break;
    case KVT_UNSUPPORTED:
      code = ErrorCode::kUnsupported;
      break;
    case KVT_OK:
    case KVT_INTERNAL:
      break;
  }
  return make_error(code, take(words), std::move(subject));
}

}  // namespace kvasir::text::ffi
