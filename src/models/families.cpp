// What several families' files need.

#include "models/families.h"

namespace kvasir::models {
namespace {

constexpr std::size_t kMostExperts = 4096;
constexpr std::size_t kMostHidden = 1U << 22;
constexpr std::size_t kMostContext = 1U << 30;

}  // namespace

bool pairs_are_neighbours(const Metadata& read) {
  return !read.file().boolean("kvasir.rope_neox").value_or(false);
}

bool slide(Metadata& read, Description& d, std::size_t period) {
  const std::size_t window = read.optional_size("attention.sliding_window", kMostContext);
  if (window == 0) return false;
  const std::string pattern = "attention.sliding_window_pattern";
  const auto named = read.flags(pattern, d.layers.size());
  if (read.has(pattern) && !named) period = read.size(pattern, d.layers.size(), period);
  for (std::size_t i = 0; i < d.layers.size(); ++i) {
    const bool slides = named ? (*named)[i] : period == 1 || i % period != period - 1;
    if (slides) d.layers[i].window = window;
  }
  return true;
}

void drop_guessing_layers(Metadata& read, Description& d) {
  const std::size_t guessing = read.optional_size("nextn_predict_layers", 16);
  if (guessing >= d.layers.size()) return read.fail("it has no layers besides those that guess tokens");
  for (std::size_t i = d.layers.size() - guessing; i < d.layers.size(); ++i)
    d.unused.push_back("blk." + std::to_string(i) + ".*");
  d.config.layers -= guessing;
  d.layers.resize(d.config.layers);
}

void read_experts(Metadata& read, Description& d, std::size_t first) {
  Experts& e = d.experts;
  e.count = read.size("expert_count", kMostExperts);
  e.used = read.size("expert_used_count", kMostExperts);
  const std::size_t fallback = d.config.hidden == 0 ? 0 : d.config.hidden;
  e.hidden = read.size("expert_feed_forward_length", kMostHidden, fallback);
  if (e.used > e.count) read.fail("more experts are used than there are");
  for (std::size_t i = first; i < d.layers.size(); ++i) d.layers[i].experts = true;
}

void read_routing(Metadata& read, Description& d, Routing otherwise) {
  Experts& e = d.experts;
  switch (read.optional_size("expert_gating_func", 255)) {
    case 0:
      e.routing = otherwise;
      break;
    case 1:
      e.routing = Routing::kSoftmax;
      break;
    case 2:
      e.routing = Routing::kSigmoid;
      break;
    case 3:
      e.routing = Routing::kSoftmaxOfChosen;
      break;
    default:
      read.refuse("its experts are chosen in a way (expert_gating_func " +
                  std::to_string(read.size("expert_gating_func", 255)) + ") that is not supported");
  }
  e.normalise = read.flag("expert_weights_norm", false);
  e.scale = static_cast<float>(read.number("expert_weights_scale", 1));
  if (e.scale == 0) e.scale = 1;  // how some converters say that there is none
  for (std::size_t i = 0; i < d.layers.size(); ++i) {
    if (read.has_tensor("blk." + std::to_string(i) + ".exp_probs_b.bias")) e.selection_bias = true;
  }
  e.groups = read.size("expert_group_count", kMostExperts, 1);
  e.groups_used = read.size("expert_group_used_count", kMostExperts, 1);
  if (e.count % e.groups != 0 || e.groups_used > e.groups || e.used > e.count / e.groups * e.groups_used) {
    read.fail("its groups of experts do not fit their number");
  }
}

void read_state_space(Metadata& read, Description& d, RecurrenceKind kind) {
  Recurrence& r = d.recurrence;
  r.kind = kind;
  r.taps = read.size("ssm.conv_kernel", kernels::kMaxTaps);
  r.heads = read.size("ssm.time_step_rank", 4096);
  r.key_heads = read.size("ssm.group_count", 4096);
  r.key_dim = read.size("ssm.state_size", 4096);
  const std::size_t inner = read.size("ssm.inner_size", 1U << 20);
  if (inner % r.heads != 0) return read.fail("its inner size is not a multiple of its heads");
  r.value_dim = inner / r.heads;
  r.channels = inner + 2 * r.key_heads * r.key_dim;
}

}  // namespace kvasir::models
