// How a token's experts are chosen and weighed, worked out by hand from the papers' formulas.

#include "models/moe.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <new>

#include "kernels/kernels.h"

namespace {
std::atomic<std::size_t> allocations{0};
}  // namespace

// The whole test program's.
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace kvasir::models {
namespace {

std::vector<Choice> choose(const Experts& experts, std::vector<float> logits, std::vector<float> bias = {}) {
  std::vector<Choice> out(experts.used);
  std::vector<float> scratch(choice_scratch(experts));
  choose_experts(experts, logits, bias, scratch, out);
  return out;
}

Experts four(Routing routing, std::size_t used = 2) {
  Experts e;
  e.count = 4;
  e.used = used;
  e.routing = routing;
  return e;
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

TEST(ChooseExperts, BestFirstAndOfEqualsTheFirst) {
  const auto chosen = choose(four(Routing::kSoftmax, 3), {1, 2, 2, 0});
  EXPECT_EQ(chosen[0].expert, 1U);
  EXPECT_EQ(chosen[1].expert, 2U);
  EXPECT_EQ(chosen[2].expert, 0U);
}

TEST(ChooseExperts, SoftmaxWeighsByProbabilitiesOverAll) {
  const auto chosen = choose(four(Routing::kSoftmax), {0, 1, 2, 3});
  const double all = 1 + std::exp(1) + std::exp(2) + std::exp(3);
  EXPECT_NEAR(chosen[0].weight, std::exp(3) / all, 1e-6);
  EXPECT_NEAR(chosen[1].weight, std::exp(2) / all, 1e-6);
}

TEST(ChooseExperts, NormalisedSoftmaxIsThatOfTheChosen) {
  Experts e = four(Routing::kSoftmax);
  e.normalise = true;
  const auto normalised = choose(e, {0, 1, 2, 3});
  const auto of_chosen = choose(four(Routing::kSoftmaxOfChosen), {0, 1, 2, 3});
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(normalised[i].expert, of_chosen[i].expert);
    EXPECT_NEAR(normalised[i].weight, of_chosen[i].weight, 1e-6);
  }
}

TEST(ChooseExperts, ABiasChoosesAndDoesNotWeigh) {
  Experts e = four(Routing::kSigmoid);
  e.normalise = true;
  e.scale = 2.5F;
  const auto chosen = choose(e, {0, 1, 2, 3}, {1, 0, 0, 0});
  EXPECT_EQ(chosen[0].expert, 0U);
  EXPECT_EQ(chosen[1].expert, 3U);
  const double sum = sigmoid(0) + sigmoid(3);
  EXPECT_NEAR(chosen[0].weight, 2.5 * sigmoid(0) / sum, 1e-6);
  EXPECT_NEAR(chosen[1].weight, 2.5 * sigmoid(3) / sum, 1e-6);
}

TEST(ChooseExperts, ExpertsOfWorseGroupsAreOut) {
  Experts e = four(Routing::kSigmoid);
  e.groups = 2;
  e.groups_used = 1;
  // By its best the second group would win; with a bias to choose by, a group counts as its two best
  // together.
  EXPECT_EQ(choose(e, {1, 1, 2, -9}, {0, 0, 0, 0})[0].expert, 0U);
  EXPECT_EQ(choose(e, {1, 1, 2, -9})[0].expert, 2U);
  EXPECT_EQ(choose(e, {1, 1, 2, -9})[1].expert, 3U);
}

TEST(ChooseExperts, OfEqualGroupsTheFirstStay) {
  Experts e = four(Routing::kSigmoid, 1);
  e.groups = 4;
  e.groups_used = 2;
  EXPECT_EQ(choose(e, {-1, 1, 1, 1}, {9, 0, 0, 0})[0].expert, 0U);
  EXPECT_EQ(choose(e, {0, 1, 1, 1})[0].expert, 1U);
  e.used = 2;
  EXPECT_EQ(choose(e, {0, 1, 1, 1})[1].expert, 2U);
}

kernels::PackedMatrix floats(std::size_t rows, std::size_t columns) {
  kernels::PackedMatrix m;
  m.rows = rows;
  m.columns = columns;
  m.data = AlignedBuffer(m.groups() * m.group_bytes());
  float value = 0;
  for (float& w : m.data.as<float>()) w = std::sin(value += 0.7F) / 8;
  return m;
}

TEST(MixtureOfExperts, AllocatesNothingOnceItHasGrown) {
  constexpr std::size_t kWidth = 64;
  constexpr std::size_t kHidden = 32;
  Description d;
  d.experts = four(Routing::kSigmoid);
  d.experts.hidden = kHidden;
  d.experts.groups = 2;
  d.experts.groups_used = 1;
  ExpertWeights w;
  w.router = floats(4, kWidth);
  w.selection_bias = {0, 1, 0, 1};
  for (std::size_t i = 0; i < 4; ++i) {
    w.gate.push_back(floats(kHidden, kWidth));
    w.up.push_back(floats(kHidden, kWidth));
    w.down.push_back(floats(kWidth, kHidden));
  }
  ThreadPool pool(1);
  Ops ops(pool, kernels::kernels());
  MixtureOfExperts experts(ops, d, false, false);
  Rows x;
  Rows out;
  const auto run = [&](std::size_t tokens) {
    x.resize(tokens, kWidth);
    out.resize(tokens, kWidth);
    for (std::size_t i = 0; i < tokens * kWidth; ++i) x.data()[i] = std::cos(static_cast<float>(i));
    ops.quantize(x);
    experts.forward(w, x, out);
  };
  run(33);
  const std::size_t before = allocations;
  for (const std::size_t tokens : {1, 33, 2, 1}) run(tokens);
  EXPECT_EQ(allocations - before, 0U);
}

}  // namespace
}  // namespace kvasir::models
