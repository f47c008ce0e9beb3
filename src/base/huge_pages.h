#pragma once
// Advice to the system that memory be given in huge pages: fewer misses of the TLB where much of it is read.

#include <sys/mman.h>

#include <cstddef>

namespace kvasir {

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Of fresh anonymous memory. Smaller memory than a page, and systems that know no such advice: nothing.
inline void advise_huge_pages([[maybe_unused]] void* address, [[maybe_unused]] std::size_t bytes) {
#ifdef MADV_HUGEPAGE
  if (bytes >= kHugePage) (void)::madvise(address, bytes, MADV_HUGEPAGE);
#endif
}

}  // namespace kvasir
