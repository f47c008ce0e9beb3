#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "base/content_hash.h"
#include "text/ffi.h"
#include "text/tokenizer_impl.h"

namespace kvasir::text {

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, SpecialText special) const {
  kvt_ids ids{};
  kvt_buffer error{};
  const int parse = special == SpecialText::kParse ? 1 : 0;
  const kvt_status status =
      kvt_tokenizer_encode(impl_->handle.get(), ffi::text_of(text), parse, &ids, &error);
  if (status != KVT_OK) {
    // Any text can be tokenised; the library fails only on a vocabulary that its checks at load time let
    // through.
    kvt_buffer_free(error);
    return {};
  }
  std::vector<TokenId> tokens(ids.data, ids.data + ids.size);
  kvt_ids_free(ids);
  return tokens;
}

std::string_view Tokenizer::bytes(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= impl_->table.count) return {};
  const std::uint32_t begin = impl_->table.offsets[id];
  const std::uint32_t end = impl_->table.offsets[id + 1];
  return {reinterpret_cast<const char*>(impl_->table.bytes) + begin, end - begin};
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, bool skip_special) const {
  std::string out;
  for (const TokenId id : tokens) {
    if (skip_special && is_special(id)) continue;
    out.append(bytes(id));
  }
  return out;
}

std::size_t Tokenizer::vocab_size() const {
  return impl_->table.count;
}

std::string Tokenizer::fingerprint() const {
  const kvt_token_table& table = impl_->table;
  ContentHash hash;
  hash.update(table.offsets, (table.count + 1) * sizeof(*table.offsets));
  hash.update(table.bytes, table.offsets[table.count]);
  hash.update(table.kinds, table.count * sizeof(*table.kinds));
  return hash.hex();
}

bool Tokenizer::is_special(TokenId id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= impl_->table.count) return false;
  return impl_->table.kinds[id] == KVT_TOKEN_SPECIAL;
}

TokenId Tokenizer::find(std::string_view token_text) const {
  std::int32_t id = kNoToken;
  return kvt_tokenizer_find(impl_->handle.get(), ffi::text_of(token_text), &id, nullptr) == KVT_OK ? id
                                                                                                   : kNoToken;
}

TokenId Tokenizer::bos() const {
  return impl_->bos;
}

TokenId Tokenizer::eos() const {
  return impl_->eos;
}

bool Tokenizer::adds_bos() const {
  return impl_->adds_bos;
}

const std::optional<FillMiddle>& Tokenizer::fill_middle() const {
  return impl_->fill_middle;
}

std::span<const TokenId> Tokenizer::end_tokens() const {
  return impl_->end_tokens;
}

}  // namespace kvasir::text
