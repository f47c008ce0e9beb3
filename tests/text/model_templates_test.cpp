// Every chat template of llama.cpp's collection (tools/fetch_templates.py) in every scenario, against
// Python's jinja2 as transformers sets it up (tools/oracle/make_model_templates_golden.py, which also prints
// a single render).

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "text/chat_template.h"

namespace kvasir::text {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr std::int64_t kNow = 1784109805;  // NOW of tools/oracle/template_scenarios.py

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

json::object golden(const std::string& name) {
  boost::system::error_code failed;
  const json::value value = json::parse(contents("tests/text/golden/" + name), failed);
  if (!failed && value.is_object()) return value.get_object();
  ADD_FAILURE() << name << " cannot be read: run from the source folder";
  return {};
}

fs::path template_folder() {
  const char* peers = std::getenv("KVASIR_PEERS");
  const char* home = std::getenv("HOME");
  const std::string base =
      peers != nullptr ? peers : std::string(home != nullptr ? home : "") + "/.cache/kvasir/peers";
  return base + "/templates-0.3.36";
}

// As the golden file has it.
std::string digest(const std::string& text) {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
  char line[64];
  std::snprintf(line, sizeof line, "%zu %016llx", text.size(), static_cast<unsigned long long>(hash));
  return line;
}

std::string rendered(const Result<std::shared_ptr<const ChatTemplate>>& compiled, const json::value& context,
                     std::string& said) {
  if (!compiled.ok()) {
    said = compiled.error().message;
    return "refused";
  }
  const auto text = (*compiled)->render(json::serialize(context), kNow);
  said = text.ok() ? *text : text.error().message;
  return text.ok() ? digest(*text) : "refused";
}

// Known differences (docs/guides/templates.md). A new one fails the test, and so does one that is gone.
const std::map<std::string, std::set<std::string>>& exceptions() {
  static const std::set<std::string> kWithTools = {"tools", "call_and_result", "answered_call",
                                                   "parallel_calls"};
  static const std::map<std::string, std::set<std::string>> kExceptions = {
      // `tools | map(attribute='function') | tojson`: Python's map is a generator, which json.dumps refuses,
      // so
      // transformers renders no tools with it at all. The template was written for engines whose map is a
      // list.
      {"llama-cpp-deepseek-r1", kWithTools},
      // `"..."|safe + description`: in Python the left side is Markup, which escapes what is added to it, and
      // the
      // model is shown &#34; for every quote of a tool's schema. Here a text is a text.
      {"meetkai-functionary-medium-v3.1", kWithTools},
  };
  return kExceptions;
}

bool is_exception(const std::string& name, const std::string& scenario) {
  const auto known = exceptions().find(name);
  return known != exceptions().end() && known->second.contains(scenario);
}

TEST(ModelTemplates, RenderAsPythonsJinja2DoesInEveryScenario) {
  const json::object scenarios = golden("template_scenarios.json");
  const json::object expected = golden("model_templates.json");
  ASSERT_GE(expected.size(), 70U);
  ASSERT_GE(scenarios.size(), 8U);
  for (const auto& [name, results] : expected) {
    const std::string title(name);
    const std::string source = contents(template_folder() / (title + ".jinja"));
    ASSERT_FALSE(source.empty()) << title << ": run tools/fetch_templates.py";
    const auto compiled = ChatTemplate::compile(source);
    for (const auto& [scenario, result] : results.as_object()) {
      const std::string where(scenario);
      std::string said;
      const std::string got = rendered(compiled, scenarios.at(scenario), said);
      const std::string wanted(result.as_string());
      if (is_exception(title, where)) {
        EXPECT_NE(got, wanted) << title << ", " << where << " is no exception any more";
      } else {
        EXPECT_EQ(got, wanted) << title << ", " << where << ":\n" << said;
      }
    }
  }
}

}  // namespace
}  // namespace kvasir::text
