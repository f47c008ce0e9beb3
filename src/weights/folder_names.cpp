// The tables of hf_families.h read backwards: what a folder calls each of a model's tensors, and which rows
// it has of it.

#include <algorithm>

#include "weights/dequantize.h"
#include "weights/folder_config.h"
#include "weights/folder_export.h"

namespace kvasir::weights {
namespace {

std::shared_ptr<const TensorInfo> borrowed(const TensorInfo& t) {
  return {std::shared_ptr<const TensorInfo>(), &t};
}

// A name of GGUF's with the layer's number taken out: "blk.12.attn_q" -> "blk.#.attn_q", 12.
struct GgufName {
  std::string pattern;
  std::string layer;
};
GgufName split_name(const std::string& name) {
  if (!name.starts_with("blk.")) return {name, {}};
  const std::size_t dot = std::min(name.find('.', 4), name.size());
  return {"blk.#" + name.substr(dot), name.substr(4, dot - 4)};
}

std::string in_layer(std::string_view pattern, const std::string& layer) {
  std::string name(pattern);
  if (const std::size_t at = name.find('#'); at != std::string::npos) name.replace(at, 1, layer);
  return name;
}

// What is flat in folders, and has a dimension of one in some GGUF files.
bool is_flat(std::string_view name) {
  constexpr std::string_view kFlat[] = {".ssm_a", ".ssm_d", ".ssm_norm.weight", ".ssm_dt.bias"};
  return std::ranges::any_of(kFlat, [&](std::string_view end) { return name.ends_with(end); });
}

class FolderNames {
 public:
  FolderNames(const Checkpoint& file, const HfFamily& family, const Choice& choice, bool mlx)
      : file_(file), family_(family), choice_(choice), mlx_(mlx) {
    const std::string count = std::string(family.architecture) + ".expert_count";
    alone_ = family.shared_alone && file.integer(count).value_or(0) == 0;
  }

  Result<std::vector<FolderTensor>> all() {
    for (const TensorInfo& t : file_.tensors()) {
      if (t.name.starts_with("rope_f")) continue;  // worked out from config.json
      KVASIR_RETURN_IF_ERROR(add(t));
    }
    return std::move(out_);
  }

 private:
  struct Found {
    const HfModule* module = nullptr;
    bool second = false;
    bool bare = false;  // the module is one tensor, named without ".weight"
  };

  // Of a tensor's name, whole and without its ending. The first table that knows it decides; see HfModule.
  Found find(std::string_view whole, std::string_view stem) const {
    for (const auto& modules : family_.all_modules()) {
      Found found;
      for (const HfModule& m : modules) {
        const bool bare = !whole.empty() && (m.gguf == whole || m.second == whole);
        const bool second = !m.second.empty() && (m.second == whole || m.second == stem);
        if (!bare && !second && m.gguf != stem) continue;
        if (found.module == nullptr || mlx_) found = {&m, second, bare};
      }
      if (found.module != nullptr) return found;
    }
    return {};
  }

  Error unknown(const TensorInfo& t) const {
    return make_error(ErrorCode::kUnsupported,
                      file_.path() + ": tensor '" + t.name + "' has no name in folders of family '" +
                          std::string(family_.model_type) + "'",
                      file_.path());
  }

  Status add(const TensorInfo& t) {
    const auto [whole, layer] = split_name(t.name);
    const std::size_t dot = whole.rfind('.');
    const std::string stem = dot == std::string::npos ? "" : whole.substr(0, dot);
    // Hugging Face has the block of a model without experts where others have what all tokens share.
    Found found = alone_ && !mlx_ ? find({}, stem + "_shexp") : Found();
    if (found.module == nullptr) found = find(whole, stem);
    if (found.module == nullptr) return unknown(t);
    if (found.second) return {};  // comes with the first
    FolderTensor f;
    f.source = &t;
    if (!found.bare) f.suffix = whole.substr(dot);
    f.module = in_layer(found.module->name, layer);
    f.form = choose_form(file_, t, choice_);
    f.shape.assign(t.shape.rbegin(), t.shape.rend());
    f.rows = t.rows();
    // Names of the two halves with "_shexp" are those of the whole block here.
    std::string second = in_layer(found.module->second, layer);
    if (alone_ && second.ends_with("_shexp")) second.resize(second.size() - 6);
    if (found.module->split != HfSplit::kNone) return add_split(std::move(f), *found.module, second);
    if (is_less_one(family_, t.name, mlx_)) f.minus = 1;
    if (family_.permuted && !file_.boolean("kvasir.rope_neox").value_or(false))
      f.order = rotary_order(file_, t, RowOrder::Kind::kPairsToHalves);
    if (!file_.find("kvasir.keys_in_turn")) {
      const HeadOrder heads = head_order(file_, t, false);
      if (heads.rows.kind != RowOrder::Kind::kSame) f.order = heads.rows;
      f.columns = heads.columns;
    }
    f.log_of_negative = t.name.ends_with(".ssm_a");
    reshape(f, t.name);
    if (f.module.find('@') != std::string::npos) return add_experts(std::move(f));
    out_.push_back(std::move(f));
    return {};
  }

