#include "cli/model_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/process.h"
#include "cli/known_models.h"

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;

// Deeper folders of the models folder are not looked through: ORG/REPO/file is how other programs lay models
// out.
constexpr int kMostDepth = 3;

// The short name of the model that lies in such a file; empty for others.
std::string alias_of(std::string_view file) {
  for (const KnownModel& known : known_models()) {
    if (known.file == file) return std::string(known.name);
  }
  return {};
}

std::uint64_t size_of(const fs::path& path) {
  std::error_code failed;
  const std::uintmax_t size = fs::file_size(path, failed);
  return failed ? 0 : size;
}

fs::file_time_type time_of(const fs::path& path) {
  std::error_code failed;
  const fs::file_time_type time = fs::last_write_time(path, failed);
  return failed ? fs::file_time_type{} : time;
}

bool is_model_folder(const std::vector<std::string>& files) {
  return std::ranges::find(files, std::string("config.json")) != files.end() &&
         std::ranges::any_of(files, [](const std::string& f) {
           return f.ends_with(".safetensors") && f.find('/') == std::string::npos;
         });
}

std::string folder_format(const fs::path& folder) {
  std::ifstream in(folder / "config.json");
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return text.find("\"quantization\"") != std::string::npos ? "MLX" : "safetensors";
}

void measure(InstalledModel& model, const fs::path& root) {
  for (const std::string& file : model.files) {
    model.bytes += size_of(root / file);
    model.written = std::max(model.written, time_of(root / file));
  }
}

std::string without_ending(std::string name) {
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  return name;
}

// Files of a folder that are plain, or links to such, without those of folders in it.
std::vector<std::string> plain_files(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) files.push_back(entry.path().filename().string());
  }
  std::ranges::sort(files);
  return files;
}

// A link to a folder elsewhere (`kvasir pull PATH`): removing it removes the link.
void scan_linked(const fs::path& root, const fs::path& link, std::vector<InstalledModel>& out) {
  const std::vector<std::string> files = plain_files(link);
  if (!is_model_folder(files)) return;
  InstalledModel model;
  model.name = link.lexically_relative(root).generic_string();
  model.path = link.string();
  model.format = folder_format(link);
  model.files = files;
  measure(model, link);
  model.files = {model.name};
  out.push_back(std::move(model));
}

void scan_folder(const fs::path& root, const fs::path& folder, int depth, std::vector<InstalledModel>& out) {
  const std::vector<std::string> files = plain_files(folder);
  const auto inner = [&](const std::string& file) {
    return (folder / file).lexically_relative(root).generic_string();
  };
  for (const hub::GgufSet& set : hub::gguf_sets(files)) {
    InstalledModel model;
    model.name = without_ending(inner(set.front()));
    model.alias = alias_of(set.front());
    model.path = (folder / set.front()).string();
    model.format = "GGUF";
    for (const std::string& file : set) model.files.push_back(inner(file));
    measure(model, root);
    out.push_back(std::move(model));
  }
  if (depth > 0 && is_model_folder(files)) {
    InstalledModel model;
    model.name = folder.lexically_relative(root).generic_string();
    model.path = folder.string();
    model.format = folder_format(folder);
    for (const std::string& file : files) {
      if (!file.ends_with(".gguf")) model.files.push_back(inner(file));
    }
    measure(model, root);
    out.push_back(std::move(model));
    return;
  }
  if (depth == kMostDepth) return;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    std::error_code ignored;
    if (entry.is_directory(ignored) && entry.is_symlink(ignored)) {
      scan_linked(root, entry.path(), out);
    } else if (entry.is_directory(ignored) && !entry.path().filename().string().starts_with('.')) {
      scan_folder(root, entry.path(), depth + 1, out);
    }
  }
}

