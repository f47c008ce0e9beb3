//! Text to tokens. Special tokens are cut out first, here; what stands between them goes through the Hugging
//! Face tokenizer, whose result for a stretch depends on nothing around it and can therefore be remembered.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::value::RawValue;
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::segment_cache::SegmentCache;
use crate::vocabulary::{piece_byte, Vocabulary};
use crate::{byte_level, fail, free_handle, guard, slice, Code, Outcome, Owned, Text};

/// Values of `KVT_TOKEN_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Normal = 0,
    Special = 1,
    Added = 2,
    Unused = 3,
}

/// What a source of vocabulary (GGUF metadata, tokenizer.json) gives.
pub struct Parts {
    /// Knows no added tokens when `plain` is None.
    pub base: Tokenizer,
    /// Where the added tokens have rules of their own (stripping, whole words, normalised matching), the library
    /// matches them itself: `base` parses special tokens, this one takes them as text.
    pub plain: Option<Tokenizer>,
    pub bytes: Vec<Vec<u8>>,
    pub kinds: Vec<Kind>,
    pub added: Vec<(String, u32, bool)>, // text, id, special
    pub first_added: i32,
}

pub struct TextTokenizer {
    base: Tokenizer,
    plain: Option<Tokenizer>,
    parse_all: Matcher,
    parse_ordinary: Matcher,
    cache: SegmentCache,
    added: HashMap<String, u32>,
    pub bytes: Vec<u8>,
    pub offsets: Vec<u32>,
    pub kinds: Vec<Kind>,
    first_added: i32,
}

/// One character of every UTF-8 length, control characters, marks, and the last code point.
const PROBE: &str = "a \0\n\u{7f}é\u{301}天🙂\u{fffd}\u{10ffff}";

/// Finds added tokens in text: leftmost, then longest, as the library does.
struct Matcher {
    automaton: Option<AhoCorasick>,
    ids: Vec<u32>,
}

impl Matcher {
    fn new(tokens: &[&(String, u32, bool)]) -> Outcome<Self> {
        let ids = tokens.iter().map(|t| t.1).collect();
        if tokens.is_empty() {
            return Ok(Matcher { automaton: None, ids });
        }
        match AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(tokens.iter().map(|t| &t.0)) {
            Ok(automaton) => Ok(Matcher { automaton: Some(automaton), ids }),
            Err(e) => fail(Code::Corrupt, format!("cannot search for the {} added tokens: {e}", tokens.len())),
        }
    }
}

impl TextTokenizer {
    fn new(parts: Parts) -> Outcome<Self> {
        let total: usize = parts.bytes.iter().map(Vec::len).sum();
        if parts.bytes.len() > i32::MAX as usize || total > u32::MAX as usize {
            return fail(Code::Corrupt, format!("the vocabulary's {} tokens hold {total} bytes", parts.bytes.len()));
        }
        let mut bytes = Vec::with_capacity(total);
        let mut offsets = Vec::with_capacity(parts.bytes.len() + 1);
        offsets.push(0);
        for token in &parts.bytes {
            bytes.extend_from_slice(token);
            offsets.push(bytes.len() as u32);
        }
        let all: Vec<_> = parts.added.iter().collect();
        let ordinary: Vec<_> = parts.added.iter().filter(|t| !t.2).collect();
        let tokenizer = TextTokenizer {
            parse_all: Matcher::new(&all)?,
            parse_ordinary: Matcher::new(&ordinary)?,
            base: parts.base,
            plain: parts.plain,
            cache: SegmentCache::new(),
            added: parts.added.iter().map(|(text, id, _)| (text.clone(), *id)).collect(),
            bytes,
            offsets,
            kinds: parts.kinds,
            first_added: parts.first_added,
        };
        // encode has no way to fail for its callers: a vocabulary that cannot take any text is refused here.
        for special in [false, true] {
            if let Err(e) = tokenizer.encode(PROBE, special) {
                return fail(Code::Corrupt, format!("the vocabulary does not take every text: {}", e.message));
            }
        }
        Ok(tokenizer)
    }

    pub fn token(&self, id: usize) -> &[u8] {
        &self.bytes[self.offsets[id] as usize..self.offsets[id + 1] as usize]
    }

