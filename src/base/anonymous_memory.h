#pragma once
// Zeroed memory taken straight from the system: its pages, huge ones where the system gives them, become
// resident only when they are touched, and go back whole when the object dies.

#include <cstddef>
#include <memory>

#include "base/error.h"

namespace kvasir {

class AnonymousMemory {
 public:
  // `size` > 0, in bytes. kResourceExhausted when the system refuses.
  static Result<std::unique_ptr<AnonymousMemory>> create(std::size_t size);
  ~AnonymousMemory();
  AnonymousMemory(const AnonymousMemory&) = delete;
  AnonymousMemory& operator=(const AnonymousMemory&) = delete;

  std::byte* data() const { return data_; }  // page aligned
  std::size_t size() const { return size_; }

 private:
  AnonymousMemory(std::byte* data, std::size_t size) : data_(data), size_(size) {}
  std::byte* data_;
  std::size_t size_;
};

}  // namespace kvasir
