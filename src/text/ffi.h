#pragma once
// Glue between the C face of text-ffi and this layer: handles that free themselves, and statuses as errors.

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "kvasir_text.h"

namespace kvasir::text::ffi {

// `using Tokenizer = Handle<kvt_tokenizer, kvt_tokenizer_free>`.
template <class T, void (*kFree)(T*)>
struct Free {
  void operator()(T* handle) const { kFree(handle); }
};
template <class T, void (*kFree)(T*)>
using Handle = std::unique_ptr<T, Free<T, kFree>>;

using TokenizerHandle = Handle<kvt_tokenizer, kvt_tokenizer_free>;
using TemplateHandle = Handle<kvt_template, kvt_template_free>;
using FactoryHandle = Handle<kvt_grammar_factory, kvt_grammar_factory_free>;
using MatcherHandle = Handle<kvt_matcher, kvt_matcher_free>;

inline kvt_text text_of(std::string_view text) {
  return {text.data(), text.size()};
}

// Copies a buffer of the crate and gives it back.
std::string take(kvt_buffer buffer);

// The Error of a status other than KVT_OK; frees `words`.
Error error_of(kvt_status status, kvt_buffer words, std::string subject);

}  // namespace kvasir::text::ffi
