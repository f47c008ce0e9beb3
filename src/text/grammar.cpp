#include "text/grammar.h"

#include <utility>

#include "text/ffi.h"
#include "text/tokenizer_impl.h"

namespace kvasir::text {

struct GrammarFactory::Impl {
  std::shared_ptr<const Tokenizer> tokenizer;
  ffi::FactoryHandle handle;
};

struct GrammarMatcher::Impl {
  std::shared_ptr<const GrammarFactory> factory;
  ffi::MatcherHandle handle;
};

GrammarFactory::GrammarFactory(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrammarFactory::~GrammarFactory() = default;

Result<std::shared_ptr<GrammarFactory>> GrammarFactory::create(std::shared_ptr<const Tokenizer> tokenizer) {
  const std::span<const TokenId> ends = tokenizer->end_tokens();
  const std::vector<std::uint32_t> end_tokens(ends.begin(), ends.end());
  kvt_grammar_factory* handle = nullptr;
  kvt_buffer error{};
  const kvt_status status = kvt_grammar_factory_create(tokenizer->impl().handle.get(), end_tokens.data(),
                                                       end_tokens.size(), &handle, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, "tokenizer");
  auto impl = std::make_unique<Impl>();
  impl->tokenizer = std::move(tokenizer);
  impl->handle.reset(handle);
  return std::shared_ptr<GrammarFactory>(new GrammarFactory(std::move(impl)));
}

Result<std::unique_ptr<GrammarMatcher>> GrammarFactory::compile(Kind kind, std::string_view source) {
  kvt_matcher* handle = nullptr;
  kvt_buffer error{};
  const int kvt_kind = kind == Kind::kLark ? KVT_GRAMMAR_LARK : KVT_GRAMMAR_JSON_SCHEMA;
  const kvt_status status =
      kvt_grammar_compile(impl_->handle.get(), kvt_kind, ffi::text_of(source), &handle, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, kind == Kind::kLark ? "grammar" : "schema");
  auto matcher = std::make_unique<GrammarMatcher::Impl>();
  matcher->factory = shared_from_this();
  matcher->handle.reset(handle);
  return std::make_unique<GrammarMatcher>(std::move(matcher));
}

Result<std::unique_ptr<GrammarMatcher>> GrammarFactory::compile_lark(std::string_view lark) {
  return compile(Kind::kLark, lark);
}

Result<std::unique_ptr<GrammarMatcher>> GrammarFactory::compile_json_schema(std::string_view schema_json) {
  return compile(Kind::kJsonSchema, schema_json);
}

GrammarMatcher::GrammarMatcher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GrammarMatcher::~GrammarMatcher() = default;

Result<std::span<const std::uint32_t>> GrammarMatcher::mask() {
  const std::uint32_t* words = nullptr;
  std::size_t count = 0;
  kvt_buffer error{};
  const kvt_status status = kvt_matcher_mask(impl_->handle.get(), &words, &count, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, "grammar");
  return std::span<const std::uint32_t>(words, count);
}

Status GrammarMatcher::accept(TokenId token) {
  kvt_buffer error{};
  // A negative id becomes one far outside the vocabulary, which the matcher refuses.
  const kvt_status status =
      kvt_matcher_accept(impl_->handle.get(), static_cast<std::uint32_t>(token), &error);
  if (status != KVT_OK) return ffi::error_of(status, error, "grammar");
  return {};
}

bool GrammarMatcher::is_accepting() {
  std::int32_t accepting = 0;
  return kvt_matcher_is_accepting(impl_->handle.get(), &accepting, nullptr) == KVT_OK && accepting != 0;
}

bool GrammarMatcher::is_stopped() {
  std::int32_t stopped = 0;
  // A matcher that failed can go nowhere either.
  return kvt_matcher_is_stopped(impl_->handle.get(), &stopped, nullptr) != KVT_OK || stopped != 0;
}

std::unique_ptr<GrammarMatcher> GrammarMatcher::clone() const {
  kvt_matcher* handle = nullptr;
  if (kvt_matcher_clone(impl_->handle.get(), &handle, nullptr) != KVT_OK) return nullptr;
  auto copy = std::make_unique<Impl>();
  copy->factory = impl_->factory;
  copy->handle.reset(handle);
  return std::make_unique<GrammarMatcher>(std::move(copy));
}

}  // namespace kvasir::text
