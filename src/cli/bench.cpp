// `kvasir bench`: prefill and decode speed of a model, beside the machine's limits measured in the same run.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "cli/bench_parts.h"
#include "cli/commands.h"
#include "cli/limits.h"
#include "cli/load.h"
#include "executor/native.h"

namespace kvasir::cli {
namespace {

// Some tokens behind others that are in the cache: what a follow-up of a conversation has to read.
struct Point {
  std::uint32_t tokens = 0;
  std::uint32_t depth = 0;
};

struct BenchOptions {
  ModelOptions model;
  std::uint32_t prefill = 512;
  std::uint32_t decode = 64;
  std::uint32_t depth = 0;
  std::uint32_t batch = 1;
  std::uint32_t repeat = 3;
  std::vector<std::string> points;
  bool parts = false;
  bool json = false;
};

// A longer prompt is read in steps of this many tokens, as the engine does.
constexpr std::uint32_t kChunk = 512;
// Tokens that are decoded between two readings of memory: few enough that both meet the same neighbours, so
// many that what the reading leaves in the caches costs little.
constexpr std::uint32_t kTokensBetween = 8;

struct Rates {
  std::vector<double> prefill;  // tokens a second, one a round
  std::vector<double> decode;
  std::vector<double> memory;  // bytes a second, one a round, between its decoded tokens
  models::PartTimes prefill_parts;
  models::PartTimes decode_parts;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Some sequences, each in a block table of its own, read over and over.
class Sequences {
 public:
  Sequences(executor::Executor& executor, std::size_t tokens, std::size_t count)
      : executor_(executor),
        memory_(count * (tokens / kBlockTokens + 1 + executor.describe().state_blocks) *
                executor.describe().kv_bytes_per_block),
        logits_(count * executor.describe().vocab_size),
        all_(count) {
    std::uint32_t next = 0;
    for (Blocks& s : all_) {
      while (s.kv.size() <= tokens / kBlockTokens) s.kv.push_back(BlockId{next++});
      while (s.state.size() < executor.describe().state_blocks) s.state.push_back(BlockId{next++});
    }
  }
  // The first `count` sequences read the same tokens at `start`, together; seconds, or a negative number on
  // failure.
  double read(std::span<const TokenId> tokens, std::uint32_t start, std::size_t count = 1) {
    std::vector<executor::SequenceSpan> spans;
    for (const Blocks& s : std::span(all_).first(count))
      spans.push_back({tokens, start, s.kv, 1, s.state, s.state});
    const auto begin = std::chrono::steady_clock::now();
    const Status status =
        executor_.forward(spans, {memory_.data(), executor_.describe().kv_bytes_per_block}, logits_);
    return status.ok() ? seconds_since(begin) : -1;
  }

