//! Rebuilds a Hugging Face tokenizer from the vocabulary that a GGUF file carries. The file is not trusted:
//! everything it says is checked before the library sees it.

use std::collections::HashMap;

use ahash::AHashMap;
use serde_json::{json, Value};
use tokenizers::models::bpe::BPE;
use tokenizers::{NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

use crate::tokenizer::{Kind, Parts};
use crate::{byte_level, fail, pre_tokenizers, Code, Outcome};

/// Longer entries are noise or an attack: the longest known (runs of spaces) have 1,024 bytes, and the
/// SentencePiece merges below cost the square of an entry's length.
const TOKEN_BYTES_MAX: usize = 2048;
const PIECE_BYTES_MAX: usize = 512;

/// The GGUF metadata, borrowed.
pub struct Vocabulary<'a> {
    pub model: &'a str,
    pub pre: &'a str,
    pub tokens: Vec<&'a str>,
    pub types: &'a [i32],
    pub scores: &'a [f32],
    pub merges: Vec<&'a str>,
    pub add_space_prefix: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl Vocabulary<'_> {
    pub fn build(&self) -> Outcome<Parts> {
        self.check_sizes()?;
        let types = self.token_types()?;
        let (model, recipe) = match self.model {
            "gpt2" => self.byte_level_bpe(&types)?,
            "llama" | "gemma4" => self.sentence_piece(&types)?,
            other => {
                return fail(
                    Code::Unsupported,
                    format!("tokenizer model '{other}' is not supported; this build knows 'gpt2' (BPE), 'llama' (SPM) and 'gemma4'"),
                )
            }
        };
        let mut base = Tokenizer::new(model);
        let wrong = |e: serde_json::Error| crate::Failure { code: Code::Internal, message: e.to_string() };
        if let Some(config) = recipe.normalizer {
            let normalizer: NormalizerWrapper = serde_json::from_value(config).map_err(wrong)?;
            if let Err(e) = base.with_normalizer(Some(normalizer)) {
                return fail(Code::Internal, format!("normalizer: {e}"));
            }
        }
        if let Some(config) = recipe.pre_tokenizer {
            let pre_tokenizer: PreTokenizerWrapper = serde_json::from_value(config).map_err(wrong)?;
            base.with_pre_tokenizer(Some(pre_tokenizer));
        }
        let spm = self.model != "gpt2";
        let bytes = self.tokens.iter().zip(&types).map(|(token, &t)| token_bytes(token, t, spm)).collect();
        let kinds = types.iter().map(|&t| kind_of(t)).collect();
        let added = self
            .tokens
            .iter()
            .zip(&types)
            .enumerate()
            .filter(|(_, (token, t))| matches!(t, Type::Control | Type::UserDefined) && !token.is_empty())
            .map(|(id, (token, &t))| (token.to_string(), id as u32, t == Type::Control))
            .collect();
        Ok(Parts { base, plain: None, bytes, kinds, added, first_added: -1 })
    }

    fn check_sizes(&self) -> Outcome<()> {
        let count = self.tokens.len();
        if count == 0 {
            return fail(Code::Corrupt, "the vocabulary is empty (tokenizer.ggml.tokens)");
        }
        for (what, size) in [("token_type", self.types.len()), ("scores", self.scores.len())] {
            if size != 0 && size != count {
                return fail(
                    Code::Corrupt,
                    format!("tokenizer.ggml.{what} has {size} entries for a vocabulary of {count} tokens"),
                );
            }
        }
        let limit = if self.model != "gpt2" { PIECE_BYTES_MAX } else { TOKEN_BYTES_MAX };
        match self.tokens.iter().position(|t| t.len() > limit) {
            Some(id) => fail(
                Code::Corrupt,
                format!("token {id} has {} bytes; no real token has more than {limit}", self.tokens[id].len()),
            ),
            None => Ok(()),
        }
    }

    fn token_types(&self) -> Outcome<Vec<Type>> {
        if self.types.is_empty() {
            return Ok(vec![Type::Normal; self.tokens.len()]);
        }
        self.types
            .iter()
            .enumerate()
            .map(|(id, t)| match t {
                // 0, "undefined", is written by some converters for ordinary tokens.
                0 | 1 => Ok(Type::Normal),
                2 => Ok(Type::Unknown),
                3 => Ok(Type::Control),
                4 => Ok(Type::UserDefined),
                5 => Ok(Type::Unused),
                6 => Ok(Type::Byte),
                other => fail(Code::Corrupt, format!("token {id} has the unknown type {other}")),
            })
            .collect()
    }

    fn byte_level_bpe(&self, types: &[Type]) -> Outcome<(BPE, Recipe)> {
        let Some(recipe) = pre_tokenizers::recipe(self.pre) else {
            return fail(
                Code::Unsupported,
                format!("pre-tokenizer '{}' (tokenizer.ggml.pre) is not supported by this build", self.pre),
            );
        };
        // Special tokens stay out of the model, so that no text can merge into one; the few user-defined tokens
        // that merges build on stay in.
        let mut vocab = AHashMap::with_capacity(self.tokens.len());
        for (id, token) in self.tokens.iter().enumerate() {
            if matches!(types[id], Type::Normal | Type::Byte) {
                vocab.entry(token.to_string()).or_insert(id as u32);
            }
        }
        let merges = self.ranked_merges(&mut vocab)?;
        let built = BPE::builder().vocab_and_merges(vocab, merges).ignore_merges(recipe.ignore_merges).build();
        let model = built.or_else(|e| fail(Code::Corrupt, format!("the vocabulary's merges do not fit it: {e}")))?;
        Ok((model, Recipe { normalizer: recipe.normalizer, pre_tokenizer: Some(recipe.pre_tokenizer) }))
    }

    /// The file's own merges, best first. Parts that `vocab` lacks but the file has are added to it.
    fn ranked_merges(&self, vocab: &mut AHashMap<String, u32>) -> Outcome<Vec<(String, String)>> {
        let all: HashMap<&str, u32> = self.tokens.iter().enumerate().map(|(id, t)| (*t, id as u32)).collect();
        let mut merges = Vec::with_capacity(self.merges.len());
        for (rank, line) in self.merges.iter().enumerate() {
            // A part may itself be a space, so the first character is never the separator.
            let first = line.chars().next().map_or(0, char::len_utf8);
            let Some(at) = line[first..].find(' ').map(|at| at + first) else {
                return fail(Code::Corrupt, format!("merge {rank} ('{line}') is not two tokens with a space between"));
            };
            let (left, right) = (&line[..at], &line[at + 1..]);
            let whole = format!("{left}{right}");
            for part in [left, right, whole.as_str()] {
                if vocab.contains_key(part) {
                    continue;
                }
                let Some(&id) = all.get(part) else {
                    return fail(
                        Code::Corrupt,
                        format!("merge {rank} ('{line}') needs '{part}', which is not in the vocabulary"),
                    );
                };
                vocab.insert(part.to_string(), id);
            }
            merges.push((left.to_string(), right.to_string()));
        }
        Ok(merges)
    }

    /// Pieces with '▁' for a space, and bytes for what no piece covers.
    fn sentence_piece(&self, types: &[Type]) -> Outcome<(BPE, Recipe)> {
        let mut vocab: AHashMap<String, u32> = AHashMap::with_capacity(self.tokens.len());
        let mut unknown = None;
        for (id, token) in self.tokens.iter().enumerate() {
            match types[id] {
                Type::Control => continue,
                Type::Unknown => unknown = Some(token.to_string()),
                _ => {}
            }
            vocab.entry(token.to_string()).or_insert(id as u32);
        }
        let merges = if self.model == "gemma4" {
            self.ranked_merges(&mut vocab)?
        } else {
            self.scored_merges(types, &vocab)?
        };
        let mut builder = BPE::builder().vocab_and_merges(vocab, merges).fuse_unk(true).byte_fallback(true);
        if let Some(token) = unknown {
            builder = builder.unk_token(token);
        }
        let model = builder.build().or_else(|e| fail(Code::Corrupt, format!("SentencePiece vocabulary: {e}")))?;
        let escape = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let normalizer = if self.add_space_prefix {
            json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, escape]})
        } else {
            escape
        };
        Ok((model, Recipe { normalizer: Some(normalizer), pre_tokenizer: None }))
    }

    /// SentencePiece BPE merges whatever adjacent pieces make the best-scored piece. Written as ranked merges:
    /// every way to cut a piece in two, in the order of the piece's score, then of the parts' ids, which is how
    /// the reference converter does it.
    fn scored_merges(&self, types: &[Type], vocab: &AHashMap<String, u32>) -> Outcome<Vec<(String, String)>> {
        if self.scores.is_empty() {
            return fail(Code::Corrupt, "a SentencePiece vocabulary needs scores (tokenizer.ggml.scores)");
        }
        if self.scores.iter().any(|s| s.is_nan()) {
            return fail(Code::Corrupt, "tokenizer.ggml.scores holds a value that is not a number");
        }
        let mut cuts: Vec<(f32, u32, u32, &str, &str)> = Vec::new();
        for (id, token) in self.tokens.iter().enumerate() {
            if !matches!(types[id], Type::Normal | Type::UserDefined | Type::Unused) {
                continue;
            }
            for (at, _) in token.char_indices().skip(1) {
                let (left, right) = token.split_at(at);
                if let (Some(&l), Some(&r)) = (vocab.get(left), vocab.get(right)) {
                    cuts.push((self.scores[id], l, r, left, right));
                }
            }
        }
        cuts.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        Ok(cuts.iter().map(|(_, _, _, l, r)| (l.to_string(), r.to_string())).collect())
    }
}

/// Configurations in tokenizer.json's own form.
struct Recipe {
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
}

fn kind_of(t: Type) -> Kind {
    match t {
        Type::Normal | Type::Byte => Kind::Normal,
        Type::Unknown | Type::Control => Kind::Special,
        Type::UserDefined => Kind::Added,
        Type::Unused => Kind::Unused,
    }
}

/// What a token adds to the text. Unused entries only pad the table to the size of the model's output.
fn token_bytes(token: &str, t: Type, spm: bool) -> Vec<u8> {
    match t {
        Type::Control | Type::Unknown | Type::UserDefined => token.as_bytes().to_vec(),
        Type::Unused if !spm => Vec::new(),
        Type::Byte => piece_byte(token).map_or_else(|| token.as_bytes().to_vec(), |b| vec![b]),
        _ if spm => token.replace('▁', " ").into_bytes(),
        _ => byte_level::decode(token),
    }
}

/// The byte that a SentencePiece entry such as `<0x0A>` stands for.
pub fn piece_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() != 2 {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}
