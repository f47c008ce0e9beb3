#!/usr/bin/env python3
"""Writes a GGUF model as the Hugging Face folder that it came from, its weights dequantised by the `gguf` package:

    gguf_to_folder.py MODEL.gguf FOLDER [--dtype bfloat16|float16|float32] [--shards N] [--layers N]

For tests: a folder that other judges (mlx-lm, transformers) can load, of a model that is here as GGUF. Knows the Llama and
Qwen2 families with byte-level vocabularies. --layers keeps the first N layers only.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

SPLIT = {
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


class Model:
    def __init__(self, path):
        self.reader = gguf.GGUFReader(path)
        self.family = self.get("general.architecture")

    def get(self, key, default=None):
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def of_family(self, key, default=None):
        return self.get(f"{self.family}.{key}", default)

    def config(self, layers):
        heads = self.of_family("attention.head_count")
        return {
            "architectures": [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[self.family]],
            "model_type": self.family,
            "hidden_size": self.of_family("embedding_length"),
            "intermediate_size": self.of_family("feed_forward_length"),
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": self.of_family("attention.head_count_kv", heads),
            "max_position_embeddings": self.of_family("context_length"),
            "rms_norm_eps": float(self.of_family("attention.layer_norm_rms_epsilon")),
            "rope_theta": float(self.of_family("rope.freq_base", 10000.0)),
            "vocab_size": len(self.get("tokenizer.ggml.tokens")),
            "hidden_act": "silu",
            "tie_word_embeddings": not any(t.name == "output.weight" for t in self.reader.tensors),
            "bos_token_id": self.get("tokenizer.ggml.bos_token_id"),
            "eos_token_id": self.get("tokenizer.ggml.eos_token_id"),
        }

    def tensors(self, layers):
        """Name and float32 values of every tensor, as Hugging Face has them."""
        for t in self.reader.tensors:
            stem, _, kind = t.name.rpartition(".")
            values = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)
            values = values.reshape(tuple(int(n) for n in reversed(t.shape)))
            if stem.startswith("blk."):
                _, number, part = stem.split(".")
                if int(number) >= layers:
                    continue
                if self.family == "llama" and part in ("attn_q", "attn_k"):
                    values = self.unpermuted(values, part)
                yield f"model.layers.{number}.{NAMES[part]}.{kind}", values
            else:
                yield f"{OUTER[stem]}.{kind}", values

    def unpermuted(self, values, part):
        heads = self.of_family("attention.head_count")
        if part == "attn_k":
            heads = self.of_family("attention.head_count_kv", heads)
        pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
        return pairs.swapaxes(1, 2).reshape(values.shape)

    def tokenizer(self):
        tokens = self.get("tokenizer.ggml.tokens")
        types = self.get("tokenizer.ggml.token_type")
        merges = [tuple(m.split(" ")) for m in self.get("tokenizer.ggml.merges")]
        added = [i for i, t in enumerate(types) if t in (3, 4)]
        vocab = {t: i for i, t in enumerate(tokens)}
        made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        pre = self.get("tokenizer.ggml.pre")
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre not in SPLIT)
        if pre in SPLIT:
            made.normalizer = normalizers.NFC()
            first = pre_tokenizers.Split(Regex(SPLIT[pre]), behavior="isolated")
        else:
            first = pre_tokenizers.Digits(individual_digits=True)
        made.pre_tokenizer = pre_tokenizers.Sequence([first, byte_level])
        made.decoder = decoders.ByteLevel()
        made.add_tokens([AddedToken(tokens[i], special=types[i] == 3, normalized=False) for i in added])
        return made


def save(model, folder, dtype, shards, layers):
    """Tensors as safetensors: one file, or several with an index."""
    def stored(values):
        if dtype == "bfloat16":
            bits = values.view(np.uint32)
            return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        return values.astype(dtype)

    tensors = {name: stored(values) for name, values in model.tensors(layers)}
    parts = [dict(list(tensors.items())[i::shards]) for i in range(shards)]
    index = {}
    for i, part in enumerate(parts):
        name = "model.safetensors" if shards == 1 else f"model-{i + 1:05}-of-{shards:05}.safetensors"
        write(part, folder / name, dtype)
        index.update({tensor: name for tensor in part})
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def write(tensors, path, dtype):
    if dtype != "bfloat16":
        save_file(tensors, path, metadata={"format": "pt"})
        return
    # numpy has no bfloat16: the format is simple enough to write.
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            out.write(values.tobytes())


def convert(source, folder, dtype="bfloat16", shards=1, layers=None):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = Model(source)
    layers = min(layers or 1 << 20, model.of_family("block_count"))
    config = model.config(layers)
    config["torch_dtype"] = dtype
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    save(model, folder, dtype, shards, layers)
    model.tokenizer().save(str(folder / "tokenizer.json"))
    tokens = model.get("tokenizer.ggml.tokens")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config["max_position_embeddings"],
                "eos_token": tokens[config["eos_token_id"]], "clean_up_tokenization_spaces": False}
    if model.get("tokenizer.chat_template"):
        settings["chat_template"] = model.get("tokenizer.chat_template")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("folder")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--layers", type=int)
    convert(**vars(parser.parse_args()))
