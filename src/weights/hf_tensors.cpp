#include "weights/hf_tensors.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "weights/dequantize.h"
#include "weights/hf_config.h"
#include "weights/hf_quantization.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

// What a module's tensors are called behind its name.
struct Suffix {
  std::string_view text;
  const SafeTensor* ModuleTensors::* part;  // null: of no use here
  std::size_t kept = 0;                     // of the text, which is the module's name still
};
constexpr Suffix kSuffixes[] = {
    {".weight", &ModuleTensors::weight},
    {".bias", &ModuleTensors::bias},
    {".scales", &ModuleTensors::scales},
    {".biases", &ModuleTensors::biases},
    {".weight_scale_inv", &ModuleTensors::scales},
    {".weight_scale", &ModuleTensors::scales},
    {".input_scale", nullptr},  // of activations, which have their own here
    {".activation_scale", nullptr},
    {"_proj_blocks", &ModuleTensors::weight, 5},  // stacks of gpt-oss
    {"_proj_scales", &ModuleTensors::scales, 5},
    {"_proj_bias", &ModuleTensors::bias, 5},
};

// Tensors that are no module's weight or bias; their names in GGUF are whole.
constexpr std::string_view kBare[] = {".A_log",
                                      ".D",
                                      ".dt_bias",
                                      ".expert_bias",
                                      ".e_score_correction_bias",
                                      ".sinks",
                                      ".experts.gate_up_proj",
                                      ".experts.down_proj"};

// Parts of a multimodal model that the text model does not read, layers that guess further tokens, and what
// stands in front of its own names.
constexpr std::string_view kSkipped[] = {"vision_tower.",
                                         "multi_modal_projector.",
                                         "vision_model.",
                                         "model.vision_tower.",
                                         "model.multi_modal_projector.",
                                         "model.visual.",
                                         "visual.",
                                         "mtp.",
                                         "model.mtp."};

bool is_skipped(std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") ||
         std::ranges::any_of(kSkipped, [&](std::string_view s) { return name.starts_with(s); });
}

std::string text_name(std::string_view name) {
  constexpr std::string_view kOuter = "language_model.";
  constexpr std::string_view kInner = "model.language_model.";
  if (name.starts_with(kOuter)) return std::string(name.substr(kOuter.size()));
  if (name.starts_with(kInner)) return "model." + std::string(name.substr(kInner.size()));
  return std::string(name);
}

// A module's name with its numbers taken out.
struct ModuleName {
  std::string pattern;  // "model.layers.#.mlp.experts.@.up_proj"
  std::uint32_t layer = 0;
  std::optional<std::uint32_t> expert;
};

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t n = 0;
  if (text.empty() || text.size() > 6) return std::nullopt;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return n;
}

ModuleName split_name(std::string_view name) {
  ModuleName out;
  std::string_view before;
  while (!name.empty()) {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, dot);
    if (!out.pattern.empty()) out.pattern += '.';
    const auto n = number_of(part);
    if (n && before == "layers") {
      out.layer = *n;
      out.pattern += '#';
    } else if (n && before == "experts") {
      out.expert = n;
      out.pattern += '@';
    } else {
      out.pattern += part;
    }
    before = part;
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return out;
}

const HfModule* find_module(const HfFamily& family, std::string_view pattern) {
  for (const auto& modules : family.all_modules()) {
    for (const HfModule& m : modules) {
      if (m.name == pattern) return &m;
    }
  }
  return nullptr;
}

TensorPart part_of(const ModuleTensors& m, const StoredMatrix& stored) {
  TensorPart part;
  part.rows = 1;
  for (std::size_t i = 0; i + 1 < stored.shape.size(); ++i) part.rows *= stored.shape[i];
  part.data = m.weight->data;
  if (m.scales != nullptr) part.scales = m.scales->data;
  if (m.biases != nullptr) part.biases = m.biases->data;
  return part;
}

class TensorReader {
 public:
  TensorReader(const json::object& config, const HfFamily& family, FolderData& data)
      : config_(config), family_(family), data_(data) {}

  Status read(std::span<const std::shared_ptr<const SafetensorsFile>> files) {
    KVASIR_ASSIGN_OR_RETURN(quantization_, HfQuantization::read(config_, data_));
    for (const auto& file : files) {
      for (const SafeTensor& t : file->tensors()) KVASIR_RETURN_IF_ERROR(collect(t));
    }
    KVASIR_RETURN_IF_ERROR(name_modules());
    for (const auto& [name, m] : modules_) {
      if (name.ends_with(".conv1d") && m.weight != nullptr && !m.weight->shape.empty())
        of_mlx_ = m.weight->shape.back() == 1;
    }
    for (const auto& [name, experts] : named_) KVASIR_RETURN_IF_ERROR(add(name, experts));
    for (const SplitModule& m : split_) {
      KVASIR_RETURN_IF_ERROR(m.kind == HfSplit::kHeads    ? add_heads(m)
                             : m.kind == HfSplit::kHalves ? add_halves(m)
                                                          : add_alternate_rows(m));
    }
    return {};
  }

