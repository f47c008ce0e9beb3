// GGUF's metadata -> config.json: what hf_config.cpp, hf_rope.cpp and hf_layers.cpp do, the other way round.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "weights/dequantize.h"
#include "weights/hf_config.h"
#include "weights/hf_config_part.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

// GGUF's numbers have 32 bits: 1e-5 comes as 9.99999974737875e-06.
double shortest(double v) {
  const auto narrow = static_cast<float>(v);
  if (static_cast<double>(narrow) != v || !std::isfinite(v)) return v;
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), narrow).ptr;
  double out = v;
  std::from_chars(text, end, out);
  return out;
}

class ConfigWriter {
 public:
  ConfigWriter(const Checkpoint& file, const HfFamily& family)
      : file_(file), family_(family), prefix_(std::string(family.architecture) + ".") {}

  Result<json::object> write() {
    const bool gelu = family_.norms_less_one;
    config_ = {{"architectures", json::array{family_.written.class_name}},
               {"model_type", family_.model_type},
               {"hidden_act", gelu ? "gelu_pytorch_tanh" : "silu"},
               {"tie_word_embeddings", file_.tensor("output.weight") == nullptr}};
    if (gelu) config_["hidden_activation"] = config_["hidden_act"];
    constants();
    for (const auto& fields : {common_fields(), family_.fields}) {
      for (const HfField& f : fields) copy(f);
    }
    config_["vocab_size"] = file_.tensor("token_embd.weight")->rows();
    for (const auto& [name, key] : {std::pair("bos_token_id", "tokenizer.ggml.bos_token_id"),
                                    std::pair("eos_token_id", "tokenizer.ggml.eos_token_id")}) {
      if (const auto id = file_.integer(key)) config_[name] = *id;
    }
    KVASIR_RETURN_IF_ERROR(rope());
    KVASIR_RETURN_IF_ERROR(layers());
    if (family_.scaled_queries != 0) scaled_queries();
    if (number("attention.kv_lora_rank")) latent_attention();
    return std::move(config_);
  }

 private:
  std::optional<double> number(std::string_view key) const {
    return file_.number(prefix_ + std::string(key));
  }
  std::uint64_t size(std::string_view key, std::uint64_t otherwise = 0) const {
    return file_.integer(prefix_ + std::string(key)).value_or(otherwise);
  }
  Error unsupported(const std::string& what) const {
    return make_error(ErrorCode::kUnsupported, file_.path() + ": " + what, file_.path());
  }

  // Whether some layer has the tensor.
  bool has(std::string_view part) const {
    return std::ranges::any_of(file_.tensors(), [&](const TensorInfo& t) {
      return t.name.starts_with("blk.") && t.name.ends_with("." + std::string(part));
    });
  }

  void constants() {
    if (!family_.written.constants.empty()) {
      const json::value all = json::parse(family_.written.constants);
      for (const auto& [name, value] : all.get_object()) config_[name] = value;
    }
    for (const HfRule& r : family_.rules) {
      if (r.value != "null") config_[r.name] = json::parse(r.value);
    }
    for (const HfSign& s : family_.written.signs) config_[s.name] = has(s.tensor);
  }

  void copy(const HfField& f) {
    if (f.name.empty()) return;
    const MetaValue* v = file_.find(prefix_ + std::string(f.key));
    if (v == nullptr) {
      if (!f.otherwise.empty() && !config_.contains(f.name)) config_[f.name] = json::parse(f.otherwise);
    } else if (const auto* b = std::get_if<bool>(v)) {
      config_[f.name] = *b;
    } else if (const auto* i = std::get_if<std::int64_t>(v)) {
      config_[f.name] = *i;
    } else if (const auto* u = std::get_if<std::uint64_t>(v)) {
      config_[f.name] = *u;
    } else if (const auto* d = std::get_if<double>(v)) {
      config_[f.name] = shortest(*d);
    }
  }

