//! How each family cuts text into words before BPE, by the names that GGUF files give (`tokenizer.ggml.pre`).
//! The configurations are those of the families' own tokenizer.json files.

use serde_json::{json, Value};

/// What a pre-tokenizer name stands for.
pub struct Recipe {
    pub normalizer: Option<Value>,
    pub pre_tokenizer: Value,
    /// A word that is in the vocabulary is taken whole, before any merge.
    pub ignore_merges: bool,
}

const TAIL: &str = r"\s*[\r\n]+|\s+(?!\S)|\s+";
const CONTRACTIONS: &str = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
/// Words of cased scripts are cut where capitals begin (o200k and Tekken).
const UPPER: &str = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]";
const LOWER: &str = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]";

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

fn split(regex: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
}

fn sequence(steps: Vec<Value>) -> Value {
    json!({"type": "Sequence", "pretokenizers": steps})
}

fn by_regex(regex: String) -> Recipe {
    Recipe {
        normalizer: None,
        pre_tokenizer: sequence(vec![split(&regex), byte_level(false)]),
        ignore_merges: false,
    }
}

/// The cl100k family: `digits` is how many digits make a word, `letter` what counts as one.
fn cl100k(digits: &str, letter: &str, not_letter: &str) -> Recipe {
    by_regex(format!(
        r"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{letter}+|{digits}| ?[^\s{not_letter}\p{{N}}]+[\r\n]*|{TAIL}"
    ))
}

fn cased(suffix: &str, digits: &str) -> Recipe {
    by_regex(format!(
        r"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{suffix}|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{suffix}|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{TAIL}"
    ))
}

fn nfc(recipe: Recipe) -> Recipe {
    Recipe { normalizer: Some(json!({"type": "NFC"})), ..recipe }
}

/// None for a name that this build does not know.
pub fn recipe(pre: &str) -> Option<Recipe> {
    let one_digit = r"\p{N}";
    let three_digits = r"\p{N}{1,3}";
    let letters = r"\p{L}";
    Some(match pre {
        "" | "default" | "gpt-2" | "gpt2" | "olmo" | "jais" | "phi-2" | "roberta-bpe" => {
            Recipe { normalizer: None, pre_tokenizer: byte_level(true), ignore_merges: false }
        }
        "mpt" => nfc(Recipe { normalizer: None, pre_tokenizer: byte_level(true), ignore_merges: false }),
        "smollm" | "starcoder" | "refact" | "codeshell" | "command-r" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            let recipe = Recipe {
                normalizer: None,
                pre_tokenizer: sequence(vec![digits, byte_level(true)]),
                ignore_merges: false,
            };
            if pre == "command-r" { nfc(recipe) } else { recipe }
        }
        "qwen2" | "stablelm2" | "megrez" | "deepseek-r1-qwen" => nfc(cl100k(one_digit, letters, letters)),
        // Marks stay with their letters here, and nothing is composed.
        "qwen35" => cl100k(one_digit, r"[\p{L}\p{M}]", r"\p{L}\p{M}"),
        "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "lfm2" => {
            Recipe { ignore_merges: true, ..cl100k(three_digits, letters, letters) }
        }
        "dbrx" | "glm4" | "chatglm-bpe" => cl100k(three_digits, letters, letters),
        "tekken" => Recipe { ignore_merges: true, ..cased("", one_digit) },
        "gpt-4o" | "llama4" => cased(&format!("{CONTRACTIONS}?"), three_digits),
        "falcon" => Recipe {
            normalizer: None,
            pre_tokenizer: sequence(vec![
                json!({"type": "Punctuation", "behavior": "Contiguous"}),
                byte_level(true),
                json!({"type": "Digits", "individual_digits": false}),
                split("[0-9][0-9][0-9]"),
            ]),
            ignore_merges: false,
        },
        "deepseek-coder" => Recipe {
            normalizer: None,
            pre_tokenizer: sequence(vec![
                split(r"[\r\n]"),
                split(r"\s?\p{L}+"),
                split(r"\s?\p{P}+"),
                split("[一-龥\u{800}-一가-\u{d7ff}]+"),
                json!({"type": "Digits", "individual_digits": true}),
                byte_level(false),
            ]),
            ignore_merges: false,
        },
        "deepseek-v3" => Recipe {
            normalizer: None,
            pre_tokenizer: sequence(vec![
                split(three_digits),
                split("[一-龥\u{3040}-ゟ゠-ヿ]+"),
                split(&format!(
                    r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{{|}}~][A-Za-z]+|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+[\r\n]*|{TAIL}"##
                )),
                byte_level(false),
            ]),
            ignore_merges: false,
        },
        _ => return None,
    })
}