 private:
  using Experts = std::map<std::uint32_t, const ModuleTensors*>;
  struct SplitModule {
    const ModuleTensors* tensors = nullptr;
    HfSplit kind = HfSplit::kNone;
    std::string first;  // GGUF's names
    std::string second;
  };

  std::string gguf_name(std::string_view pattern, std::uint32_t layer) const {
    std::string name(pattern);
    if (const std::size_t at = name.find('#'); at != std::string::npos)
      name.replace(at, 1, std::to_string(layer));
    // What all tokens share is the whole block of a model without experts.
    const std::size_t shared = name.find("_shexp");
    const bool experts = number_field(text_config(config_), "num_local_experts").value_or(0) > 0;
    if (family_.shared_alone && !experts && shared != std::string::npos) name.erase(shared, 6);
    return name;
  }

  Status collect(const SafeTensor& t) {
    if (is_skipped(t.name)) return {};
    const std::string name = text_name(t.name);
    if (guesses_tokens(name)) return {};
    for (const Suffix& s : kSuffixes) {
      if (!name.ends_with(s.text)) continue;
      if (s.part == nullptr) return {};
      ModuleTensors& m = modules_[name.substr(0, name.size() - s.text.size() + s.kept)];
      if (m.*s.part != nullptr) return data_.corrupt("tensor '" + t.name + "' occurs twice");
      m.*s.part = &t;
      return {};
    }
    for (const std::string_view bare : kBare) {
      if (!name.ends_with(bare)) continue;
      ModuleTensors& m = modules_[name];
      if (m.weight != nullptr) return data_.corrupt("tensor '" + t.name + "' occurs twice");
      m.weight = &t;
      bare_.insert(name);
      return {};
    }
    return unknown(t.name);
  }

  // Of a layer behind the model's own, which is not used.
  bool guesses_tokens(std::string_view name) const {
    const json::object& text = text_config(config_);
    const double guessing = number_field(text, "num_nextn_predict_layers").value_or(0);
    const double layers = number_field(text, "num_hidden_layers").value_or(0);
    if (guessing <= 0 || !name.starts_with("model.layers.")) return false;
    const double layer = split_name(name).layer;
    return layer >= layers && layer < layers + guessing;
  }

  Error unknown(std::string_view name) const {
    return data_.unsupported("tensor '" + std::string(name) + "' is not one that family '" +
                             std::string(family_.model_type) + "' has");
  }

  bool tied() const {
    for (const json::object* o : {&text_config(config_), &config_}) {
      const json::value* v = field(*o, "tie_word_embeddings");
      if (v != nullptr && v->is_bool()) return v->get_bool();
    }
    return family_.tied;
  }

  Status name_modules() {
    for (auto& [name, m] : modules_) {
      m.name = name;
      const ModuleName split = split_name(name);
      const HfModule* module = find_module(family_, split.pattern);
      if (module == nullptr) return unknown(name);
      std::string gguf = gguf_name(module->gguf, split.layer);
      if (m.weight == nullptr) return data_.corrupt("module '" + name + "' has no weight");
      if (gguf == "output" && tied()) continue;
      if (module->split != HfSplit::kNone) {
        split_.push_back({&m, module->split, gguf, gguf_name(module->second, split.layer)});
        continue;
      }
      stacked_[gguf] = split.expert.has_value();
      if (!named_[gguf].emplace(split.expert.value_or(0), &m).second) {
        return data_.corrupt("module '" + name + "' occurs twice");
      }
    }
    return {};
  }

