// `kvasir convert` and `kvasir quantize`: a model in another format, or in fewer bits.

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>

#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/load.h"
#include "cli/model_store.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "weights/folder_export.h"
#include "weights/gguf.h"
#include "weights/gguf_export.h"

namespace kvasir::cli {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string in;
  std::string out;
  std::string to;  // gguf, mlx, safetensors; empty: by the name of `out`
  std::string bits = "keep";
  std::vector<std::string> rules;
  std::string dtype = "auto";
  std::size_t group = 64;
  bool pure = false;
  bool force = false;
  bool quiet = false;
  std::string report;
  std::uint32_t threads = 0;
};

// What tells tokenizers apart: scripts, digits, capitals, contractions, white space, code.
constexpr std::string_view kProbe =
    "Hello world! It's 12345.67 o'clock, ISN'T IT? they'll we've I'M\n\n\n  three   spaces\t\ttabs \r\n"
    "naïve café Straße ÅNGSTRÖM Καλημέρα Привет, как дела? 你好，世界 こんにちは 안녕하세요 नमस्ते مرحبا שלום "
    "👩‍🚀🎉 e\u0301 for (int i = 0; i < 100; ++i) { x[i] += foo_bar->baz(\"a b\"); } // "
    "camelCaseWords "
    "HTMLParser\n"
    "def f(x):\n    return x ** 2 + 3.14e-10  # comment!!! ??? ...\n<|im_start|> 1000000 2024-01-31 $99.95 "
    "50% a_b-c";

Result<std::string> find_pre(const weights::Checkpoint& folder) {
  KVASIR_ASSIGN_OR_RETURN(const auto wanted, text::Tokenizer::from_checkpoint(folder));
  const std::vector<TokenId> tokens = wanted->encode(kProbe, text::SpecialText::kParse);
  for (const std::string& pre : weights::tokenizer_pres(folder)) {
    weights::GgufWriter writer("");
    writer.set_text("general.architecture", "probe");
    KVASIR_RETURN_IF_ERROR(weights::set_tokenizer(writer, folder, pre));
    const std::string header = writer.header();
    KVASIR_ASSIGN_OR_RETURN(const auto parsed,
                            weights::GgufFile::parse(std::as_bytes(std::span(header)), "the vocabulary"));
    const auto made = text::Tokenizer::from_checkpoint(*parsed);
    if (made.ok() && (*made)->encode(kProbe, text::SpecialText::kParse) == tokens) return pre;
  }
  return make_error(ErrorCode::kUnsupported,
                    folder.path() +
                        ": its tokenizer cuts text in a way that GGUF has no name for here; "
                        "--to mlx keeps it as it is",
                    folder.path());
}

bool is_folder(const weights::Checkpoint& file) {
  return file.find("tokenizer.huggingface.json") != nullptr;
}

Status write_as_gguf(const ConvertOptions& o, const weights::Checkpoint& file, const weights::Choice& choice,
                     ThreadPool& pool, const std::function<void(double)>& progress) {
  weights::GgufWriter writer(o.out);
  KVASIR_RETURN_IF_ERROR(weights::set_metadata(writer, file));
  if (is_folder(file)) {
    KVASIR_ASSIGN_OR_RETURN(const std::string pre, find_pre(file));
    KVASIR_RETURN_IF_ERROR(weights::set_tokenizer(writer, file, pre));
    writer.set_text("general.name", fs::path(o.out).stem().string());
  }
  return weights::write_gguf(writer, file, weights::gguf_tensors(file, choice), pool, progress);
}

Status write_as_folder(const ConvertOptions& o, const weights::Checkpoint& file,
                       const weights::Choice& choice, ThreadPool& pool,
                       const std::function<void(double)>& progress) {
  const bool mlx = o.to == "mlx";
  KVASIR_ASSIGN_OR_RETURN(const auto tensors, weights::folder_tensors(file, choice, mlx));
  weights::FolderText text;
  if (!is_folder(file)) {
    KVASIR_ASSIGN_OR_RETURN(const auto tokenizer, text::Tokenizer::from_checkpoint(file));
    KVASIR_ASSIGN_OR_RETURN(text.tokenizer_json, text::to_tokenizer_json(*tokenizer));
  }
  return weights::write_folder(o.out, file, tensors, text, mlx, pool, progress);
}

