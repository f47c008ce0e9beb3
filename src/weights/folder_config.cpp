#include "weights/folder_config.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "weights/folder_data.h"
#include "weights/hf_config.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

bool is_folder(const Checkpoint& file) {
  return file.find("tokenizer.huggingface.json") != nullptr;
}

// Whether the file says otherwise than what the family leaves unsaid.
bool contradicts(const Checkpoint& file, const HfFamily& family) {
  return std::ranges::any_of(family.fields, [&](const HfField& f) {
    if (!f.name.empty()) return false;
    const auto said = file.number(std::string(family.architecture) + "." + std::string(f.key));
    return said && *said != json::parse(f.otherwise).to_number<double>();
  });
}

bool is_text_file(const std::string& name) {
  constexpr std::array<std::string_view, 9> kNames = {"generation_config.json",
                                                      "special_tokens_map.json",
                                                      "added_tokens.json",
                                                      "vocab.json",
                                                      "merges.txt",
                                                      "chat_template.jinja",
                                                      "chat_template.json",
                                                      "tokenizer.model",
                                                      "preprocessor_config.json"};
  return name.starts_with("tokenizer") || std::ranges::find(kNames, name) != kNames.end() ||
         name.ends_with(".tiktoken") || name.starts_with("LICENSE");
}

}  // namespace

Status write_text(const std::string& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  if (out.flush()) return {};
  return make_error(ErrorCode::kIo, "cannot write " + path, path);
}

const HfFamily* writable_family(const Checkpoint& file) {
  const auto architecture = file.string("general.architecture").value_or("");
  if (is_folder(file)) {
    const auto config = read_folder_json(file.path(), "config.json");
    if (!config.ok() || !*config) return nullptr;
    const json::object* text = object_field(**config, "text_config");
    return find_hf_family(text_field(text != nullptr ? *text : **config, "model_type"));
  }
  const HfFamily* chosen = nullptr;
  for (const auto& families : {dense_families(), mixture_families(), hybrid_families()}) {
    for (const HfFamily& f : families) {
      if (f.architecture != architecture || f.written.class_name.empty() || contradicts(file, f)) continue;
      const auto told = file.integer(std::string(architecture) + "." + std::string(f.written.told_by));
      if (f.written.told_by.empty() ? chosen == nullptr : told.value_or(0) != 0) chosen = &f;
    }
  }
  return chosen;
}

std::string writable_names() {
  std::string names;
  for (const auto& families : {dense_families(), mixture_families(), hybrid_families()}) {
    for (const HfFamily& f : families) {
      if (!f.written.class_name.empty()) names += (names.empty() ? "" : ", ") + std::string(f.model_type);
    }
  }
  return names;
}

Result<json::object> folder_config(const Checkpoint& file, const HfFamily& family, bool mlx) {
  const std::string_view type = mlx && !family.mlx_type.empty() ? family.mlx_type : family.model_type;
  if (!is_folder(file)) {
    KVASIR_ASSIGN_OR_RETURN(json::object made, config_of_metadata(file, family));
    made["model_type"] = type;
    return made;
  }
  KVASIR_ASSIGN_OR_RETURN(auto config, read_folder_json(file.path(), "config.json"));
  if (!config) return make_error(ErrorCode::kNotFound, file.path() + " has no config.json", file.path());
  // Of a multimodal model, its text model is what is written.
  const json::object* text = object_field(*config, "text_config");
  json::object own = text != nullptr ? *text : *config;
  for (const char* outer : {"tie_word_embeddings", "bos_token_id", "eos_token_id"}) {
    if (const json::value* v = field(*config, outer)) own.emplace(outer, *v);
  }
  if (mlx) own["model_type"] = type;
  own.erase("quantization");
  own.erase("quantization_config");
  return own;
}

Status write_text_files(const std::string& folder, const Checkpoint& file, const FolderText& text) {
  if (is_folder(file)) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(file.path(), failed)) {
      const std::string name = entry.path().filename().string();
      if (!is_text_file(name)) continue;
      fs::copy_file(fs::canonical(entry.path(), failed), fs::path(folder) / name, failed);
      if (failed)
        return make_error(ErrorCode::kIo, "cannot copy " + entry.path().string() + ": " + failed.message());
    }
    return {};
  }
  KVASIR_RETURN_IF_ERROR(write_text(folder + "/tokenizer.json", text.tokenizer_json));
  json::object settings{{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"clean_up_tokenization_spaces", false}};
  const auto* tokens = file.strings("tokenizer.ggml.tokens");
  for (const auto& [name, key] : {std::pair("bos_token", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token", "tokenizer.ggml.eos_token_id")}) {
    const auto id = file.integer(key);
    if (id && tokens != nullptr && *id < tokens->size())
      settings[name] = (*tokens)[static_cast<std::size_t>(*id)];
  }
  if (const auto adds = file.boolean("tokenizer.ggml.add_bos_token")) settings["add_bos_token"] = *adds;
  if (const auto source = file.string("tokenizer.chat_template")) settings["chat_template"] = *source;
  return write_text(folder + "/tokenizer_config.json", json::serialize(settings));
}

}  // namespace kvasir::weights
