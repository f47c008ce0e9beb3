// Reads a checkpoint's hyper-parameters and hands it to its family.

#include <string>

#include "models/model.h"

namespace kvasir::models {
namespace {

using weights::Checkpoint;
using LoadFunction = Result<std::unique_ptr<Model>> (*)(std::shared_ptr<const Checkpoint>, ModelConfig,
                                                        const LoadOptions&);

struct Family {
  std::string_view name;
  LoadFunction load;
};

constexpr Family kFamilies[] = {
    {"llama", load_llama},
    {"qwen2", load_qwen2},
};

const Family* find_family(std::string_view name) {
  for (const Family& f : kFamilies) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

// Reads `<family>.<key>` as an integer in [1, most].
class ConfigReader {
 public:
  ConfigReader(const Checkpoint& file, std::string family) : file_(file), family_(std::move(family)) {}

  std::size_t size(const std::string& key, std::size_t most, std::size_t fallback = 0) {
    const auto value = file_.integer(family_ + "." + key);
    if (!value && fallback != 0) return fallback;
    if (!value || *value < 1 || *value > most) {
      fail("metadata '" + family_ + "." + key + "' " +
           (value ? "is " + std::to_string(*value) + ", which is absurd" : "is missing"));
      return 1;
    }
    return static_cast<std::size_t>(*value);
  }
  double number(const std::string& key, double fallback) {
    return file_.number(family_ + "." + key).value_or(fallback);
  }
  void fail(const std::string& what) {
    if (status_.ok()) status_ = make_error(ErrorCode::kCorruptData, file_.path() + ": " + what, file_.path());
  }
  const Status& status() const { return status_; }

 private:
  const Checkpoint& file_;
  std::string family_;
  Status status_;
};

Status check_rope_scaling(const Checkpoint& file, const std::string& family, ModelConfig& config) {
  const auto type = file.string(family + ".rope.scaling.type");
  if (!type || *type == "none") return {};
  const double factor = file.number(family + ".rope.scaling.factor").value_or(0);
  if (*type == "linear" && factor > 0) {
    config.rope_scale = static_cast<float>(1.0 / factor);
    return {};
  }
  return make_error(ErrorCode::kUnsupported,
                    file.path() + ": rope scaling '" + std::string(*type) + "' is not supported yet",
                    file.path());
}

}  // namespace

Result<ModelConfig> read_config(const Checkpoint& file) {
  const auto family = file.string("general.architecture");
  if (!family) {
    return make_error(ErrorCode::kCorruptData, file.path() + ": metadata 'general.architecture' is missing",
                      file.path());
  }
  if (find_family(*family) == nullptr) {
    return make_error(
        ErrorCode::kUnsupported,
        file.path() + ": model family '" + std::string(*family) + "' is not supported; llama and qwen2 are",
        file.path());
  }
  ModelConfig c;
  c.family = std::string(*family);
  ConfigReader read(file, c.family);
  c.layers = read.size("block_count", 1024);
  c.width = read.size("embedding_length", 1U << 20);
  c.hidden = read.size("feed_forward_length", 1U << 22);
  c.heads = read.size("attention.head_count", 4096);
  c.kv_heads = read.size("attention.head_count_kv", 4096, c.heads);
  c.head_dim =
      read.size("attention.key_length", kernels::kMaxHeadDim, c.width / c.heads == 0 ? 1 : c.width / c.heads);
  c.context = read.size("context_length", 1U << 24);
  c.norm_epsilon = static_cast<float>(read.number("attention.layer_norm_rms_epsilon", 1e-5));
  c.rope_base = static_cast<float>(read.number("rope.freq_base", 10000.0));
  if (const auto* embedding = file.tensor("token_embd.weight")) {
    c.vocab = static_cast<std::size_t>(embedding->rows());
  } else {
    read.fail("tensor 'token_embd.weight' is missing");
  }
  KVASIR_RETURN_IF_ERROR(read.status());
  if (c.heads % c.kv_heads != 0 || c.head_dim % 16 != 0 || c.head_dim > kernels::kMaxHeadDim ||
      c.width % kernels::kBlockK != 0 || c.hidden % kernels::kBlockK != 0 ||
      c.heads * c.head_dim % kernels::kBlockK != 0 || !(c.rope_base > 1) || !(c.norm_epsilon > 0) ||
      read.size("rope.dimension_count", kernels::kMaxHeadDim, c.head_dim) != c.head_dim ||
      read.size("attention.value_length", kernels::kMaxHeadDim, c.head_dim) != c.head_dim) {
    return make_error(ErrorCode::kUnsupported,
                      file.path() + ": its shape (width " + std::to_string(c.width) + ", " +
                          std::to_string(c.heads) + " heads of " + std::to_string(c.head_dim) + ", " +
                          std::to_string(c.kv_heads) + " for keys) is not one that this build computes",
                      file.path());
  }
  KVASIR_RETURN_IF_ERROR(check_rope_scaling(file, c.family, c));
  return c;
}

Result<std::unique_ptr<Model>> load_model(std::shared_ptr<const Checkpoint> file,
                                          const LoadOptions& options) {
  KVASIR_ASSIGN_OR_RETURN(ModelConfig config, read_config(*file));
  config.kv_type = options.kv_type;
  const Family* family = find_family(config.family);
  return family->load(std::move(file), std::move(config), options);
}

}  // namespace kvasir::models