Result<weights::Choice> choice_of(const ConvertOptions& o, const weights::Checkpoint& file) {
  weights::Choice c;
  c.target = o.to == "gguf" ? weights::Target::kGguf : weights::Target::kFolder;
  c.plain = weights::plain_type_of(file);
  if (o.dtype == "f16") c.plain = weights::TensorType::kF16;
  if (o.dtype == "bf16") c.plain = weights::TensorType::kBF16;
  if (o.dtype == "f32") c.plain = weights::TensorType::kF32;
  c.pure = o.pure;
  c.group = o.group;
  if (o.to == "safetensors") {
    c.wish.type = c.plain;
    return c;
  }
  KVASIR_ASSIGN_OR_RETURN(c.wish, weights::parse_wish(o.bits, c.target));
  for (const std::string& rule : o.rules) {
    KVASIR_ASSIGN_OR_RETURN(weights::Rule parsed, weights::parse_rule(rule, c.target));
    const bool used = std::ranges::any_of(
        file.tensors(), [&](const auto& t) { return weights::matches(parsed.pattern, t.name); });
    if (!used) {
      return make_error(ErrorCode::kInvalidArgument,
                        "--keep " + rule + ": no tensor is called so; 'kvasir show --tensors " + o.in +
                            "' lists their names",
                        rule);
    }
    c.rules.push_back(std::move(parsed));
  }
  return c;
}

int report(const ConvertOptions& o, const OpenedModel& first) {
  const auto second = open_model(o.out);
  if (!second.ok()) return fail(second.error());
  ProgressLine line("comparing with the original");
  CompareOptions options;
  options.text = o.report;
  options.threads = o.threads;
  const auto compared = compare_models(first, *second, options, [&](double share) { line.show(share); });
  line.finish();
  if (!compared.ok()) return fail(compared.error());
  fmt::print("{}\n", report_text(*compared));
  const std::string path = o.out + ".quality.json";
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return fail(make_error(ErrorCode::kIo, "cannot write " + path, path));
  fmt::print(file, "{}\n", report_json(*compared, first.path, second->path, o.report));
  std::fclose(file);
  return 0;
}

int convert(ConvertOptions o) {
  while (o.out.size() > 1 && o.out.ends_with('/')) o.out.pop_back();
  if (o.to.empty()) o.to = o.out.ends_with(".gguf") ? "gguf" : "mlx";
  std::error_code failed;
  if (fs::exists(o.out, failed)) {
    if (!o.force) {
      return fail(
          make_error(ErrorCode::kInvalidArgument, o.out + " is there already; --force replaces it", o.out));
    }
  }
  const auto opened = open_model(o.in);
  if (!opened.ok()) return fail(opened.error());
  if (fs::exists(o.out, failed) && fs::equivalent(o.out, opened->path, failed)) {
    return fail(
        make_error(ErrorCode::kInvalidArgument, o.out + " is the model that is read; name another", o.out));
  }
  const auto choice = choice_of(o, *opened->file);
  if (!choice.ok()) return fail(choice.error());
  if (fs::is_directory(o.out, failed) && o.to != "gguf") fs::remove_all(o.out, failed);
  ThreadPool pool(o.threads != 0 ? o.threads : default_thread_count());
  ProgressLine line("writing " + o.out);
  const auto progress = [&](double share) {
    if (!o.quiet) line.show(share);
  };
  const Status written = o.to == "gguf" ? write_as_gguf(o, *opened->file, *choice, pool, progress)
                                        : write_as_folder(o, *opened->file, *choice, pool, progress);
  line.finish();
  if (!written.ok()) return fail(written.error());
  const auto made = weights::open_checkpoint(o.out);
  if (!made.ok()) return fail(made.error());
  std::uint64_t elements = 0;
  for (const weights::TensorInfo& t : (*made)->tensors()) elements += t.columns() * t.rows();
  fmt::print("{}: {} of weights, {:.2f} bits each (from {})\n", o.out, size_text((*made)->tensor_bytes()),
             static_cast<double>((*made)->tensor_bytes()) * 8 / static_cast<double>(elements),
             size_text(opened->file->tensor_bytes()));
  return o.report.empty() ? 0 : report(o, *opened);
}

