#include "hub/pull.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file_system.h"
#include "base/process.h"
#include "hub/blob_download.h"
#include "hub/hub_cache.h"

namespace kvasir::hub {
namespace {

namespace fs = std::filesystem;

// Left free on the disk.
constexpr std::uint64_t kSpareBytes = std::uint64_t{64} << 20;
constexpr std::chrono::milliseconds kLockPoll{300};

// What a repository of several quantisations is taken as where no file is named: what most programs take.
constexpr std::array<std::string_view, 2> kUsualQuantisations = {"Q4_K_M", "MXFP4"};

// What a folder of safetensors is read by; nothing in folders, of which some repositories keep other forms of
// the same weights in.
bool belongs_to_folder(const std::string& path) {
  constexpr std::array<std::string_view, 5> kEndings = {".json", ".jinja", ".model", ".txt", ".tiktoken"};
  return path.find('/') == std::string::npos &&
         std::ranges::any_of(kEndings, [&](std::string_view e) { return path.ends_with(e); });
}

std::vector<std::string> safetensors_of(const std::vector<std::string>& files) {
  std::vector<std::string> found;
  for (const std::string& f : files) {
    if (f.ends_with(".safetensors") && f.find('/') == std::string::npos) found.push_back(f);
  }
  // Beside "model..." some keep the same weights again ("consolidated...").
  const auto is_model = [](const std::string& f) { return f.starts_with("model"); };
  if (std::ranges::any_of(found, is_model)) std::erase_if(found, [&](const auto& f) { return !is_model(f); });
  return found;
}

Status make_link(const fs::path& snapshot, const std::string& path, const std::string& blob) {
  const fs::path link = snapshot / path;
  KVASIR_RETURN_IF_ERROR(system_files().make_folder(link.parent_path().string()));
  const fs::path target = fs::path(blob).lexically_relative(link.parent_path());
  const fs::path fresh = link.string() + ".new" + std::to_string(own_process_id());
  std::error_code failed;
  fs::remove(fresh, failed);
  fs::create_symlink(target, fresh, failed);
  if (!failed) fs::rename(fresh, link, failed);
  if (!failed) return {};
  return make_error(ErrorCode::kIo, "cannot make the link " + link.string() + ": " + failed.message(),
                    link.string());
}

class Puller {
 public:
  Puller(HubApi& api, const ModelName& name, const PullCalls& calls)
      : api_(api),
        name_(name),
        calls_(calls),
        folder_(path_in(api.settings().cache, repo_folder_name(name.repo))),
        locks_(path_in(path_in(api.settings().cache, ".locks"), repo_folder_name(name.repo))) {}

  Result<Pulled> run() {
    KVASIR_ASSIGN_OR_RETURN(const Revision revision, api_.revision(name_));
    KVASIR_ASSIGN_OR_RETURN(const auto paths, files_of_model(revision.files, name_));
    std::vector<RemoteFile> files;
    for (const std::string& path : paths) {
      KVASIR_ASSIGN_OR_RETURN(RemoteFile file, api_.file(name_, revision.commit, path));
      files.push_back(std::move(file));
    }
    for (const char* inner : {"blobs", "refs", "snapshots"})
      KVASIR_RETURN_IF_ERROR(system_files().make_folder(path_in(folder_, inner)));
    KVASIR_RETURN_IF_ERROR(system_files().make_folder(locks_));
    KVASIR_RETURN_IF_ERROR(check_space(files));
    const fs::path snapshot = fs::path(folder_) / "snapshots" / revision.commit;
    for (const RemoteFile& file : files) {
      KVASIR_RETURN_IF_ERROR(get(file));
      KVASIR_RETURN_IF_ERROR(make_link(snapshot, file.path, blob_of(file)));
    }
    KVASIR_RETURN_IF_ERROR(write_ref(revision.commit));
    Pulled pulled;
    pulled.commit = revision.commit;
    pulled.bytes = progress_.got;
    const bool gguf = paths.front().ends_with(".gguf") || paths.size() == 1;
    pulled.path = gguf ? (snapshot / paths.front()).string() : snapshot.string();
    return pulled;
  }

 private:
  std::string blob_of(const RemoteFile& file) const { return path_in(path_in(folder_, "blobs"), file.etag); }

  bool has(const RemoteFile& file) const {
    std::error_code failed;
    return fs::file_size(blob_of(file), failed) == file.size && !failed;
  }

