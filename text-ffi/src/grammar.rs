//! Which tokens may come next: llguidance over the tokenizer's own table of token bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::{ApproximateTokEnv, InferenceCapabilities, TokRxInfo, TokTrie};

use crate::tokenizer::{Kind, TextTokenizer};
use crate::{fail, free_handle, guard, slice, Code, Outcome, Owned, Text};

/// Compiled grammars kept; one is some hundred kilobytes. An agent's tool list changes seldom.
const COMPILED_MAX: usize = 64;

/// The engine reads grammars by recursion, so that a hostile one could run through a thread's own stack.
const COMPILE_STACK_BYTES: usize = 256 << 20; // touched only as far as it is needed

/// Lexer states of one matcher, each one or two kilobytes. A schema of a hundred fields takes some thousands; an
/// expression like `.*a.{30}` would take all that it is given.
const LEXER_STATES_MAX: usize = 50_000;

/// Work on one mask: about 15 ms. Where a grammar is ambiguous at every character, masks take many items.
const MASK_ITEMS_MAX: usize = 300_000;

/// Kind and source.
type Key = (i32, Box<str>);

pub struct GrammarFactory {
    parsers: ParserFactory,
    vocab_size: usize,
    compiled: Mutex<Compiled>,
}

/// Pristine matchers by content. When full, the one used longest ago goes.
#[derive(Default)]
struct Compiled {
    entries: HashMap<Key, (Arc<Matcher>, u64)>,
    uses: u64,
}

pub struct GrammarMatcher {
    matcher: Matcher,
    vocab_size: usize,
    mask: Vec<u32>,
}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    fn moved_between_threads<T: Send>() {}
    shared_between_threads::<GrammarFactory>();
    moved_between_threads::<GrammarMatcher>();
};

impl GrammarFactory {
    fn new(tokenizer: &TextTokenizer, end_tokens: &[u32]) -> Outcome<Self> {
        let count = tokenizer.kinds.len();
        if end_tokens.is_empty() {
            return fail(Code::Invalid, "the vocabulary names no end token, so no grammar could ever end");
        }
        if let Some(id) = end_tokens.iter().find(|&&id| id as usize >= count) {
            return fail(Code::Invalid, format!("end token {id} is outside the vocabulary of {count} tokens"));
        }
        // Special tokens are set apart by a byte that no text has: no string of a grammar can produce them, only
        // their name. Added tokens that are text (<tool_call> in Qwen) stay text.
        let words: Vec<Vec<u8>> = (0..count)
            .map(|id| {
                let bytes = tokenizer.token(id);
                match tokenizer.kinds[id] {
                    Kind::Unused => Vec::new(),
                    Kind::Special => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
                    // A lone 0xFF byte token would look like the marker; it is in no valid text.
                    _ if bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER) => Vec::new(),
                    _ => bytes.to_vec(),
                }
            })
            .collect();
        let trie = TokTrie::from(&TokRxInfo::new(count as u32, end_tokens[0]), &words).with_eos_tokens(end_tokens);
        let environment: toktrie::TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let slices = llguidance::earley::SlicedBiasComputer::general_slices();
        match ParserFactory::new(&environment, InferenceCapabilities::default(), &slices) {
            Ok(mut parsers) => {
                parsers.quiet();
                parsers.limits_mut().max_lexer_states = LEXER_STATES_MAX;
                parsers.limits_mut().step_max_items = MASK_ITEMS_MAX;
                Ok(GrammarFactory { parsers, vocab_size: count, compiled: Mutex::default() })
            }
            Err(e) => fail(Code::Internal, format!("cannot set up grammars for this vocabulary: {e}")),
        }
    }

    fn compile(&self, kind: i32, source: &str) -> Outcome<GrammarMatcher> {
        let key: Key = (kind, source.into());
        let found = self.compiled().get(&key);
        let pristine = match found {
            Some(matcher) => matcher,
            None => {
                let matcher = Arc::new(self.compile_aside(kind, source)?);
                self.compiled().put(key, matcher.clone());
                matcher
            }
        };
        // Deep: a request whose text makes the lexer's tables grow to their limit must not spoil the next one.
        Ok(GrammarMatcher { matcher: pristine.deep_clone(), vocab_size: self.vocab_size, mask: Vec::new() })
    }

    fn compile_aside(&self, kind: i32, source: &str) -> Outcome<Matcher> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .stack_size(COMPILE_STACK_BYTES)
                .spawn_scoped(scope, || self.compile_new(kind, source));
            match thread.map(|t| t.join()) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => fail(Code::Internal, "the grammar engine panicked while compiling"),
                Err(e) => fail(Code::Internal, format!("no thread to compile the grammar on: {e}")),
            }
        })
    }

    fn compile_new(&self, kind: i32, source: &str) -> Outcome<Matcher> {
        let grammar = if kind == 0 {
            TopLevelGrammar::from_lark(source.to_string())
        } else {
            match serde_json::from_str(source) {
                Ok(schema) => TopLevelGrammar::from_json_schema(schema),
                Err(e) => return fail(Code::Invalid, format!("the JSON schema is not valid JSON: {e}")),
            }
        };
        let mut matcher = Matcher::new(self.parsers.create_parser(grammar));
        if let Some(words) = matcher.get_error() {
            return fail(Code::Invalid, format!("the grammar does not compile: {}", without_state(&words)));
        }
        // A grammar that no text satisfies ({"$ref": "#"}) compiles, and shows only in its first mask.
        match matcher.compute_mask_or_eos() {
            Ok(_) => Ok(matcher),
            Err(e) if is_limit(&e.to_string()) => broken(e),
            Err(e) => fail(Code::Invalid, format!("the grammar admits no text: {}", without_state(&e.to_string()))),
        }
    }

    fn compiled(&self) -> std::sync::MutexGuard<'_, Compiled> {
        self.compiled.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Compiled {
    fn get(&mut self, key: &Key) -> Option<Arc<Matcher>> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.1 = self.uses;
        Some(entry.0.clone())
    }

    fn put(&mut self, key: Key, matcher: Arc<Matcher>) {
        if self.entries.len() >= COMPILED_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.1).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.uses += 1;
        self.entries.insert(key, (matcher, self.uses));
    }
}

