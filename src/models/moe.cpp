#include "models/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace kvasir::models {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

void softmax(std::span<float> x) {
  const float most = *std::max_element(x.begin(), x.end());
  float sum = 0;
  for (float& v : x) sum += v = std::exp(v - most);
  for (float& v : x) v /= sum;
}

// What a group of experts counts as: its two best together where they are chosen with a bias (DeepSeek-V3),
// else its best (DeepSeek-V2).
float worth_of(std::span<const float> group, bool two_best) {
  float best = kMinusInfinity;
  float second = kMinusInfinity;
  for (const float score : group) {
    if (score > best)
      second = std::exchange(best, score);
    else if (score > second)
      second = score;
  }
  return best + (two_best && group.size() > 1 ? second : 0.0F);
}

// Groups that are not among the best are out, of equals the later ones. `worth`: (groups) of scratch.
void keep_best_groups(const Experts& e, bool two_best, std::span<float> scores, std::span<float> worth) {
  const std::size_t size = e.count / e.groups;
  for (std::size_t g = 0; g < e.groups; ++g) worth[g] = worth_of(scores.subspan(g * size, size), two_best);
  for (std::size_t g = 0; g < e.groups; ++g) {
    std::size_t better = 0;
    for (std::size_t i = 0; i < e.groups; ++i)
      if (worth[i] > worth[g] || (worth[i] == worth[g] && i < g)) ++better;
    if (better >= e.groups_used) std::ranges::fill(scores.subspan(g * size, size), kMinusInfinity);
  }
}

}  // namespace

void choose_experts(const Experts& e, std::span<const float> logits, std::span<const float> selection_bias,
                    std::span<float> scratch, std::span<Choice> out) {
  KVASIR_CHECK(scratch.size() >= choice_scratch(e) && out.size() == e.used, "room for the choices");
  const std::span<float> scores = scratch.first(e.count);             // to weigh by
  const std::span<float> wanted = scratch.subspan(e.count, e.count);  // to choose by
  const std::span<float> weights = scratch.subspan(2 * e.count, e.used);
  const std::span<float> worth = scratch.subspan(2 * e.count + e.used, e.groups);
  std::ranges::copy(logits, scores.begin());
  if (e.routing == Routing::kSoftmax) softmax(scores);
  if (e.routing == Routing::kSigmoid) {
    for (float& s : scores) s = 1.0F / (1.0F + std::exp(-s));
  }
  std::ranges::copy(scores, wanted.begin());
  for (std::size_t i = 0; i < selection_bias.size(); ++i) wanted[i] += selection_bias[i];
  if (e.groups > 1) keep_best_groups(e, !selection_bias.empty(), wanted, worth);

  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto best = std::ranges::max_element(wanted);
    const auto expert = static_cast<std::size_t>(best - wanted.begin());
    *best = kMinusInfinity;
    out[i].expert = static_cast<std::uint32_t>(expert);
    weights[i] = scores[expert];
  }
  if (e.routing == Routing::kSoftmaxOfChosen) softmax(weights);
  float sum = 0;
  for (const float w : weights) sum += w;
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i].weight =
        (e.normalise ? weights[i] / std::max(sum, std::numeric_limits<float>::min()) : weights[i]) * e.scale;
  }
}

MixtureOfExperts::MixtureOfExperts(Ops& ops, const Description& description, bool precise_input, bool precise)
    : ops_(ops), e_(description.experts), activation_(description.activation) {
  gathered_.set_precise(precise_input);
  gate_.set_precise(precise);
  shared_gate_.set_precise(precise);
}

void MixtureOfExperts::forward(const ExpertWeights& weights, Rows& x, Rows& out) {
  route(weights, x);
  gather(x);
  run_experts(weights);
  const bool shared = e_.shared_hidden != 0;
  if (shared) run_shared(weights, x);
  const std::size_t width = x.columns();
  ops_.each(x.tokens(), [&](std::size_t t) {
    std::fill_n(out.row(t), width, 0.0F);
    for (std::size_t i = t * e_.used; i < (t + 1) * e_.used; ++i)
      ops_.table().add_scaled(out.row(t), down_.row(slot_[i]), choices_[i].weight, width);
    const float weight = e_.shared_gate && shared ? 1.0F / (1.0F + std::exp(-*shared_logit_.row(t))) : 1.0F;
    if (shared) ops_.table().add_scaled(out.row(t), shared_down_.row(t), weight, width);
  });
}

