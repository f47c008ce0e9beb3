// What a config.json's layers differ in.

#include <algorithm>
#include <cmath>
#include <vector>

#include "weights/hf_config_part.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

class LayerReader : ConfigPart {
 public:
  using ConfigPart::ConfigPart;

  Status read() { return family_.recurrent_type.empty() ? windows() : recurrent_layers(); }

 private:
  // layer_types, or null.
  const json::array* types() const {
    const json::value* v = field(config_, "layer_types");
    return v != nullptr ? v->if_array() : nullptr;
  }
  Error unknown(std::string_view type) const {
    return data_.unsupported("config.json: layers of type '" + std::string(type) + "' are not supported");
  }

  // Which layers see a window only: a boolean each, as GGUF has it.
  Status windows() {
    const double count = number("num_hidden_layers", 0);
    std::vector<std::int64_t> pattern;
    if (const json::array* a = types()) {
      for (const json::value& item : *a) {
        const std::string_view type = item.is_string() ? std::string_view(item.get_string()) : "";
        if (type != "sliding_attention" && type != "full_attention") return unknown(type);
        pattern.push_back(type == "sliding_attention" ? 1 : 0);
      }
    } else if (family_.window_period != 0) {
      const double every = number("sliding_window_pattern", family_.window_period);
      if (!(every >= 1 && every <= kMostLayers))
        return data_.corrupt("config.json: 'sliding_window_pattern' is absurd");
      const auto layers = count > 0 && count <= kMostLayers ? static_cast<std::size_t>(count) : 0;
      for (std::size_t i = 0; i < layers; ++i)
        pattern.push_back((i + 1) % static_cast<std::size_t>(every) != 0 ? 1 : 0);
    }
    const bool slides = std::ranges::find(pattern, 1) != pattern.end();
    if (slides && number_field(config_, "sliding_window") && !has_window())
      return data_.unsupported("config.json: layers with a window are not supported for family '" +
                               std::string(family_.model_type) + "'");
    if (!pattern.empty() && has_window())
      set("attention.sliding_window_pattern", MetaArray(std::move(pattern)));
    return {};
  }

  bool has_window() const {
    return std::ranges::find(family_.fields, "sliding_window", &HfField::name) != family_.fields.end();
  }

  // GGUF says it by a number of key heads for each layer, 0 where there is no attention.
  Status recurrent_layers() {
    if (family_.recurrent_type == "linear_attention") return delta_nets();
    const double heads = number_field(config_, "num_key_value_heads")
                             .value_or(number_field(config_, "num_attention_heads").value_or(0));
    const json::array* a = types();
    const json::value* indices = field(config_, "full_attn_idxs");
    std::vector<std::int64_t> of_layers;
    if (a != nullptr) {
      for (const json::value& item : *a) {
        const std::string_view type = item.is_string() ? std::string_view(item.get_string()) : "";
        if (type != family_.recurrent_type && type != "attention" && type != "full_attention") {
          return unknown(type);
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
    if (const json::array* a = types()) {
      std::vector<std::int64_t> recurrent;
      for (const json::value& item : *a) {
        const std::string_view type = item.is_string() ? std::string_view(item.get_string()) : "";
        if (type != "linear_attention" && type != "full_attention") return unknown(type);
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
};

}  // namespace

Status read_hf_layers(const json::object& config, const HfFamily& family, FolderData& data) {
  return LayerReader(config, family, data).read();
}

}  // namespace kvasir::weights
