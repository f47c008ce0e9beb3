#include "cli/service_unit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// Both texts are also judged from outside, by systemd-analyze and plistlib: tests/e2e/test_service.py.

namespace kvasir::cli {
namespace {

using testing::HasSubstr;

const ServiceDescription kService{
    {"/opt/k v/kvasir", "serve", "-m", "a \"b\" $c 50%.gguf", "--api-key", "<&>"},
    "/home/u/50%",
    {{"A", "$x"}},
    "/home/u/log"};

TEST(SystemdUnit, QuotesWordsAndMakesSpecifiersAndVariablesPlain) {
  const std::string unit = systemd_unit(kService);
  EXPECT_THAT(unit, HasSubstr("ExecStart=\"/opt/k v/kvasir\" \"serve\" \"-m\" \"a \\\"b\\\" $$c 50%%.gguf\" "
                              "\"--api-key\" \"<&>\"\n"));
  EXPECT_THAT(unit, HasSubstr("WorkingDirectory=/home/u/50%%\n"));
  EXPECT_THAT(unit, HasSubstr("Environment=\"A=$x\"\n"));
}

TEST(SystemdUnit, RestartsAfterACrashAndGivesAnswersInFlightTime) {
  const std::string unit = systemd_unit(kService);
  EXPECT_THAT(unit, HasSubstr("Restart=on-failure\n"));
  EXPECT_THAT(unit, HasSubstr("TimeoutStopSec=45\n"));
  EXPECT_THAT(unit, HasSubstr("WantedBy=default.target\n"));
}

TEST(LaunchdPlist, EscapesTextAndRestartsAfterACrash) {
  const std::string plist = launchd_plist(kService);
  EXPECT_THAT(plist, HasSubstr("<string>a \"b\" $c 50%.gguf</string>"));
  EXPECT_THAT(plist, HasSubstr("<string>&lt;&amp;&gt;</string>"));
  EXPECT_THAT(plist, HasSubstr("<key>SuccessfulExit</key>\n    <false/>"));
  EXPECT_THAT(plist, HasSubstr("<key>ProcessType</key>\n  <string>Interactive</string>"));
  EXPECT_THAT(plist, HasSubstr("<key>ExitTimeOut</key>\n  <integer>45</integer>"));
}

}  // namespace
}  // namespace kvasir::cli
