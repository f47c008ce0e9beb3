#include "executor/script.h"

#include <algorithm>
#include <boost/json.hpp>
#include <ranges>

#include "base/mapped_file.h"

namespace kvasir::executor {
namespace {

namespace json = boost::json;

Error wrong(std::string_view key, std::string_view expected) {
  return make_error(ErrorCode::kInvalidArgument,
                    "script: \"" + std::string(key) + "\" must be " + std::string(expected),
                    std::string(key));
}

Status read_string(const json::object& object, std::string_view key, std::string& out) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return {};
  if (!value->is_string()) return wrong(key, "a string");
  out = std::string(value->get_string());
  return {};
}

Status read_count(const json::object& object, std::string_view key, std::uint32_t limit, std::uint32_t& out) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return {};
  if (!value->is_int64() || value->get_int64() < 0 || value->get_int64() > limit) {
    return wrong(key, "a whole number from 0 to " + std::to_string(limit));
  }
  out = static_cast<std::uint32_t>(value->get_int64());
  return {};
}

Status read_strings(const json::object& object, std::string_view key, std::vector<std::string>& out) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return {};
  if (!value->is_array()) return wrong(key, "a list of strings");
  out.clear();
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) return wrong(key, "a list of strings");
    out.emplace_back(item.get_string());
  }
  return {};
}

Result<ScriptRule> read_rule(const json::value& value) {
  if (!value.is_object()) return wrong("rules", "a list of objects");
  const json::object& object = value.get_object();
  if (!object.contains("reply")) return wrong("reply", "given in every rule");
  ScriptRule rule;
  std::string scope = "turn";
  KVASIR_RETURN_IF_ERROR(read_string(object, "when", rule.when));
  KVASIR_RETURN_IF_ERROR(read_string(object, "unless", rule.unless));
  KVASIR_RETURN_IF_ERROR(read_string(object, "reply", rule.reply));
  KVASIR_RETURN_IF_ERROR(read_string(object, "scope", scope));
  KVASIR_RETURN_IF_ERROR(read_count(object, "delay_ms_per_step", 60'000, rule.delay_ms_per_step));
  if (scope != "turn" && scope != "prompt") return wrong("scope", "\"turn\" or \"prompt\"");
  rule.whole_prompt = scope == "prompt";
  return rule;
}

}  // namespace

Result<Script> parse_script(std::string_view text) {
  boost::system::error_code failed;
  const json::value value = json::parse(text, failed);
  if (failed) {
    return make_error(ErrorCode::kInvalidArgument, "script: not valid JSON: " + failed.message());
  }
  if (!value.is_object()) return wrong("rules", "in an object");
  const json::object& object = value.get_object();
  const json::value* rules = object.if_contains("rules");
  if (rules == nullptr || !rules->is_array()) return wrong("rules", "a list of objects");
  Script script;
  for (const json::value& item : rules->get_array()) {
    KVASIR_ASSIGN_OR_RETURN(auto rule, read_rule(item));
    script.rules.push_back(std::move(rule));
  }
  KVASIR_RETURN_IF_ERROR(read_string(object, "assistant_marker", script.assistant_marker));
  KVASIR_RETURN_IF_ERROR(read_strings(object, "turn_markers", script.turn_markers));
  KVASIR_RETURN_IF_ERROR(read_strings(object, "generation_prefixes", script.generation_prefixes));
  KVASIR_RETURN_IF_ERROR(read_count(object, "context_length", 1U << 30, script.context_length));
  KVASIR_RETURN_IF_ERROR(read_count(object, "state_blocks", 1024, script.state_blocks));
  return script;
}

Result<Script> load_script(const std::string& path) {
  KVASIR_ASSIGN_OR_RETURN(const auto file, MappedFile::open(path));
  const auto bytes = file->bytes();
  auto script = parse_script({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!script.ok()) return make_error(script.error().code, path + ": " + script.error().message, path);
  return script;
}

const ScriptRule* find_rule(const Script& script, std::string_view text) {
  std::size_t begin = 0;
  for (const std::string& marker : script.turn_markers) {
    if (const auto at = text.rfind(marker); at != std::string_view::npos) begin = std::max(begin, at);
  }
  const std::string_view turn = text.substr(begin);
  for (const ScriptRule& rule : std::views::reverse(script.rules)) {
    const std::string_view where = rule.whole_prompt ? text : turn;
    const bool wanted = rule.when.empty() || where.find(rule.when) != std::string_view::npos;
    const bool barred = !rule.unless.empty() && where.find(rule.unless) != std::string_view::npos;
    if (wanted && !barred) return &rule;
  }
  return nullptr;
}

}  // namespace kvasir::executor
