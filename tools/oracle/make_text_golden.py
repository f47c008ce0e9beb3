#!/usr/bin/env python3
"""Writes tests/text/golden/*.json with outside oracles; needs gguf, tokenizers, transformers, jinja2 and
llama-cpp-python.

  tools/oracle/make_text_golden.py MODELS_FOLDER

Tokens: the Hugging Face `tokenizers` Python package, on a tokenizer rebuilt here from the GGUF vocabulary (not with
Kvasir's code), cross-checked against llama.cpp's own tokenizer wherever the two are meant to agree.
Templates: transformers' own jinja2 environment.
"""

import datetime
import json
import os
import pathlib
import random
import sys
import unicodedata

import llama_cpp
from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from template_cases import CONVERSATIONS, NOW, TEMPLATES

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent.parent / "tests" / "text" / "golden"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")

TEXTS = [
    "", " ", "  ", "\n", "\n\n \n", "\t\tx", "a", "Hello, world!", "  leading and trailing  ", "tabs\tand\r\nlines\r\r\n",
    "don't I'LL we've they'd it'S 'tis", "1 12 123 1234567890 3.14159 0xDEADBEEF 1e-9", "x=1;y=2;z=x**y",
    "def f(x: int) -> str:\n    return f\"{x!r:>10}\"  # comment\n\n\nclass A(B):\n\tpass\n",
    "for (size_t i = 0; i < n; ++i) { a[i] ^= (b[i] << 3) | 0xffu; }\n", "#include <vector>\n\nint main() { return 0; }",
    "SELECT * FROM `t` WHERE a <> 'b' AND c IS NOT NULL;", "{\"a\": [1, 2.5, null, true], \"b\": {\"c\": \"d\\n\"}}",
    "https://example.org/a/b?c=d&e=%20f#g", "<div class=\"x\">&nbsp;</div>", "    \n        \n\tmixed   indentation",
    "naïve café œuvre Straße ÅNGSTRÖM İstanbul ﬁne", "Привет, мир! Съешь ещё этих мягких булок.", "Γειά σου Κόσμε",
    "مرحبا بالعالم ١٢٣", "שלום עולם", "नमस्ते दुनिया १२३", "สวัสดีชาวโลก", "你好，世界！今天天气不错。", "こんにちは世界 カタカナ ひらがな",
    "안녕하세요 세계", "ሰላም ልዑል", "ᏣᎳᎩ", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚", "🙂 👩‍👩‍👧‍👦 🇫🇷 👍🏽 ❤️", "e\u0301 = é, A\u030a = Å, \u1100\u1161 = 가", "zero\u200bwidth\u200djoin\ufeffbom",
    "\u00a0nbsp\u2003em\u3000ideographic", "\u2028line\u2029para\x0bvt\x0cff\x85nel", "½ ² Ⅷ ① 〇 ٣", "€£¥₿ ±×÷√∞≈", "…—–‘’“”«»",
    "<|im_start|", "<|im_end|>>", "<<|im_end|>", "<|im_start|><|im_end|>", "<|endoftext|>x<|endoftext|>", "<tool_call>\n{}\n</tool_call>",
    "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\n",
    "a" * 70, "ab" * 40, "=" * 80, " " * 67 + "x", "\n" * 33, "aAaAAaaA" * 6, "_snake_case__name camelCaseName SCREAMING_CASE",
    "\u0001\u0002\u0003\u0007\u001b[0m\u007f", "�", "\ud7ff\ue000\ufffe\U00010000\U0010ffff",
]

RAW = [b"\xff", b"abc\xc3", b"\xc3(", b"\xe2\x82", b"\xe2\x82\xac\xe2", b"\xf0\x9f\x99", b"\xf0\x9f\x99\x82\x99", b"\xed\xa0\x80",
       b"\xc0\xaf", b"\xf4\x90\x80\x80", b"ok\x80\x81ok\xfe\xff", b"\xe0\x80\x80x", b"\xf0\x80\x80\x80"]

ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJ", "0123456789", " \n\t\r", " ", "'\"`.,;:!?-_/\\|@#$%^&*()[]{}<>=+~", "éèüßøñ",
             "абвгдежз", "你好世界天气", "あいうアイウ", "نمرحب", "नमसत\u094d\u0947", "🙂👍🏽❤\ufe0f\u200d", "\u0301\u0308", "\u00a0\u3000\u2028"]


