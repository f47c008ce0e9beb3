#include "hub/hub_cache.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/process.h"

namespace kvasir::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kModelPrefix = "models--";
constexpr std::size_t kLeastCommitLetters = 7;

std::string read_ref(const fs::path& path) {
  std::ifstream in(path);
  std::string commit;
  in >> commit;
  return commit;
}

// Paths relative to `folder` of everything in it that is a file, or a link to one.
std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> files;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code ignored;
    if (at->is_regular_file(ignored)) files.push_back(at->path().lexically_relative(folder).generic_string());
  }
  std::ranges::sort(files);
  return files;
}

std::vector<std::string> refs_to(const fs::path& repo_folder, const std::string& commit) {
  std::vector<std::string> refs;
  for (const std::string& ref : files_in(repo_folder / "refs")) {
    if (read_ref(repo_folder / "refs" / ref) == commit) refs.push_back(ref);
  }
  return refs;
}

// models--ORG--REPO -> ORG/REPO; empty for other names.
std::string repo_of(std::string name) {
  if (!name.starts_with(kModelPrefix)) return {};
  name.erase(0, kModelPrefix.size());
  if (const std::size_t at = name.find("--"); at != std::string::npos) name.replace(at, 2, "/");
  return name;
}

std::vector<Snapshot> snapshots_of(const fs::path& repo_folder) {
  std::vector<Snapshot> out;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(repo_folder / "snapshots", failed)) {
    if (!entry.is_directory(failed)) continue;
    Snapshot s;
    s.repo = repo_of(repo_folder.filename().string());
    s.repo_folder = repo_folder.string();
    s.commit = entry.path().filename().string();
    s.refs = refs_to(repo_folder, s.commit);
    s.files = files_in(entry.path());
    if (!s.files.empty()) out.push_back(std::move(s));
  }
  // What "main" means first.
  std::ranges::sort(out, [](const Snapshot& a, const Snapshot& b) {
    const bool am = a.revision() == kMainRevision;
    const bool bm = b.revision() == kMainRevision;
    return am != bm ? am : a.commit < b.commit;
  });
  return out;
}

// What a link leads to; the file itself where it is none.
fs::path blob_of(const fs::path& path) {
  std::error_code failed;
  fs::path target = fs::canonical(path, failed);
  return failed ? path : target;
}

// The blobs that only `files` of `snapshot` link to.
std::set<fs::path> blobs_only_of(const Snapshot& snapshot, const std::vector<std::string>& files) {
  std::set<fs::path> blobs;
  for (const std::string& file : files) blobs.insert(blob_of(fs::path(snapshot.folder()) / file));
  for (const Snapshot& other : snapshots_of(snapshot.repo_folder)) {
    for (const std::string& file : other.files) {
      const bool going = other.commit == snapshot.commit && std::ranges::find(files, file) != files.end();
      if (!going) blobs.erase(blob_of(fs::path(other.folder()) / file));
    }
  }
  return blobs;
}

}  // namespace

std::string default_hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const auto folder = environment(name)) return *folder;
  }
  if (const auto home = environment("HF_HOME")) return *home + "/hub";
  const auto xdg = environment("XDG_CACHE_HOME");
  return (xdg ? *xdg : home_folder() + "/.cache") + "/huggingface/hub";
}

std::string repo_folder_name(std::string_view repo) {
  std::string name = std::string(kModelPrefix) + std::string(repo);
  if (const std::size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  return name;
}

std::string Snapshot::revision() const {
  if (refs.empty()) return commit;
  return std::ranges::find(refs, kMainRevision) != refs.end() ? std::string(kMainRevision) : refs.front();
}

std::vector<Snapshot> list_snapshots(const std::string& cache) {
  std::vector<Snapshot> out;
  std::vector<fs::path> folders;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(cache, failed)) {
    std::error_code ignored;
    if (entry.is_directory(ignored) && !repo_of(entry.path().filename().string()).empty())
      folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  for (const fs::path& folder : folders) {
    for (Snapshot& s : snapshots_of(folder)) out.push_back(std::move(s));
  }
  return out;
}

Result<Snapshot> find_snapshot(const std::string& cache, const ModelName& name) {
  const fs::path folder = fs::path(cache) / repo_folder_name(name.repo);
  std::string commit = read_ref(folder / "refs" / name.revision);
  for (const Snapshot& s : snapshots_of(folder)) {
    const bool named =
        commit.empty() ? name.revision.size() >= kLeastCommitLetters && s.commit.starts_with(name.revision)
                       : s.commit == commit;
    if (named) return s;
  }
  return make_error(
      ErrorCode::kNotFound,
      "the model " + name.text() + " has not been pulled: run 'kvasir pull " + name.text() + "'",
      name.text());
}

Result<std::string> find_pulled(const std::string& cache, const ModelName& name) {
  KVASIR_ASSIGN_OR_RETURN(const Snapshot snapshot, find_snapshot(cache, name));
  const std::vector<GgufSet> sets = gguf_sets(snapshot.files);
  const bool tensors = std::ranges::any_of(
      snapshot.files, [](const std::string& file) { return file.ends_with(".safetensors"); });
  const bool folder =
      tensors && std::ranges::find(snapshot.files, std::string("config.json")) != snapshot.files.end();
  if (name.file.empty() && folder) return snapshot.folder();
  auto set = choose_gguf(sets, name.file, name.repo + " as it was pulled");
  if (set.ok()) return snapshot.folder() + "/" + set->front();
  if (set.error().code != ErrorCode::kNotFound) return set.error();
  return make_error(ErrorCode::kNotFound, set.error().message + ". 'kvasir pull " + name.text() + "' gets it",
                    name.text());
}

std::uint64_t removable_bytes(const Snapshot& snapshot, const std::vector<std::string>& files) {
  std::uint64_t bytes = 0;
  for (const fs::path& blob : blobs_only_of(snapshot, files)) {
    std::error_code failed;
    const std::uintmax_t size = fs::file_size(blob, failed);
    if (!failed) bytes += size;
  }
  return bytes;
}

Status remove_files(const Snapshot& snapshot, const std::vector<std::string>& files) {
  std::error_code failed;
  const auto refused = [&](const fs::path& path) {
    return make_error(ErrorCode::kIo, "cannot remove " + path.string() + ": " + failed.message(),
                      path.string());
  };
  // Links first: what is cut short leaves a blob that nothing names, never a name without its blob.
  const std::set<fs::path> blobs = blobs_only_of(snapshot, files);
  const fs::path root(snapshot.folder());
  for (const std::string& file : files) {
    if (!fs::remove(root / file, failed) && failed) return refused(root / file);
    for (fs::path up = (root / file).parent_path(); up != root && fs::is_empty(up, failed) && !failed;
         up = up.parent_path()) {
      fs::remove(up, failed);
    }
  }
  for (const fs::path& blob : blobs) {
    // Only what lies in this repository: a link may lead elsewhere.
    const fs::path home = blob_of(snapshot.repo_folder);
    if (!blob.lexically_relative(home).empty() && *blob.lexically_relative(home).begin() != "..") {
      if (!fs::remove(blob, failed) && failed) return refused(blob);
    }
  }
  if (files_in(root).empty()) {
    for (const std::string& ref : snapshot.refs)
      fs::remove(fs::path(snapshot.repo_folder) / "refs" / ref, failed);
    fs::remove_all(root, failed);
    if (failed) return refused(root);
  }
  if (snapshots_of(snapshot.repo_folder).empty()) {
    fs::remove_all(snapshot.repo_folder, failed);
    if (failed) return refused(snapshot.repo_folder);
  }
  return {};
}

}  // namespace kvasir::hub