  Status add(const std::string& name, const Experts& experts) {
    const ModuleTensors& first = *experts.begin()->second;
    KVASIR_ASSIGN_OR_RETURN(const StoredMatrix stored, quantization_.stored(first, data_));
    TensorInfo t;
    t.name = name + ".weight";
    t.type = stored.type;
    t.scaling = stored.scaling;
    t.shape.assign(stored.shape.rbegin(), stored.shape.rend());
    if (is_less_one(family_, name, of_mlx_)) t.plus = 1;
    std::uint32_t expected = 0;
    for (const auto& [number, m] : experts) {
      KVASIR_ASSIGN_OR_RETURN(const StoredMatrix own, quantization_.stored(*m, data_));
      if (number != expected++ || own.type != stored.type || own.scaling != stored.scaling ||
          own.shape != stored.shape) {
        return data_.corrupt("module '" + m->name + "' does not go with the experts in front of it");
      }
      t.parts.push_back(part_of(*m, own));
    }
    if (stacked_.at(name)) t.shape.push_back(experts.size());
    // Convolutions of one channel each: (channels, 1, taps), or, in MLX's folders, (channels, taps, 1).
    if (name.ends_with("conv") || name.ends_with("conv1d")) std::erase(t.shape, 1U);
    if (t.shape.empty() || t.shape.size() > 4 || std::ranges::find(t.shape, 0U) != t.shape.end()) {
      return data_.corrupt("tensor '" + first.weight->name + "' has an absurd shape");
    }
    if (bare_.contains(first.name)) return add_bare(name, std::move(t));
    data_.tensors.push_back(std::move(t));
    return first.bias != nullptr ? add_bias(name, first, experts.size()) : Status();
  }

  Status add_bare(const std::string& name, TensorInfo t) {
    t.name = name;
    if (!name.ends_with(".ssm_a")) {
      data_.tensors.push_back(std::move(t));
      return {};
    }
    // GGUF has the rate of decay itself, not its logarithm.
    std::vector<float> values = dequantize(t);
    for (float& v : values) v = -std::exp(v);
    data_.add_computed(name, std::move(values));
    return {};
  }

  Status add_bias(const std::string& name, const ModuleTensors& m, std::size_t experts) {
    ModuleTensors as_weight;
    as_weight.name = m.name;
    as_weight.weight = m.bias;
    KVASIR_ASSIGN_OR_RETURN(const StoredMatrix stored, quantization_.stored(as_weight, data_));
    // A stack has a row of them for each of its matrices.
    const std::size_t dimensions = name.ends_with("_exps") ? 2 : 1;
    if (stored.shape.size() != dimensions || stored.shape.back() == 0 || stored.shape[0] == 0 ||
        experts != 1) {
      return data_.unsupported("tensor '" + m.bias->name + "' does not fit its weight");
    }
    TensorInfo t;
    t.name = name + ".bias";
    t.type = stored.type;
    t.shape.assign(stored.shape.rbegin(), stored.shape.rend());
    t.parts = {part_of(as_weight, stored)};
    data_.tensors.push_back(std::move(t));
    return {};
  }

  // Of a stack, gate's rows and up's in turn; its biases likewise.
  Status add_alternate_rows(const SplitModule& m) {
    KVASIR_ASSIGN_OR_RETURN(const StoredMatrix stored, quantization_.stored(*m.tensors, data_));
    if (bare_.contains(m.tensors->name))
      return data_.unsupported("tensor '" + m.tensors->weight->name +
                               "' is of a folder whose experts are not quantised, which is not supported");
    if (stored.shape.size() != 3 || stored.shape[1] == 0 || stored.shape[1] % 2 != 0 ||
        stored.shape[0] == 0 || stored.shape[2] == 0)
      return data_.corrupt("tensor '" + m.tensors->weight->name + "' has an absurd shape");
    const std::uint64_t height = stored.shape[1] / 2;
    for (const bool second : {false, true}) {
      TensorInfo t;
      t.name = (second ? m.second : m.first) + ".weight";
      t.type = stored.type;
      t.scaling = stored.scaling;
      t.shape = {stored.shape[2], height, stored.shape[0]};
      TensorPart part = part_of(*m.tensors, stored);
      part.rows /= 2;
      part.step = 2;
      part.scaled_rows_before = second ? 1 : 0;
      const auto row = static_cast<std::size_t>(t.row_bytes());
      part.data = part.data.subspan(second ? row : 0, part.data.size() - row);
      t.parts = {part};
      data_.tensors.push_back(std::move(t));
    }
    return m.tensors->bias != nullptr ? add_alternate_biases(m, stored.shape[0], height) : Status();
  }

  Status add_alternate_biases(const SplitModule& m, std::uint64_t count, std::uint64_t height) {
    ModuleTensors as_weight;
    as_weight.name = m.tensors->name;
    as_weight.weight = m.tensors->bias;
    KVASIR_ASSIGN_OR_RETURN(const StoredMatrix stored, quantization_.stored(as_weight, data_));
    if (stored.shape != std::vector<std::uint64_t>{count, 2 * height})
      return data_.corrupt("tensor '" + m.tensors->bias->name + "' does not fit its weight");
    TensorInfo both;
    both.type = stored.type;
    both.shape = {2 * height, count};
    both.parts = {part_of(as_weight, stored)};
    const std::vector<float> values = dequantize(both);
    for (const bool second : {false, true}) {
      std::vector<float> own;
      for (std::size_t i = second ? 1 : 0; i < values.size(); i += 2) own.push_back(values[i]);
      data_.add_computed((second ? m.second : m.first) + ".bias", std::move(own), {height, count});
    }
    return {};
  }

