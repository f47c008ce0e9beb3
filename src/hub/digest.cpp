#include "hub/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

#include "base/check.h"

namespace kvasir::hub {
namespace {

constexpr std::size_t kSha256Letters = 64;
constexpr std::size_t kSha1Letters = 40;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

bool is_hex(const std::string& text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

struct Digest::Impl {
  explicit Impl(const EVP_MD* kind) : context(EVP_MD_CTX_new()) {
    KVASIR_CHECK(context != nullptr && EVP_DigestInit_ex(context, kind, nullptr) == 1,
                 "OpenSSL has the hash");
  }
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  EVP_MD_CTX* context;
};

Digest::Digest(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Digest::~Digest() = default;

std::unique_ptr<Digest> Digest::sha256() {
  return std::unique_ptr<Digest>(new Digest(std::make_unique<Impl>(EVP_sha256())));
}

std::unique_ptr<Digest> Digest::for_etag(const std::string& etag, std::uint64_t size) {
  if (!is_hex(etag)) return nullptr;
  if (etag.size() == kSha256Letters) return sha256();
  if (etag.size() != kSha1Letters) return nullptr;
  std::unique_ptr<Digest> digest(new Digest(std::make_unique<Impl>(EVP_sha1())));
  const std::string head = "blob " + std::to_string(size);
  digest->update(std::as_bytes(std::span(head.c_str(), head.size() + 1)));  // with the zero behind
  return digest;
}

void Digest::update(std::span<const std::byte> bytes) {
  KVASIR_CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1, "hashing does not fail");
}

std::string Digest::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned count = 0;
  KVASIR_CHECK(EVP_DigestFinal_ex(impl_->context, bytes.data(), &count) == 1, "hashing does not fail");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15U];
  }
  return text;
}

std::string sha256_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {};
  const auto digest = Digest::sha256();
  std::vector<char> buffer(kReadBytes);
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0)
    digest->update(std::as_bytes(std::span(buffer.data(), static_cast<std::size_t>(in.gcount()))));
  return digest->hex();
}

}  // namespace kvasir::hub
