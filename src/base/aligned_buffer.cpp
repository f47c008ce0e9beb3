#include "base/aligned_buffer.h"

#include <sys/mman.h>

#include <new>
#include <utility>

#include "base/check.h"
#include "base/huge_pages.h"

namespace kvasir {
namespace {

constexpr std::size_t kCacheLine = 64;

// What is mapped for a buffer. From a fraction of a huge page on, whole ones: where they are advised only for
// what fills them, buffers of a megabyte and the ends of larger ones lie in small pages, and prefill of 512
// tokens took 1.14 times as long in a virtual machine, whose page walks are twice as deep.
std::size_t mapped_bytes(std::size_t bytes) {
  constexpr std::size_t kLeast = kHugePage / 8;
  return bytes < kLeast ? bytes : (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  const std::size_t mapped = mapped_bytes(bytes);
  void* p = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  advise_huge_pages(p, mapped);
  data_ = static_cast<std::byte*>(p);
}

AlignedBuffer::AlignedBuffer(std::shared_ptr<AlignedBuffer> whole, std::size_t from, std::size_t bytes)
    : size_(bytes), whole_(std::move(whole)) {
  KVASIR_CHECK(from % kCacheLine == 0 && from <= whole_->size() && bytes <= whole_->size() - from,
               "a part begins at a cache line and lies within the whole");
  data_ = whole_->data() + from;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ != nullptr && whole_ == nullptr) ::munmap(data_, mapped_bytes(size_));
}

}  // namespace kvasir
