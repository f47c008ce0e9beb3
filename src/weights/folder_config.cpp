#include "weights/folder_config.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>

#include "weights/folder_data.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

// What transformers calls the families whose GGUF metadata says all that a config.json has to.
struct Written {
  std::string_view model_type;
  std::string_view class_name;
};
constexpr Written kWritten[] = {{"llama", "LlamaForCausalLM"},     {"qwen2", "Qwen2ForCausalLM"},
                                {"qwen3", "Qwen3ForCausalLM"},     {"qwen3_moe", "Qwen3MoeForCausalLM"},
                                {"granite", "GraniteForCausalLM"}, {"olmo2", "Olmo2ForCausalLM"}};

bool is_folder(const Checkpoint& file) {
  return file.find("tokenizer.huggingface.json") != nullptr;
}

Error unsupported(const Checkpoint& file, const std::string& what) {
  return make_error(ErrorCode::kUnsupported, file.path() + ": " + what, file.path());
}

void set_number(json::object& config, std::string_view name, const MetaValue& value) {
  if (const auto* b = std::get_if<bool>(&value))
    config[name] = *b;
  else if (const auto* i = std::get_if<std::int64_t>(&value))
    config[name] = *i;
  else if (const auto* u = std::get_if<std::uint64_t>(&value))
    config[name] = *u;
  else if (const auto* d = std::get_if<double>(&value))
    config[name] = *d;
}

Status set_rope(json::object& config, const Checkpoint& file, const std::string& family) {
  for (const char* tensor : {"rope_freqs.weight", "rope_factors_long.weight"}) {
    if (file.tensor(tensor) != nullptr)
      return unsupported(file, std::string("its rotary frequencies ('") + tensor +
                                   "') cannot be turned back into a config.json");
  }
  const auto type = file.string(family + ".rope.scaling.type");
  if (!type || *type == "none") return {};
  json::object scaling{{"rope_type", *type}};
  if (const auto factor = file.number(family + ".rope.scaling.factor")) scaling["factor"] = *factor;
  if (const auto n = file.integer(family + ".rope.scaling.original_context_length"))
    scaling["original_max_position_embeddings"] = *n;
  config["rope_scaling"] = std::move(scaling);
  return {};
}

Result<json::object> config_of_metadata(const Checkpoint& file, const HfFamily& family) {
  const auto* written = std::ranges::find(kWritten, family.model_type, &Written::model_type);
  if (written == std::end(kWritten)) {
    return unsupported(file, "a config.json of family '" + std::string(family.architecture) +
                                 "' cannot be made of GGUF's metadata");
  }
  json::object config{{"architectures", json::array{written->class_name}},
                      {"model_type", family.model_type},
                      {"hidden_act", "silu"},
                      {"tie_word_embeddings", file.tensor("output.weight") == nullptr}};
  for (const auto& fields : {common_fields(), family.fields}) {
    for (const HfField& f : fields) {
      const MetaValue* v = file.find(std::string(family.architecture) + "." + std::string(f.key));
      if (v != nullptr) set_number(config, f.name, *v);
    }
  }
  config["vocab_size"] = file.tensor("token_embd.weight")->rows();
  if (family.model_type == "qwen3_moe") config.emplace("norm_topk_prob", true);
  if (file.tensor("blk.0.attn_q.bias") != nullptr && family.model_type == "llama")
    config["attention_bias"] = true;
  for (const auto& [name, key] : {std::pair("bos_token_id", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token_id", "tokenizer.ggml.eos_token_id")}) {
    if (const auto id = file.integer(key)) config[name] = *id;
  }
  KVASIR_RETURN_IF_ERROR(set_rope(config, file, std::string(family.architecture)));
  return config;
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
  for (const Written& w : kWritten) {
    const HfFamily* family = find_hf_family(w.model_type);
    if (family != nullptr && family->architecture == architecture) return family;
  }
  return nullptr;
}

Result<json::object> folder_config(const Checkpoint& file, const HfFamily& family) {
  if (!is_folder(file)) return config_of_metadata(file, family);
  KVASIR_ASSIGN_OR_RETURN(auto config, read_folder_json(file.path(), "config.json"));
  if (!config) return make_error(ErrorCode::kNotFound, file.path() + " has no config.json", file.path());
  // Of a multimodal model, its text model is what is written.
  const json::object* text = object_field(*config, "text_config");
  json::object own = text != nullptr ? *text : *config;
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
