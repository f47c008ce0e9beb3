#include "weights/hf_config.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "weights/hf_config_part.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

// Whether a field says what a rule wants; numbers of either kind are alike.
bool says(const json::value& v, std::string_view wanted) {
  const json::value w = json::parse(wanted);
  if (v.is_number() && w.is_number()) return v.to_number<double>() == w.to_number<double>();
  return v == w;
}

std::string shown(const json::value& v) {
  if (!v.is_double()) return json::serialize(v);
  char text[32];
  std::snprintf(text, sizeof(text), "%g", v.get_double());
  return text;
}

class ConfigReader : ConfigPart {
 public:
  using ConfigPart::ConfigPart;

  Status read() {
    data_.set_text("general.architecture", std::string(family_.architecture));
    if (family_.permuted) data_.set("kvasir.rope_neox", true);
    for (const auto& rules : {common_rules(), family_.rules}) {
      for (const HfRule& r : rules) KVASIR_RETURN_IF_ERROR(follow(r));
    }
    for (const auto& fields : {common_fields(), family_.fields}) {
      for (const HfField& f : fields) KVASIR_RETURN_IF_ERROR(copy(f));
    }
    KVASIR_RETURN_IF_ERROR(activation());
    KVASIR_RETURN_IF_ERROR(read_hf_rope(config_, family_, data_));
    KVASIR_RETURN_IF_ERROR(read_hf_layers(config_, family_, data_));
    if (const double scalar = number("query_pre_attn_scalar", 0); scalar > 0)
      set("attention.scale", 1.0 / std::sqrt(scalar));
    return number_field(config_, "kv_lora_rank") ? latent_attention() : Status();
  }

 private:
  Status follow(const HfRule& r) const {
    const json::value* v = field(config_, r.name);
    if (v == nullptr || says(*v, r.value)) return {};
    return data_.unsupported("config.json: " + std::string(r.name) + " " + shown(*v) +
                             " is not supported for family '" + std::string(family_.model_type) + "'");
  }

  Status copy(const HfField& f) {
    const json::value* v = f.name.empty() ? nullptr : field(config_, f.name);
    json::value otherwise;
    if (v == nullptr) {
      if (f.otherwise.empty()) return {};
      otherwise = json::parse(f.otherwise);
      v = &otherwise;
    }
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

  // One key for all heads, made of the latent and the rotated part (models/deepseek2.cpp).
  Status latent_attention() {
    const double rank = number("kv_lora_rank", 0);
    const double plain = number("qk_nope_head_dim", 0);
    const double rotated = number("qk_rope_head_dim", 0);
    const double value = number("v_head_dim", 0);
    for (const double n : {rank, plain, rotated, value}) {
      if (!(n >= 1 && n <= kMostHeadDim))
        return data_.corrupt("config.json: its latent attention's sizes are missing or absurd");
    }
    const auto whole = [](double n) { return static_cast<std::uint64_t>(n); };
    set("attention.head_count_kv", std::uint64_t{1});
    set("attention.key_length", whole(rank) + whole(rotated));
    set("attention.value_length", whole(rank));
    set("attention.key_length_mla", whole(plain) + whole(rotated));
    set("attention.value_length_mla", whole(value));
    set("rope.dimension_count", whole(rotated));
    // V2 names how experts are chosen; V3 has one way, and its rules say so.
    const std::string_view method = text_field(config_, "topk_method");
    if (family_.model_type != "deepseek_v2" || method == "greedy") return {};
    if (method != "group_limited_greedy" && !method.empty())
      return data_.unsupported("config.json: topk_method '" + std::string(method) + "' is not supported");
    if (method.empty()) return {};
    KVASIR_RETURN_IF_ERROR(copy({"n_group", "expert_group_count", "1"}));
    return copy({"topk_group", "expert_group_used_count", "1"});
  }
};

}  // namespace

void FolderData::add_computed(std::string name, std::vector<float> values, std::vector<std::uint64_t> shape) {
  const std::vector<float>& kept = computed.emplace_back(std::move(values));
  TensorInfo t;
  t.name = std::move(name);
  t.type = TensorType::kF32;
  t.shape = shape.empty() ? std::vector<std::uint64_t>{kept.size()} : std::move(shape);
  TensorPart part;
  part.rows = t.rows();
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