  // kv_b_proj: of each head, rows that make keys of the latent and rows that make values of it. GGUF has the
  // former the other way round, since they bring queries into the latent's space.
  Status add_heads(const SplitModule& m) {
    KVASIR_ASSIGN_OR_RETURN(const StoredMatrix stored, quantization_.stored(*m.tensors, data_));
    const json::object& config = text_config(config_);
    const auto size = [&](std::string_view name) {
      const double n = number_field(config, name).value_or(0);
      return n >= 1 && n <= 65536 ? static_cast<std::uint64_t>(n) : 0;
    };
    const std::uint64_t heads = size("num_attention_heads");
    const std::uint64_t plain = size("qk_nope_head_dim");
    const std::uint64_t value = size("v_head_dim");
    if (stored.shape.size() != 2 || heads == 0 || plain == 0 || value == 0 || stored.shape[1] == 0 ||
        stored.shape[0] != heads * (plain + value))
      return data_.corrupt("tensor '" + m.tensors->weight->name + "' does not fit its heads");
    for (const bool values : {false, true}) {
      TensorInfo t;
      t.name = (values ? m.second : m.first) + ".weight";
      t.transposed = !values;
      t.shape =
          values ? std::vector{stored.shape[1], value, heads} : std::vector{plain, stored.shape[1], heads};
      take_rows(std::move(t), m, stored, plain + value, values ? plain : 0, values ? value : plain);
    }
    return m.tensors->bias != nullptr ? Status(unknown(m.tensors->bias->name)) : Status();
  }

  // Gate's rows and then up's; of a stack, for each of its matrices.
  Status add_halves(const SplitModule& m) {
    KVASIR_ASSIGN_OR_RETURN(const StoredMatrix stored, quantization_.stored(*m.tensors, data_));
    const std::size_t dimensions = stored.shape.size();
    const std::uint64_t both = dimensions < 2 ? 0 : stored.shape[dimensions - 2];
    if (dimensions > 3 || both == 0 || both % 2 != 0 ||
        std::ranges::find(stored.shape, 0U) != stored.shape.end())
      return data_.corrupt("tensor '" + m.tensors->weight->name + "' has an absurd shape");
    for (const bool second : {false, true}) {
      TensorInfo t;
      t.name = second ? m.second : m.first;
      if (!bare_.contains(m.tensors->name)) t.name += ".weight";
      t.shape.assign(stored.shape.rbegin(), stored.shape.rend());
      t.shape[1] = both / 2;
      take_rows(std::move(t), m, stored, both, second ? both / 2 : 0, both / 2);
    }
    return m.tensors->bias != nullptr ? Status(unknown(m.tensors->bias->name)) : Status();
  }

  // Adds t, made of the rows [first, first + count) of every `height` of a module's.
  void take_rows(TensorInfo t, const SplitModule& m, const StoredMatrix& stored, std::uint64_t height,
                 std::uint64_t first, std::uint64_t count) {
    t.type = stored.type;
    t.scaling = stored.scaling;
    const TensorPart all = part_of(*m.tensors, stored);
    const std::uint64_t row = t.row_bytes();
    for (std::uint64_t at = first; at < all.rows; at += height) {
      TensorPart part = all;
      part.rows = count;
      part.scaled_rows_before = at;
      part.data = all.data.subspan(static_cast<std::size_t>(at * row), static_cast<std::size_t>(count * row));
      t.parts.push_back(part);
    }
    data_.tensors.push_back(std::move(t));
  }

  const json::object& config_;
  const HfFamily& family_;
  FolderData& data_;
  HfQuantization quantization_;
  std::map<std::string, ModuleTensors> modules_;  // by their name in the files
  std::map<std::string, Experts> named_;          // by GGUF's name: one, or every expert's
  std::map<std::string, bool> stacked_;
  std::vector<SplitModule> split_;
  bool of_mlx_ = false;         // by how convolutions lie
  std::set<std::string> bare_;  // modules that are one tensor
};

}  // namespace

Status read_hf_tensors(const json::object& config, const HfFamily& family,
                       std::span<const std::shared_ptr<const SafetensorsFile>> files, FolderData& data) {
  return TensorReader(config, family, data).read(files);
}

}  // namespace kvasir::weights
