#include "base/process.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace kvasir {
namespace {

TEST(Process, ProgramsAreFoundOnPathOrByPath) {
  ASSERT_TRUE(find_program("sh").has_value());
  EXPECT_TRUE(find_program("sh")->ends_with("/sh"));
  EXPECT_EQ(find_program("/bin/sh"), "/bin/sh");
  EXPECT_EQ(find_program("no-such-program-here"), std::nullopt);
  EXPECT_EQ(find_program("/etc"), std::nullopt);  // a folder is no program
}

TEST(Process, ARunProgramGivesItsExitCodeAndBothOutputs) {
  const auto result = run_program({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"});
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->exit_code, 3);
  EXPECT_EQ(result->output, "out\nerr\n");
  EXPECT_EQ(run_program({"/bin/sh", "-c", "kill -9 $$"})->exit_code, 128 + 9);
}

TEST(Process, WhatCannotBeStartedIsAnErrorWithItsName) {
  const auto result = run_program({"/no/such/program"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().subject, "/no/such/program");
}

TEST(Process, ABackgroundProgramHasASessionOfItsOwnAndWritesItsLog) {
  const std::string log = testing::TempDir() + "kvasir-background.log";
  std::filesystem::remove(log);
  // Field 6 of /proc/self/stat is the session; without /proc (macOS) ps tells.
  const auto id = start_in_background({"/bin/sh", "-c", "echo $$; ps -o sess= -p $$ >&2"}, log);
  ASSERT_TRUE(id.ok());
  while (process_runs(*id)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::ifstream in(log);
  const std::string said((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(said.substr(0, said.find('\n')), std::to_string(*id));
#if defined(__linux__)
  EXPECT_NE(said.find(std::to_string(*id), said.find('\n')), std::string::npos) << said;
#endif
  EXPECT_FALSE(process_runs(*id));
  std::filesystem::remove(log);
}

TEST(Process, OneThatIsAskedToEndEnds) {
  const auto id = start_in_background({"/bin/sleep", "600"}, "/dev/null");
  ASSERT_TRUE(id.ok());
  EXPECT_TRUE(process_runs(*id));
  EXPECT_TRUE(ask_to_end(*id));
  while (process_runs(*id)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_FALSE(ask_to_end(*id));
}

TEST(Process, BecomingAProgramKeepsTheIdAndChangesTheEnvironment) {
  EXPECT_EXIT(
      {
        ::setenv("KVASIR_TEST_GONE", "1", 1);
        const Error error =
            become({"/bin/sh", "-c", "test -z \"$KVASIR_TEST_GONE\" && exit $KVASIR_TEST_CODE"},
                   {{"KVASIR_TEST_CODE", "7"}, {"KVASIR_TEST_GONE", std::nullopt}});
        std::exit(error.message.empty() ? 1 : 2);
      },
      testing::ExitedWithCode(7), "");
  EXPECT_FALSE(become({"/no/such/program"}, {}).message.empty());
}

TEST(Process, AnEmptyVariableCountsAsUnset) {
  ::setenv("KVASIR_TEST_EMPTY", "", 1);
  EXPECT_EQ(environment("KVASIR_TEST_EMPTY"), std::nullopt);
}

}  // namespace
}  // namespace kvasir
