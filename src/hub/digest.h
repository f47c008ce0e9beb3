#pragma once
// The names that the hub gives to contents, which are hashes of them: SHA-256 for large files, and what git
// calls a blob (SHA-1) for the others.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace kvasir::hub {

class Digest {
 public:
  // The hash that `etag` is one of, for contents of `size` bytes; null where it is none (another server's
  // etag), and contents cannot be checked by it.
  static std::unique_ptr<Digest> for_etag(const std::string& etag, std::uint64_t size);
  static std::unique_ptr<Digest> sha256();
  ~Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void update(std::span<const std::byte> bytes);
  std::string hex();  // once, last

 private:
  struct Impl;
  explicit Digest(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Of a file's contents; empty where it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace kvasir::hub
