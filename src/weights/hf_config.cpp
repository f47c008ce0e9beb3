#include "weights/hf_config.h"

#include <cmath>
#include <numbers>
#include <optional>
#include <string>

namespace kvasir::weights {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostLayers = 4096;
constexpr std::size_t kMostHeadDim = 4096;
constexpr double kMostWidth = 1U << 22;

class ConfigReader {
 public:
  ConfigReader(const json::object& config, const HfFamily& family, FolderData& data)
      : config_(config), family_(family), data_(data) {}

  Status read() {
    data_.set_text("general.architecture", std::string(family_.architecture));
    if (family_.permuted) data_.set("kvasir.rope_neox", true);
    for (const HfField& f : common_fields()) KVASIR_RETURN_IF_ERROR(copy(f));
    for (const HfField& f : family_.fields) KVASIR_RETURN_IF_ERROR(copy(f));
    KVASIR_RETURN_IF_ERROR(activation());
    KVASIR_RETURN_IF_ERROR(rope());
    KVASIR_RETURN_IF_ERROR(windows());
    if (!family_.recurrent_type.empty()) KVASIR_RETURN_IF_ERROR(recurrent_layers());
    if (const auto scalar = number_field(config_, "query_pre_attn_scalar"); scalar && *scalar > 0) {
      set("attention.scale", 1.0 / std::sqrt(*scalar));
    }
    return rope_layers();
  }

 private:
  void set(std::string_view key, MetaValue value) {
    data_.set(std::string(family_.architecture) + "." + std::string(key), std::move(value));
  }

  Status copy(const HfField& f) {
    const json::value* v = field(config_, f.name);
    if (v == nullptr) return {};
    if (const auto* b = v->if_bool())
      set(f.key, *b);
    else if (const auto* i = v->if_int64())
      set(f.key, *i);
    else if (const auto* u = v->if_uint64())
      set(f.key, *u);
    else if (const auto* d = v->if_double())
      set(f.key, *d);
    else
      return data_.corrupt("config.json: '" + std::string(f.name) + "' is neither a number nor a boolean");
    return {};
  }

  Status activation() {
    for (const std::string_view name : {"hidden_activation", "hidden_act"}) {
      const std::string_view act = text_field(config_, name);
      if (act.empty()) continue;
      // Old Gemma files say "gelu" and mean its tanh form, as the family's code does.
      const bool gelu = act == "gelu_pytorch_tanh" || act == "gelu";
      if (family_.norms_less_one ? gelu : act == "silu") return {};
      return data_.unsupported("config.json: activation '" + std::string(act) + "' is not one that family '" +
                               std::string(family_.model_type) + "' is computed with");
    }
    return {};
  }

  std::size_t head_dim() const {
    const double heads = number_field(config_, "num_attention_heads").value_or(0);
    const double width = number_field(config_, "hidden_size").value_or(0);
    const double dim = number_field(config_, "head_dim").value_or(heads > 0 ? width / heads : 0);
    const double share = number_field(config_, "partial_rotary_factor").value_or(1);
    return dim * share >= 2 && dim * share <= kMostHeadDim ? static_cast<std::size_t>(dim * share) : 0;
  }

  // Newer configs keep all of it in rope_parameters, one set for each kind of layer where these differ.
  Status rope() {
    if (field(config_, "partial_rotary_factor") != nullptr) {
      set("rope.dimension_count", std::uint64_t{head_dim()});
    }
    const json::object* parameters = object_field(config_, "rope_parameters");
    if (parameters != nullptr) {
      const json::object* sliding = object_field(*parameters, "sliding_attention");
      if (const json::object* full = object_field(*parameters, "full_attention")) parameters = full;
      if (const auto base = sliding != nullptr ? number_field(*sliding, "rope_theta") : std::nullopt) {
        set("rope.freq_base_swa", *base);
      }
    } else {
      parameters = object_field(config_, "rope_scaling");
    }
    if (parameters == nullptr) return {};
    if (const auto base = number_field(*parameters, "rope_theta")) {
      set("rope.freq_base", *base);
    }
    return scaling(*parameters);
  }

