#include "weights/gguf_export.h"

#include <algorithm>
#include <map>

#include "weights/gguf.h"

namespace kvasir::weights {
namespace {

constexpr std::string_view kFoldersOwn[] = {"kvasir.", "tokenizer.", "general.sampling."};
// What GGUF's vocabulary has no word for, and is read here from either.
constexpr std::string_view kKept[] = {"kvasir.rope_layers", "kvasir.yarn_between_pairs"};

// Ends of the keys that hold floats.
constexpr std::string_view kFloats[] = {"freq_base",   "freq_base_swa", "epsilon",   "scale",     "factor",
                                        "softcapping", "beta_fast",     "beta_slow", "multiplier"};

// llama.cpp's number of the type that most weights have (llama_ftype): shown by its tools, read by none.
std::uint32_t file_type_of(const std::vector<ExportTensor>& tensors) {
  std::map<TensorType, std::uint64_t> weights;
  for (const ExportTensor& t : tensors) weights[t.form.type] += t.source->rows() * t.source->columns();
  const auto most = std::ranges::max_element(weights, {}, [](const auto& e) { return e.second; });
  switch (most->first) {
    case TensorType::kF32:
      return 0;
    case TensorType::kF16:
      return 1;
    case TensorType::kQ4_0:
      return 2;
    case TensorType::kQ4_1:
      return 3;
    case TensorType::kQ8_0:
      return 7;
    case TensorType::kQ5_0:
      return 8;
    case TensorType::kQ5_1:
      return 9;
    case TensorType::kQ4_K:
      return 15;
    case TensorType::kQ5_K:
      return 17;
    case TensorType::kQ6_K:
      return 18;
    case TensorType::kBF16:
      return 32;
    default:
      return 1024;  // guessed
  }
}

// Rows of q and k in families whose rotary pairs GGUF has as neighbours.
RowOrder order_of(const Checkpoint& file, const TensorInfo& t) {
  if (!file.boolean("kvasir.rope_neox").value_or(false)) return {};
  return rotary_order(file, t, RowOrder::Kind::kHalvesToPairs);
}

// As llama.cpp wants it: of Mamba 2's layers it has a column for each head, and a row of norms for each
// group.
std::vector<std::uint64_t> shape_of(const Checkpoint& file, const TensorInfo& t) {
  if (t.shape.size() != 1 || file.string("general.architecture") != "granitehybrid") return t.shape;
  if (t.name.ends_with(".ssm_a") || t.name.ends_with(".ssm_d")) return {1, t.shape.front()};
  const auto groups = file.integer("granitehybrid.ssm.group_count").value_or(0);
  if (groups > 0 && t.name.ends_with(".ssm_norm.weight")) return {t.shape.front() / groups, groups};
  return t.shape;
}

}  // namespace

Status set_metadata(GgufWriter& out, const Checkpoint& file) {
  if (file.find("tokenizer.huggingface.json") == nullptr) {
    KVASIR_ASSIGN_OR_RETURN(const auto gguf, GgufFile::open(file.path()));
    out.copy_metadata(*gguf, [](std::string_view key) { return key.starts_with("split."); });
    return {};
  }
  const std::string family(file.string("general.architecture").value_or(""));
  out.set_text("general.architecture", family);
  out.set_text("general.type", "model");
  const bool without_experts = file.integer(family + ".expert_count").value_or(0) == 0;
  std::map<std::string, const MetaValue*> sorted;
  for (const auto& [key, value] : file.metadata()) sorted.emplace(key, &value);
  for (const auto& [key, value] : sorted) {
    const bool own = std::ranges::any_of(kFoldersOwn, [&](std::string_view p) { return key.starts_with(p); });
    if (own && std::ranges::find(kKept, key) == std::end(kKept)) continue;
    // Some families' config.json has these without experts too; llama.cpp refuses to use more than there are.
    if (without_experts && key.starts_with(family + ".expert_")) continue;
    // A config.json may have "rope_theta": 10000, which GGUF's readers want as a float.
    const bool real = std::ranges::any_of(kFloats, [&](std::string_view e) { return key.ends_with(e); });
    const auto number = real ? file.number(key) : std::nullopt;
    number ? out.set_f32(key, static_cast<float>(*number)) : out.set_value(key, *value);
  }
  // Readers ask for what folders leave to be worked out.
  const auto heads = file.integer(family + ".attention.head_count").value_or(1);
  const auto width = file.integer(family + ".embedding_length").value_or(0);
  if (!file.integer(family + ".rope.dimension_count")) {
    const auto head =
        file.integer(family + ".attention.key_length").value_or(width / std::max<std::uint64_t>(1, heads));
    out.set_u32(family + ".rope.dimension_count", static_cast<std::uint32_t>(head));
  }
  // Pairs take turns in following an image's three places, which are the same in text. Every pair has to be
  // counted; these are the counts that real models have.
  const std::string sections = family + ".rope.dimension_sections";
  if (family.starts_with("qwen35") && file.find(sections) == nullptr) {
    const auto pairs =
        static_cast<std::int32_t>(file.integer(family + ".rope.dimension_count").value_or(0) / 2);
    const std::int32_t counts[] = {(pairs + 2) / 3, (pairs + 1) / 3, pairs / 3, 0};
    out.set_i32s(sections, counts);
  }
  return {};
}

std::vector<ExportTensor> gguf_tensors(const Checkpoint& file, const Choice& choice) {
  std::vector<ExportTensor> tensors;
  const bool together = file.integer("kvasir.keys_in_turn").value_or(1) == 0;
  for (const TensorInfo& t : file.tensors()) {
    const HeadOrder heads = together ? head_order(file, t, true) : HeadOrder();
    const RowOrder rows = heads.rows.kind == RowOrder::Kind::kSame ? order_of(file, t) : heads.rows;
    tensors.push_back({&t, choose_form(file, t, choice), rows, heads.columns});
  }
  return tensors;
}

Status write_gguf(GgufWriter& out, const Checkpoint& file, const std::vector<ExportTensor>& tensors,
                  ThreadPool& pool, const std::function<void(double)>& progress) {
  out.set_u32("general.quantization_version", 2);
  out.set_u32("general.file_type", file_type_of(tensors));
  for (const ExportTensor& t : tensors)
    out.add_tensor(t.source->name, t.form.type, shape_of(file, *t.source));
  KVASIR_RETURN_IF_ERROR(out.begin());
  double done = 0;
  const auto total = static_cast<double>(file.tensor_bytes());
  for (const ExportTensor& t : tensors) {
    const RecodeJob job{t.source, t.form, t.order, 0, 0, t.source->rows(), {}, false, t.columns};
    KVASIR_RETURN_IF_ERROR(recode(job, pool, [&](const RecodedRows& rows) { return out.write(rows.codes); }));
    file.release(*t.source);
    done += static_cast<double>(t.source->bytes());
    if (progress) progress(std::min(1.0, done / total));
  }
  return out.finish();
}

}  // namespace kvasir::weights
