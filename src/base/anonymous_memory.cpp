#include "base/anonymous_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/huge_pages.h"

namespace kvasir {

Result<std::unique_ptr<AnonymousMemory>> AnonymousMemory::create(std::size_t size) {
  if (size == 0) return make_error(ErrorCode::kInvalidArgument, "cannot map zero bytes of memory");
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) {
    const int error = errno;
    return make_error(ErrorCode::kResourceExhausted,
                      "cannot map " + std::to_string(size) + " bytes of memory: " + std::strerror(error));
  }
  advise_huge_pages(address, size);  // attention over a long context reads all over it
  return std::unique_ptr<AnonymousMemory>(new AnonymousMemory(static_cast<std::byte*>(address), size));
}

AnonymousMemory::~AnonymousMemory() {
  ::munmap(data_, size_);
}

}  // namespace kvasir
