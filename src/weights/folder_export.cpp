#include "weights/folder_export.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include "base/check.h"
#include "base/file_system.h"
#include "weights/folder_config.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::uint64_t kMostShardBytes = 5'000'000'000;

// A tensor of a safetensors file, and where its bytes go.
struct Entry {
  std::string name;
  std::string_view dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes = 0;
  std::uint64_t at = 0;
};

std::string_view dtype_of(TensorType type) {
  return type == TensorType::kF32 ? "F32" : type == TensorType::kF16 ? "F16" : "BF16";
}

std::uint64_t elements(const std::vector<std::uint64_t>& shape) {
  std::uint64_t n = 1;
  for (const std::uint64_t extent : shape) n *= extent;
  return n;
}

// The files' tensors of one of ours: itself, or its codes, scales and biases.
std::vector<Entry> entries_of(const FolderTensor& t) {
  if (!t.form.is_affine()) {
    const std::uint64_t bytes = elements(t.shape) * bytes_per_block(t.form.type);
    return {{t.module + t.suffix, dtype_of(t.form.type), t.shape, bytes, 0}};
  }
  std::vector<std::uint64_t> codes = t.shape;
  std::vector<std::uint64_t> scales = t.shape;
  codes.back() = codes.back() * t.form.affine.bits / 32;
  scales.back() /= t.form.affine.group;
  const std::string_view type = t.form.affine.scales == kernels::ScaleType::kF16 ? "F16" : "BF16";
  return {{t.module + ".weight", "U32", codes, elements(codes) * 4, 0},
          {t.module + ".scales", type, scales, elements(scales) * 2, 0},
          {t.module + ".biases", type, scales, elements(scales) * 2, 0}};
}

class FolderWriter {
 public:
  FolderWriter(std::string folder, const Checkpoint& file, const std::vector<FolderTensor>& tensors, bool mlx,
               ThreadPool& pool, const std::function<void(double)>& progress)
      : folder_(std::move(folder)),
        file_(file),
        tensors_(tensors),
        mlx_(mlx),
        pool_(pool),
        progress_(progress) {}

