#include "cli/client_settings.h"

#include <algorithm>
#include <boost/json.hpp>

namespace kvasir::cli {
namespace {

namespace json = boost::json;

// What clients send where no key is asked for: most refuse to start without one.
std::string key_or_any(const ServerAddress& server) {
  return server.api_key.empty() ? "local" : server.api_key;
}

// Claude Code. A model id that it does not know gets a window of 200,000 tokens, unless
// CLAUDE_CODE_MAX_CONTEXT_TOKENS says otherwise; auto-compaction follows that window.
// CLAUDE_CODE_AUTO_COMPACT_WINDOW takes no less than 100,000 and is left to the user. Aliases
// (opus, sonnet, haiku, fable) and sub-agents go to the one model too.
ClientSettings claude(const ServerAddress& server) {
  ClientSettings s;
  auto& v = s.variables;
  v.emplace_back("ANTHROPIC_BASE_URL", server.url);
  v.emplace_back("ANTHROPIC_AUTH_TOKEN", key_or_any(server));
  v.emplace_back("ANTHROPIC_API_KEY", std::nullopt);
  for (const char* other : {"CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY"})
    v.emplace_back(other, std::nullopt);
  for (const char* name : {"ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL",
                           "ANTHROPIC_DEFAULT_SONNET_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL",
                           "ANTHROPIC_DEFAULT_FABLE_MODEL", "CLAUDE_CODE_SUBAGENT_MODEL"}) {
    v.emplace_back(name, server.model);
  }
  if (server.context_tokens > 0) {
    v.emplace_back("CLAUDE_CODE_MAX_CONTEXT_TOKENS", std::to_string(server.context_tokens));
    v.emplace_back("CLAUDE_CODE_MAX_OUTPUT_TOKENS", std::to_string(answer_tokens(server.context_tokens)));
  }
  // An hour: a long first prompt on a slow machine, where the client does not stream.
  v.emplace_back("API_TIMEOUT_MS", "3600000");
  v.emplace_back("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
  v.emplace_back("DISABLE_TELEMETRY", "1");
  v.emplace_back("DISABLE_ERROR_REPORTING", "1");
  return s;
}

// A string of TOML, as `-c key=value` parses its value.
std::string toml(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// Codex reads providers from its configuration only; -c overrides it for one run.
ClientSettings codex(const ServerAddress& server) {
  ClientSettings s;
  s.variables.emplace_back("KVASIR_API_KEY", key_or_any(server));
  const auto set = [&](const std::string& key, const std::string& value) {
    s.arguments.emplace_back("-c");
    s.arguments.push_back(key + "=" + value);
  };
  set("model_provider", toml("kvasir"));
  set("model_providers.kvasir.name", toml("Kvasir"));
  set("model_providers.kvasir.base_url", toml(server.url + "/v1"));
  set("model_providers.kvasir.wire_api", toml("responses"));
  set("model_providers.kvasir.env_key", toml("KVASIR_API_KEY"));
  // Prefill on a slow machine is silent to Codex, which does not count pings.
  set("model_providers.kvasir.stream_idle_timeout_ms", "3600000");
  set("model", toml(server.model));
  if (server.context_tokens > 0) set("model_context_window", std::to_string(server.context_tokens));
  return s;
}

ClientSettings opencode(const ServerAddress& server) {
  json::object model{{"name", server.model}};
  if (server.context_tokens > 0) {
    model["limit"] =
        json::object{{"context", server.context_tokens}, {"output", answer_tokens(server.context_tokens)}};
  }
  const json::object provider{
      {"npm", "@ai-sdk/openai-compatible"},
      {"name", "Kvasir"},
      {"options", json::object{{"baseURL", server.url + "/v1"}, {"apiKey", key_or_any(server)}}},
      {"models", json::object{{server.model, model}}}};
  const std::string id = "kvasir/" + server.model;
  const json::object config{{"$schema", "https://opencode.ai/config.json"},
                            {"provider", json::object{{"kvasir", provider}}},
                            {"model", id},
                            {"small_model", id}};
  return {{{"OPENCODE_CONFIG_CONTENT", json::serialize(config)}}, {}};
}

ClientSettings qwen(const ServerAddress& server) {
  return {{{"OPENAI_BASE_URL", server.url + "/v1"},
           {"OPENAI_API_KEY", key_or_any(server)},
           {"OPENAI_MODEL", server.model}},
          {"--auth-type", "openai"}};
}

// Within single quotes a shell takes everything as it is, but for the quote itself.
std::string quoted(const std::string& text, ShellFormat format) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += format == ShellFormat::kFish ? "\\'" : "'\\''";
    } else if (c == '\\' && format == ShellFormat::kFish) {
      out += "\\\\";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string json_object(const ClientSettings& settings) {
  json::object variables;
  for (const auto& [name, value] : settings.variables) {
    variables[name] = value ? json::value(json::string(*value)) : json::value(nullptr);
  }
  json::array arguments;
  for (const std::string& a : settings.arguments) arguments.emplace_back(a);
  return json::serialize(json::object{{"env", variables}, {"args", arguments}}) + "\n";
}

}  // namespace

std::uint32_t answer_tokens(std::uint32_t context_tokens) {
  constexpr std::uint32_t kMost = 32'000;  // what Claude Code asks for by itself
  return std::clamp(context_tokens / 8, 1U, kMost);
}

std::span<const Client> known_clients() {
  static const std::vector<Client> clients{
      {"claude", "claude", "Claude Code", "npm install -g @anthropic-ai/claude-code", claude},
      {"codex", "codex", "Codex CLI", "npm install -g @openai/codex", codex},
      {"opencode", "opencode", "opencode", "npm install -g opencode-ai", opencode},
      {"qwen", "qwen", "Qwen Code", "npm install -g @qwen-code/qwen-code", qwen}};
  return clients;
}

const Client* find_client(const std::string& name) {
  for (const Client& client : known_clients()) {
    if (client.name == name) return &client;
  }
  return nullptr;
}

std::string shell_lines(const Client& client, const ClientSettings& settings, ShellFormat format) {
  if (format == ShellFormat::kJson) return json_object(settings);
  const bool fish = format == ShellFormat::kFish;
  std::string lines;
  for (const auto& [name, value] : settings.variables) {
    if (!value) {
      lines += (fish ? "set -e " : "unset ") + name + "\n";
    } else {
      lines += fish ? "set -gx " + name + " " : "export " + name + "=";
      lines += quoted(*value, format) + "\n";
    }
  }
  if (settings.arguments.empty()) return lines;
  std::string command = client.program;
  for (const std::string& a : settings.arguments) command += " " + quoted(a, format);
  lines += "alias " + client.program + (fish ? " " : "=") + quoted(command, format) + "\n";
  return lines;
}

}  // namespace kvasir::cli