    /// The library's own form, with the added tokens that are matched here put back. They go into the model's
    /// vocabulary as well: the library gives a new token the next free number, which need not be its own.
    fn to_json(&self, bos: i32) -> Outcome<String> {
        let wrong = |e: String| crate::Failure { code: Code::Internal, message: format!("tokenizer.json: {e}") };
        let text = self.base.to_string(false).map_err(|e| wrong(e.to_string()))?;
        let mut json: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let mut added: Vec<(&String, &u32)> = self.added.iter().collect();
        added.sort_by_key(|(_, id)| **id);
        if self.plain.is_none() {
            let Some(vocab) = json["model"]["vocab"].as_object_mut() else {
                return fail(Code::Unsupported, "the tokenizer's model has no vocabulary");
            };
            for (content, id) in &added {
                vocab.insert(content.to_string(), Value::from(**id));
            }
            let listed = added.iter().map(|(content, id)| {
                let special = self.kinds[**id as usize] == Kind::Special;
                serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                                   "normalized": false, "special": special})
            });
            json["added_tokens"] = listed.collect();
        }
        if json["decoder"].is_null() {
            json["decoder"] = if json["model"]["byte_fallback"] == Value::Bool(true) {
                serde_json::json!({"type": "Sequence", "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})
            } else {
                serde_json::json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})
            };
        }
        if bos >= 0 && (bos as usize) < self.kinds.len() && json["post_processor"].is_null() {
            let name = String::from_utf8_lossy(self.token(bos as usize)).into_owned();
            let first = serde_json::json!({"SpecialToken": {"id": name, "type_id": 0}});
            json["post_processor"] = serde_json::json!({
                "type": "TemplateProcessing",
                "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {name.clone(): {"id": name, "ids": [bos], "tokens": [name]}}});
        }
        serde_json::to_string(&json).map_err(|e| wrong(e.to_string()))
    }

    fn encode(&self, text: &str, parse_special: bool) -> Outcome<Vec<u32>> {
        if let Some(plain) = &self.plain {
            return run(if parse_special { &self.base } else { plain }, text);
        }
        let matcher = if parse_special { &self.parse_all } else { &self.parse_ordinary };
        let mut ids = Vec::with_capacity(text.len() / 3 + 8);
        let mut from = 0;
        if let Some(automaton) = &matcher.automaton {
            for found in automaton.find_iter(text) {
                self.encode_segment(&text[from..found.start()], &mut ids)?;
                ids.push(matcher.ids[found.pattern().as_usize()]);
                from = found.end();
            }
        }
        self.encode_segment(&text[from..], &mut ids)?;
        Ok(ids)
    }

    fn encode_segment(&self, segment: &str, ids: &mut Vec<u32>) -> Outcome<()> {
        if segment.is_empty() {
            return Ok(());
        }
        self.cache.get_or(segment, |text| run(&self.base, text), ids)
    }
}

fn run(tokenizer: &Tokenizer, text: &str) -> Outcome<Vec<u32>> {
    match tokenizer.encode_fast(text, false) {
        Ok(encoding) => Ok(encoding.get_ids().to_vec()),
        Err(e) => fail(Code::Internal, format!("cannot tokenise a text of {} bytes: {e}", text.len())),
    }
}

/// The fields of a tokenizer.json, as text: a vocabulary as a tree of values takes ten times its file.
struct Fields(BTreeMap<String, Box<RawValue>>);

impl Fields {
    fn read(text: &str) -> Outcome<Self> {
        let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(bad_json)?;
        // Requests decide about length themselves.
        fields.remove("truncation");
        fields.remove("padding");
        Ok(Fields(fields))
    }

    /// A small field, as values.
    fn value(&self, name: &str) -> Outcome<Value> {
        self.0.get(name).map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get()).map_err(bad_json))
    }

    fn load(&self) -> Outcome<Tokenizer> {
        let text = serde_json::to_string(&self.0).map_err(bad_json)?;
        serde_json::from_str(&text).map_err(bad_json)
    }

    fn without_added_tokens(mut self) -> Outcome<Self> {
        let none = RawValue::from_string("[]".into()).map_err(bad_json)?;
        self.0.insert("added_tokens".into(), none);
        Ok(self)
    }
}

fn bad_json(e: serde_json::Error) -> crate::Failure {
    crate::Failure { code: Code::Corrupt, message: format!("tokenizer.json: {e}") }
}

/// From a tokenizer.json. Added tokens with plain rules, which all current chat models have, are taken out of the
/// library's hands (see Parts::plain).
fn from_json(text: &str) -> Outcome<Parts> {
    let fields = Fields::read(text)?;
    let mut full = fields.load()?;
    let first_added = match full.encode_fast("", true) {
        Ok(encoding) => encoding.get_ids().first().map_or(-1, |&id| id as i32),
        Err(_) => -1,
    };
    let decoder = full.get_added_tokens_decoder();
    let mut added: Vec<(String, u32, bool)> =
        decoder.iter().map(|(&id, t)| (t.content.clone(), id, t.special)).filter(|t| !t.0.is_empty()).collect();
    added.sort_by_key(|t| t.1);
    let pre_tokenizer = fields.value("pre_tokenizer")?;
    let byte_level = mentions_byte_level(&pre_tokenizer) || mentions_byte_level(&fields.value("decoder")?);
    let (bytes, kinds) = token_tables(&full, byte_level, &added)?;

    let positional = pre_tokenizer.to_string() + &fields.value("normalizer")?.to_string();
    let simple = decoder.values().all(|t| !t.normalized && !t.lstrip && !t.rstrip && !t.single_word)
        && !positional.contains("\"prepend_scheme\":\"first\"");
    if simple {
        drop(full);
        let base = fields.without_added_tokens()?.load()?;
        return Ok(Parts { base, plain: None, bytes, kinds, added, first_added });
    }
    let mut plain = fields.load()?;
    plain.set_encode_special_tokens(true);
    full.set_encode_special_tokens(false);
    Ok(Parts { base: full, plain: Some(plain), bytes, kinds, added, first_added })
}

