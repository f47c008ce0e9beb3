// Makes tokenizers: reads a checkpoint's metadata or a tokenizer.json, and works out which tokens begin and
// end a text.

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "text/tokenizer_impl.h"
#include "weights/checkpoint.h"

namespace kvasir::text {
namespace {

// Tokens that end a turn in the templates of current families. Files often name one end token only, while the
// model ends its turns with another.
constexpr std::array<std::string_view, 14> kEndNames = {"<|im_end|>",
                                                        "<|endoftext|>",
                                                        "<|eot_id|>",
                                                        "<|eom_id|>",
                                                        "<|end_of_text|>",
                                                        "<|end|>",
                                                        "<end_of_turn>",
                                                        "<turn|>",
                                                        "</s>",
                                                        "<|return|>",
                                                        "<|call|>",
                                                        "<|end_of_turn|>",
                                                        "<|END_OF_TURN_TOKEN|>",
                                                        "<｜end▁of▁sentence｜>"};

constexpr std::array<std::string_view, 3> kEndKeys = {
    "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};

// The marks of a gap, by family: Qwen2.5-Coder, CodeGemma and Granite 4; StarCoder and Granite; SantaCoder;
// DeepSeek-Coder; CodeLlama; GLM; Codestral, which has no third.
struct GapNames {
  std::string_view prefix, suffix, middle;
};
constexpr std::array<GapNames, 8> kGapNames = {{{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
                                                {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
                                                {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
                                                {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
                                                {"▁<PRE>", "▁<SUF>", "▁<MID>"},
                                                {"<PRE>", "<SUF>", "<MID>"},
                                                {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},
                                                {"[PREFIX]", "[SUFFIX]", ""}}};

constexpr std::array<std::string_view, 12> kGapEndNames = {
    "<|fim_pad|>",   "<fim_pad>",   "<fim-pad>",    "<|file_sep|>", "<file_sep>", "<|file_separator|>",
    "<|repo_name|>", "<repo_name>", "<|reponame|>", "<reponame>",   "▁<EOT>",     "<EOT>"};

std::vector<kvt_text> texts_of(const std::vector<std::string_view>* strings) {
  std::vector<kvt_text> texts;
  if (strings == nullptr) return texts;
  texts.reserve(strings->size());
  for (const std::string_view s : *strings) texts.push_back(ffi::text_of(s));
  return texts;
}

// A token id from the metadata: kNoToken where absent, an error where it lies outside the vocabulary.
Result<TokenId> token_id(const weights::Checkpoint& file, std::string_view key, std::size_t vocab_size) {
  const std::optional<std::uint64_t> id = file.integer(key);
  // Some converters write "none" as -1 or as 2^32 - 1.
  if (!id || *id == std::numeric_limits<std::uint32_t>::max()) return kNoToken;
  if (*id >= vocab_size) {
    return make_error(ErrorCode::kCorruptData,
                      std::string(key) + " is " + std::to_string(*id) + ", outside the vocabulary of " +
                          std::to_string(vocab_size) + " tokens; convert the model again",
                      file.path());
  }
  return static_cast<TokenId>(*id);
}

void add_end_token(std::vector<TokenId>& tokens, TokenId id) {
  if (id != kNoToken && std::find(tokens.begin(), tokens.end(), id) == tokens.end()) tokens.push_back(id);
}

TokenId find_special(const Tokenizer::Impl& impl, std::string_view name) {
  std::int32_t id = kNoToken;
  if (kvt_tokenizer_find(impl.handle.get(), ffi::text_of(name), &id, nullptr) != KVT_OK || id < 0)
    return kNoToken;
  return impl.table.kinds[id] == KVT_TOKEN_SPECIAL ? id : kNoToken;
}

void add_end_names(const Tokenizer::Impl& impl, std::vector<TokenId>& tokens) {
  // In gpt-oss's vocabulary a turn has several messages: this ends the thought, not the answer.
  const bool channels =
      find_special(impl, "<|channel|>") != kNoToken && find_special(impl, "<|return|>") != kNoToken;
  for (const std::string_view name : kEndNames) {
    if (channels && name == "<|end|>") continue;
    add_end_token(tokens, find_special(impl, name));
  }
}

TokenId find_added(const Tokenizer::Impl& impl, std::string_view name) {
  std::int32_t id = kNoToken;
  if (name.empty()) return kNoToken;
  return kvt_tokenizer_find(impl.handle.get(), ffi::text_of(name), &id, nullptr) == KVT_OK ? id : kNoToken;
}

// `named`: as the file's metadata names the marks, kNoToken where it does not.
void add_fill_middle(Tokenizer::Impl& impl, const FillMiddle& named = {}) {
  FillMiddle found = named;
  for (const GapNames& names : kGapNames) {
    if (found.prefix != kNoToken && found.suffix != kNoToken) break;
    found.prefix = find_added(impl, names.prefix);
    found.suffix = find_added(impl, names.suffix);
    found.middle = find_added(impl, names.middle);
    if (found.middle == kNoToken && !names.middle.empty()) found = {};
  }
  if (found.prefix == kNoToken || found.suffix == kNoToken) return;
  for (const std::string_view name : kGapEndNames) add_end_token(found.ends, find_added(impl, name));
  for (const TokenId mark : {found.prefix, found.suffix, found.middle}) add_end_token(found.ends, mark);
  impl.fill_middle = std::move(found);
}

// Families whose GGUF files may lack add_bos_token although their texts begin with it.
bool adds_bos_by_default(std::string_view model, std::string_view pre) {
  constexpr std::array<std::string_view, 4> kPre = {"llama-bpe", "llama3", "llama-v3", "tekken"};
  return model == "llama" || model == "gemma4" || std::find(kPre.begin(), kPre.end(), pre) != kPre.end();
}

Result<std::unique_ptr<Tokenizer::Impl>> from_json(std::string_view json, const std::string& subject) {
  auto impl = std::make_unique<Tokenizer::Impl>();
  kvt_tokenizer* handle = nullptr;
  kvt_buffer error{};
  kvt_status status = kvt_tokenizer_from_json(ffi::text_of(json), &handle, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, subject);
  impl->handle.reset(handle);
  status = kvt_tokenizer_table(handle, &impl->table, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, subject);
  return impl;
}

// A folder's tokenizer.json, with the roles that its other files give to tokens (weights/folder.h): by their
// text, which is what the tokenizer itself goes by, else by their number, else as the tokenizer.json shows.
Result<std::unique_ptr<Tokenizer::Impl>> from_folder(const weights::Checkpoint& folder,
                                                     std::string_view json) {
  KVASIR_ASSIGN_OR_RETURN(auto impl, from_json(json, folder.path() + "/tokenizer.json"));
  const auto role = [&](std::string_view text_key, std::string_view id_key) -> TokenId {
    const auto text = folder.string(text_key);
    const TokenId named = text ? find_special(*impl, *text) : kNoToken;
    if (named != kNoToken) return named;
    const auto id = folder.integer(id_key);
    return id && *id < impl->table.count ? static_cast<TokenId>(*id) : kNoToken;
  };
  impl->bos = role("kvasir.bos_token", "tokenizer.ggml.bos_token_id");
  impl->eos = role("kvasir.eos_token", "tokenizer.ggml.eos_token_id");
  if (impl->bos == kNoToken) impl->bos = impl->table.first_added;
  // The post-processor is the judge; add_bos_token is what older files say instead of having one.
  const bool adds = folder.boolean("tokenizer.ggml.add_bos_token").value_or(false);
  impl->adds_bos = impl->bos != kNoToken && (impl->table.first_added == impl->bos || adds);
  add_end_token(impl->end_tokens, impl->eos);
  if (const auto* ends = folder.integers("kvasir.end_token_ids")) {
    for (const std::int64_t id : *ends) {
      if (id >= 0 && static_cast<std::size_t>(id) < impl->table.count) {
        add_end_token(impl->end_tokens, static_cast<TokenId>(id));
      }
    }
  }
  add_end_names(*impl, impl->end_tokens);
  if (impl->eos == kNoToken && !impl->end_tokens.empty()) impl->eos = impl->end_tokens.front();
  return impl;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_checkpoint(const weights::Checkpoint& file) {
  if (const auto json = file.string("tokenizer.huggingface.json")) {
    KVASIR_ASSIGN_OR_RETURN(auto impl, from_folder(file, *json));
    return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
  }
  const auto model = file.string("tokenizer.ggml.model");
  const auto* tokens = file.strings("tokenizer.ggml.tokens");
  if (!model || tokens == nullptr || tokens->empty()) {
    return make_error(
        ErrorCode::kCorruptData,
        file.path() + " carries no vocabulary (a tokenizer.json, or tokenizer.ggml.model and .tokens)",
        file.path());
  }
  const std::string_view pre = file.string("tokenizer.ggml.pre").value_or("");
  const std::vector<kvt_text> token_texts = texts_of(tokens);
  const std::vector<kvt_text> merge_texts = texts_of(file.strings("tokenizer.ggml.merges"));
  std::vector<std::int32_t> types;
  if (const auto* values = file.integers("tokenizer.ggml.token_type")) {
    types.reserve(values->size());
    for (const std::int64_t v : *values) {
      types.push_back(static_cast<std::int32_t>(std::clamp<std::int64_t>(v, -1, 1000)));
    }
  }
  std::vector<float> scores;
  if (const auto* values = file.numbers("tokenizer.ggml.scores")) {
    scores.assign(values->begin(), values->end());
  }

  kvt_vocabulary vocabulary{};
  vocabulary.model = ffi::text_of(*model);
  vocabulary.pre = ffi::text_of(pre);
  vocabulary.tokens = token_texts.data();
  vocabulary.token_count = token_texts.size();
  vocabulary.types = types.data();
  vocabulary.type_count = types.size();
  vocabulary.scores = scores.data();
  vocabulary.score_count = scores.size();
  vocabulary.merges = merge_texts.data();
  vocabulary.merge_count = merge_texts.size();
  vocabulary.add_space_prefix =
      file.boolean("tokenizer.ggml.add_space_prefix").value_or(*model == "llama") ? 1 : 0;

  auto impl = std::make_unique<Impl>();
  kvt_tokenizer* handle = nullptr;
  kvt_buffer error{};
  kvt_status status = kvt_tokenizer_from_vocabulary(&vocabulary, &handle, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, file.path());
  impl->handle.reset(handle);
  status = kvt_tokenizer_table(handle, &impl->table, &error);
  if (status != KVT_OK) return ffi::error_of(status, error, file.path());

  KVASIR_ASSIGN_OR_RETURN(impl->bos, token_id(file, "tokenizer.ggml.bos_token_id", impl->table.count));
  KVASIR_ASSIGN_OR_RETURN(impl->eos, token_id(file, "tokenizer.ggml.eos_token_id", impl->table.count));
  for (const std::string_view key : kEndKeys) {
    KVASIR_ASSIGN_OR_RETURN(const TokenId id, token_id(file, key, impl->table.count));
    add_end_token(impl->end_tokens, id);
  }
  add_end_names(*impl, impl->end_tokens);
  FillMiddle gap;
  const std::size_t count = impl->table.count;
  KVASIR_ASSIGN_OR_RETURN(gap.prefix, token_id(file, "tokenizer.ggml.fim_pre_token_id", count));
  KVASIR_ASSIGN_OR_RETURN(gap.suffix, token_id(file, "tokenizer.ggml.fim_suf_token_id", count));
  KVASIR_ASSIGN_OR_RETURN(gap.middle, token_id(file, "tokenizer.ggml.fim_mid_token_id", count));
  add_fill_middle(*impl, gap);
  impl->adds_bos = impl->bos != kNoToken &&
                   file.boolean("tokenizer.ggml.add_bos_token").value_or(adds_bos_by_default(*model, pre));
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_tokenizer_json(std::string_view json) {
  KVASIR_ASSIGN_OR_RETURN(auto impl, from_json(json, "tokenizer.json"));
  // The file names no roles; what its post-processor writes in front of every text is the beginning.
  impl->bos = impl->table.first_added;
  impl->adds_bos = impl->bos != kNoToken;
  add_end_names(*impl, impl->end_tokens);
  add_fill_middle(*impl);
  if (!impl->end_tokens.empty()) impl->eos = impl->end_tokens.front();
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace kvasir::text
