#include "executor/native.h"

#include <algorithm>
#include <vector>

#include "executor/weights_id.h"
#include "models/model.h"

namespace kvasir::executor {
namespace {

// Bumped whenever the same tokens under the same weights would give other bits: KV written before is then not
// served.
constexpr std::uint32_t kRoundingVersion = 2;

// The parts of every head of every layer (kernels/kv_type.h), as regions.
kv::BlockLayout kv_layout(const models::ModelConfig& c) {
  const std::size_t element = kernels::kv_element_bytes(c.kv_type);
  const std::size_t key_row = kBlockTokens * element;
  const std::size_t scales = kBlockTokens * sizeof(float);
  const kernels::KvHeadLayout head = c.kv_layout();
  kv::BlockLayout layout;
  for (std::size_t i = 0; i < c.kv_layers * c.kv_heads; ++i) {
    const std::size_t at = i * head.bytes;
    layout.push_back({at, c.head_dim, key_row, element});
    layout.push_back({at + head.values, 1, c.value_dim * key_row, c.value_dim * element});
    if (head.key_scales == head.bytes) continue;
    layout.push_back({at + head.key_scales, 2, scales, sizeof(float)});  // of K, then of V
  }
  return layout;
}

// The embedding is looked up in the file where the output layer has weights of its own.
std::size_t mapped_bytes(const weights::Checkpoint& file) {
  const weights::TensorInfo* embedding = file.tensor("token_embd.weight");
  return embedding != nullptr && file.tensor("output.weight") != nullptr
             ? static_cast<std::size_t>(embedding->bytes())
             : 0;
}

class NativeExecutor final : public Executor {
 public:
  NativeExecutor(std::shared_ptr<ThreadPool> pool, std::unique_ptr<models::Model> model,
                 Description description)
      : pool_(std::move(pool)), model_(std::move(model)), description_(std::move(description)) {}

  const Description& describe() const override { return description_; }

  Status forward(std::span<const SequenceSpan> batch, KvStorage kv, std::span<float> logits,
                 const std::atomic<bool>* interrupt) override {
    KVASIR_RETURN_IF_ERROR(check(batch, kv, logits));
    spans_.clear();
    for (const SequenceSpan& s : batch)
      spans_.push_back({s.tokens, s.start, s.blocks, s.logits_rows, s.state_in, s.state_out});
    if (model_->forward({spans_, kv.base, logits, interrupt})) return {};
    return make_error(ErrorCode::kCancelled, "the step was interrupted");
  }

 private:
  // A wrong table or token would write outside its block: refused here, whatever the caller did.
  Status check(std::span<const SequenceSpan> batch, KvStorage kv, std::span<float> logits) const {
    std::size_t rows = 0;
    for (const SequenceSpan& s : batch) {
      const std::size_t end = s.start + s.tokens.size();
      if (s.tokens.empty() || s.logits_rows > s.tokens.size() ||
          s.blocks.size() < (end + kBlockTokens - 1) / kBlockTokens) {
        return make_error(ErrorCode::kInternal, "forward: a span of " + std::to_string(s.tokens.size()) +
                                                    " tokens at position " + std::to_string(s.start) +
                                                    " has " + std::to_string(s.blocks.size()) + " blocks");
      }
      const std::size_t state = description_.state_blocks;
      if (s.state_out.size() != state || (s.start != 0 && s.state_in.size() != state)) {
        return make_error(ErrorCode::kInternal, "forward: a span has " + std::to_string(s.state_out.size()) +
                                                    " blocks for a state that takes " +
                                                    std::to_string(state));
      }
      for (const TokenId t : s.tokens) {
        if (t < 0 || static_cast<std::size_t>(t) >= description_.vocab_size) {
          return make_error(ErrorCode::kInvalidArgument,
                            "token " + std::to_string(t) + " is outside the vocabulary");
        }
      }
      rows += s.logits_rows;
    }
    if (kv.base == nullptr || kv.block_bytes != description_.kv_bytes_per_block ||
        logits.size() < rows * description_.vocab_size) {
      return make_error(ErrorCode::kInternal, "forward: KV storage or logits do not fit the model");
    }
    return {};
  }

  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<models::Model> model_;
  Description description_;
  std::vector<models::Span> spans_;
};

// All but which weights these are.
Description description_of(const weights::Checkpoint& file, const models::Model& model,
                           const kernels::KernelTable& table) {
  const models::ModelConfig& c = model.config();
  Description d;
  d.family = c.family;
  d.layers = static_cast<std::uint32_t>(c.layers);
  d.vocab_size = c.vocab;
  d.context_length = static_cast<std::uint32_t>(c.context);
  d.kv_bytes_per_block = c.kv_block_bytes();
  d.kv_layout = kv_layout(c);
  d.state_blocks = static_cast<std::uint32_t>(c.state_blocks());
  d.weight_bytes = model.weight_bytes();
  d.mapped_bytes = mapped_bytes(file);
  d.activation_bytes_per_token = model.activation_bytes_per_token();
  d.matrix_weights = model.matrix_weights();
  d.kernel_variant = std::string(table.name);
  d.precision = model.precision() == models::Precision::kHigh ? "high" : "standard";
  d.kv_type = std::string(kernels::name_of(c.kv_type));
  d.rounding_version = kRoundingVersion;
  d.exact = true;
  return d;
}

const kernels::KernelTable& table_of(const NativeOptions& options) {
  return options.kernels != nullptr ? *options.kernels : kernels::kernels();
}

Result<std::unique_ptr<models::Model>> load_or_measure(std::shared_ptr<const weights::Checkpoint> file,
                                                       const NativeOptions& options, WeightsId* id) {
  models::LoadOptions load;
  load.pool = options.pool.get();
  load.kernels = &table_of(options);
  load.precision = options.precision;
  load.kv_type = options.kv_type;
  load.progress = options.progress;
  load.context = options.context;
  load.stop = options.stop;
  load.times = options.times;
  load.measure_only = id == nullptr;
  if (id != nullptr) load.before_tensor = [id](const weights::TensorInfo& tensor) { id->add(tensor); };
  return models::load_model(std::move(file), load);
}

}  // namespace

Result<std::unique_ptr<Executor>> load_native(std::shared_ptr<const weights::Checkpoint> file,
                                              NativeOptions options) {
  if (!options.pool) options.pool = std::make_shared<ThreadPool>(default_thread_count());
  WeightsId weights_id(*file, *options.pool);
  KVASIR_ASSIGN_OR_RETURN(auto model, load_or_measure(file, options, &weights_id));
  const std::string id = weights_id.finish();
  Description d = description_of(*file, *model, table_of(options));
  d.weights_id = model->variant().empty() ? id : id + "-" + model->variant();
  return std::unique_ptr<Executor>(
      std::make_unique<NativeExecutor>(std::move(options.pool), std::move(model), std::move(d)));
}

Result<Description> measure_native(const std::shared_ptr<const weights::Checkpoint>& file,
                                   NativeOptions options) {
  if (!options.pool) options.pool = std::make_shared<ThreadPool>(1);
  KVASIR_ASSIGN_OR_RETURN(const auto model, load_or_measure(file, options, nullptr));
  return description_of(*file, *model, table_of(options));
}

}  // namespace kvasir::executor
