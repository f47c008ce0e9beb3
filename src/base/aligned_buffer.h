#pragma once
// Owned, zeroed memory for weights and scratch: aligned to a cache line, in huge pages where the system gives
// them, of which a large buffer's last one may be partly empty.

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace kvasir {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Throws std::bad_alloc where the system refuses.
  explicit AlignedBuffer(std::size_t bytes);
  // A part of another one, which lives as long as its parts. Many small buffers that lie in a large one lie
  // in its huge pages.
  AlignedBuffer(std::shared_ptr<AlignedBuffer> whole, std::size_t from, std::size_t bytes);
  ~AlignedBuffer();
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  template <class T>
  std::span<T> as() {
    return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
  }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_), size_ / sizeof(T)};
  }

 private:
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(whole_, other.whole_);
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::shared_ptr<AlignedBuffer> whole_;  // of a part
};

}  // namespace kvasir
