#include "text/grammar.h"

#include <bit>
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

const Tokenizer& GrammarFactory::tokenizer() const {
  return *impl_->tokenizer;
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

// Some token that may come next has all of `text` and more.
bool GrammarMatcher::may_run_past(std::string_view text) {
  const auto allowed = mask();
  if (!allowed.ok()) return true;
  const Tokenizer& tokenizer = impl_->factory->tokenizer();
  for (std::size_t word = 0; word < allowed->size(); ++word) {
    for (std::uint32_t bits = (*allowed)[word]; bits != 0; bits &= bits - 1) {
      const auto token = static_cast<TokenId>(word * 32 + static_cast<std::size_t>(std::countr_zero(bits)));
      const std::string_view bytes = tokenizer.bytes(token);
      if (bytes.size() > text.size() && bytes.starts_with(text)) return true;
    }
  }
  return false;
}

std::string GrammarMatcher::forced_text() {
  kvt_buffer out{};
  return kvt_matcher_forced(impl_->handle.get(), &out, nullptr) == KVT_OK ? ffi::take(out) : std::string();
}

std::vector<TokenId> GrammarMatcher::take_forced(std::size_t most) {
  constexpr std::size_t kLongestToken = 256;  // looked for past the end of forced text
  const std::string text = forced_text();
  if (text.empty()) return {};
  const Tokenizer& tokenizer = impl_->factory->tokenizer();
  std::vector<TokenId> taken;
  std::string_view rest = text;
  for (const TokenId token : tokenizer.encode(text, SpecialText::kAsText)) {
    const std::string_view bytes = tokenizer.bytes(token);
    // A tokenizer that normalises would write something else.
    if (taken.size() == most || bytes.empty() || !rest.starts_with(bytes)) break;
    if (rest.size() <= kLongestToken && may_run_past(rest)) break;
    if (!accept(token).ok()) break;
    taken.push_back(token);
    rest.remove_prefix(bytes.size());
  }
  return taken;
}

std::vector<TokenId> GrammarMatcher::take_forced_within(std::size_t most, std::size_t least) {
  const std::string text = forced_text();
  if (text.size() < least) return {};  // a token has a byte
  if (impl_->factory->tokenizer().encode(text, SpecialText::kAsText).size() < least) return {};
  const auto trial = clone();
  if (trial == nullptr) return {};
  std::vector<TokenId> run = trial->take_forced(most);
  if (run.empty() || trial->is_accepting()) return {};
  for (const TokenId token : run) (void)accept(token);
  return run;
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
