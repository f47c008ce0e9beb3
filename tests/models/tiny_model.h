#pragma once
// Tiny models with random weights, one or more for each family, remade from their golden files
// (tools/oracle/make_families_golden.py has the format and tiny_families.py the weights).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/types.h"
#include "weights/checkpoint.h"

namespace kvasir::models {

struct TinyModel {
  std::string name;
  std::size_t vocab = 0;
  std::vector<TokenId> tokens;
  // The judge's logits (positions, vocab), on the weights of `floats`.
  std::vector<std::size_t> positions;
  std::vector<float> judged;
  // A GGUF file in memory, and the same with its matrices as Q8_0 (of other values).
  std::shared_ptr<const weights::Checkpoint> floats;
  std::shared_ptr<const weights::Checkpoint> quantised;
};

// The names of all golden files, in order.
std::vector<std::string> tiny_model_names();
TinyModel read_tiny_model(const std::string& name);

}  // namespace kvasir::models