  Status scaling(const json::object& p) {
    std::string_view type = text_field(p, "rope_type");
    if (type.empty()) type = text_field(p, "type");
    if (type.empty() || type == "default") return {};
    if (type == "llama3") return llama3(p);
    if (type == "longrope" || type == "su") return long_rope(p);
    if (type != "linear" && type != "yarn") {
      return data_.unsupported("config.json: rope scaling '" + std::string(type) + "' is not supported");
    }
    set("rope.scaling.type", data_.keep(std::string(type)));
    for (const auto& [name, key] :
         {HfField{"factor", "rope.scaling.factor"},
          HfField{"original_max_position_embeddings", "rope.scaling.original_context_length"},
          HfField{"beta_fast", "rope.scaling.yarn_beta_fast"},
          HfField{"beta_slow", "rope.scaling.yarn_beta_slow"}}) {
      if (const auto v = number_field(p, name)) set(key, *v);
    }
    // Here it is the whole magnitude of YaRN's cosines and sines; in GGUF, a factor of the usual one.
    const double factor = number_field(p, "factor").value_or(1);
    if (const auto magnitude = number_field(p, "attention_factor"); magnitude && factor >= 1) {
      set("rope.scaling.attn_factor", *magnitude / (1 + 0.1 * std::log(factor)));
    }
    return {};
  }

  // Llama 3.1: long wavelengths are stretched, short ones kept, those between blended. GGUF keeps the
  // divisors of the frequencies as a tensor.
  Status llama3(const json::object& p) {
    const auto factor = number_field(p, "factor");
    const auto low = number_field(p, "low_freq_factor");
    const auto high = number_field(p, "high_freq_factor");
    const auto context = number_field(p, "original_max_position_embeddings");
    const std::size_t dim = head_dim();
    if (!factor || !low || !high || !context || !(*factor > 0) || !(*high > *low) || dim == 0) {
      return data_.corrupt("config.json: the llama3 rope scaling lacks a factor");
    }
    const auto* base_in_p = field(p, "rope_theta");
    const double base = number_field(base_in_p != nullptr ? p : config_, "rope_theta").value_or(10000);
    std::vector<float> divisors(dim / 2);
    for (std::size_t i = 0; i < divisors.size(); ++i) {
      const double frequency = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
      const double wavelength = 2 * std::numbers::pi / frequency;
      double divisor = 1;
      if (wavelength > *context / *low) {
        divisor = *factor;
      } else if (wavelength >= *context / *high) {
        const double smooth = (*context / wavelength - *low) / (*high - *low);
        divisor = 1 / ((1 - smooth) / *factor + smooth);
      }
      divisors[i] = static_cast<float>(divisor);
    }
    data_.add_computed("rope_freqs.weight", std::move(divisors));
    return {};
  }

  Status long_rope(const json::object& p) {
    for (const auto& [name, tensor] : {HfField{"short_factor", "rope_factors_short.weight"},
                                       HfField{"long_factor", "rope_factors_long.weight"}}) {
      const json::value* v = field(p, name);
      const json::array* a = v != nullptr ? v->if_array() : nullptr;
      if (a == nullptr || a->empty() || a->size() > kMostHeadDim) {
        return data_.corrupt("config.json: the rope scaling lacks '" + std::string(name) + "'");
      }
      std::vector<float> factors;
      for (const json::value& item : *a) {
        if (!item.is_number())
          return data_.corrupt("config.json: '" + std::string(name) + "' holds no numbers");
        factors.push_back(static_cast<float>(item.to_number<double>()));
      }
      data_.add_computed(std::string(tensor), std::move(factors));
    }
    set("rope.scaling.type", std::string_view("longrope"));
    const json::object& where = field(p, "original_max_position_embeddings") != nullptr ? p : config_;
    const auto original = number_field(where, "original_max_position_embeddings");
    if (!original || !(*original > 1)) {
      return data_.corrupt("config.json: longrope needs 'original_max_position_embeddings'");
    }
    set("rope.scaling.original_context_length", static_cast<std::uint64_t>(*original));
    const double context = number_field(config_, "max_position_embeddings").value_or(*original);
    const double stretch = number_field(p, "factor").value_or(context / *original);
    const double factor = stretch <= 1 ? 1.0 : std::sqrt(1 + std::log(stretch) / std::log(*original));
    set("rope.scaling.attn_factor", number_field(p, "attention_factor").value_or(factor));
    return {};
  }