  std::uint64_t head_dim() const {
    return size("attention.key_length",
                size("embedding_length") / std::max<std::uint64_t>(1, size("attention.head_count", 1)));
  }

  // --- Rotary embedding

  Status rope() {
    json::object p;
    const std::uint64_t rotated = size("rope.dimension_count", head_dim());
    const bool latent = number("attention.kv_lora_rank").has_value();
    if (family_.partly_rotated)
      config_["partial_rotary_factor"] = static_cast<double>(rotated) / static_cast<double>(head_dim());
    else if (rotated != head_dim() && !latent)
      return unsupported("a head that is rotated in part cannot be said in a config.json of family '" +
                         std::string(family_.model_type) + "'");
    if (const auto* layers = file_.integers("kvasir.rope_layers"))
      config_["no_rope_layers"] = json::array(layers->begin(), layers->end());
    KVASIR_RETURN_IF_ERROR(other_base());
    const std::string type(file_.string(prefix_ + "rope.scaling.type").value_or("none"));
    if (file_.tensor("rope_factors_long.weight") != nullptr)
      KVASIR_RETURN_IF_ERROR(long_rope(p));
    else if (file_.tensor("rope_freqs.weight") != nullptr)
      KVASIR_RETURN_IF_ERROR(llama3(p, static_cast<std::size_t>(rotated)));
    else if (type == "yarn")
      yarn(p);
    else if (type == "linear")
      p = named("linear");
    else if (type != "none")
      return unsupported("rope scaling '" + type + "' cannot be said in a config.json");
    if (family_.rope_parameters) {
      if (p.empty()) p = named("default");
      p["rope_theta"] = config_["rope_theta"];
      if (const auto growth = number("attention.temperature_scale"))
        p["llama_4_scaling_beta"] = shortest(*growth);
      if (family_.partly_rotated) p["partial_rotary_factor"] = config_["partial_rotary_factor"];
      if (const auto* s = file_.integers(prefix_ + "rope.dimension_sections"); s != nullptr && s->size() >= 3)
        p["mrope_section"] = json::array(s->begin(), s->begin() + 3);
      config_.erase("rope_theta");
      config_["rope_parameters"] = std::move(p);
    } else if (!p.empty()) {
      config_["rope_scaling"] = std::move(p);
    }
    return {};
  }

  // Layers with a window may have a base of their own, which few families' configs can say.
  Status other_base() const {
    const auto own = number("rope.freq_base_swa");
    const bool said =
        std::ranges::find(family_.fields, "rope.freq_base_swa", &HfField::key) != family_.fields.end();
    if (!own || said || *own == number("rope.freq_base").value_or(10000)) return {};
    return unsupported("layers that rotate by another base cannot be said in a config.json of family '" +
                       std::string(family_.model_type) + "'");
  }

  // Older readers know the kind by one name, newer ones by the other.
  json::object named(std::string_view type) const {
    json::object p{{"rope_type", type}, {"type", type}};
    if (const auto factor = number("rope.scaling.factor")) p["factor"] = shortest(*factor);
    return p;
  }

  void yarn(json::object& p) const {
    p = named("yarn");
    p["original_max_position_embeddings"] =
        size("rope.scaling.original_context_length", size("context_length"));
    for (const auto& [name, key] : {std::pair{"beta_fast", "rope.scaling.yarn_beta_fast"},
                                    std::pair{"beta_slow", "rope.scaling.yarn_beta_slow"}}) {
      if (const auto v = number(key)) p[name] = shortest(*v);
    }
    if (file_.boolean("kvasir.yarn_between_pairs").value_or(false)) p["truncate"] = false;
    const double slope = number("rope.scaling.yarn_log_multiplier").value_or(0);
    if (number("attention.kv_lora_rank")) {
      if (slope != 0) p["mscale"] = p["mscale_all_dim"] = shortest(static_cast<float>(slope * 10));
      return;
    }
    const double growth = 0.1 * std::log(std::max(1.0, number("rope.scaling.factor").value_or(1)));
    const double own = number("rope.scaling.attn_factor").value_or(1);
    if (slope != 0 && own == 1) {
      p["mscale"] = 1.0;
      p["mscale_all_dim"] = shortest(slope);
    } else if (std::abs(own * (1 + growth) - 1) < 1e-6) {
      p["mscale"] = p["mscale_all_dim"] = 1.0;
    } else if (std::abs(own - 1) > 1e-6) {
      p["attention_factor"] = own * (1 + growth) / (1 + slope * growth);
    }
  }

