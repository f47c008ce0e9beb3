#include "text/tokenizer_json.h"

#include "text/ffi.h"
#include "text/tokenizer_impl.h"

namespace kvasir::text {

Result<std::string> to_tokenizer_json(const Tokenizer& tokenizer) {
  const Tokenizer::Impl& impl = tokenizer.impl();
  kvt_buffer json{};
  kvt_buffer error{};
  const kvt_status status =
      kvt_tokenizer_to_json(impl.handle.get(), impl.adds_bos ? impl.bos : kNoToken, &json, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, "tokenizer");
  return ffi::take(json);
}

}  // namespace kvasir::text
