#!/usr/bin/env python3
"""Writes tests/engine/golden/sampling.json: what llama.cpp's own samplers keep (typical_p, XTC) or take away (DRY).
Needs llama-cpp-python and the model SmolLM2, for its vocabulary.

  tools/oracle/make_sampling_golden.py [MODEL]      default: ~/.cache/kvasir/models/smollm2-135m-instruct-q4_1.gguf
"""

import ctypes
import json
import pathlib
import random
import sys

import llama_cpp as lc

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "engine" / "golden" / "sampling.json"
MODEL = pathlib.Path.home() / ".cache/kvasir/models/smollm2-135m-instruct-q4_1.gguf"

# Texts with repetitions, over the breakers and not; the last word is where the next token is asked for.
TEXTS = [
    "the cat sat on the mat and the cat sat on the",
    "one two three one two three one two three one two",
    "Name: Ada\nAge: 36\nName: Bob\nAge: 41\nName:",
    "a b c\na b c\na b c\na b",
    "\"yes\" she said, \"yes\" she said, \"yes\" she",
    "x = 1; y = 2; x = 1; y = 2; x = 1; y",
    "** bold ** and ** bold ** and ** bold **",
    "no repetition here at all",
    "la la la la la la la la la la la",
]
DEFAULT = ["\n", ":", "\"", "*"]
SETTINGS = [
    {"multiplier": 0.8, "base": 1.75, "allowed_length": 2, "last_n": 4096, "breakers": DEFAULT},
    {"multiplier": 1.5, "base": 1.2, "allowed_length": 1, "last_n": 4096, "breakers": []},
    {"multiplier": 0.8, "base": 2.0, "allowed_length": 3, "last_n": 12, "breakers": DEFAULT},
    {"multiplier": 0.8, "base": 1.75, "allowed_length": 2, "last_n": 4096, "breakers": [";", " on"]},
]


def apply(sampler, logits):
    """The candidates that the sampler leaves, with their logits."""
    count = len(logits)
    data = (lc.llama_token_data * count)(*[lc.llama_token_data(i, x, 0.0) for i, x in enumerate(logits)])
    array = lc.llama_token_data_array(data=data, size=count, selected=-1, sorted=False)
    lc.llama_sampler_apply(sampler, ctypes.byref(array))
    return {array.data[i].id: array.data[i].logit for i in range(array.size)}


def kept(sampler, logits):
    left = apply(sampler, logits)
    lc.llama_sampler_free(sampler)
    return sorted(left)


def filters():
    rng = random.Random(3)
    cases = []
    for _ in range(30):
        # Quarters: exact in 32 bits, and in JSON.
        logits = [round(rng.gauss(0, 3) * 4) / 4 + i / 1024 for i in range(40)]
        p = rng.choice([0.1, 0.2, 0.5, 0.8, 0.95])
        cases.append({"logits": logits, "typical_p": p, "kept": kept(lc.llama_sampler_init_typical(p, 1), logits)})
        t = rng.choice([0.02, 0.05, 0.1, 0.2, 0.4])
        cases.append({"logits": logits, "xtc_threshold": t, "kept": kept(lc.llama_sampler_init_xtc(1.0, t, 1, 1), logits)})
    return cases


def dry(path):
    model = lc.Llama(model_path=str(path), vocab_only=True, verbose=False)
    vocab = lc.llama_model_get_vocab(model.model)
    size = lc.llama_vocab_n_tokens(vocab)
    cases, texts = [], {}
    for text in TEXTS:
        history = model.tokenize(text.encode(), add_bos=False)
        for s in SETTINGS:
            breakers = (ctypes.c_char_p * max(len(s["breakers"]), 1))(*[b.encode() for b in s["breakers"]])
            sampler = lc.llama_sampler_init_dry(vocab, s["multiplier"], s["base"], s["allowed_length"], s["last_n"],
                                                breakers, len(s["breakers"]))
            for token in history:
                lc.llama_sampler_accept(sampler, token)
            left = apply(sampler, [0.0] * size)
            lc.llama_sampler_free(sampler)
            penalties = {t: -x for t, x in sorted(left.items()) if x != 0}
            cases.append({**s, "history": history, "penalties": {str(t): x for t, x in penalties.items()}})
        for token in history:
            texts[str(token)] = model.detokenize([token], special=True).decode()
    return {"texts": texts, "cases": cases}


def main() -> None:
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else MODEL
    golden = {"filters": filters(), "dry": dry(path)}
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    parts = [f'"filters": [\n' + ",\n".join(json.dumps(c) for c in golden["filters"]) + "\n]",
             f'"texts": {json.dumps(golden["dry"]["texts"])}',
             '"dry": [\n' + ",\n".join(json.dumps(c) for c in golden["dry"]["cases"]) + "\n]"]
    GOLDEN.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    told = sum(bool(c["penalties"]) for c in golden["dry"]["cases"])
    print(f"{len(golden['filters'])} filters, {len(golden['dry']['cases'])} histories, {told} of them penalised")


if __name__ == "__main__":
    main()