  Status long_rope(json::object& p) {
    p = named("longrope");
    p.erase("factor");
    for (const auto& [name, tensor] : {std::pair{"short_factor", "rope_factors_short.weight"},
                                       std::pair{"long_factor", "rope_factors_long.weight"}}) {
      const TensorInfo* t = file_.tensor(tensor);
      if (t == nullptr) return unsupported(std::string("it has no '") + tensor + "'");
      json::array factors;
      for (const float v : dequantize(*t)) factors.emplace_back(shortest(static_cast<double>(v)));
      p[name] = std::move(factors);
    }
    const std::uint64_t context = size("context_length");
    const std::uint64_t trained = size("rope.scaling.original_context_length", context);
    config_["original_max_position_embeddings"] = trained;
    const double ratio =
        static_cast<double>(context) / static_cast<double>(std::max<std::uint64_t>(1, trained));
    const double usual =
        ratio <= 1 ? 1 : std::sqrt(1 + std::log(ratio) / std::log(static_cast<double>(trained)));
    const double own = number("rope.scaling.attn_factor").value_or(1);
    if (std::abs(own - usual) > 1e-6) p["attention_factor"] = shortest(own);
    return {};
  }

  // GGUF has the divisors that Llama 3.1's formula gives. Its models have one set of numbers, but for the
  // factor, which is the largest divisor; others were trained with other lengths.
  Status llama3(json::object& p, std::size_t rotated) const {
    const std::vector<float> wanted = dequantize(*file_.tensor("rope_freqs.weight"));
    const double base = number("rope.freq_base").value_or(10000);
    Llama3Rope rope{.factor = static_cast<double>(std::ranges::max(wanted))};
    for (const double context : {8192, 64, 1024, 2048, 4096, 16384, 32768, 65536, 131072}) {
      rope.context = context;
      const bool same = std::ranges::equal(rope.divisors(base, rotated), wanted, [](float a, float b) {
        return std::abs(a - b) <= 1e-5F * std::abs(a);
      });
      if (!same) continue;
      p = {{"rope_type", "llama3"},
           {"factor", rope.factor},
           {"low_freq_factor", rope.low},
           {"high_freq_factor", rope.high},
           {"original_max_position_embeddings", static_cast<std::uint64_t>(context)}};
      return {};
    }
    return unsupported("its rotary frequencies ('rope_freqs.weight') are not those of Llama 3.1's formula");
  }

  // --- What layers differ in

  Status layers() {
    if (family_.recurrent_type == "linear_attention") return delta_nets();
    if (!family_.recurrent_type.empty()) return recurrent_layers();
    const std::uint64_t window = size("attention.sliding_window");
    if (window == 0) return {};
    const bool known =
        std::ranges::find(family_.fields, "sliding_window", &HfField::name) != family_.fields.end();
    if (!known)
      return unsupported("layers with a window cannot be said in a config.json of family '" +
                         std::string(family_.model_type) + "'");
    const std::string key = prefix_ + "attention.sliding_window_pattern";
    const auto every = file_.integer(key).value_or(family_.window_period);
    if (family_.window_period != 0) config_["sliding_window_pattern"] = every;
    std::vector<std::int64_t> slides;
    if (const auto* named = file_.integers(key)) {
      slides = *named;
    } else if (every != 0) {
      slides = all_but_every(every);
    }
    if (!slides.empty()) layer_types(slides, "full_attention", "sliding_attention");
    return {};
  }

