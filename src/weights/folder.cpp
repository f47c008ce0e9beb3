#include "weights/folder.h"

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "weights/folder_data.h"
#include "weights/hf_config.h"
#include "weights/hf_tensors.h"
#include "weights/hf_text.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

constexpr std::size_t kMostShards = 10'000;

}  // namespace

Result<std::optional<std::string>> read_folder_text(const std::string& folder, std::string_view name) {
  constexpr std::uintmax_t kMostBytes = std::uintmax_t{256} << 20;
  const fs::path path = fs::path(folder) / name;
  std::error_code failed;
  if (!fs::exists(path, failed)) return std::optional<std::string>();
  const std::uintmax_t size = fs::file_size(path, failed);
  if (failed || size > kMostBytes) {
    return make_error(ErrorCode::kIo, path.string() + " is not a file of a sensible size", path.string());
  }
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in.good() && !in.eof()) {
    return make_error(ErrorCode::kIo, "cannot read " + path.string(), path.string());
  }
  return std::optional(std::move(text));
}

Result<std::optional<json::object>> read_folder_json(const std::string& folder, std::string_view name) {
  KVASIR_ASSIGN_OR_RETURN(const std::optional<std::string> text, read_folder_text(folder, name));
  if (!text) return std::optional<json::object>();
  boost::system::error_code failed;
  json::value value = json::parse(*text, failed);
  if (failed || !value.is_object()) {
    return make_error(ErrorCode::kCorruptData, folder + "/" + std::string(name) + " is not a JSON object",
                      folder);
  }
  return std::optional(std::move(value.get_object()));
}

class FolderReader {
 public:
  explicit FolderReader(const std::string& path) : folder_(new Folder()) {
    folder_->path_ = path;
    data_.path = path;
  }

  Result<std::shared_ptr<const Folder>> run() {
    KVASIR_ASSIGN_OR_RETURN(auto config, read_folder_json(data_.path, "config.json"));
    if (!config) {
      return make_error(ErrorCode::kNotFound, data_.path + " has no config.json, and no GGUF file",
                        data_.path);
    }
    KVASIR_ASSIGN_OR_RETURN(const HfFamily* family, family_of(*config, data_));
    KVASIR_RETURN_IF_ERROR(read_hf_config(*config, *family, data_));
    KVASIR_RETURN_IF_ERROR(open_shards());
    KVASIR_RETURN_IF_ERROR(read_hf_tensors(*config, *family, folder_->shards_, data_));
    KVASIR_RETURN_IF_ERROR(read_hf_text(*config, data_));
    folder_->metadata_ = std::move(data_.metadata);
    folder_->tensors_ = std::move(data_.tensors);
    folder_->strings_ = std::move(data_.strings);
    folder_->computed_ = std::move(data_.computed);
    if (const TensorInfo* twice = folder_->index_tensors()) {
      return data_.corrupt("tensor '" + twice->name + "' occurs twice");
    }
    return std::shared_ptr<const Folder>(std::move(folder_));
  }

 private:
  // The files that the index names, else model.safetensors, else the only one.
  Status open_shards() {
    KVASIR_ASSIGN_OR_RETURN(const auto index, read_folder_json(data_.path, "model.safetensors.index.json"));
    std::set<std::string> names;
    const json::object* map = index ? object_field(*index, "weight_map") : nullptr;
    if (index && map == nullptr) return data_.corrupt("model.safetensors.index.json has no weight_map");
    if (map != nullptr) {
      for (const auto& entry : *map) {
        const json::value& file = entry.value();
        if (!file.is_string())
          return data_.corrupt("model.safetensors.index.json names no file for a tensor");
        names.emplace(file.get_string());
      }
    } else {
      std::error_code ignored;
      for (const auto& entry : fs::directory_iterator(data_.path, ignored)) {
        if (entry.path().extension() == ".safetensors") names.insert(entry.path().filename().string());
      }
      if (names.contains("model.safetensors")) names = {"model.safetensors"};
    }
    if (names.empty()) {
      return make_error(ErrorCode::kNotFound, data_.path + " has a config.json, but no safetensors file",
                        data_.path);
    }
    if (map == nullptr && names.size() > 1) {
      return data_.corrupt("has " + std::to_string(names.size()) +
                           " safetensors files, but no model.safetensors.index.json");
    }
    if (names.size() > kMostShards) return data_.corrupt("model.safetensors.index.json names too many files");
    return open_files(names, map);
  }

  Status open_files(const std::set<std::string>& names, const json::object* map) {
    std::set<std::string, std::less<>> tensors;
    for (const std::string& name : names) {
      // A name is a file of this folder, and nothing else.
      if (name.find('/') != std::string::npos || name == "..") {
        return data_.corrupt("model.safetensors.index.json names '" + name +
                             "', which is outside the folder");
      }
      KVASIR_ASSIGN_OR_RETURN(auto file, SafetensorsFile::open((fs::path(data_.path) / name).string()));
      for (const SafeTensor& t : file->tensors()) {
        if (!tensors.insert(t.name).second) return data_.corrupt("tensor '" + t.name + "' occurs twice");
      }
      folder_->shards_.push_back(std::move(file));
    }
    if (map == nullptr) return {};
    for (const auto& [tensor, file] : *map) {
      if (!tensors.contains(std::string_view(tensor))) {
        return data_.corrupt("tensor '" + std::string(tensor) + "' is not in " +
                             std::string(file.get_string()) +
                             ", where the index has it; is the download complete?");
      }
    }
    return {};
  }

  std::shared_ptr<Folder> folder_;
  FolderData data_;
};

Result<std::shared_ptr<const Folder>> Folder::open(const std::string& path) {
  return FolderReader(path).run();
}

void Folder::release(const TensorInfo& tensor) const {
  for (const TensorPart& p : tensor.parts) {
    for (const auto& range : {p.data, p.scales, p.biases}) {
      for (const auto& shard : shards_) {
        const auto bytes = shard->bytes();
        if (range.data() >= bytes.data() && range.data() < bytes.data() + bytes.size()) shard->release(range);
      }
    }
  }
}

}  // namespace kvasir::weights
