// libFuzzer: any bytes at all, through the GGUF parser and the model's checks. Nothing may crash or read
// outside.

#include <cstddef>
#include <cstdint>

#include "models/model.h"
#include "weights/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = kvasir::weights::GgufFile::parse(bytes, "fuzz.gguf");
  if (!file.ok()) return 0;
  static kvasir::ThreadPool pool(1);
  kvasir::models::LoadOptions options;
  options.pool = &pool;
  (void)kvasir::models::load_model(*file, options).ok();
  return 0;
}