  // Which layers see a window only: a boolean each, as GGUF has it.
  Status windows() {
    const json::value* use = field(config_, "use_sliding_window");
    if (use != nullptr && use->is_bool() && use->get_bool()) {
      return data_.unsupported("config.json: use_sliding_window is not supported for family '" +
                               std::string(family_.model_type) + "'");
    }
    const double count = number_field(config_, "num_hidden_layers").value_or(0);
    const auto layers = count > 0 && count <= kMostLayers ? static_cast<std::size_t>(count) : 0;
    std::vector<std::int64_t> pattern;
    const json::value* types = field(config_, "layer_types");
    const bool gemma = family_.norms_less_one;
    if (const json::array* a = types != nullptr ? types->if_array() : nullptr) {
      for (const json::value& item : *a) {
        pattern.push_back(item.is_string() && item.get_string() == "sliding_attention" ? 1 : 0);
      }
    } else if (gemma) {
      const double every =
          number_field(config_, "sliding_window_pattern").value_or(family_.architecture == "gemma2" ? 2 : 6);
      if (!(every >= 1 && every <= kMostLayers))
        return data_.corrupt("config.json: 'sliding_window_pattern' is absurd");
      for (std::size_t i = 0; i < layers; ++i)
        pattern.push_back((i + 1) % static_cast<std::size_t>(every) != 0 ? 1 : 0);
    }
    if (!pattern.empty() && gemma) set("attention.sliding_window_pattern", MetaArray(std::move(pattern)));
    return {};
  }

  // GGUF says it by a number of key heads for each layer, 0 where there is no attention.
  Status recurrent_layers() {
    if (family_.recurrent_type == "linear_attention") return delta_nets();
    const double heads = number_field(config_, "num_key_value_heads")
                             .value_or(number_field(config_, "num_attention_heads").value_or(0));
    const json::value* types = field(config_, "layer_types");
    const json::array* a = types != nullptr ? types->if_array() : nullptr;
    const json::value* indices = field(config_, "full_attn_idxs");
    std::vector<std::int64_t> of_layers;
    if (a != nullptr) {
      for (const json::value& item : *a) {
        const std::string_view type = item.is_string() ? std::string_view(item.get_string()) : "";
        if (type != family_.recurrent_type && type != "attention" && type != "full_attention") {
          return data_.unsupported("config.json: layers of type '" + std::string(type) +
                                   "' are not supported");
        }
        of_layers.push_back(type == family_.recurrent_type ? 0 : static_cast<std::int64_t>(heads));
      }
    } else if (indices != nullptr && indices->is_array()) {
      const double count = number_field(config_, "num_hidden_layers").value_or(0);
      if (count > 0 && count <= kMostLayers) of_layers.resize(static_cast<std::size_t>(count));
      for (const json::value& item : indices->get_array()) {
        const double at = item.is_number() ? item.to_number<double>() : -1;
        if (!(at >= 0 && at < count)) return data_.corrupt("config.json: 'full_attn_idxs' is absurd");
        of_layers[static_cast<std::size_t>(at)] = static_cast<std::int64_t>(heads);
      }
    } else {
      return data_.corrupt("config.json: 'layer_types' is missing");
    }
    set("attention.head_count_kv", MetaArray(std::move(of_layers)));
    if (family_.recurrent_type == "conv") return lfm2();
    return granite4();
  }

  Status delta_nets() {
    const json::value* types = field(config_, "layer_types");
    if (const json::array* a = types != nullptr ? types->if_array() : nullptr) {
      std::vector<std::int64_t> recurrent;
      for (const json::value& item : *a) {
        const std::string_view type = item.is_string() ? std::string_view(item.get_string()) : "";
        if (type != "linear_attention" && type != "full_attention")
          return data_.unsupported("config.json: layers of type '" + std::string(type) +
                                   "' are not supported");
        recurrent.push_back(type == "linear_attention" ? 1 : 0);
      }
      set("attention.recurrent_layers", MetaArray(std::move(recurrent)));
    }
    const double inner = number_field(config_, "linear_num_value_heads").value_or(0) *
                         number_field(config_, "linear_value_head_dim").value_or(0);
    if (!(inner > 0 && inner <= kMostWidth))
      return data_.corrupt("config.json: 'linear_value_head_dim' is absurd");
    set("ssm.inner_size", static_cast<std::uint64_t>(inner));
    const json::value* gate = field(config_, "attn_output_gate");
    if (gate != nullptr && gate->is_bool() && !gate->get_bool())
      return data_.unsupported("config.json: attention without a gate is not supported for this family");
    // A share of each head is rotated; newer configs have it among the rope's parameters.
    const json::object* rope = object_field(config_, "rope_parameters");
    const auto share = rope != nullptr ? number_field(*rope, "partial_rotary_factor") : std::nullopt;
    if (share && field(config_, "partial_rotary_factor") == nullptr)
      set("rope.dimension_count", static_cast<std::uint64_t>(static_cast<double>(head_dim()) * *share));
    data_.set("kvasir.keys_in_turn", std::uint64_t{0});
    return {};
  }