  // 1 for each layer but every so-manieth, which has 0.
  std::vector<std::int64_t> all_but_every(std::uint64_t n) const {
    std::vector<std::int64_t> layers(size("block_count"), 1);
    for (std::size_t i = n; i <= layers.size(); i += n) layers[i - 1] = 0;
    return layers;
  }

  void layer_types(const std::vector<std::int64_t>& numbers, std::string_view zero, std::string_view other) {
    json::array types;
    for (const std::int64_t n : numbers) types.emplace_back(n == 0 ? zero : other);
    config_["layer_types"] = std::move(types);
  }

  Status recurrent_layers() {
    const auto* heads = file_.integers(prefix_ + "attention.head_count_kv");
    if (heads == nullptr) return unsupported("it does not say which layers keep a state");
    layer_types(*heads, family_.recurrent_type,
                family_.recurrent_type == "conv" ? "full_attention" : "attention");
    config_["num_key_value_heads"] = std::ranges::max(*heads);
    if (family_.recurrent_type != "mamba") return {};
    const std::uint64_t inner = size("ssm.inner_size");
    config_["mamba_d_head"] = inner / std::max<std::uint64_t>(1, size("ssm.time_step_rank"));
    config_["mamba_expand"] = static_cast<double>(inner) /
                              static_cast<double>(std::max<std::uint64_t>(1, size("embedding_length")));
    const bool rotates = file_.boolean(prefix_ + "rope.scaling.finetuned").value_or(true);
    config_["position_embedding_type"] = rotates ? "rope" : "nope";
    if (size("expert_count") == 0) {
      config_["num_local_experts"] = 0;
      config_["shared_intermediate_size"] = size("feed_forward_length");
    }
    return {};
  }

  Status delta_nets() {
    const std::uint64_t every = size("full_attention_interval", 4);
    const auto* named = file_.integers(prefix_ + "attention.recurrent_layers");
    layer_types(named != nullptr ? *named : all_but_every(every), "full_attention", "linear_attention");
    config_["full_attention_interval"] = every;
    config_["linear_value_head_dim"] =
        size("ssm.inner_size") / std::max<std::uint64_t>(1, size("ssm.time_step_rank"));
    return {};
  }

  void scaled_queries() {
    const bool largest = size("block_count") == family_.scaled_queries;
    const std::uint64_t heads = std::max<std::uint64_t>(1, size("attention.head_count", 1));
    double scalar = static_cast<double>(largest ? size("embedding_length") / heads : head_dim());
    if (const auto scale = number("attention.scale")) {
      scalar = 1 / (*scale * *scale);
      // What was a whole number is one again.
      if (std::abs(scalar - std::round(scalar)) < 1e-4 * scalar) scalar = std::round(scalar);
    }
    config_["query_pre_attn_scalar"] = scalar;
  }

  void latent_attention() {
    const std::uint64_t rotated = size("rope.dimension_count");
    config_.erase("head_dim");
    config_["num_key_value_heads"] = size("attention.head_count");
    config_["qk_rope_head_dim"] = rotated;
    config_["qk_nope_head_dim"] = size("attention.key_length_mla") - rotated;
    config_["v_head_dim"] = size("attention.value_length_mla");
    if (!number("attention.q_lora_rank")) config_["q_lora_rank"] = nullptr;
    if (family_.model_type != "deepseek_v2") return;
    const bool groups = size("expert_group_count", 1) > 1;
    config_["topk_method"] = groups ? "group_limited_greedy" : "greedy";
    config_["n_group"] = size("expert_group_count", 1);
    config_["topk_group"] = size("expert_group_used_count", 1);
  }

  const Checkpoint& file_;
  const HfFamily& family_;
  const std::string prefix_;
  json::object config_;
};

}  // namespace

Result<json::object> config_of_metadata(const Checkpoint& file, const HfFamily& family) {
  return ConfigWriter(file, family).write();
}

}  // namespace kvasir::weights
