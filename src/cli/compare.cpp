// `kvasir compare`: two models, place by place, over a text.

#include "cli/compare.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <iterator>

#include "base/aligned_buffer.h"
#include "base/machine.h"
#include "cli/commands.h"
#include "cli/model_store.h"
#include "executor/native.h"

namespace kvasir::cli {
namespace {

constexpr std::uint32_t kStepTokens = 64;  // whose logits are held at once
constexpr std::uint32_t kLeastTokens = 32;

// One model, read window by window.
class Reader {
 public:
  static Result<std::unique_ptr<Reader>> open(const OpenedModel& model,
                                              const std::shared_ptr<ThreadPool>& pool, std::uint32_t window) {
    executor::NativeOptions native;
    native.pool = pool;
    native.precision = models::Precision::kHigh;
    native.context = window;
    KVASIR_ASSIGN_OR_RETURN(auto runner, executor::load_native(model.file, native));
    return std::unique_ptr<Reader>(new Reader(std::move(runner), window));
  }
  std::size_t vocab() const { return executor_->describe().vocab_size; }
  // Reads tokens at `start`; the logits behind each of them stay until the next call.
  Status read(std::span<const TokenId> tokens, std::uint32_t start) {
    const executor::SequenceSpan span{tokens, start, blocks_, static_cast<std::uint32_t>(tokens.size())};
    return executor_->forward({&span, 1}, {memory_.data(), executor_->describe().kv_bytes_per_block},
                              logits_);
  }
  std::span<const float> row(std::size_t i) const { return std::span(logits_).subspan(i * vocab(), vocab()); }

 private:
  Reader(std::unique_ptr<executor::Executor> runner, std::uint32_t window)
      : executor_(std::move(runner)),
        memory_((window / kBlockTokens + 1) * executor_->describe().kv_bytes_per_block),
        logits_(std::size_t{kStepTokens} * executor_->describe().vocab_size) {
    for (std::uint32_t i = 0; i <= window / kBlockTokens; ++i) blocks_.push_back(BlockId{i});
  }
  std::unique_ptr<executor::Executor> executor_;
  AlignedBuffer memory_;
  std::vector<float> logits_;
  std::vector<BlockId> blocks_;
};

struct Place {
  double kl = 0;
  double loss_first = 0;
  double loss_second = 0;
  bool same_top = false;
};

double log_sum_exp(std::span<const float> x, float most) {
  double sum = 0;
  for (const float v : x) sum += std::exp(static_cast<double>(v - most));
  return static_cast<double>(most) + std::log(sum);
}

Place judge(std::span<const float> a, std::span<const float> b, TokenId next) {
  const auto top_a = std::ranges::max_element(a);
  const auto top_b = std::ranges::max_element(b);
  const double norm_a = log_sum_exp(a, *top_a);
  const double norm_b = log_sum_exp(b, *top_b);
  Place p;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double log_a = static_cast<double>(a[i]) - norm_a;
    p.kl += std::exp(log_a) * (log_a - (static_cast<double>(b[i]) - norm_b));
  }
  p.kl = std::max(0.0, p.kl);
  p.loss_first = norm_a - static_cast<double>(a[static_cast<std::size_t>(next)]);
  p.loss_second = norm_b - static_cast<double>(b[static_cast<std::size_t>(next)]);
  p.same_top = top_a - a.begin() == top_b - b.begin();
  return p;
}

Result<std::vector<TokenId>> tokens_of(const OpenedModel& first, const OpenedModel& second,
                                       const CompareOptions& options, TokenId& bos) {
  std::ifstream in(options.text, std::ios::binary);
  if (!in) return make_error(ErrorCode::kNotFound, "cannot read the text " + options.text, options.text);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  KVASIR_ASSIGN_OR_RETURN(const auto a, text::Tokenizer::from_checkpoint(*first.file));
  KVASIR_ASSIGN_OR_RETURN(const auto b, text::Tokenizer::from_checkpoint(*second.file));
  std::vector<TokenId> tokens = a->encode(text, text::SpecialText::kParse);
  if (b->encode(text, text::SpecialText::kParse) != tokens) {
    return make_error(ErrorCode::kInvalidArgument,
                      first.id + " and " + second.id +
                          " do not have the same vocabulary, so their logits say nothing "
                          "of each other",
                      second.path);
  }
  if (tokens.size() < kLeastTokens) {
    return make_error(ErrorCode::kInvalidArgument,
                      options.text + " has " + std::to_string(tokens.size()) + " tokens; a text of " +
                          std::to_string(kLeastTokens) + " or more is needed, of thousands better",
                      options.text);
  }
  if (tokens.size() > options.most) tokens.resize(options.most);
  bos = a->adds_bos() ? a->bos() : kNoToken;
  return tokens;
}

Comparison summed(std::vector<Place> places) {
  Comparison c;
  c.places = places.size();
  double first = 0;
  double second = 0;
  for (const Place& p : places) {
    c.kl_mean += p.kl;
    first += p.loss_first;
    second += p.loss_second;
    c.same_top += p.same_top ? 1 : 0;
  }
  const auto n = static_cast<double>(places.size());
  c.kl_mean /= n;
  c.same_top /= n;
  c.perplexity_first = std::exp(first / n);
  c.perplexity_second = std::exp(second / n);
  std::ranges::sort(places, {}, &Place::kl);
  c.kl_99 = places[places.size() * 99 / 100].kl;
  c.kl_most = places.back().kl;
  return c;
}

}  // namespace

