#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace kvasir {
namespace {

TEST(MappedFile, HoldsTheFilesBytesAlsoAfterTheirPagesWereReleased) {
  const std::string path = testing::TempDir() + "kvasir_mapped_file_test";
  const std::string text(100000, 'x');
  std::ofstream(path) << text;
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ((*file)->bytes().size(), text.size());
  (*file)->release((*file)->bytes().subspan(10, 50000));
  EXPECT_EQ(std::to_integer<char>((*file)->bytes()[20000]), 'x');
  std::remove(path.c_str());
}

TEST(MappedFile, OpensAnEmptyFile) {
  const std::string path = testing::TempDir() + "kvasir_mapped_file_empty";
  std::ofstream(path).flush();
  const auto file = MappedFile::open(path);
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->bytes().empty());
  std::remove(path.c_str());
}

TEST(MappedFile, NamesWhatItCannotOpen) {
  EXPECT_EQ(MappedFile::open("no/such/file").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::open("/").error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace kvasir
