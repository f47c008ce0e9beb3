#include "hub/settings.h"

#include <algorithm>
#include <cctype>
#include <fstream>

#include "base/process.h"
#include "hub/hub_cache.h"

namespace kvasir::hub {
namespace {

bool says_yes(const char* name) {
  std::string value = environment(name).value_or("");
  for (char& c : value) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string kept_token() {
  const auto home = environment("HF_HOME");
  const auto xdg = environment("XDG_CACHE_HOME");
  const std::string folder = home ? *home : (xdg ? *xdg : home_folder() + "/.cache") + "/huggingface";
  std::ifstream in(environment("HF_TOKEN_PATH").value_or(folder + "/token"));
  std::string token;
  in >> token;
  return token;
}

}  // namespace

Settings settings_from_environment() {
  Settings s;
  s.endpoint = environment("HF_ENDPOINT").value_or("https://huggingface.co");
  while (s.endpoint.ends_with('/')) s.endpoint.pop_back();
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (s.token.empty()) s.token = environment(name).value_or("");
  }
  if (s.token.empty() && !says_yes("HF_HUB_DISABLE_IMPLICIT_TOKEN")) s.token = kept_token();
  // A line break in it would begin a header of its own.
  std::erase_if(s.token, [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
  s.offline = says_yes("HF_HUB_OFFLINE") || says_yes("TRANSFORMERS_OFFLINE");
  s.cache = default_hub_cache();
  return s;
}

}  // namespace kvasir::hub