void MixtureOfExperts::route(const ExpertWeights& w, Rows& x) {
  logits_.resize(x.tokens(), e_.count);
  const Linear router[] = {
      {&w.router, {logits_.data(), e_.count, w.router_bias.empty() ? nullptr : w.router_bias.data(), false}}};
  ops_.linear(router, x);
  choices_.resize(x.tokens() * e_.used);
  const std::size_t floats = choice_scratch(e_);
  ops_.each(x.tokens(), [&](std::size_t t, std::size_t worker) {
    auto* scratch = reinterpret_cast<float*>(ops_.scratch(worker, floats * sizeof(float)));
    choose_experts(e_, {logits_.row(t), e_.count}, w.selection_bias, {scratch, floats},
                   std::span(choices_).subspan(t * e_.used, e_.used));
  });
}

// Rows of gathered_: expert by expert, of each the tokens in order.
void MixtureOfExperts::gather(Rows& x) {
  begin_.assign(e_.count + 1, 0);
  for (const Choice& c : choices_) ++begin_[c.expert + 1];
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  next_.assign(begin_.begin(), begin_.end() - 1);
  slot_.resize(choices_.size());
  for (std::size_t i = 0; i < choices_.size(); ++i) slot_[i] = next_[choices_[i].expert]++;
  gathered_.resize(choices_.size(), x.columns());
  ops_.each(choices_.size(), [&](std::size_t i) { gathered_.copy_row(x, i / e_.used, slot_[i]); });
}

void MixtureOfExperts::run_experts(const ExpertWeights& w) {
  const std::size_t width = gathered_.columns();
  gate_.resize(choices_.size(), e_.hidden);
  up_.resize(choices_.size(), e_.hidden);
  down_.resize(choices_.size(), width);
  const auto add = [&](const kernels::PackedMatrix& m, Rows& y, const std::vector<float>& bias,
                       std::size_t i) {
    const std::size_t rows = begin_[i + 1] - begin_[i];
    if (rows == 0) return;
    const float* b = bias.empty() ? nullptr : bias.data() + i * m.rows;
    products_.push_back({&m, {y.row(begin_[i]), y.columns(), b, false}, begin_[i], rows});
  };
  products_.clear();
  for (std::size_t i = 0; i < e_.count; ++i) {
    add(w.gate[i], gate_, w.gate_bias, i);
    add(w.up[i], up_, w.up_bias, i);
  }
  ops_.linear(products_, gathered_);
  ops_.gated(activation_, gate_, up_);
  products_.clear();
  for (std::size_t i = 0; i < e_.count; ++i) add(w.down[i], down_, w.down_bias, i);
  ops_.linear(products_, gate_);
}

void MixtureOfExperts::run_shared(const ExpertWeights& w, Rows& x) {
  shared_gate_.resize(x.tokens(), e_.shared_hidden);
  shared_up_.resize(x.tokens(), e_.shared_hidden);
  shared_down_.resize(x.tokens(), x.columns());
  const Linear gate_up[] = {{&w.shared_gate, {shared_gate_.data(), e_.shared_hidden, nullptr, false}},
                            {&w.shared_up, {shared_up_.data(), e_.shared_hidden, nullptr, false}}};
  ops_.linear(gate_up, x);
  ops_.gated(activation_, shared_gate_, shared_up_);
  if (e_.shared_gate) {
    shared_logit_.resize(x.tokens(), 1);
    const Linear logit[] = {{&w.shared_router, {shared_logit_.data(), 1, nullptr, false}}};
    ops_.linear(logit, x);
  }
  const Linear down[] = {{&w.shared_down, {shared_down_.data(), x.columns(), nullptr, false}}};
  ops_.linear(down, shared_gate_);
}

}  // namespace kvasir::models