def random_texts(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 14)):
            alphabet = rng.choice(ALPHABETS)
            text += "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 6)))
        yield text


def rebuilt_tokenizer(reader, pre):
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    types = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = reader.fields["tokenizer.ggml.merges"].contents()
    vocab = {t: i for i, t in enumerate(tokens) if types[i] != 5}
    tok = Tokenizer(models.BPE(vocab, [tuple(m.split(" ")) for m in merges]))
    if pre == "qwen2":
        tok.normalizer = normalizers.NFC()
        tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"),
                                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    elif pre == "smollm":
        tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    else:
        raise SystemExit(f"no recipe for {pre}")
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(tokens[i], normalized=False) for i, t in enumerate(types) if t == 3])
    tok.add_tokens([AddedToken(tokens[i], normalized=False) for i, t in enumerate(types) if t == 4])
    return tok, [tokens[i] for i, t in enumerate(types) if t in (3, 4)]


def token_golden(path, pre, out):
    reader = GGUFReader(path)
    tok, added = rebuilt_tokenizer(reader, pre)
    llama = llama_cpp.Llama(model_path=str(path), vocab_only=True, verbose=False)
    texts = TEXTS + [f"a{t}b" for t in added] + [f" {t}\n{t}" for t in added] + list(random_texts(120, 7))
    cases, agreed = [], 0
    for special in (True, False):
        tok.encode_special_tokens = not special
        for text in texts if special else [t for t in texts if "<" in t]:
            ids = tok.encode(text, add_special_tokens=False).ids
            theirs = llama.tokenize(text.encode(), add_bos=False, special=special)
            if ids == theirs:
                agreed += 1
            # llama.cpp does not normalise, Qwen's own tokenizer.json does (NFC).
            elif unicodedata.is_normalized("NFC", text):
                print(f"{pre}: llama.cpp differs on {text!r} special={special}\n  {ids}\n  {theirs}")
            cases.append({"text": text, "special": special, "ids": ids})
        for raw in RAW if special else []:
            ids = tok.encode(raw.decode("utf-8", "replace"), add_special_tokens=False).ids
            cases.append({"hex": raw.hex(), "special": special, "ids": ids})
    compared = sum("text" in c for c in cases)
    print(f"{pre}: {len(cases)} cases; of {compared} compared, llama.cpp gives the same tokens on {agreed}")
    write(out, cases)


def template_golden(folder):
    from transformers.utils.chat_template_utils import _compile_jinja_template
    clock = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)
    cases, contexts = [], []
    sources = list(TEMPLATES)
    for name in ("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "smollm2-135m-instruct-q4_1.gguf"):
        source = GGUFReader(folder / name).fields["tokenizer.chat_template"].contents()
        sources += [(source, c) for c in CONVERSATIONS]
    for source, context in sources:
        if context not in contexts:
            contexts.append(context)
        case = {"template": source, "context": contexts.index(context)}
        try:
            # Through JSON, as a client's request comes.
            variables = json.loads(json.dumps(context))
            case["text"] = _compile_jinja_template(source).render(**variables, strftime_now=clock.strftime)
        except Exception as e:  # the oracle's refusal is golden too
            case["error"] = f"{type(e).__name__}: {e}"
        cases.append(case)
    print(f"templates: {len(cases)} cases, {sum('error' in c for c in cases)} of them refused")
    write("template_contexts.json", contexts)
    write("templates.json", cases)


def write(name, cases):
    GOLDEN.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(c, ensure_ascii=True) for c in cases)
    (GOLDEN / name).write_text(f"[\n{lines}\n]\n")


def main():
    folder = pathlib.Path(sys.argv[1])
    token_golden(folder / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", "qwen2", "tokens_qwen2.json")
    token_golden(folder / "smollm2-135m-instruct-q4_1.gguf", "smollm", "tokens_smollm.json")
    template_golden(folder)


if __name__ == "__main__":
    os.chdir(HERE)
    main()
