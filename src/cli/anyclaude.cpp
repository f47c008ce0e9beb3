#include "cli/anyclaude.h"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace kvasir::cli {
namespace {

struct Mode {
  std::string_view name;
  std::string_view prefix;  // of its variables
  std::uint16_t port;
};
constexpr Mode kModes[] = {{"mlx-lm", "MLX_LM", 8081},      {"mlx", "MLX_LM", 8081},
                           {"mlx-textgen", "MLX_LM", 8081}, {"vllm-mlx", "VLLM_MLX", 8081},
                           {"lmstudio", "LMSTUDIO", 1234},  {"local", "LOCAL", 8082}};

// The host and port of "http://HOST:PORT/v1"; the rest is not needed.
Status read_url(const std::string& name, const std::string& url, AnyclaudeChoice& choice) {
  const Error bad = make_error(ErrorCode::kInvalidArgument,
                               name + "=" + url + ": is no address like http://localhost:8081/v1", name);
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return bad;
  const std::string authority = url.substr(kScheme.size(), url.find('/', kScheme.size()) - kScheme.size());
  const std::size_t colon = authority.rfind(':');
  const std::string host = authority.substr(0, colon);
  if (host.empty()) return bad;
  // The server listens on IPv4 unless told otherwise; "localhost" may mean ::1 first.
  choice.host = host == "localhost" ? "127.0.0.1" : host;
  if (colon == std::string::npos) {
    choice.port = 80;
    return {};
  }
  const char* const end = authority.data() + authority.size();
  const auto [rest, error] = std::from_chars(authority.data() + colon + 1, end, choice.port);
  return error == std::errc{} && rest == end && choice.port != 0 ? Status{} : Status{bad};
}

}  // namespace

Result<std::optional<AnyclaudeChoice>> anyclaude_choice(const Variables& variable) {
  auto named = variable("ANYCLAUDE_MODE");
  if (!named) return std::optional<AnyclaudeChoice>();
  std::ranges::transform(*named, named->begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  AnyclaudeChoice choice;
  if (*named == "claude") {
    choice.hosted = true;
    return std::optional(choice);
  }
  const auto* const mode = std::ranges::find(kModes, std::string_view(*named), &Mode::name);
  if (mode == std::end(kModes)) {
    return make_error(ErrorCode::kInvalidArgument,
                      "ANYCLAUDE_MODE=" + *named +
                          ": Kvasir knows claude, mlx-lm, mlx, mlx-textgen, vllm-mlx, lmstudio and local; "
                          "unset it, or set one of these",
                      "ANYCLAUDE_MODE");
  }
  const std::string prefix(mode->prefix);
  choice.port = mode->port;
  if (const auto url = variable(prefix + "_URL"))
    KVASIR_RETURN_IF_ERROR(read_url(prefix + "_URL", *url, choice));
  choice.model = variable(prefix + "_MODEL").value_or("");
  if (choice.model == "current-model") choice.model.clear();
  choice.api_key = variable(prefix + "_API_KEY").value_or("");
  return std::optional(choice);
}

}  // namespace kvasir::cli