  Status check_space(const std::vector<RemoteFile>& files) {
    std::uint64_t missing = 0;
    for (const RemoteFile& file : files) {
      progress_.total += file.size;
      if (has(file)) continue;
      std::error_code failed;
      const std::uintmax_t begun = fs::file_size(blob_of(file) + ".incomplete", failed);
      missing += file.size - std::min<std::uint64_t>(failed ? 0 : begun, file.size);
    }
    KVASIR_ASSIGN_OR_RETURN(const std::uint64_t free, system_files().free_bytes(folder_));
    if (missing == 0 || missing + kSpareBytes <= free) return {};
    return make_error(ErrorCode::kResourceExhausted,
                      "no room in " + folder_ + ": " + std::to_string(missing >> 20) + " MB are to be got, " +
                          std::to_string(free >> 20) +
                          " MB are free; 'kvasir rm' makes room, HF_HUB_CACHE names another place",
                      folder_);
  }

  Status get(const RemoteFile& file) {
    KVASIR_ASSIGN_OR_RETURN(const auto lock, lock_blob(file));
    const std::uint64_t before = progress_.done;
    progress_.file = file.path;
    if (!has(file)) {
      KVASIR_RETURN_IF_ERROR(
          download_blob(api_, file, path_in(folder_, "blobs"), [&](std::uint64_t have, std::uint64_t got) {
            progress_.done = before + have;
            progress_.got += got;
            if (calls_.progress) calls_.progress(progress_);
          }));
    }
    progress_.done = before + file.size;
    if (calls_.progress) calls_.progress(progress_);
    return {};
  }

  Result<std::unique_ptr<FileLock>> lock_blob(const RemoteFile& file) {
    const std::string path = path_in(locks_, file.etag + ".lock");
    for (bool told = false;; told = true) {
      KVASIR_ASSIGN_OR_RETURN(auto lock, system_files().try_lock(path));
      if (lock) return lock;
      if (!told && calls_.notice)
        calls_.notice("another program is getting " + file.path + "; waiting for it");
      std::this_thread::sleep_for(kLockPoll);
    }
  }

  Status write_ref(const std::string& commit) {
    if (name_.revision == commit) return {};
    const fs::path ref = fs::path(folder_) / "refs" / name_.revision;
    KVASIR_RETURN_IF_ERROR(system_files().make_folder(ref.parent_path().string()));
    const std::string fresh = ref.string() + ".new" + std::to_string(own_process_id());
    {
      std::ofstream out(fresh, std::ios::trunc);
      out << commit;
      if (!out.flush()) return make_error(ErrorCode::kIo, "cannot write " + fresh, fresh);
    }
    return system_files().rename(fresh, ref.string());
  }

  HubApi& api_;
  const ModelName& name_;
  const PullCalls& calls_;
  const std::string folder_;
  const std::string locks_;
  PullProgress progress_;
};

}  // namespace

Result<std::vector<std::string>> files_of_model(const std::vector<std::string>& files,
                                                const ModelName& wanted) {
  const bool config = std::ranges::find(files, std::string("config.json")) != files.end();
  std::vector<std::string> tensors = safetensors_of(files);
  const std::vector<GgufSet> sets = gguf_sets(files);
  if (wanted.file.empty() && config && !tensors.empty()) {
    for (const std::string& f : files) {
      if (belongs_to_folder(f)) tensors.push_back(f);
    }
    std::ranges::sort(tensors);
    return tensors;
  }
  if (std::ranges::find(files, wanted.file) != files.end() && !wanted.file.ends_with(".gguf"))
    return std::vector<std::string>{wanted.file};
  if (sets.empty() && wanted.file.empty()) {
    return make_error(ErrorCode::kNotFound,
                      wanted.repo + " holds neither safetensors with a config.json nor GGUF files",
                      wanted.repo);
  }
  if (wanted.file.empty() && sets.size() > 1) {
    for (const std::string_view usual : kUsualQuantisations) {
      if (auto set = choose_gguf(sets, usual, wanted.repo); set.ok()) return std::move(*set);
    }
  }
  return choose_gguf(sets, wanted.file, wanted.repo);
}

Result<Pulled> pull(HubApi& api, const ModelName& name, const PullCalls& calls) {
  return Puller(api, name, calls).run();
}

}  // namespace kvasir::hub