fn broken<T>(e: impl std::fmt::Display) -> Outcome<T> {
    let words = e.to_string();
    let words = without_state(&words);
    if is_limit(words) {
        return fail(Code::Invalid, format!("the grammar costs too much to follow: {words}"));
    }
    fail(Code::Internal, format!("grammar: {words}"))
}

/// The engine gave up on work that it bounds; it has words for it and no code.
fn is_limit(words: &str) -> bool {
    ["limit", "too many", "Too many", "too big", "fuel"].iter().any(|mark| words.contains(mark))
}

/// The engine appends a dump of its parser to some errors; that is for its authors.
fn without_state(words: &str) -> &str {
    words.split("\n<state>").next().unwrap_or(words)
}

impl GrammarMatcher {
    fn compute_mask(&mut self) -> Outcome<()> {
        let mask = self.matcher.compute_mask_or_eos().or_else(broken)?;
        self.mask.clear();
        self.mask.extend_from_slice(mask.as_slice());
        self.mask.resize(self.vocab_size.div_ceil(32), 0);
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Outcome<()> {
        if token as usize >= self.vocab_size {
            return fail(Code::Internal, format!("token {token} is outside the vocabulary of {}", self.vocab_size));
        }
        match self.matcher.try_consume_tokens(&[token]) {
            Ok(1) => Ok(()),
            Ok(_) => fail(Code::Internal, format!("token {token} is not allowed by the grammar at this place")),
            Err(e) => broken(e),
        }
    }
}

// ---- The C face ----

#[no_mangle]
pub unsafe extern "C" fn kvt_grammar_factory_create(
    tokenizer: *const TextTokenizer,
    end_tokens: *const u32,
    end_token_count: usize,
    out: *mut *mut GrammarFactory,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let factory = GrammarFactory::new(&*tokenizer, slice(end_tokens, end_token_count))?;
        out.write(Box::into_raw(Box::new(factory)));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_grammar_factory_free(factory: *mut GrammarFactory) {
    free_handle(factory);
}

#[no_mangle]
pub unsafe extern "C" fn kvt_grammar_compile(
    factory: *const GrammarFactory,
    kind: i32,
    source: Text,
    out: *mut *mut GrammarMatcher,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let Ok(source) = std::str::from_utf8(source.bytes()) else {
            return fail(Code::Invalid, "the grammar is not valid UTF-8");
        };
        out.write(Box::into_raw(Box::new((*factory).compile(kind, source)?)));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_free(matcher: *mut GrammarMatcher) {
    free_handle(matcher);
}

#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_mask(
    matcher: *mut GrammarMatcher,
    words: *mut *const u32,
    word_count: *mut usize,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        (*matcher).compute_mask()?;
        words.write((*matcher).mask.as_ptr());
        word_count.write((*matcher).mask.len());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_accept(matcher: *mut GrammarMatcher, token: u32, error: *mut Owned<u8>) -> i32 {
    guard(error, || (*matcher).accept(token))
}

/// The bytes that must come next, up to the first special token.
#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_forced(
    matcher: *mut GrammarMatcher,
    out: *mut Owned<u8>,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let mut bytes = (*matcher).matcher.compute_ff_bytes();
        let text = bytes.iter().position(|&b| b == TokTrie::SPECIAL_TOKEN_MARKER).unwrap_or(bytes.len());
        bytes.truncate(text);
        out.write(Owned::new(bytes));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_is_accepting(
    matcher: *mut GrammarMatcher,
    out: *mut i32,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let m = &mut (*matcher).matcher;
        // A stopped matcher consumed its end token or can only end.
        let accepting = m.is_stopped() && !m.is_error() || m.is_accepting().or_else(broken)?;
        out.write(accepting as i32);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_is_stopped(
    matcher: *mut GrammarMatcher,
    out: *mut i32,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        out.write((*matcher).matcher.is_stopped() as i32);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn kvt_matcher_clone(
    matcher: *const GrammarMatcher,
    out: *mut *mut GrammarMatcher,
    error: *mut Owned<u8>,
) -> i32 {
    guard(error, || {
        let m = &*matcher;
        let copy = GrammarMatcher { matcher: m.matcher.clone(), vocab_size: m.vocab_size, mask: Vec::new() };
        out.write(Box::into_raw(Box::new(copy)));
        Ok(())
    })
}
