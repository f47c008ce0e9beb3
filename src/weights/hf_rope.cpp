// Rotary embedding in config.json.

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "weights/hf_config_part.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

class RopeReader : ConfigPart {
 public:
  using ConfigPart::ConfigPart;

  // Newer configs keep all of it in rope_parameters, one set for each kind of layer where these differ.
  Status read() {
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
    share_ = parameters != nullptr ? number_field(*parameters, "partial_rotary_factor") : std::nullopt;
    if (!share_) share_ = number_field(config_, "partial_rotary_factor");
    if (share_) set("rope.dimension_count", std::uint64_t{head_dim()});
    KVASIR_RETURN_IF_ERROR(rope_layers());
    if (parameters == nullptr) return {};
    sections(*parameters);
    if (const auto base = number_field(*parameters, "rope_theta")) set("rope.freq_base", *base);
    if (const auto growth = number_field(*parameters, "llama_4_scaling_beta"))
      set("attention.temperature_scale", *growth);
    return scaling(*parameters);
  }

 private:
  // Of pairs that tell images' time, rows and columns, where text has one place for all: GGUF's readers ask.
  void sections(const json::object& p) {
    const json::value* v = field(p, "mrope_section");
    const json::array* a = v != nullptr ? v->if_array() : nullptr;
    if (a == nullptr || a->size() != 3 || !family_.rope_parameters) return;
    std::vector<std::int64_t> counts;
    for (const json::value& item : *a) counts.push_back(item.is_int64() ? item.get_int64() : 0);
    counts.push_back(0);
    set("rope.dimension_sections", MetaArray(std::move(counts)));
  }

  std::size_t head_dim() const {
    const double heads = number("num_attention_heads", 0);
    const double dim = number("head_dim", heads > 0 ? number("hidden_size", 0) / heads : 0);
    const double share = share_.value_or(1);
    return dim * share >= 2 && dim * share <= kMostHeadDim ? static_cast<std::size_t>(dim * share) : 0;
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
    if (const auto factor = number_field(p, "factor")) set("rope.scaling.factor", *factor);
    return type == "yarn" ? yarn(p) : Status();
  }

  Status yarn(const json::object& p) {
    for (const auto& [name, key] : {std::pair{"beta_fast", "rope.scaling.yarn_beta_fast"},
                                    std::pair{"beta_slow", "rope.scaling.yarn_beta_slow"}}) {
      if (const auto v = number_field(p, name)) set(key, *v);
    }
    const auto context = number_field(p, "original_max_position_embeddings");
    if (context && *context >= 1 && *context <= 1e9)
      set("rope.scaling.original_context_length", static_cast<std::uint64_t>(*context));
    const json::value* truncate = field(p, "truncate");
    if (truncate != nullptr && truncate->is_bool() && !truncate->get_bool())
      data_.set("kvasir.yarn_between_pairs", true);
    // Cosines and sines are multiplied by a magnitude; in GGUF, by a factor of the usual one.
    const double growth = 0.1 * std::log(std::max(1.0, number_field(p, "factor").value_or(1)));
    const double own = number_field(p, "mscale").value_or(0);
    const double all = number_field(p, "mscale_all_dim").value_or(0);
    if (number_field(config_, "kv_lora_rank") && all != 0) {
      // DeepSeek's scores are multiplied instead (models/deepseek2.cpp).
      if (own != all)
        return data_.unsupported(
            "config.json: a yarn mscale that is not its mscale_all_dim is not supported");
      set("rope.scaling.yarn_log_multiplier", 0.1 * all);
      return {};
    }
    double magnitude = 1 + growth;
    if (own != 0 && all != 0) magnitude = (1 + own * growth) / (1 + all * growth);
    magnitude = number_field(p, "attention_factor").value_or(magnitude);
    set("rope.scaling.attn_factor", magnitude / (1 + growth));
    return {};
  }

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
    const Llama3Rope rope{*factor, *low, *high, *context};
    data_.add_computed("rope_freqs.weight", rope.divisors(base, dim));
    return {};
  }

  Status long_rope(const json::object& p) {
    for (const auto& [name, tensor] : {std::pair{"short_factor", "rope_factors_short.weight"},
                                       std::pair{"long_factor", "rope_factors_long.weight"}}) {
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

  Status rope_layers() {
    const json::value* v = field(config_, "no_rope_layers");
    const json::array* a = v != nullptr ? v->if_array() : nullptr;
    if (a == nullptr) return {};
    std::vector<std::int64_t> layers;
    for (const json::value& item : *a) layers.push_back(item.is_int64() && item.get_int64() == 0 ? 0 : 1);
    data_.set("kvasir.rope_layers", MetaArray(std::move(layers)));
    return {};
  }

  std::optional<double> share_;  // of a head, that is rotated
};

}  // namespace

std::vector<float> Llama3Rope::divisors(double base, std::size_t dim) const {
  std::vector<float> out(dim / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double frequency = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
    const double wavelength = 2 * std::numbers::pi / frequency;
    double divisor = 1;
    if (wavelength > context / low) {
      divisor = factor;
    } else if (wavelength >= context / high) {
      const double smooth = (context / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    out[i] = static_cast<float>(divisor);
  }
  return out;
}

Status read_hf_rope(const json::object& config, const HfFamily& family, FolderData& data) {
  return RopeReader(config, family, data).read();
}

}  // namespace kvasir::weights
