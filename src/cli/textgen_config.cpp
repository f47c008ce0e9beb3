#include "cli/textgen_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include <fmt/format.h>

namespace kvasir::cli {
namespace {

struct FieldFailure {
  Error error;
};

// One mapping of the file. Every key that is read is ticked off; what is left is not known.
class Mapping {
 public:
  Mapping(const YAML::Node& node, const std::string& path) : node_(node), path_(path) {
    if (!node_.IsMap()) fail(node_, "must be a list of keys and values");
  }

  [[noreturn]] void fail(const YAML::Node& at, const std::string& problem) const {
    const int line = at.Mark().line;  // from 0; -1 where there is none
    throw FieldFailure{make_error(ErrorCode::kInvalidArgument,
                                  fmt::format("{}:{}: {}", path_, std::max(line, 0) + 1, problem), path_)};
  }

  // Null and absent are the same.
  std::optional<YAML::Node> find(const std::string& key) {
    known_.push_back(key);
    YAML::Node value = node_[key];
    if (!value.IsDefined() || value.IsNull()) return std::nullopt;
    return value;
  }

  template <class T>
  std::optional<T> scalar(const std::string& key, const char* what) {
    const auto value = find(key);
    if (!value) return std::nullopt;
    T result{};
    if (!value->IsScalar() || !YAML::convert<T>::decode(*value, result))
      fail(*value, key + " must be " + what);
    return result;
  }

  std::optional<std::int64_t> whole(const std::string& key, std::int64_t most) {
    const auto number = scalar<std::int64_t>(key, "a whole number");
    if (number && (*number < 0 || *number > most))
      fail(node_[key], fmt::format("{} must be between 0 and {}, not {}", key, most, *number));
    return number;
  }

  // A text or a list of texts.
  std::vector<std::string> texts(const std::string& key) {
    std::vector<std::string> list;
    const auto value = find(key);
    if (!value) return list;
    if (value->IsScalar()) return {value->Scalar()};
    if (!value->IsSequence()) fail(*value, key + " must be a text or a list of texts");
    for (const YAML::Node& item : *value) {
      if (!item.IsScalar()) fail(item, key + " must be a text or a list of texts");
      list.push_back(item.Scalar());
    }
    return list;
  }

  // A key that asks for something else than `usual`, which is what happens here in any case.
  bool asks_for_more(const std::string& key, std::string_view usual = {}) {
    const auto value = find(key);
    return value && !(value->IsScalar() && value->Scalar() == usual);
  }

  void refuse_others() const {
    for (const auto& entry : node_) {
      const std::string key = entry.first.Scalar();
      if (std::ranges::find(known_, key) == known_.end())
        fail(entry.first, key + " is no key of MLX-Textgen's config file");
    }
  }

 private:
  YAML::Node node_;
  const std::string& path_;
  std::vector<std::string> known_;
};

struct Idle {
  const char* key;
  std::string_view usual;
};
constexpr std::array<Idle, 6> kIdleOfModel = {{{"tokenizer_repo_or_path", ""},
                                               {"model_kwargs", ""},
                                               {"tokenizer_kwargs", ""},
                                               {"preprocess_batch_size", "512"},
                                               {"reasoning_parser", ""},
                                               {"default_template", ""}}};
constexpr std::array<Idle, 3> kIdle = {
    {{"max_reprocess_tokens", "250"}, {"replace_threshold", "0.95"}, {"use_reasoning_content", "true"}}};

void note(std::vector<std::string>& without_effect, const std::string& key) {
  if (std::ranges::find(without_effect, key) == without_effect.end()) without_effect.push_back(key);
}

TextgenModel read_model(const YAML::Node& node, const std::string& path, std::vector<std::string>& idle) {
  Mapping fields(node, path);
  TextgenModel model;
  const auto file = fields.scalar<std::string>("model_id_or_path", "a path");
  if (!file) fields.fail(node, "a model needs a model_id_or_path");
  model.path = *file;
  model.name = fields.scalar<std::string>("model_name", "a text").value_or("");
  model.enable_cache = fields.scalar<bool>("enable_cache", "true or false").value_or(true);
  model.extra_stop_words = fields.texts("extra_stop_words");
  for (const Idle& key : kIdleOfModel) {
    if (fields.asks_for_more(key.key, key.usual)) note(idle, key.key);
  }
  fields.refuse_others();
  return model;
}

TextgenConfig read(const YAML::Node& document, const std::string& path) {
  Mapping fields(document, path);
  TextgenConfig config;
  const auto models = fields.find("model_configs");
  if (!models) fields.fail(document, "model_configs is required: a list of models");
  if (!models->IsSequence() || models->size() == 0)
    fields.fail(*models, "model_configs must be a list of at least one model");
  for (const YAML::Node& model : *models)
    config.models.push_back(read_model(model, path, config.without_effect));
  config.host = fields.scalar<std::string>("host", "an address").value_or(config.host);
  config.port = static_cast<std::uint16_t>(
      fields.whole("port", std::numeric_limits<std::uint16_t>::max()).value_or(config.port));
  config.api_keys = fields.texts("api_keys");
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  config.min_tokens =
      static_cast<std::uint32_t>(fields.whole("min_tokens", kMost).value_or(config.min_tokens));
  config.max_capacity =
      static_cast<std::uint32_t>(fields.whole("max_capacity", kMost).value_or(config.max_capacity));
  for (const Idle& key : kIdle) {
    if (fields.asks_for_more(key.key, key.usual)) note(config.without_effect, key.key);
  }
  fields.refuse_others();
  return config;
}

}  // namespace

Result<TextgenConfig> read_textgen_config(const std::string& path) {
  try {
    return read(YAML::LoadFile(path), path);
  } catch (const FieldFailure& failure) {
    return failure.error;
  } catch (const YAML::BadFile&) {
    return make_error(ErrorCode::kNotFound,
                      path + ": cannot be read; 'mlx_textgen createconfig' writes an example", path);
  } catch (const YAML::Exception& error) {
    return make_error(ErrorCode::kInvalidArgument,
                      fmt::format("{}:{}: {}", path, std::max(error.mark.line, 0) + 1, error.msg), path);
  }
}

std::string textgen_config_text(std::uint32_t models) {
  std::string text = "# For `mlx_textgen serve -cf " + std::string(kTextgenConfigName) +
                     "`, served by Kvasir: one model, the first. Keys without a word\n"
                     "# on them are MLX-Textgen's own and change nothing here.\n"
                     "model_configs:\n";
  for (std::uint32_t i = 0; i < models; ++i) {
    text += fmt::format(
        "- model_id_or_path: /path/to/model_{}  # a GGUF file, or a folder with one\n"
        "  tokenizer_repo_or_path: null\n"
        "  model_kwargs: null\n"
        "  tokenizer_kwargs: null\n"
        "  model_name: null  # shown to clients; null: the file's name\n"
        "  enable_cache: true  # false: nothing is kept on disk\n"
        "  preprocess_batch_size: 512\n"
        "  extra_stop_words: null  # text, or a list: at these every answer ends\n"
        "  reasoning_parser: null\n"
        "  default_template: null\n",
        i);
  }
  return text +
         "host: 127.0.0.1\n"
         "port: 5001\n"
         "api_keys: null  # text, or a list: one of these is asked for\n"
         "min_tokens: 20  # shorter conversations are not kept on disk\n"
         "max_reprocess_tokens: 250\n"
         "replace_threshold: 0.95\n"
         "max_capacity: 50  # most conversations kept on disk\n"
         "use_reasoning_content: false\n";
}

}  // namespace kvasir::cli