  void reshape(FolderTensor& f, const std::string& name) const {
    if (is_flat(name)) {
      std::uint64_t count = 1;
      for (const std::uint64_t extent : f.shape) count *= extent;
      f.shape = {count};
    }
    // Convolutions of one channel each.
    if (name.ends_with("conv.weight") || name.ends_with("conv1d.weight"))
      f.shape.insert(mlx_ ? f.shape.end() : f.shape.end() - 1, 1);
    if (name.ends_with("ffn_gate_inp_shexp.weight") && f.shape.size() == 1)
      f.shape.insert(f.shape.begin(), 1);
  }

  Status add_experts(FolderTensor f) {
    const std::string pattern = f.module;
    const std::uint64_t count = f.source->shape.back();
    f.shape.erase(f.shape.begin());
    f.rows /= count;
    for (std::uint64_t e = 0; e < count; ++e) {
      f.module = pattern;
      f.module.replace(pattern.find('@'), 1, std::to_string(e));
      f.first = e * f.rows;
      out_.push_back(f);
    }
    return {};
  }

  // Two of ours that a folder has as one.
  Status add_split(FolderTensor f, const HfModule& module, const std::string& second_name) {
    const TensorInfo& a = *f.source;
    const TensorInfo* b = file_.tensor(second_name + f.suffix);
    if (b == nullptr) return unknown(a);
    // What is stored in two ways, or cannot be turned as it is, is plain.
    const Form other = choose_form(file_, *b, choice_);
    const bool kept = choice_.wish.as_it_is() && elements_per_block(a.type) != 1;
    if (other.type != f.form.type || other.affine.bits != f.form.affine.bits ||
        (module.split == HfSplit::kHeads && kept))
      f.form = {choice_.plain, {}};
    else
      f.form = other;
    switch (module.split) {
      case HfSplit::kHalves: {
        const std::size_t rows = f.shape.size() - 2;
        if (b->shape != a.shape || f.shape.size() < 2) return unknown(a);
        const std::uint64_t height = f.shape[rows];
        f.shape[rows] *= 2;
        f.runs = {{borrowed(a), 0, height, height}, {borrowed(*b), 0, height, height}};
        break;
      }
      case HfSplit::kKeyHeads: {
        const auto size = [&](const char* key) {
          return file_.integer(std::string(family_.architecture) + ".ssm." + key).value_or(0);
        };
        const std::uint64_t groups = std::max<std::uint64_t>(1, size("group_count"));
        const std::uint64_t key = size("state_size");
        const std::uint64_t value = size("inner_size") / groups;
        if (a.rows() != groups * (2 * key + value) || b->rows() != groups * value) return unknown(a);
        f.runs = {{borrowed(a), 0, key, key},
                  {borrowed(a), groups * key, key, key},
                  {borrowed(a), 2 * groups * key, value, value},
                  {borrowed(*b), 0, value, value}};
        f.shape = {a.rows() + b->rows(), a.columns()};
        break;
      }
      case HfSplit::kHeads: {
        if (a.shape.size() != 3 || b->shape.size() != 3 || f.suffix != ".weight") return unknown(a);
        const std::uint64_t plain = a.shape[0];
        const std::uint64_t value = b->shape[1];
        f.runs = {{turned(a), 0, plain, plain}, {borrowed(*b), 0, value, value}};
        f.shape = {a.shape[2] * (plain + value), b->shape[0]};
        break;
      }
      default:
        return make_error(ErrorCode::kUnsupported,
                          file_.path() + ": experts of family '" + std::string(family_.model_type) +
                              "' are MXFP4 in Hugging Face's folders, which are not written; --to mlx is",
                          file_.path());
    }
    f.rows = 1;
    for (std::size_t i = 0; i + 1 < f.shape.size(); ++i) f.rows *= f.shape[i];
    out_.push_back(std::move(f));
    return {};
  }

  // The stack with each of its matrices the other way round.
  static std::shared_ptr<const TensorInfo> turned(const TensorInfo& t) {
    auto other = std::make_shared<TensorInfo>(t);
    std::swap(other->shape[0], other->shape[1]);
    other->transposed = !t.transposed;
    return other;
  }

  const Checkpoint& file_;
  const HfFamily& family_;
  const Choice& choice_;
  const bool mlx_;
  bool alone_ = false;  // HfFamily::shared_alone, and there are no experts
  std::vector<FolderTensor> out_;
};

}  // namespace

Result<std::vector<FolderTensor>> folder_tensors(const Checkpoint& file, const Choice& choice, bool mlx) {
  const HfFamily* family = writable_family(file);
  if (family == nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      file.path() + ": models of family '" +
                          std::string(file.string("general.architecture").value_or("")) +
                          "' cannot be written as a folder; " + writable_names() + " can",
                      file.path());
  }
  return FolderNames(file, *family, choice, mlx).all();
}

}  // namespace kvasir::weights
