#pragma once
// How fast prompts are read beside answers that are being written, so that no answer slows down by more than
// a factor: mean time between two of its tokens, in steps that read and steps that only decode together.
//
// A chunk of a prompt costs much less a token than single tokens do, so chunks stay large, and are paid for
// by steps without one: a step that reads and takes longer than the factor allows leaves a debt of time, and
// until steps that only decode have worked it off, none reads. Chunks shrink where a token costs more (far
// into a prompt), so that no single step takes long either.
//
// What a step takes is told to it, not measured; owned by the engine's thread.

#include <cstddef>
#include <cstdint>

namespace kvasir::engine {

class Pace {
 public:
  // Answers may take `slowdown` times as long, more than 1; 0: as long as it takes.
  explicit Pace(double slowdown) : slowdown_(slowdown) {}

  // A step in which `answers` sequences decoded and nothing was read.
  void decoded(std::size_t answers, double seconds);
  // A step that read `tokens` tokens of prompts beside them.
  void read(std::uint32_t tokens, double seconds);

  // Prompts may be read beside so many answers.
  bool may_read(std::size_t answers) const;
  // Tokens to read beside them, at most `most`.
  std::uint32_t chunk(std::uint32_t most) const;

 private:
  void owe(double seconds);

  double slowdown_;
  std::size_t answers_ = 0;  // that decode_seconds_ was seen with; 0: none yet
  double decode_seconds_ = 0;
  double debt_seconds_ = 0;   // below nought: what a step without a prompt has spared
  double token_seconds_ = 0;  // of a prompt's token beside answers; 0: not known yet
};

}  // namespace kvasir::engine