void add_common(CLI::App& command, ConvertOptions& o) {
  command.add_option("in", o.in, "The model: a file, a folder, or a name that 'kvasir list' shows")
      ->required()
      ->type_name("IN");
  command.add_option("out", o.out, "The GGUF file or the folder to make")->required()->type_name("OUT");
  command.add_option("--threads", o.threads, "Threads (default: every CPU)");
  command
      .add_option(
          "--report", o.report,
          "Compare the result with the original on this text (kvasir compare), into OUT.quality.json as well")
      ->check(CLI::ExistingFile)
      ->type_name("TEXT");
  command.add_flag("--force", o.force, "Replace OUT");
  command.add_flag("-q,--quiet", o.quiet, "No progress");
}

}  // namespace

void add_convert(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("convert", "Write a model in another format: GGUF, MLX, safetensors");
  command->footer(
      "Weights stay what they are wherever the new format can say so (all plain types; Q4_0 to Q8_0 and "
      "MLX's 2 to\n"
      "5 bits in either direction, up to the type of their scales); what it cannot say is stored in 8 bits "
      "or bf16.\n"
      "--to safetensors stores everything plain. Tokenizer and chat template go along.\n"
      "Examples:\n"
      "  kvasir convert hf:Qwen/Qwen3-0.6B qwen3.gguf --to gguf\n"
      "  kvasir convert model.gguf model-mlx --to mlx");
  auto converted = std::make_shared<ConvertOptions>();
  add_common(*command, *converted);
  command->add_option("--to", converted->to, "The format")
      ->required()
      ->check(CLI::IsMember({"gguf", "mlx", "safetensors"}));
  command
      ->add_option("--dtype", converted->dtype,
                   "Of plain weights in a folder (auto: bf16 where the model has any, else f16)")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "bf16", "f16", "f32"}));
  command->callback([converted, &exit_code] { exit_code = convert(*converted); });

  CLI::App* quantize = app.add_subcommand("quantize", "Write a model in fewer bits, as GGUF or for MLX");
  quantize->footer(
      "OUT ending in .gguf is a GGUF file (4, 5, 6 and 8 bits are Q4_K, Q5_K, Q6_K and Q8_0; Q4_1, Q5_1 and "
      "Q8_0 where\n"
      "rows are no multiple of 256), anything else an MLX folder (affine). Scales are chosen for the least "
      "squared\n"
      "error. The output layer (with a tied embedding: that) has 6 bits at least, unless --pure or --keep "
      "says\n"
      "otherwise. PATTERN in --keep is a part of a tensor's name as 'kvasir show --tensors' lists them, with "
      "'*'\n"
      "for anything. The weights are read piece by piece: memory stays small.\n"
      "Examples:\n"
      "  kvasir quantize hf:Qwen/Qwen3-0.6B qwen3-q4.gguf --bits 4 --report text.txt\n"
      "  kvasir quantize model-bf16 model-mlx --bits 4 --group 32 --keep output=8 --keep ffn_down=6\n"
      "  kvasir quantize model.gguf small.gguf --bits Q4_0 --keep 'blk.0.*=Q8_0'");
  auto quantized = std::make_shared<ConvertOptions>();
  add_common(*quantize, *quantized);
  quantize
      ->add_option("--bits", quantized->bits,
                   "4, 5, 6, 8, or a type of GGUF (Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K)")
      ->required()
      ->type_name("BITS");
  quantize
      ->add_option("--keep,--mix", quantized->rules,
                   "Other bits for some tensors: PATTERN=BITS; keep, F16, BF16 and F32 are bits too")
      ->type_name("PATTERN=BITS")
      ->expected(1)
      ->take_all();
  quantize->add_option("--to", quantized->to, "The format (default: by the name of OUT)")
      ->check(CLI::IsMember({"gguf", "mlx"}));
  quantize->add_option("--group", quantized->group, "Weights to a scale, for MLX")
      ->capture_default_str()
      ->check(CLI::IsMember({32, 64, 128}));
  quantize->add_option("--dtype", quantized->dtype, "Of scales and plain weights in a folder")
      ->capture_default_str()
      ->check(CLI::IsMember({"auto", "bf16", "f16"}));
  quantize->add_flag("--pure", quantized->pure, "No more bits for the output layer");
  quantize->callback([quantized, &exit_code] { exit_code = convert(*quantized); });
}

}  // namespace kvasir::cli
