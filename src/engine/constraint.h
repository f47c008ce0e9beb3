#pragma once
// What the engine needs to know of a grammar: which tokens may come next in one sequence. Implemented above
// (chat arms tool-call grammars at their trigger) over text::GrammarMatcher. Called by one thread at a time:
// the engine's, or its MaskWorker's.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/types.h"

namespace kvasir::engine {

class Constraint {
 public:
  virtual ~Constraint() = default;
  // Allowed tokens as bits (bit t of word t/32), or nullopt where every token is allowed now. Valid until the
  // next call.
  virtual Result<std::optional<std::span<const std::uint32_t>>> mask() = 0;
  // The token that was sampled under the last mask.
  virtual Status accept(TokenId token) = 0;
  // Tokens that must come now, at most `most`; they count as accepted. The engine writes them without asking
  // the model: the same for everybody, whatever else runs. For the opening of an answer.
  virtual std::vector<TokenId> take_forced(std::size_t most) {
    (void)most;
    return {};
  }
  // The same behind a token that was sampled: only where at least `least` tokens must come and they do not
  // end what the grammar describes.
  virtual std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) {
    (void)most, (void)least;
    return {};
  }
};

}  // namespace kvasir::engine
