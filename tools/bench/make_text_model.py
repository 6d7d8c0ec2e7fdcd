#!/usr/bin/env python3
"""Writes a Hugging Face folder of an EXAONE 4.0 shape with random BF16 weights (Gaussian, sigma 0.02), for timing.

Usage: make_text_model.py OUT_FOLDER --like FOLDER [--layers N]. Needs numpy.
FOLDER holds the config.json whose shape is taken (such as the published one of EXAONE 4.0 1.2B) and the tokenizer's
files, which are copied. `exaone convert OUT_FOLDER -o BF16.gguf` makes the file that all engines read.
"""

import argparse
import json
import shutil
import struct
from pathlib import Path

import numpy as np

TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
                   "generation_config.json", "chat_template.jinja")


def tensors(config):
    """name, shape, is it a norm; in the order of the published files"""
    hidden, ffn, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden), False
    for i in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{i}."
        for name, rows, columns in (("self_attn.q_proj", q, hidden), ("self_attn.k_proj", kv, hidden),
                                    ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, q),
                                    ("mlp.gate_proj", ffn, hidden), ("mlp.up_proj", ffn, hidden),
                                    ("mlp.down_proj", hidden, ffn)):
            yield prefix + name + ".weight", (rows, columns), False
        for name, width in (("self_attn.q_norm", head), ("self_attn.k_norm", head),
                            ("post_attention_layernorm", hidden), ("post_feedforward_layernorm", hidden)):
            yield prefix + name + ".weight", (width,), True
    yield "model.norm.weight", (hidden,), True
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight", (config["vocab_size"], hidden), False


def bf16(values):
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--like", type=Path, required=True)
    parser.add_argument("--layers", type=int)
    options = parser.parse_args()
    config = json.loads((options.like / "config.json").read_text())
    if options.layers:
        config["num_hidden_layers"] = options.layers
        config["layer_types"] = config["layer_types"][:options.layers]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "config.json").write_text(json.dumps(config, indent=1))
    for name in TOKENIZER_FILES:
        if (options.like / name).exists():
            shutil.copyfile(options.like / name, options.output / name)

    plan = list(tensors(config))
    header, offset = {}, 0
    for name, shape, _ in plan:
        end = offset + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(1)
    # Some random millions at a random shift for each piece: distinct enough for timing, and made in seconds.
    pool = bf16(rng.standard_normal(16_000_057) * 0.02)
    with open(options.output / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape, is_norm in plan:
            left = int(np.prod(shape))
            if is_norm:
                file.write(bf16(1 + rng.standard_normal(left) * 0.02).tobytes())
                continue
            while left > 0:
                start = int(rng.integers(pool.size // 2))
                piece = pool[start:start + left]
                file.write(piece.tobytes())
                left -= piece.size


if __name__ == "__main__":
    main()
