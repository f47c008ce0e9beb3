// Ministral 3 (2025): the Llama graph over YaRN, with queries that grow with the logarithm of how many
// trained contexts lie before them, as in Llama 4.

#include "models/families.h"

namespace kvasir::models {

void describe_mistral3(Metadata& read, Description& d) {
  describe_llama(read, d);
  d.query_growth = static_cast<float>(read.number("attention.temperature_scale", 0));
  if (d.query_growth != 0) {
    d.query_period = read.size("rope.scaling.original_context_length", std::size_t{1} << 30);
  }
}

}  // namespace kvasir::models
