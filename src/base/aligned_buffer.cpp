#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <new>
#include <utility>

#include "base/check.h"

namespace kvasir {
namespace {

constexpr std::size_t kCacheLine = 64;

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* p = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Advice only: fewer TLB misses when weights are streamed.
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  if (bytes >= kHugePage) (void)::madvise(p, bytes, MADV_HUGEPAGE);
#endif
  data_ = static_cast<std::byte*>(p);
}

AlignedBuffer::AlignedBuffer(std::shared_ptr<AlignedBuffer> whole, std::size_t from, std::size_t bytes)
    : size_(bytes), whole_(std::move(whole)) {
  KVASIR_CHECK(from % kCacheLine == 0 && from <= whole_->size() && bytes <= whole_->size() - from,
               "a part begins at a cache line and lies within the whole");
  data_ = whole_->data() + from;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr && whole_ == nullptr) ::munmap(data_, size_);
}

}  // namespace kvasir