fn token_tables(
    tokenizer: &Tokenizer,
    byte_level: bool,
    added: &[(String, u32, bool)],
) -> Outcome<(Vec<Vec<u8>>, Vec<Kind>)> {
    let vocab = tokenizer.get_vocab(true);
    let Some(&last) = vocab.values().max() else {
        return fail(Code::Corrupt, "tokenizer.json: the vocabulary is empty");
    };
    let count = last as usize + 1;
    if count > 16 * (vocab.len() + 1024) {
        return fail(
            Code::Corrupt,
            format!("tokenizer.json: {} tokens, but the highest id is {last}", vocab.len()),
        );
    }
    let mut bytes = vec![Vec::new(); count];
    let mut kinds = vec![Kind::Unused; count];
    for (token, &id) in &vocab {
        kinds[id as usize] = Kind::Normal;
        bytes[id as usize] = if byte_level {
            byte_level::decode(token)
        } else if let Some(byte) = piece_byte(token) {
            vec![byte]
        } else {
            token.replace('▁', " ").into_bytes()
        };
    }
    for (text, id, special) in added {
        kinds[*id as usize] = if *special { Kind::Special } else { Kind::Added };
        bytes[*id as usize] = text.as_bytes().to_vec();
    }
    Ok((bytes, kinds))
}

fn mentions_byte_level(step: &Value) -> bool {
    match step {
        Value::Object(fields) => {
            fields.get("type").and_then(Value::as_str) == Some("ByteLevel")
                || fields.values().any(mentions_byte_level)
        }
        Value::Array(steps) => steps.iter().any(mentions_byte_level),
        _ => false,
    }
}

// ---- The C face ----

#[repr(C)]
pub struct CVocabulary {
    model: Text,
    pre: Text,
    tokens: *const Text,
    token_count: usize,
    types: *const i32,
    type_count: usize,
    scores: *const f32,
    score_count: usize,
    merges: *const Text,
    merge_count: usize,
    add_space_prefix: i32,
}

#[repr(C)]
pub struct TokenTable {
    bytes: *const u8,
    offsets: *const u32,
    kinds: *const Kind,
    count: usize,
    first_added: i32,
}

unsafe fn texts<'a>(data: *const Text, size: usize, what: &str) -> Outcome<Vec<&'a str>> {
    slice(data, size).iter().enumerate().map(|(i, t)| t.utf8(&format!("{what} {i}"))).collect()
}

#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_from_vocabulary(
    vocabulary: *const CVocabulary,
    out: *mut *mut TextTokenizer,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let c = &*vocabulary;
        let vocabulary = Vocabulary {
            model: c.model.utf8("tokenizer.ggml.model")?,
            pre: c.pre.utf8("tokenizer.ggml.pre")?,
            tokens: texts(c.tokens, c.token_count, "token")?,
            types: slice(c.types, c.type_count),
            scores: slice(c.scores, c.score_count),
            merges: texts(c.merges, c.merge_count, "merge")?,
            add_space_prefix: c.add_space_prefix != 0,
        };
        out.write(Box::into_raw(Box::new(TextTokenizer::new(vocabulary.build()?)?)));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_from_json(
    json: Text,
    out: *mut *mut TextTokenizer,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let parts = from_json(json.utf8("tokenizer.json")?)?;
        out.write(Box::into_raw(Box::new(TextTokenizer::new(parts)?)));
        Ok(())
    })
}

/// As a tokenizer.json; `bos`: the token in front of every text, or -1.
#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_to_json(
    tokenizer: *const TextTokenizer,
    bos: i32,
    out: *mut Owned<u8>,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        out.write(Owned::new((*tokenizer).to_json(bos)?.into_bytes()));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_free(tokenizer: *mut TextTokenizer) {
    free_handle(tokenizer);
}

#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_table(
    tokenizer: *const TextTokenizer,
    out: *mut TokenTable,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let t = &*tokenizer;
        out.write(TokenTable {
            bytes: t.bytes.as_ptr(),
            offsets: t.offsets.as_ptr(),
            kinds: t.kinds.as_ptr(),
            count: t.kinds.len(),
            first_added: t.first_added,
        });
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_encode(
    tokenizer: *const TextTokenizer,
    text: Text,
    parse_special: i32,
    out: *mut Owned<u32>,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let text = String::from_utf8_lossy(text.bytes());
        out.write(Owned::new((*tokenizer).encode(&text, parse_special != 0)?));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_tokenizer_find(
    tokenizer: *const TextTokenizer,
    text: Text,
    out: *mut i32,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let id = std::str::from_utf8(text.bytes()).ok().and_then(|t| (*tokenizer).added.get(t));
        out.write(id.map_or(-1, |&id| id as i32));
        Ok(())
    })
}
