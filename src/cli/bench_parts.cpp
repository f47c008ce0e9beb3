#include "cli/bench_parts.h"

#include <fmt/format.h>

#include <iterator>

namespace kvasir::cli {
namespace {

using models::Part;
using models::PartWork;

struct Name {
  Part part;
  const char* text;
};
constexpr Name kNames[] = {{Part::kProducts, "products"},
                           {Part::kFloatProducts, "float products"},
                           {Part::kRows, "norms, quantising"},
                           {Part::kAttention, "attention"},
                           {Part::kOther, "other"}};

double total_seconds(const models::PartTimes& times) {
  double total = 0;
  for (const Name& name : kNames) total += times[name.part].seconds;
  return total;
}

double per_second(double work, double seconds) {
  return seconds > 0 ? work / seconds : 0;
}

}  // namespace

std::string parts_text(const PartsProfile& profile, const ComputeLimits& limits) {
  std::string text;
  const auto out = std::back_inserter(text);
  const double total = total_seconds(profile.times);
  const PartWork& rows = profile.times[Part::kRows];
  for (const Name& name : kNames) {
    const PartWork& work = profile.times[name.part];
    if (work.seconds <= 0) continue;
    fmt::format_to(out, "          {:<18}{:>5.1f}%", name.text, work.seconds / total * 100);
    const double rate = per_second(work.operations, work.seconds);
    switch (name.part) {
      case Part::kProducts:
        fmt::format_to(
            out, "  {:.0f} GOPS, {:.0f}% of the int8 limit; with norms and quantising {:.0f}%", rate / 1e9,
            rate / limits.int8_ops_per_s * 100,
            per_second(work.operations, work.seconds + rows.seconds) / limits.int8_ops_per_s * 100);
        break;
      case Part::kFloatProducts:
        fmt::format_to(out, "  {:.0f} GFLOPS, {:.0f}% of the f32 limit", rate / 1e9,
                       rate / limits.f32_ops_per_s * 100);
        break;
      case Part::kAttention: {
        const double bytes = per_second(work.bytes, work.seconds);
        fmt::format_to(out, "  {:.0f} GFLOPS, {:.0f}% of the f32 limit; {:.1f} GB/s of KV, {:.0f}% of memory",
                       rate / 1e9, rate / limits.f32_ops_per_s * 100, bytes / 1e9,
                       bytes / profile.memory_bytes_per_s * 100);
        break;
      }
      default:
        break;
    }
    text += '\n';
  }
  return text;
}

std::string parts_json(const PartsProfile& profile) {
  std::string text = "{";
  const double total = total_seconds(profile.times);
  for (const Name& name : kNames) {
    const PartWork& work = profile.times[name.part];
    fmt::format_to(std::back_inserter(text),
                   R"({}"{}":{{"share":{:.4f},"operations_per_s":{:.3e},"bytes_per_s":{:.3e}}})",
                   text.size() > 1 ? "," : "", name.text, total > 0 ? work.seconds / total : 0,
                   per_second(work.operations, work.seconds), per_second(work.bytes, work.seconds));
  }
  return text + "}";
}

}  // namespace kvasir::cli
