#include "cli/config_file.h"

#include <toml++/toml.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <numeric>
#include <vector>

#include <fmt/format.h>

#include "base/process.h"

namespace kvasir::cli {
namespace {

// An option as the file has it.
struct Entry {
  std::string key;                  // "cache.disk"
  std::string option;               // "--cache-disk"
  std::vector<std::string> values;  // as a command line would have them
  std::size_t line = 0;
};

class FileError {
 public:
  explicit FileError(std::string path) : path_(std::move(path)) {}
  Error at(std::size_t line, const std::string& problem) const {
    return make_error(ErrorCode::kInvalidArgument, path_ + ":" + std::to_string(line) + ": " + problem,
                      path_);
  }

 private:
  std::string path_;
};

std::size_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
  return std::nullopt;
}

Status read_values(const toml::node& node, const FileError& errors, Entry& entry) {
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& item : *list) {
      auto text = text_of(item);
      if (!text) return errors.at(line_of(item), entry.key + ": a list holds texts or numbers");
      entry.values.push_back(std::move(*text));
    }
    return {};
  }
  auto text = text_of(node);
  if (!text)
    return errors.at(line_of(node), entry.key + ": must be a text, a number, true or false, or a list");
  entry.values.push_back(std::move(*text));
  return {};
}

Status flatten(const toml::table& table, const std::string& prefix, const FileError& errors,
               std::vector<Entry>& entries) {
  for (const auto& [name, node] : table) {
    const std::string key = prefix + std::string(name.str());
    if (const toml::table* inner = node.as_table()) {
      KVASIR_RETURN_IF_ERROR(flatten(*inner, key + ".", errors, entries));
      continue;
    }
    Entry entry{key, "--" + key, {}, line_of(node)};
    std::ranges::replace(entry.option, '.', '-');
    std::ranges::replace(entry.option, '_', '-');
    KVASIR_RETURN_IF_ERROR(read_values(node, errors, entry));
    entries.push_back(std::move(entry));
  }
  return {};
}

// Levenshtein's.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

std::string did_you_mean(const CLI::App& app, const std::string& option) {
  std::string best;
  std::size_t least = 3;  // what is further away is no slip
  for (const CLI::Option* known : app.get_options()) {
    for (const std::string& name : known->get_lnames()) {
      const std::size_t far = distance("--" + name, option);
      if (far >= least) continue;
      least = far;
      best = name;
    }
  }
  return best.empty() ? "" : "; did you mean " + best + "?";
}

// Where a shell would have put the home folder in.
std::string expanded(const CLI::Option& option, const std::string& value) {
  const std::string type = option.get_type_name();
  const bool is_path = type.starts_with("PATH") || type.starts_with("FILE");
  return is_path && value.starts_with("~/") ? home_folder() + value.substr(1) : value;
}

Status apply(CLI::App& app, const Entry& entry, const FileError& errors) {
  CLI::Option* option = app.get_option_no_throw(entry.option);
  if (option == nullptr || option == app.get_help_ptr() || !option->get_configurable()) {
    return errors.at(entry.line, entry.key + " is no option of " + app.get_display_name() +
                                     did_you_mean(app, entry.option));
  }
  if (option->check_fname(entry.option.substr(2))) {
    return errors.at(entry.line, entry.key + ": say the option itself, true or false: " +
                                     option->get_lnames().front() + " = false");
  }
  if (option->count() > 0) return {};
  try {
    for (const std::string& value : entry.values) option->add_result(expanded(*option, value));
    option->run_callback();
  } catch (const CLI::Error& error) {
    return errors.at(entry.line, entry.key + ": " + error.what());
  }
  return {};
}

}  // namespace

std::string default_config_path() {
  if (auto named = environment("KVASIR_CONFIG")) return *named;
  const auto xdg = environment("XDG_CONFIG_HOME");
  // The specification has relative paths ignored.
  const std::string folder = xdg && xdg->starts_with('/') ? *xdg : home_folder() + "/.config";
  return folder + "/kvasir/config.toml";
}

std::optional<std::string> find_default_config() {
  std::string path = default_config_path();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::nullopt;
  return path;
}

Status apply_config(CLI::App& app, const std::string& path) {
  const FileError errors(path);
  std::vector<Entry> entries;
  try {
    const toml::table table = toml::parse_file(path);
    KVASIR_RETURN_IF_ERROR(flatten(table, "", errors, entries));
  } catch (const toml::parse_error& error) {
    const std::size_t line = error.source().begin.line;
    if (line == 0) {
      return make_error(ErrorCode::kNotFound, path + ": " + std::string(error.description()), path);
    }
    return errors.at(line, std::string(error.description()));
  }
  // The first wrong one is told.
  std::ranges::sort(entries, {}, [](const Entry& entry) { return std::pair(entry.line, entry.key); });
  for (const Entry& entry : entries) KVASIR_RETURN_IF_ERROR(apply(app, entry, errors));
  return {};
}

}  // namespace kvasir::cli
