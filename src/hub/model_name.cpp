#include "hub/model_name.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <regex>

namespace kvasir::hub {
namespace {

constexpr std::string_view kPrefix = "hf:";
constexpr std::size_t kMostListed = 20;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// A part of a repository's id: letters, digits, '-', '_' and '.', neither "." nor "..".
bool is_id_part(std::string_view part) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  return !part.empty() && part.size() <= 96 && std::ranges::all_of(part, allowed) &&
         part.find("..") == std::string_view::npos && part.front() != '.' && part.find("--") == part.npos;
}

// A path that stays inside its repository.
bool is_inner_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.size() > 1024) return false;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return false;
    at = end + 1;
  }
  return std::ranges::none_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\\'; });
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// Whether `word` stands in `name` by itself: "Q4_K" does not mean "IQ4_K_S" or "Q4_K_M".
bool has_word(std::string_view name, std::string_view word) {
  const auto inside = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (std::size_t at = 0; (at = name.find(word, at)) != std::string_view::npos; ++at) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !inside(name[at - 1])) && (end == name.size() || !inside(name[end]))) return true;
  }
  return false;
}

std::string listed(std::span<const GgufSet> sets) {
  std::string text;
  for (std::size_t i = 0; i < sets.size() && i < kMostListed; ++i)
    text += (i == 0 ? "" : ", ") + sets[i].front();
  return sets.size() > kMostListed ? text + ", ..." : text;
}

}  // namespace

std::string ModelName::text() const {
  return std::string(kPrefix) + repo + (revision == kMainRevision ? "" : "@" + revision) +
         (file.empty() ? "" : ":" + file);
}

bool is_hub_name(std::string_view text) {
  return text.starts_with(kPrefix);
}

Result<ModelName> parse_hub_name(std::string_view text) {
  const auto wrong = [&](const std::string& why) {
    return make_error(ErrorCode::kInvalidArgument,
                      "'" + std::string(text) + "' " + why +
                          "; a model of the hub is hf:ORG/REPO[@REVISION][:FILE], like "
                          "hf:Qwen/Qwen3-0.6B-GGUF:Q8_0",
                      std::string(text));
  };
  if (!is_hub_name(text)) return wrong("does not begin with hf:");
  std::string_view rest = text.substr(kPrefix.size());
  ModelName name;
  if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
    name.file = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_inner_path(name.file)) return wrong("names no file behind the colon");
  }
  if (const std::size_t at = rest.find('@'); at != std::string_view::npos) {
    name.revision = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_inner_path(name.revision)) return wrong("names no revision behind the @");
  }
  const std::size_t slash = rest.find('/');
  const bool whole = slash == std::string_view::npos
                         ? is_id_part(rest)
                         : is_id_part(rest.substr(0, slash)) && is_id_part(rest.substr(slash + 1));
  if (!whole) return wrong("names no repository");
  name.repo = rest;
  return name;
}

std::vector<GgufSet> gguf_sets(std::span<const std::string> paths) {
  static const std::regex split(R"(^(.*)-(\d{5})-of-(\d{5})\.gguf$)", std::regex::icase);
  std::map<std::string, GgufSet> sets;  // by what the files of a set share
  for (const std::string& path : paths) {
    const std::string name = lower(base_name(path));
    if (!name.ends_with(".gguf") || name.find("mmproj") != std::string::npos ||
        name.find("imatrix") != std::string::npos) {
      continue;
    }
    std::smatch parts;
    sets[std::regex_match(path, parts, split) ? parts[1].str() + "-of-" + parts[3].str() : path].push_back(
        path);
  }
  std::vector<GgufSet> out;
  for (auto& [shared, set] : sets) {
    std::ranges::sort(set);
    out.push_back(std::move(set));
  }
  return out;
}

Result<GgufSet> choose_gguf(std::span<const GgufSet> sets, std::string_view wanted, std::string_view where) {
  std::vector<GgufSet> found;
  for (const GgufSet& set : sets) {
    const bool named = std::ranges::any_of(
        set, [&](const std::string& path) { return path == wanted || base_name(path) == wanted; });
    if (named) return set;
    if (wanted.empty() || has_word(lower(set.front()), lower(wanted))) found.push_back(set);
  }
  if (found.size() == 1) return found.front();
  const std::string place(where);
  if (found.empty()) {
    return make_error(ErrorCode::kNotFound,
                      place + " has no GGUF file '" + std::string(wanted) + "'" +
                          (sets.empty() ? "" : "; it has " + listed(sets)),
                      place);
  }
  return make_error(ErrorCode::kInvalidArgument,
                    place + " has several GGUF files" +
                        (wanted.empty() ? std::string() : " that '" + std::string(wanted) + "' fits") +
                        "; name one of them behind a colon: " + listed(found),
                    place);
}

}  // namespace kvasir::hub
