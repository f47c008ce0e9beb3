#include "base/aligned_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>

namespace kvasir {
namespace {

TEST(AlignedBuffer, IsZeroedAndBeginsAtACacheLine) {
  AlignedBuffer buffer(std::size_t{3} << 20);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
  for (const std::byte b : buffer.as<std::byte>()) ASSERT_EQ(b, std::byte{0});
}

TEST(AlignedBuffer, PartsOutliveTheOneWhoCutThem) {
  auto whole = std::make_shared<AlignedBuffer>(4096);
  AlignedBuffer first(whole, 0, 128);
  AlignedBuffer second(whole, 128, 64);
  EXPECT_EQ(first.data() + 128, second.data());
  whole.reset();
  first.data()[127] = std::byte{1};
  AlignedBuffer moved = std::move(first);
  first = AlignedBuffer();
  EXPECT_EQ(moved.size(), 128U);
  EXPECT_EQ(moved.data()[127], std::byte{1});
  moved = AlignedBuffer(64);
  EXPECT_EQ(second.data()[0], std::byte{0});
}

}  // namespace
}  // namespace kvasir