  Status write_weights() {
    std::vector<std::pair<std::size_t, std::size_t>> shards;  // first tensor, and behind the last
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      std::uint64_t own = 0;
      for (const Entry& e : entries_of(tensors_[i])) own += e.bytes;
      if (shards.empty() || bytes + own > kMostShardBytes) {
        shards.emplace_back(i, i);
        bytes = 0;
      }
      bytes += own;
      total_ += own;
      shards.back().second = i + 1;
    }
    for (std::size_t s = 0; s < shards.size(); ++s) {
      char name[64];
      std::snprintf(name, sizeof(name), "model-%05zu-of-%05zu.safetensors", s + 1, shards.size());
      const std::string file_name = shards.size() == 1 ? "model.safetensors" : name;
      KVASIR_RETURN_IF_ERROR(write_shard(file_name, shards[s].first, shards[s].second));
    }
    if (shards.size() == 1) return {};
    const json::object index{{"metadata", {{"total_size", total_}}}, {"weight_map", std::move(map_)}};
    return write_text(folder_ + "/model.safetensors.index.json", json::serialize(index));
  }

  // config.json's account of what is quantised: the commonest form, and what differs from it.
  void set_quantization(json::object& config) const {
    std::map<std::pair<unsigned, std::size_t>, std::size_t> forms;
    for (const FolderTensor& t : tensors_) {
      if (t.form.is_affine()) ++forms[{t.form.affine.bits, t.form.affine.group}];
    }
    if (forms.empty()) return;
    const auto most = std::ranges::max_element(forms, {}, [](const auto& f) { return f.second; })->first;
    json::object q{{"group_size", most.second}, {"bits", most.first}, {"mode", "affine"}};
    for (const FolderTensor& t : tensors_) {
      if (!t.form.is_affine() || std::pair(t.form.affine.bits, t.form.affine.group) == most) continue;
      q[t.module] = {{"group_size", t.form.affine.group}, {"bits", t.form.affine.bits}, {"mode", "affine"}};
    }
    config["quantization"] = q;
    config["quantization_config"] = std::move(q);
  }

 private:
  Status write_shard(const std::string& name, std::size_t first, std::size_t last) {
    json::object header{{"__metadata__", {{"format", mlx_ ? "mlx" : "pt"}}}};
    std::vector<std::vector<Entry>> entries;
    std::uint64_t at = 0;
    for (std::size_t i = first; i < last; ++i) {
      entries.push_back(entries_of(tensors_[i]));
      for (Entry& e : entries.back()) {
        e.at = at;
        at += e.bytes;
        json::array shape(e.shape.begin(), e.shape.end());
        header[e.name] = {
            {"dtype", e.dtype}, {"shape", std::move(shape)}, {"data_offsets", json::array{e.at, at}}};
        map_[e.name] = name;
      }
    }
    std::string head = json::serialize(header);
    head.resize((head.size() + 7) / 8 * 8, ' ');
    std::uint64_t size = head.size();
    std::string front(reinterpret_cast<const char*>(&size), sizeof(size));
    front += head;
    KVASIR_ASSIGN_OR_RETURN(out_, system_files().open(path_in(folder_, name), OpenMode::kCreateNew));
    KVASIR_RETURN_IF_ERROR(out_->write_at(0, std::as_bytes(std::span(front))));
    for (std::size_t i = first; i < last; ++i)
      KVASIR_RETURN_IF_ERROR(write_tensor(tensors_[i], entries[i - first], front.size()));
    KVASIR_RETURN_IF_ERROR(out_->sync());
    out_.reset();
    std::error_code ignored;
    fs::permissions(
        path_in(folder_, name),
        fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read | fs::perms::others_read,
        ignored);
    return {};
  }

  Status write_tensor(const FolderTensor& t, std::vector<Entry> places, std::uint64_t base) {
    const RecodeJob job{t.source, t.form, t.order,           t.minus,  t.first,
                        t.rows,   t.runs, t.log_of_negative, t.columns};
    Status written = recode(job, pool_, [&](const RecodedRows& rows) -> Status {
      const std::span<const std::byte> pieces[] = {rows.codes, std::as_bytes(rows.scales),
                                                   std::as_bytes(rows.biases)};
      for (std::size_t i = 0; i < places.size(); ++i) {
        KVASIR_RETURN_IF_ERROR(out_->write_at(base + places[i].at, pieces[i]));
        places[i].at += pieces[i].size();
        done_ += pieces[i].size();
      }
      const auto total = static_cast<double>(std::max<std::uint64_t>(1, total_));
      if (progress_) progress_(static_cast<double>(done_) / total);
      return {};
    });
    if (!written.ok()) return written;
    if (t.runs.empty()) file_.release(*t.source);
    for (const RowRun& r : t.runs) file_.release(*r.tensor);
    return {};
  }

  const std::string folder_;
  const Checkpoint& file_;
  const std::vector<FolderTensor>& tensors_;
  const bool mlx_;
  ThreadPool& pool_;
  const std::function<void(double)>& progress_;
  std::unique_ptr<File> out_;
  json::object map_;
  std::uint64_t total_ = 0;
  std::uint64_t done_ = 0;
};

}  // namespace

Status write_folder(const std::string& folder, const Checkpoint& file,
                    const std::vector<FolderTensor>& tensors, const FolderText& text, bool mlx,
                    ThreadPool& pool, const std::function<void(double)>& progress) {
  std::error_code failed;
  const std::string part = folder + ".part";
  fs::remove_all(part, failed);
  fs::create_directories(part, failed);
  if (failed) return make_error(ErrorCode::kIo, "cannot make " + part + ": " + failed.message(), part);
  const auto write_all = [&]() -> Status {
    KVASIR_ASSIGN_OR_RETURN(json::object config, folder_config(file, *writable_family(file), mlx));
    FolderWriter writer(part, file, tensors, mlx, pool, progress);
    writer.set_quantization(config);
    const auto plain =
        std::ranges::find_if(tensors, [](const FolderTensor& t) { return !t.form.is_affine(); });
    const std::string_view dtype = plain == tensors.end() ? "BF16" : dtype_of(plain->form.type);
    config["torch_dtype"] = dtype == "F32" ? "float32" : dtype == "F16" ? "float16" : "bfloat16";
    KVASIR_RETURN_IF_ERROR(write_text(part + "/config.json", json::serialize(config)));
    KVASIR_RETURN_IF_ERROR(write_text_files(part, file, text));
    KVASIR_RETURN_IF_ERROR(writer.write_weights());
    return system_files().rename(part, folder);
  };
  const Status written = write_all();
  if (!written.ok()) fs::remove_all(part, failed);
  return written;
}

}  // namespace kvasir::weights
