// The C face of the Rust crate text-ffi: tokenizers, chat templates, grammars and the text of PDFs.
//
// Rules of the whole face:
// - Every call returns a kvt_status. On anything but KVT_OK, `error` (which may be null) receives a sentence
//   that the caller frees with kvt_buffer_free; outputs are left untouched.
// - Handles are opaque. Tokenizers, templates and grammar factories are immutable and may be used from any
//   thread at once; a grammar matcher belongs to one caller at a time.
// - A panic inside never crosses this face: it becomes KVT_INTERNAL.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum kvt_status {
  KVT_OK = 0,
  KVT_INVALID = 1,      // the caller's input is wrong
  KVT_CORRUPT = 2,      // a vocabulary, tokenizer.json, template or PDF is malformed
  KVT_UNSUPPORTED = 3,  // a tokenizer model or pre-tokenizer that this build does not know; a PDF without
                        // text or with a password
  KVT_INTERNAL = 4      // a bug
} kvt_status;

// Bytes that the caller owns and keeps alive during the call. `data` may be null when `size` is 0.
typedef struct kvt_text {
  const char* data;
  size_t size;
} kvt_text;

// Bytes that the crate allocated; returned with kvt_buffer_free. Zeroed = empty.
typedef struct kvt_buffer {
  uint8_t* data;
  size_t size;
  size_t capacity;
} kvt_buffer;

typedef struct kvt_ids {
  uint32_t* data;
  size_t size;
  size_t capacity;
} kvt_ids;

void kvt_buffer_free(kvt_buffer buffer);
void kvt_ids_free(kvt_ids ids);

// ---- Tokenizer ----

typedef struct kvt_tokenizer kvt_tokenizer;

// A vocabulary as GGUF metadata holds it. Arrays other than `tokens` may be null with a size of 0.
typedef struct kvt_vocabulary {
  kvt_text model;  // "gpt2" (byte-level BPE), "llama" (SentencePiece BPE) or "gemma4"
  kvt_text pre;    // name of the pre-tokenizer; may be empty
  const kvt_text* tokens;
  size_t token_count;
  const int32_t* types;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte; token_count or 0
  size_t type_count;
  const float* scores;
  size_t score_count;
  const kvt_text* merges;  // "left right"
  size_t merge_count;
  int32_t add_space_prefix;  // SentencePiece: a space before every stretch of text
} kvt_vocabulary;

kvt_status kvt_tokenizer_from_vocabulary(const kvt_vocabulary* vocabulary, kvt_tokenizer** out,
                                         kvt_buffer* error);
kvt_status kvt_tokenizer_from_json(kvt_text json, kvt_tokenizer** out, kvt_buffer* error);
// The tokenizer as a tokenizer.json; `bos`: the token in front of every text, or -1.
kvt_status kvt_tokenizer_to_json(const kvt_tokenizer* tokenizer, int32_t bos, kvt_buffer* out,
                                 kvt_buffer* error);
void kvt_tokenizer_free(kvt_tokenizer* tokenizer);

// What a token is.
enum { KVT_TOKEN_NORMAL = 0, KVT_TOKEN_SPECIAL = 1, KVT_TOKEN_ADDED = 2, KVT_TOKEN_UNUSED = 3 };

// Tables that live as long as the tokenizer: token i is bytes[offsets[i], offsets[i + 1]).
typedef struct kvt_token_table {
  const uint8_t* bytes;
  const uint32_t* offsets;  // count + 1
  const uint8_t* kinds;     // KVT_TOKEN_*
  size_t count;
  int32_t first_added;  // what the tokenizer's own post-processor puts in front of every text, or -1
} kvt_token_table;

kvt_status kvt_tokenizer_table(const kvt_tokenizer* tokenizer, kvt_token_table* out, kvt_buffer* error);

// `text` need not be UTF-8. parse_special: special tokens' text becomes the token.
kvt_status kvt_tokenizer_encode(const kvt_tokenizer* tokenizer, kvt_text text, int32_t parse_special,
                                kvt_ids* out, kvt_buffer* error);
// The special or added token of exactly this text, or -1.
kvt_status kvt_tokenizer_find(const kvt_tokenizer* tokenizer, kvt_text text, int32_t* out, kvt_buffer* error);

// ---- Chat template ----

typedef struct kvt_template kvt_template;

kvt_status kvt_template_compile(kvt_text source, kvt_template** out, kvt_buffer* error);
void kvt_template_free(kvt_template* chat_template);
kvt_status kvt_template_render(const kvt_template* chat_template, kvt_text context_json,
                               int64_t now_unix_seconds, kvt_buffer* out, kvt_buffer* error);

// ---- Grammar ----

typedef struct kvt_grammar_factory kvt_grammar_factory;
typedef struct kvt_matcher kvt_matcher;

kvt_status kvt_grammar_factory_create(const kvt_tokenizer* tokenizer, const uint32_t* end_tokens,
                                      size_t end_token_count, kvt_grammar_factory** out, kvt_buffer* error);
void kvt_grammar_factory_free(kvt_grammar_factory* factory);

enum { KVT_GRAMMAR_LARK = 0, KVT_GRAMMAR_JSON_SCHEMA = 1 };

kvt_status kvt_grammar_compile(const kvt_grammar_factory* factory, int32_t kind, kvt_text source,
                               kvt_matcher** out, kvt_buffer* error);

void kvt_matcher_free(kvt_matcher* matcher);
// The words live in the matcher until its next call.
kvt_status kvt_matcher_mask(kvt_matcher* matcher, const uint32_t** words, size_t* word_count,
                            kvt_buffer* error);
kvt_status kvt_matcher_accept(kvt_matcher* matcher, uint32_t token, kvt_buffer* error);
// The bytes that must come next, up to the first special token; may be none.
kvt_status kvt_matcher_forced(kvt_matcher* matcher, kvt_buffer* out, kvt_buffer* error);
kvt_status kvt_matcher_is_accepting(kvt_matcher* matcher, int32_t* out, kvt_buffer* error);
kvt_status kvt_matcher_is_stopped(kvt_matcher* matcher, int32_t* out, kvt_buffer* error);
kvt_status kvt_matcher_clone(const kvt_matcher* matcher, kvt_matcher** out, kvt_buffer* error);

// ---- PDF ----

// The text of `pdf`, a stretch for each page; over a limit KVT_INVALID. The same bytes give the same text.
// Bound time and memory from outside: pdf.rs says what is not bounded here.
kvt_status kvt_pdf_text(kvt_text pdf, size_t pages_max, size_t text_bytes_max, kvt_buffer* out,
                        kvt_buffer* error);
// From now on the crate allocates at most that many bytes more in this process; what would exceed it aborts.
void kvt_memory_confine(size_t bytes);

#ifdef __cplusplus
}
#endif
