// libFuzzer: any bytes at all, through the safetensors parser. Nothing may crash or point outside.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto file = kvasir::weights::SafetensorsFile::parse(bytes, "fuzz.safetensors");
  if (!file.ok()) return 0;
  for (const auto& t : (*file)->tensors()) {
    if (t.data.data() < bytes.data() || t.data.data() + t.data.size() > bytes.data() + bytes.size())
      std::abort();
    if (t.count() * kvasir::weights::bytes_of(t.element) != t.data.size()) std::abort();
  }
  return 0;
}
