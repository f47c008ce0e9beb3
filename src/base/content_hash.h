#pragma once
// A name for some bytes: 128 bits of XXH3, as 32 hexadecimal digits. Against accidents, not against an
// attacker.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace kvasir {

// Not thread-safe.
class ContentHash {
 public:
  ContentHash();
  ~ContentHash();
  ContentHash(const ContentHash&) = delete;
  ContentHash& operator=(const ContentHash&) = delete;

  void update(const void* data, std::size_t bytes);
  std::string hex() const;  // of everything so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string content_hash(std::string_view bytes);

}  // namespace kvasir
