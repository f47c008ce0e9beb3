#pragma once
// A GGUF model split over several files ("name-00001-of-00003.gguf", ...), as one checkpoint. Metadata is
// that of the first; tensors follow each other in the order of the files.

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "weights/checkpoint.h"
#include "weights/gguf.h"

namespace kvasir::weights {

class GgufSet final : public Checkpoint {
 public:
  // `path` names the first file; its own key `split.count` says how many there are. Errors as
  // open_checkpoint: also kNotFound where a file of the set is missing, kCorruptData where one is of another
  // set.
  static Result<std::shared_ptr<const GgufSet>> open(const std::string& path);

  void release(const TensorInfo& tensor) const override;

 private:
  GgufSet() = default;
  std::vector<std::shared_ptr<const GgufFile>> files_;
};

}  // namespace kvasir::weights
