#include "executor/weights_id.h"

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/content_hash.h"

namespace kvasir::executor {
namespace {

// Of a part, hashed by one thread. A part of the name: changing it renames all weights.
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

std::string hash_of(const weights::TensorInfo& tensor, ThreadPool& pool) {
  std::vector<std::string_view> pieces;
  for (const weights::TensorPart& p : tensor.parts) {
    for (const auto& part : {p.data, p.scales, p.biases}) {
      const std::string_view bytes(reinterpret_cast<const char*>(part.data()), part.size());
      for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes)
        pieces.push_back(bytes.substr(at, kPieceBytes));
    }
  }
  std::vector<std::string> hashes(pieces.size());
  pool.parallel_for(pieces.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) hashes[i] = content_hash(pieces[i]);
  });
  ContentHash all;
  all.update(tensor.name.data(), tensor.name.size());
  all.update(tensor.shape.data(), tensor.shape.size() * sizeof(tensor.shape[0]));
  for (const std::string& hash : hashes) all.update(hash.data(), hash.size());
  return all.hex();
}

}  // namespace

void WeightsId::add(const weights::TensorInfo& tensor) {
  std::string& hash = hashes_[tensor.name];
  if (hash.empty()) hash = hash_of(tensor, pool_);
}

std::string WeightsId::finish() {
  ContentHash all;
  for (const weights::TensorInfo& tensor : file_.tensors()) {
    const bool left = !hashes_.contains(tensor.name);
    add(tensor);
    if (left) file_.release(tensor);
    const std::string& hash = hashes_[tensor.name];
    all.update(hash.data(), hash.size());
  }
  return all.hex();
}

}  // namespace kvasir::executor
