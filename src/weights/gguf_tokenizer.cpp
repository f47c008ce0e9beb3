// A folder's tokenizer.json as GGUF's vocabulary.

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <string>

#include "weights/folder_data.h"
#include "weights/gguf_export.h"

namespace kvasir::weights {
namespace {

namespace json = boost::json;

enum TokenKind : std::int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// Every distinct way of cutting words that text-ffi/src/pre_tokenizers.rs knows, the commonest first.
constexpr std::string_view kByteLevelPres[] = {
    "qwen2",       "llama-bpe",      "gpt-2",        "smollm", "tekken", "gpt-4o", "dbrx",  "starcoder",
    "deepseek-v3", "deepseek-coder", "deepseek-llm", "falcon", "qwen35", "glm4",   "refact"};

struct Vocabulary {
  std::vector<std::string> tokens;
  std::vector<std::int32_t> kinds;
  std::vector<std::string> merges;
  std::vector<float> scores;
  bool bytes_fall_back = false;
};

Error unsupported(const Checkpoint& folder, const std::string& what) {
  return make_error(ErrorCode::kUnsupported, folder.path() + "/tokenizer.json: " + what, folder.path());
}

const json::object* model_of(const json::value& parsed) {
  const json::object* o = parsed.if_object();
  return o != nullptr ? object_field(*o, "model") : nullptr;
}

// Room for token `id`, of those that the output layer has.
bool place(Vocabulary& v, std::int64_t id, std::string_view text, TokenKind kind) {
  if (id < 0 || static_cast<std::size_t>(id) >= v.tokens.size()) return false;
  v.tokens[static_cast<std::size_t>(id)] = text;
  v.kinds[static_cast<std::size_t>(id)] = kind;
  return true;
}

bool is_byte_piece(std::string_view t) {
  return t.size() == 6 && t.starts_with("<0x") && t.ends_with('>');
}

Status read_merges(const json::object& model, const Checkpoint& folder, Vocabulary& v) {
  const json::value* merges = field(model, "merges");
  if (merges == nullptr || !merges->is_array()) return unsupported(folder, "it has no merges");
  for (const json::value& m : merges->get_array()) {
    if (m.is_string()) {
      v.merges.emplace_back(m.get_string());
      continue;
    }
    const json::array* pair = m.if_array();
    if (pair == nullptr || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_string())
      return unsupported(folder, "a merge is not two tokens");
    v.merges.push_back(std::string((*pair)[0].get_string()) + " " + std::string((*pair)[1].get_string()));
  }
  return {};
}

// SentencePiece goes by scores: the piece that is merged first has the best.
void set_scores(Vocabulary& v) {
  constexpr float kNever = -1e9F;
  std::map<std::string, float> ranks;
  for (std::size_t i = 0; i < v.merges.size(); ++i) {
    std::string whole = v.merges[i];
    const std::size_t space = whole.find(' ', 1);
    if (space != std::string::npos) whole.erase(space, 1);
    ranks.emplace(std::move(whole), -static_cast<float>(i));
  }
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    const auto found = ranks.find(v.tokens[i]);
    const bool piece = v.kinds[i] == kNormal;
    v.scores.push_back(!piece ? 0 : found != ranks.end() ? found->second : kNever);
  }
}

Result<Vocabulary> read(const Checkpoint& folder) {
  boost::system::error_code failed;
  const json::value parsed = json::parse(*folder.string("tokenizer.huggingface.json"), failed);
  const json::object* model = failed ? nullptr : model_of(parsed);
  if (model == nullptr) return unsupported(folder, "it is not a tokenizer's JSON");
  const json::object* vocab = object_field(*model, "vocab");
  if (text_field(*model, "type") != "BPE" || vocab == nullptr) {
    return unsupported(folder, "GGUF has a form for BPE vocabularies; this one is '" +
                                   std::string(text_field(*model, "type")) + "'");
  }
  Vocabulary v;
  const json::value* fallback = field(*model, "byte_fallback");
  v.bytes_fall_back = fallback != nullptr && fallback->is_bool() && fallback->get_bool();
  const TensorInfo* embedding = folder.tensor("token_embd.weight");
  const std::size_t size = embedding != nullptr ? static_cast<std::size_t>(embedding->rows()) : 0;
  for (std::size_t i = 0; i < size; ++i) v.tokens.push_back("[PAD" + std::to_string(i) + "]");
  v.kinds.assign(size, kUnused);
  const std::string_view unknown = text_field(*model, "unk_token");
  for (const auto& [text, id] : *vocab) {
    const std::string_view t = text;
    const TokenKind kind = v.bytes_fall_back && is_byte_piece(t) ? kByte
                           : v.bytes_fall_back && t == unknown   ? kUnknown
                                                                 : kNormal;
    if (!id.is_int64() || !place(v, id.get_int64(), t, kind))
      return unsupported(folder, "token '" + std::string(t) + "' is outside the output layer");
  }
  const json::value* added = field(parsed.get_object(), "added_tokens");
  for (const json::value& item : added != nullptr && added->is_array() ? added->get_array() : json::array()) {
    const json::object* o = item.if_object();
    const auto id = o != nullptr ? number_field(*o, "id") : std::nullopt;
    if (!id) continue;
    const std::string_view text = text_field(*o, "content");
    const json::value* special = field(*o, "special");
    const bool control = special != nullptr && special->is_bool() && special->get_bool();
    const bool is_unknown = v.bytes_fall_back && text == unknown;
    // Some tokenizers know more tokens than the model has: those cannot be written, nor ever meant.
    place(v, static_cast<std::int64_t>(*id), text, is_unknown ? kUnknown : control ? kControl : kUserDefined);
  }
  KVASIR_RETURN_IF_ERROR(read_merges(*model, folder, v));
  if (v.bytes_fall_back) set_scores(v);
  return v;
}

std::int32_t find_token(const Vocabulary& v, std::string_view text) {
  const auto found = std::ranges::find(v.tokens, text);
  return found == v.tokens.end() ? -1 : static_cast<std::int32_t>(found - v.tokens.begin());
}

void set_roles(GgufWriter& out, const Checkpoint& folder, const Vocabulary& v, bool adds_bos) {
  const auto role = [&](std::string_view text_key, std::string_view id_key, const std::string& out_key) {
    const auto text = folder.string(text_key);
    const std::int32_t named = text ? find_token(v, *text) : -1;
    const auto id = folder.integer(id_key);
    if (named >= 0)
      out.set_u32(out_key, static_cast<std::uint32_t>(named));
    else if (id && *id < v.tokens.size())
      out.set_u32(out_key, static_cast<std::uint32_t>(*id));
  };
  role("kvasir.bos_token", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.bos_token_id");
  role("kvasir.eos_token", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eos_token_id");
  out.set_bool("tokenizer.ggml.add_bos_token", adds_bos);
  if (const auto source = folder.string("tokenizer.chat_template"))
    out.set_text("tokenizer.chat_template", *source);
}

// Whether the tokenizer itself puts a token in front of every text.
bool adds_bos(const Checkpoint& folder) {
  if (folder.boolean("tokenizer.ggml.add_bos_token").value_or(false)) return true;
  boost::system::error_code failed;
  const json::value parsed = json::parse(*folder.string("tokenizer.huggingface.json"), failed);
  const json::object* post = failed ? nullptr : object_field(parsed.get_object(), "post_processor");
  if (post == nullptr) return false;
  const std::string text = json::serialize(*post);
  const std::size_t single = text.find("\"single\":[{\"SpecialToken\"");
  return single != std::string::npos;
}

}  // namespace

std::vector<std::string> tokenizer_pres(const Checkpoint& folder) {
  const auto vocabulary = read(folder);
  if (vocabulary.ok() && vocabulary->bytes_fall_back) return {"default"};
  return {std::begin(kByteLevelPres), std::end(kByteLevelPres)};
}

Status set_tokenizer(GgufWriter& out, const Checkpoint& folder, std::string_view pre) {
  KVASIR_ASSIGN_OR_RETURN(const Vocabulary v, read(folder));
  out.set_text("tokenizer.ggml.model", v.bytes_fall_back ? "llama" : "gpt2");
  out.set_text("tokenizer.ggml.pre", pre);
  out.set_texts("tokenizer.ggml.tokens", v.tokens);
  out.set_i32s("tokenizer.ggml.token_type", v.kinds);
  if (v.bytes_fall_back) {
    out.set_f32s("tokenizer.ggml.scores", v.scores);
    const bool prefix =
        folder.string("tokenizer.huggingface.json")->find("\"Prepend\"") != std::string_view::npos ||
        folder.string("tokenizer.huggingface.json")->find("\"prepend_scheme\":\"first\"") !=
            std::string_view::npos;
    out.set_bool("tokenizer.ggml.add_space_prefix", prefix);
  } else {
    out.set_texts("tokenizer.ggml.merges", v.merges);
  }
  set_roles(out, folder, v, adds_bos(folder));
  return {};
}

}  // namespace kvasir::weights
