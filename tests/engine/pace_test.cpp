#include "engine/pace.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kvasir::engine {
namespace {

constexpr std::uint32_t kChunk = 64;

// Steps of a machine on which a step takes `decode` and a prompt's token beside it `token` more.
struct Machine {
  double decode = 0.04;
  double token = 0.002;
  std::size_t answers = 8;
  double seconds = 0;
  double longest = 0;
  std::uint32_t steps = 0;
  std::uint32_t read = 0;

  void step(Pace& pace) {
    double took = decode;
    if (pace.may_read(answers)) {
      const std::uint32_t tokens = pace.chunk(kChunk);
      took += tokens * token;
      pace.read(tokens, took);
      read += tokens;
    } else {
      pace.decoded(answers, took);
    }
    seconds += took;
    longest = std::max(longest, took);
    ++steps;
  }
};

TEST(Pace, AnswersSlowDownByAtMostItsFactorWhilePromptsAreRead) {
  for (const double token : {0.0001, 0.0005, 0.002, 0.01}) {
    Pace pace(1.8);
    Machine machine{.token = token};
    for (int i = 0; i < 1000; ++i) machine.step(pace);
    const double factor = machine.seconds / machine.steps / machine.decode;
    EXPECT_LE(factor, 1.81) << token;
    // And what they can spare is used, but where a whole chunk in every step takes less.
    EXPECT_GE(factor, std::min(1.75, 1 + kChunk * token / machine.decode - 0.01)) << token;
  }
}

TEST(Pace, ChunksShrinkWhereATokenCostsMoreSoThatNoStepTakesLong) {
  Pace pace(1.8);
  Machine cheap{.token = 0.001};
  for (int i = 0; i < 20; ++i) cheap.step(pace);
  EXPECT_EQ(pace.chunk(kChunk), kChunk);
  Machine dear{.token = 0.004};
  for (int i = 0; i < 200; ++i) dear.step(pace);
  EXPECT_NEAR(pace.chunk(kChunk), 0.11 / 0.004, 3);
  Machine very_dear{.token = 1};
  for (int i = 0; i < 2000; ++i) very_dear.step(pace);
  EXPECT_EQ(pace.chunk(kChunk), 16U);
  EXPECT_EQ(pace.chunk(10), 10U);
}

TEST(Pace, WhatAStepTakesIsSeenAgainWithMoreAnswersOrFewer) {
  Pace pace(1.8);
  EXPECT_FALSE(pace.may_read(8));
  pace.decoded(8, 0.2);
  EXPECT_TRUE(pace.may_read(8));
  EXPECT_FALSE(pace.may_read(1));
  pace.decoded(1, 0.01);
  Machine machine{.decode = 0.01, .answers = 1};
  for (int i = 0; i < 1000; ++i) machine.step(pace);
  EXPECT_LE(machine.seconds / machine.steps, 1.81 * machine.decode);
}

TEST(Pace, OfNoughtAlwaysReadsWholeChunks) {
  Pace pace(0);
  Machine machine{.token = 1};
  for (int i = 0; i < 100; ++i) machine.step(pace);
  EXPECT_EQ(machine.read, 100 * kChunk);
}

}  // namespace
}  // namespace kvasir::engine
