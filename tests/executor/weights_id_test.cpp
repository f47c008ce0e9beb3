#include "executor/weights_id.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

namespace kvasir::executor {
namespace {

// A matrix of codes whose scales lie apart, larger than one piece of a hash, and a vector.
class Weights : public weights::Checkpoint {
 public:
  Weights() : codes_(3'000'000), scales_(1000), vector_(64) {
    for (std::size_t i = 0; i < codes_.size(); ++i) codes_[i] = static_cast<std::byte>(i * 31 >> 3);
    weights::TensorInfo matrix;
    matrix.name = "matrix";
    matrix.shape = {3000, 1000};
    matrix.parts.push_back({1000, 1, codes_, scales_, {}});
    tensors_.push_back(matrix);
    weights::TensorInfo vector;
    vector.name = "vector";
    vector.shape = {16, 1};
    vector.parts.push_back({1, 1, vector_, {}, {}});
    tensors_.push_back(vector);
    index_tensors();
  }
  void release(const weights::TensorInfo& /*tensor*/) const override {}

  void rename(const std::string& name) { tensors_.back().name = name; }
  void reshape() { tensors_.front().shape = {1000, 3000}; }

  std::vector<std::byte> codes_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> vector_;
};

std::string id_of(const Weights& weights, std::size_t threads = 1) {
  ThreadPool pool(threads);
  WeightsId id(weights, pool);
  return id.finish();
}

TEST(WeightsId, IsThatOfACopyWhoeverHashes) {
  EXPECT_EQ(id_of(Weights()), id_of(Weights(), 3));
}

TEST(WeightsId, DoesNotDependOnTheOrderOfReading) {
  const Weights weights;
  ThreadPool pool(2);
  WeightsId id(weights, pool);
  id.add(weights.tensors()[1]);
  id.add(weights.tensors()[0]);
  id.add(weights.tensors()[1]);
  EXPECT_EQ(id.finish(), id_of(weights));
}

TEST(WeightsId, DependsOnEveryByteNameAndShape) {
  const std::string whole = id_of(Weights());
  for (const std::size_t at : {std::size_t{0}, std::size_t{1'500'000}, std::size_t{2'999'999}}) {
    Weights other;
    other.codes_[at] ^= std::byte{1};
    EXPECT_NE(id_of(other), whole) << at;
  }
  Weights scaled;
  scaled.scales_[999] ^= std::byte{128};
  EXPECT_NE(id_of(scaled), whole);
  Weights last;
  last.vector_[63] ^= std::byte{1};
  EXPECT_NE(id_of(last), whole);
  Weights renamed;
  renamed.rename("other");
  EXPECT_NE(id_of(renamed), whole);
  Weights reshaped;
  reshaped.reshape();
  EXPECT_NE(id_of(reshaped), whole);
}

}  // namespace
}  // namespace kvasir::executor