Result<Comparison> compare_models(const OpenedModel& first, const OpenedModel& second,
                                  const CompareOptions& options,
                                  const std::function<void(double)>& progress) {
  TokenId bos = kNoToken;
  KVASIR_ASSIGN_OR_RETURN(const std::vector<TokenId> text, tokens_of(first, second, options, bos));
  auto pool = std::make_shared<ThreadPool>(options.threads != 0 ? options.threads : default_thread_count());
  KVASIR_ASSIGN_OR_RETURN(const auto a, Reader::open(first, pool, options.window));
  KVASIR_ASSIGN_OR_RETURN(const auto b, Reader::open(second, pool, options.window));
  if (a->vocab() != b->vocab()) {
    return make_error(ErrorCode::kInvalidArgument,
                      first.id + " has logits for " + std::to_string(a->vocab()) + " tokens, " + second.id +
                          " for " + std::to_string(b->vocab()),
                      second.path);
  }
  std::vector<Place> places;
  const std::size_t own = options.window - (bos != kNoToken ? 1 : 0);
  for (std::size_t begin = 0; begin < text.size(); begin += own) {
    std::vector<TokenId> window;
    if (bos != kNoToken) window.push_back(bos);
    const std::size_t end = std::min(text.size(), begin + own);
    window.insert(window.end(), text.begin() + static_cast<std::ptrdiff_t>(begin),
                  text.begin() + static_cast<std::ptrdiff_t>(end));
    for (std::size_t at = 0; at + 1 < window.size(); at += kStepTokens) {
      const std::size_t n = std::min<std::size_t>(kStepTokens, window.size() - 1 - at);
      const auto step = std::span<const TokenId>(window).subspan(at, n);
      KVASIR_RETURN_IF_ERROR(a->read(step, static_cast<std::uint32_t>(at)));
      KVASIR_RETURN_IF_ERROR(b->read(step, static_cast<std::uint32_t>(at)));
      std::vector<Place> judged(n);
      pool->parallel_for(n, 1, [&](std::size_t from, std::size_t to, std::size_t) {
        for (std::size_t i = from; i < to; ++i) judged[i] = judge(a->row(i), b->row(i), window[at + i + 1]);
      });
      places.insert(places.end(), judged.begin(), judged.end());
    }
    if (progress) progress(static_cast<double>(end) / static_cast<double>(text.size()));
  }
  Comparison c = summed(std::move(places));
  c.bytes_first = first.file->tensor_bytes();
  c.bytes_second = second.file->tensor_bytes();
  return c;
}

std::string report_text(const Comparison& c) {
  return fmt::format(
      "over {} tokens:\n"
      "  KL divergence   {:.5f} in the mean, {:.4f} at 99 of 100 places, {:.4f} at most (nats)\n"
      "  same top token  {:.2f} %\n"
      "  perplexity      {:.4f} -> {:.4f} ({:+.2f} %)\n"
      "  weights         {} -> {} ({:.1f} %)",
      c.places, c.kl_mean, c.kl_99, c.kl_most, c.same_top * 100, c.perplexity_first, c.perplexity_second,
      (c.perplexity_second / c.perplexity_first - 1) * 100, size_text(c.bytes_first),
      size_text(c.bytes_second),
      static_cast<double>(c.bytes_second) * 100 / static_cast<double>(c.bytes_first));
}

std::string report_json(const Comparison& c, const std::string& first, const std::string& second,
                        const std::string& text) {
  const boost::json::object out{{"first", first},
                                {"second", second},
                                {"text", text},
                                {"tokens", c.places},
                                {"kl_mean", c.kl_mean},
                                {"kl_99", c.kl_99},
                                {"kl_max", c.kl_most},
                                {"same_top", c.same_top},
                                {"perplexity_first", c.perplexity_first},
                                {"perplexity_second", c.perplexity_second},
                                {"bytes_first", c.bytes_first},
                                {"bytes_second", c.bytes_second}};
  return boost::json::serialize(out);
}

void add_compare(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("compare", "How far one model is from another on a text: KL, top-1, perplexity");
  command->footer(
      "Both are read window by window; logits are compared at every token. Activations are computed at high\n"
      "precision, so that the weights alone make the difference.\n"
      "Example:\n"
      "  kvasir compare original.gguf smaller.gguf --text wiki.txt");
  struct Given {
    std::string first, second;
    CompareOptions options;
    bool json = false;
  };
  auto given = std::make_shared<Given>();
  command->add_option("first", given->first, "The model to go by")->required()->type_name("MODEL");
  command->add_option("second", given->second, "The model to judge")->required()->type_name("MODEL");
  command
      ->add_option("--text", given->options.text,
                   "A text of some thousand words, like what the model is for; marks of its chat template "
                   "count as such")
      ->required()
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  command->add_option("--window", given->options.window, "Tokens that are read in one go")
      ->capture_default_str()
      ->check(CLI::Range(64U, 65536U));
  command->add_option("--tokens", given->options.most, "Most tokens of the text")->capture_default_str();
  command->add_option("--threads", given->options.threads, "Compute threads (default: every CPU)");
  command->add_flag("--json", given->json, "One JSON object instead of text");
  command->callback([given, &exit_code] {
    exit_code = [&] {
      const auto first = open_model(given->first);
      if (!first.ok()) return fail(first.error());
      const auto second = open_model(given->second);
      if (!second.ok()) return fail(second.error());
      ProgressLine line("comparing");
      const auto compared =
          compare_models(*first, *second, given->options, [&](double share) { line.show(share); });
      line.finish();
      if (!compared.ok()) return fail(compared.error());
      fmt::print("{}\n", given->json ? report_json(*compared, first->path, second->path, given->options.text)
                                     : report_text(*compared));
      return 0;
    }();
  });
}

}  // namespace kvasir::cli