 private:
  struct Blocks {
    std::vector<BlockId> kv;
    std::vector<BlockId> state;
  };
  executor::Executor& executor_;
  AlignedBuffer memory_;
  std::vector<float> logits_;
  std::vector<Blocks> all_;
};

// Ordinary tokens in a fixed, mixed order; which ones they are does not change the work.
std::vector<TokenId> mixed_tokens(const executor::Executor& executor, std::uint32_t count) {
  std::vector<TokenId> tokens(count);
  const auto range =
      static_cast<std::uint32_t>(std::max<std::size_t>(executor.describe().vocab_size * 3 / 4, 1));
  for (std::uint32_t i = 0; i < count; ++i) tokens[i] = static_cast<TokenId>(i * 7919U % range);
  return tokens;
}

double read_in_steps(Sequences& sequences, std::span<const TokenId> all, Point point, std::size_t count = 1) {
  double seconds = 0;
  for (std::uint32_t done = 0; done < point.tokens;) {
    const std::uint32_t step =
        std::min<std::uint32_t>(std::max<std::size_t>(1, kChunk / count), point.tokens - done);
    seconds += sequences.read(all.subspan(point.depth + done, step), point.depth + done, count);
    done += step;
  }
  return seconds;
}

// `times` is what the executor was loaded with; it is emptied and filled for prefill and decode in turn.
Rates measure(executor::Executor& executor, ThreadPool& pool, models::PartTimes& times,
              const BenchOptions& options) {
  Sequences sequences(executor, options.depth + std::max(options.prefill, options.decode), options.batch);
  const std::vector<TokenId> tokens =
      mixed_tokens(executor, std::max({options.depth + options.prefill, options.decode, 32U}));
  const std::span all(tokens);
  sequences.read(all.first(std::min<std::size_t>(32, tokens.size())), 0);  // warm
  if (options.depth > 0) read_in_steps(sequences, all, {options.depth, 0}, options.batch);
  MemoryLimit memory(pool, kernels::kernels(), executor.describe().weight_bytes);
  Rates rates;
  for (std::uint32_t round = 0; round < options.repeat; ++round) {
    times = rates.prefill_parts;
    if (options.prefill > 0) {
      const double seconds = read_in_steps(sequences, all, {options.prefill, options.depth});
      rates.prefill.push_back(options.prefill / seconds);
    }
    rates.prefill_parts = std::exchange(times, rates.decode_parts);
    double reading = memory.read();
    int readings = 1;
    double total = 0;
    for (std::uint32_t i = 0; i < options.decode; ++i) {
      total += sequences.read(all.subspan(i, 1), options.depth + i, options.batch);
      if (i % kTokensBetween != kTokensBetween - 1 && i + 1 != options.decode) continue;
      reading += memory.read();
      ++readings;
    }
    rates.decode_parts = times;
    rates.memory.push_back(readings * memory.bytes() / reading);
    if (options.decode > 0) rates.decode.push_back(options.batch * options.decode / total);
  }
  return rates;
}

// "TOKENS@DEPTH"
Result<Point> parse_point(const std::string& text) {
  Point point;
  const char* const end = text.data() + text.size();
  const auto tokens = std::from_chars(text.data(), end, point.tokens);
  if (tokens.ec == std::errc{} && tokens.ptr != end && *tokens.ptr == '@' && point.tokens > 0) {
    const auto depth = std::from_chars(tokens.ptr + 1, end, point.depth);
    if (depth.ec == std::errc{} && depth.ptr == end) return point;
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "--points takes TOKENS@DEPTH, like 30@9600, not '" + text + "'", text);
}

// Seconds of every point, one a round; rounds go over all points, so that a neighbour's noise hits none
// alone.
std::vector<std::vector<double>> measure_points(executor::Executor& executor,
                                                const std::vector<Point>& points, std::uint32_t rounds) {
  std::uint32_t deepest = 0;
  std::uint32_t longest = 0;
  for (const Point& p : points) {
    deepest = std::max(deepest, p.depth);
    longest = std::max(longest, p.depth + p.tokens);
  }
  Sequences sequences(executor, longest, 1);
  const std::vector<TokenId> tokens = mixed_tokens(executor, longest);
  read_in_steps(sequences, tokens, {deepest, 0});
  std::vector<std::vector<double>> seconds(points.size());
  for (std::uint32_t round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < points.size(); ++i)
      seconds[i].push_back(read_in_steps(sequences, tokens, points[i]));
  }
  return seconds;
}

struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};

Spread spread(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

void print(const executor::Description& d, const ComputeLimits& limits, const Rates& rates,
           const BenchOptions& o) {
  const Spread prefill = spread(rates.prefill);
  const Spread decode = spread(rates.decode);
  const double memory = spread(rates.memory).median;
  // A step of decoding reads every weight once; every token multiplies and adds each once.
  std::vector<double> read_shares;
  read_shares.reserve(rates.decode.size());
  for (std::size_t i = 0; i < rates.decode.size(); ++i)
    read_shares.push_back(rates.decode[i] / o.batch * static_cast<double>(d.weight_bytes) / rates.memory[i]);
  const double read_share = spread(read_shares).median;
  const double weights = d.matrix_weights;
  const double int8_share = prefill.median * weights * 2 / limits.int8_ops_per_s;
  const PartsProfile prefill_parts{rates.prefill_parts, memory};
  const PartsProfile decode_parts{rates.decode_parts, memory};
  if (o.json) {
    const std::string parts = o.parts ? ",\"prefill_parts\":" + parts_json(prefill_parts) +
                                            ",\"decode_parts\":" + parts_json(decode_parts)
                                      : "";
    std::printf(
        "{\"family\":\"%s\",\"kernels\":\"%s\",\"prefill_tokens\":%u,\"decode_tokens\":%u,\"depth\":%u,"
        "\"prefill_per_s\":%.2f,\"prefill_low\":%.2f,\"prefill_high\":%.2f,"
        "\"decode_per_s\":%.2f,\"decode_low\":%.2f,\"decode_high\":%.2f,"
        "\"batch\":%u,\"memory_bytes_per_s\":%.3e,\"int8_ops_per_s\":%.3e,\"bf16_ops_per_s\":%.3e,"
        "\"f32_ops_per_s\":%.3e,\"decode_memory_share\":%.3f,\"prefill_int8_share\":%.3f,"
        "\"decode_int8_share\":%.3f%s}\n",
        d.family.c_str(), d.kernel_variant.c_str(), o.prefill, o.decode, o.depth, prefill.median, prefill.low,
        prefill.high, decode.median, decode.low, decode.high, o.batch, memory, limits.int8_ops_per_s,
        limits.bf16_ops_per_s, limits.f32_ops_per_s, read_share, int8_share,
        decode.median * weights * 2 / limits.int8_ops_per_s, parts.c_str());
    return;
  }
  std::printf("machine   memory read %.1f GB/s, int8 %.0f GOPS, bf16 %.0f GFLOPS, f32 %.0f GFLOPS (%s)\n",
              memory / 1e9, limits.int8_ops_per_s / 1e9, limits.bf16_ops_per_s / 1e9,
              limits.f32_ops_per_s / 1e9, d.kernel_variant.c_str());
  if (o.prefill > 0) {
    std::printf("prefill   %u tokens at depth %u: %.1f tokens/s (%.1f to %.1f), %.0f%% of the int8 limit\n",
                o.prefill, o.depth, prefill.median, prefill.low, prefill.high, int8_share * 100);
    if (o.parts) std::fputs(parts_text(prefill_parts, limits).c_str(), stdout);
  }
  if (o.decode > 0) {
    std::printf(
        "decode    %u tokens at depth %u, %u at a time: %.1f tokens/s (%.1f to %.1f), %.0f%% of the memory "
        "limit\n",
        o.decode, o.depth, o.batch, decode.median, decode.low, decode.high, read_share * 100);
    if (o.parts) std::fputs(parts_text(decode_parts, limits).c_str(), stdout);
  }
}

void print_points(const std::vector<Point>& points, const std::vector<std::vector<double>>& seconds,
                  bool json) {
  if (json) std::printf("{\"points\":[");
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Spread s = spread(seconds[i]);
    std::printf(json ? "%s{\"tokens\":%u,\"depth\":%u,\"seconds\":%.6f,\"low\":%.6f,\"high\":%.6f}"
                     : "%sprefill   %u tokens at depth %u: %.4f s (%.4f to %.4f)\n",
                json && i > 0 ? "," : "", points[i].tokens, points[i].depth, s.median, s.low, s.high);
  }
  if (json) std::printf("]}\n");
}

Status check_context(const executor::Description& d, std::uint64_t tokens) {
  if (tokens <= d.context_length) return {};
  return make_error(ErrorCode::kInvalidArgument, "the model's context is " +
                                                     std::to_string(d.context_length) +
                                                     " tokens; ask for less depth, prefill or decode");
}

int bench(const BenchOptions& options) {
  std::vector<Point> points;
  std::uint64_t longest = std::uint64_t{options.depth} + std::max(options.prefill, options.decode);
  if (!options.points.empty()) longest = 0;
  for (const std::string& text : options.points) {
    const auto point = parse_point(text);
    if (!point.ok()) return fail(point.error());
    points.push_back(*point);
    longest = std::max(longest, std::uint64_t{point->depth} + point->tokens);
  }
  const auto opened = open_model(options.model.model);
  if (!opened.ok()) return fail(opened.error());
  auto pool = std::make_shared<ThreadPool>(options.model.threads != 0 ? options.model.threads
                                                                      : default_thread_count());
  executor::NativeOptions native;
  native.pool = pool;
  models::PartTimes times;
  if (options.parts) native.times = &times;
  native.precision = precision_of(options.model.precision);
  native.kv_type = kv_type_of(options.model.kv_type);
  auto executor = executor::load_native(opened->file, native);
  if (!executor.ok()) return fail(executor.error());
  const executor::Description& d = (*executor)->describe();
  if (const Status fits = check_context(d, longest); !fits.ok()) return fail(fits.error());
  if (!points.empty()) {
    print_points(points, measure_points(**executor, points, options.repeat), options.json);
    return 0;
  }
  const ComputeLimits limits = measure_limits(*pool, kernels::kernels());
  print(d, limits, measure(**executor, *pool, times, options), options);
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure a model's speed and its share of this machine's limits");
  auto options = std::make_shared<BenchOptions>();
  add_model_options(*command, options->model);
  command->add_option("--prefill", options->prefill, "Tokens to prefill at once")->capture_default_str();
  command->add_option("--decode", options->decode, "Tokens to decode one by one")->capture_default_str();
  command->add_option("--depth", options->depth, "Tokens that are in the cache before")
      ->capture_default_str();
  command->add_option("--batch", options->batch, "Sequences that decode at a time")
      ->capture_default_str()
      ->check(CLI::Range(1U, 256U));
  command
      ->add_option("--points", options->points,
                   "Time instead what these take: TOKENS@DEPTH,..., tokens read with so many in the cache")
      ->delimiter(',')
      ->type_name("TOKENS@DEPTH");
  command->add_option("--repeat", options->repeat, "Rounds; the median and the spread are shown")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1000U));
  command->add_flag("--parts", options->parts,
                    "Show as well where the time goes, and what each part is of its limit");
  command->add_flag("--json", options->json, "One JSON object instead of text");
  command->callback([options, &exit_code] { exit_code = bench(*options); });
}

}  // namespace kvasir::cli