void scan_snapshot(const hub::Snapshot& snapshot, std::vector<InstalledModel>& out) {
  const std::vector<hub::GgufSet> sets = hub::gguf_sets(snapshot.files);
  const bool folder = is_model_folder(snapshot.files);
  hub::ModelName name{snapshot.repo, snapshot.revision(), {}};
  // What a repository has besides goes with its last model.
  const auto add = [&](std::vector<std::string> files, const fs::path& path, std::string format) {
    InstalledModel model;
    model.name = name.text();
    model.path = path.string();
    model.format = std::move(format);
    model.files = std::move(files);
    model.snapshot = snapshot;
    measure(model, snapshot.folder());
    out.push_back(std::move(model));
  };
  if (folder) {
    std::vector<std::string> files;
    for (const std::string& file : snapshot.files) {
      if (!file.ends_with(".gguf")) files.push_back(file);
    }
    add(std::move(files), snapshot.folder(), folder_format(snapshot.folder()));
  }
  for (const hub::GgufSet& set : sets) {
    const bool only = sets.size() == 1 && !folder;
    name.file = only ? "" : set.front();
    const fs::path path = fs::path(snapshot.folder()) / set.front();
    add(only ? snapshot.files : set, path, "GGUF");
    out.back().alias = alias_of(path.filename().string());
  }
}

bool same_place(const std::string& a, const std::string& b) {
  std::error_code failed;
  return fs::equivalent(a, b, failed) && !failed;
}

}  // namespace

std::string models_folder() {
  return environment("KVASIR_MODELS").value_or(home_folder() + "/.cache/kvasir/models");
}

std::vector<InstalledModel> installed_models() {
  std::vector<InstalledModel> models;
  const fs::path root(models_folder());
  scan_folder(root, root, 0, models);
  for (const hub::Snapshot& snapshot : hub::list_snapshots(hub::default_hub_cache()))
    scan_snapshot(snapshot, models);
  std::ranges::sort(models, {}, &InstalledModel::name);
  return models;
}

std::optional<InstalledModel> find_installed(const std::string& name) {
  if (name.empty()) return std::nullopt;
  std::vector<InstalledModel> models = installed_models();
  const auto by = [&](const auto& matches) { return std::ranges::find_if(models, matches); };
  auto found = by([&](const InstalledModel& m) { return m.name == name || m.alias == name; });
  if (found == models.end()) found = by([&](const InstalledModel& m) { return same_place(m.path, name); });
  // A word that finds the file in its repository ("hf:ORG/REPO:Q4_K_M").
  if (found == models.end() && hub::is_hub_name(name)) {
    const auto parsed = hub::parse_hub_name(name);
    const auto path = parsed.ok() ? hub::find_pulled(hub::default_hub_cache(), *parsed)
                                  : Result<std::string>(parsed.error());
    if (path.ok()) found = by([&](const InstalledModel& m) { return m.path == *path; });
  }
  return found == models.end() ? std::nullopt : std::optional(std::move(*found));
}

std::uint64_t bytes_freed_by_removing(const InstalledModel& model) {
  if (model.snapshot) return hub::removable_bytes(*model.snapshot, model.files);
  std::uint64_t bytes = 0;
  for (const std::string& file : model.files) {
    const fs::path path = fs::path(models_folder()) / file;
    std::error_code failed;
    if (!fs::is_symlink(path, failed)) bytes += size_of(path);
  }
  return bytes;
}

Status remove_installed(const InstalledModel& model) {
  if (model.snapshot) return hub::remove_files(*model.snapshot, model.files);
  const fs::path root(models_folder());
  std::error_code failed;
  for (const std::string& file : model.files) {
    if (!fs::remove(root / file, failed) && failed) {
      return make_error(ErrorCode::kIo, "cannot remove " + (root / file).string() + ": " + failed.message(),
                        file);
    }
  }
  // The folders that held nothing else.
  for (fs::path up = (root / model.files.front()).parent_path();
       up != root && fs::is_empty(up, failed) && !failed; up = up.parent_path()) {
    fs::remove(up, failed);
  }
  return {};
}

std::string size_text(std::uint64_t bytes) {
  const auto n = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", n / 1e9);
  return bytes >= 1'000'000 ? fmt::format("{:.1f} MB", n / 1e6) : fmt::format("{:.1f} kB", n / 1e3);
}

}  // namespace kvasir::cli