  // The width of the feed-forward block may be given before it is cut down to two thirds and rounded up.
  Status lfm2() {
    double width = number_field(config_, "block_ff_dim")
                       .value_or(number_field(config_, "intermediate_size").value_or(0));
    const json::value* adjust = field(config_, "block_auto_adjust_ff_dim");
    if (adjust != nullptr && adjust->is_bool() && adjust->get_bool()) {
      const double multiple = number_field(config_, "block_multiple_of").value_or(1);
      width = std::floor(2 * width / 3);
      width = std::floor(width * number_field(config_, "block_ffn_dim_multiplier").value_or(1));
      if (multiple >= 1) width = std::ceil(width / multiple) * multiple;
    }
    if (!(width >= 0 && width <= kMostWidth)) return data_.corrupt("config.json: 'block_ff_dim' is absurd");
    set("feed_forward_length", static_cast<std::uint64_t>(width));
    return {};
  }

  Status granite4() {
    const double inner = number_field(config_, "mamba_n_heads").value_or(0) *
                         number_field(config_, "mamba_d_head").value_or(0);
    if (!(inner >= 0 && inner <= kMostWidth)) return data_.corrupt("config.json: 'mamba_d_head' is absurd");
    if (inner > 0) set("ssm.inner_size", static_cast<std::uint64_t>(inner));
    if (text_field(config_, "position_embedding_type") == "nope") set("rope.scaling.finetuned", false);
    const double width = number_field(config_, "shared_intermediate_size").value_or(0);
    if (number_field(config_, "num_local_experts").value_or(0) == 0 && width > 0 && width <= kMostWidth)
      set("feed_forward_length", static_cast<std::uint64_t>(width));
    return {};
  }

  Status rope_layers() {
    const json::value* v = field(config_, "no_rope_layers");
    const json::array* a = v != nullptr ? v->if_array() : nullptr;
    if (a == nullptr) return {};
    std::vector<std::int64_t> layers;
    for (const json::value& item : *a) layers.push_back(item.is_int64() && item.get_int64() == 0 ? 0 : 1);
    data_.set("kvasir.rope_layers", MetaArray(std::move(layers)));
    return {};
  }

  const json::object& config_;
  const HfFamily& family_;
  FolderData& data_;
};

}  // namespace

void FolderData::add_computed(std::string name, std::vector<float> values) {
  const std::vector<float>& kept = computed.emplace_back(std::move(values));
  TensorInfo t;
  t.name = std::move(name);
  t.type = TensorType::kF32;
  t.shape = {kept.size()};
  TensorPart part;
  part.rows = 1;
  part.data = std::as_bytes(std::span(kept));
  t.parts = {part};
  tensors.push_back(std::move(t));
}

const json::object& text_config(const json::object& config) {
  const json::object* text = object_field(config, "text_config");
  return text != nullptr ? *text : config;
}

Result<const HfFamily*> family_of(const json::object& config, const FolderData& data) {
  const std::string_view type = text_field(text_config(config), "model_type");
  if (type.empty()) return data.corrupt("config.json names no model_type");
  if (const HfFamily* family = find_hf_family(type)) return family;
  return data.unsupported("model family '" + std::string(type) + "' is not supported; " +
                          std::string(hf_family_names()) + " are");
}

Status read_hf_config(const json::object& config, const HfFamily& family, FolderData& data) {
  return ConfigReader(text_config(config), family, data).read();
}

}  // namespace kvasir::weights
