#include "base/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace kvasir {
namespace {

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

class SystemFiles : public ::testing::Test {
 protected:
  SystemFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kvasir-files-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~SystemFiles() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + '/' + name; }
  std::unique_ptr<File> create(const std::string& name) {
    return std::move(files_.open(path(name), OpenMode::kCreateNew)).value();
  }

  FileSystem& files_ = system_files();
  std::string folder_;
};

TEST_F(SystemFiles, WhatIsWrittenIsReadBackUpToTheEnd) {
  auto file = create("a");
  ASSERT_TRUE(file->write_at(3, bytes_of("hello")).ok());
  std::vector<std::byte> out(10);
  EXPECT_EQ(file->read_at(3, out).value(), 5U);
  out.resize(5);
  EXPECT_EQ(out, bytes_of("hello"));
  EXPECT_EQ(file->size().value(), 8U);
  EXPECT_TRUE(file->sync().ok());
  EXPECT_TRUE(files_.sync_folder(folder_).ok());
  EXPECT_EQ(file->read_at(100, out).value(), 0U);
}

TEST_F(SystemFiles, ANewFileIsPrivateAndNeverAnExistingOne) {
  create("a");
  struct stat info{};
  ASSERT_EQ(::stat(path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(files_.open(path("a"), OpenMode::kCreateNew).error().code, ErrorCode::kIo);
}

TEST_F(SystemFiles, AMissingFileIsNotFoundAndIsNamed) {
  const auto file = files_.open(path("missing"), OpenMode::kRead);
  EXPECT_EQ(file.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(file.error().subject, path("missing"));
  EXPECT_EQ(files_.remove(path("missing")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(files_.list(path("missing")).error().code, ErrorCode::kNotFound);
}

TEST_F(SystemFiles, AFileOpenedForReadingRefusesWrites) {
  create("a");
  auto file = std::move(files_.open(path("a"), OpenMode::kRead)).value();
  EXPECT_EQ(file->write_at(0, bytes_of("x")).error().code, ErrorCode::kIo);
}

TEST_F(SystemFiles, FoldersAreMadeWithThoseAboveAndArePrivate) {
  ASSERT_TRUE(files_.make_folder(path("x/y/z")).ok());
  EXPECT_TRUE(files_.make_folder(path("x/y/z")).ok());
  EXPECT_TRUE(files_.make_folder(path("x/y/z/")).ok());
  struct stat info{};
  ASSERT_EQ(::stat(path("x/y").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  create("plain");
  EXPECT_FALSE(files_.make_folder(path("plain")).ok());
  EXPECT_FALSE(files_.make_folder(path("plain/below")).ok());
}

TEST_F(SystemFiles, AListNamesPlainFilesInOrder) {
  create("b");
  create("a");
  ASSERT_TRUE(files_.make_folder(path("c")).ok());
  EXPECT_EQ(files_.list(folder_).value(), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(files_.rename(path("b"), path("d")).ok());
  ASSERT_TRUE(files_.remove(path("a")).ok());
  EXPECT_EQ(files_.list(folder_).value(), (std::vector<std::string>{"d"}));
}

TEST_F(SystemFiles, APunchedHoleReadsAsZerosAndGivesItsSpaceBack) {
  auto file = create("a");
  const std::vector<std::byte> data(16 * 4096, std::byte{7});
  ASSERT_TRUE(file->write_at(0, data).ok());
  ASSERT_TRUE(file->sync().ok());
  const auto before = file->allocated().value();
  const Status status = file->punch_hole(4096, 8 * 4096);
  if (!status.ok() && status.error().code == ErrorCode::kUnsupported) GTEST_SKIP() << "no holes here";
  ASSERT_TRUE(status.ok());
  EXPECT_LT(file->allocated().value(), before);
  EXPECT_EQ(file->size().value(), data.size());
  std::vector<std::byte> out(4096);
  ASSERT_EQ(file->read_at(4096, out).value(), out.size());
  EXPECT_EQ(out, std::vector<std::byte>(4096));
  EXPECT_GE(file->next_data(4096).value().value(), 4096U);
  EXPECT_EQ(file->next_data(0).value(), 0U);
  EXPECT_FALSE(file->next_data(data.size()).value().has_value());
}

TEST_F(SystemFiles, TruncatingChangesTheSize) {
  auto file = create("a");
  ASSERT_TRUE(file->write_at(0, bytes_of("hello")).ok());
  ASSERT_TRUE(file->truncate(2).ok());
  EXPECT_EQ(file->size().value(), 2U);
}

TEST_F(SystemFiles, ALockExcludesASecondOneOfTheSameProcess) {
  auto first = std::move(files_.try_lock(path("lock"))).value();
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(files_.try_lock(path("lock")).value(), nullptr);
  first.reset();
  EXPECT_NE(files_.try_lock(path("lock")).value(), nullptr);
}

TEST_F(SystemFiles, FreeSpaceIsKnown) {
  EXPECT_GT(files_.free_bytes(folder_).value(), 0U);
}

TEST_F(SystemFiles, ADeviceIsNoFile) {
  auto file = files_.open("/dev/full", OpenMode::kReadWrite);
  // A device is no regular file, and data must not be kept on one.
  EXPECT_EQ(file.error().code, std::filesystem::exists("/dev/full") ? ErrorCode::kIo : ErrorCode::kNotFound);
}

}  // namespace
}  // namespace kvasir
