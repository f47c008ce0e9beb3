#include "base/confined_process.h"

#include <gtest/gtest.h>

namespace kvasir {
namespace {

using namespace std::chrono_literals;
using End = ConfinedResult::End;

ConfinedResult run(const std::string& script, const std::string& input, const Confinement& limits) {
  auto result = run_confined({"/bin/sh", "-c", script}, input, limits);
  EXPECT_TRUE(result.ok());
  return result.ok() ? *result : ConfinedResult();
}

TEST(ConfinedProcess, AnswersWhatItIsGiven) {
  // More than a socket holds, in both directions.
  const std::string input(3'000'000, 'x');
  const ConfinedResult result = run("cat; echo unheard >&2; exit 7", input, {60s, 4'000'000});
  EXPECT_EQ(result.end, End::kExited);
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.output, input);
}

TEST(ConfinedProcess, MayEndWithoutReadingItsInput) {
  const ConfinedResult result = run("echo no; exit 3", std::string(3'000'000, 'x'), {60s, 100});
  EXPECT_EQ(result.end, End::kExited);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.output, "no\n");
}

TEST(ConfinedProcess, EndsAtItsLimits) {
  EXPECT_EQ(run("exec sleep 1000", "", {50ms, 100}).end, End::kTimedOut);
  EXPECT_EQ(run("exec yes", "", {60s, 1000}).end, End::kTooMuchOutput);
  const std::atomic<bool> cancelled{true};
  EXPECT_EQ(run("exec sleep 1000", "", {60s, 100, &cancelled}).end, End::kCancelled);
  // It says that it is done, and goes on.
  EXPECT_EQ(run("exec sleep 1000 <&- >&-", "", {60s, 100}).exit_code, 128 + 9);
}

TEST(ConfinedProcess, ASignalIsItsExitCode) {
  EXPECT_EQ(run("kill -6 $$", "", {60s, 100}).exit_code, 128 + 6);
}

TEST(ConfinedProcess, WhatCannotBeStartedIsAnErrorWithItsName) {
  const auto result = run_confined({"/no/such/program"}, "", {60s, 100});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().subject, "/no/such/program");
}

}  // namespace
}  // namespace kvasir
