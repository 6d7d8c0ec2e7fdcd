#!/usr/bin/env python3
"""Writes an mmproj GGUF of EXAONE 4.5's real shape with random weights, for timing.

Usage: make_vision_model.py OUT.gguf [--type BF16|Q8_0] [--layers 28]. Needs numpy.
"""

import argparse
import struct

import numpy as np

ALIGNMENT = 32
TYPES = {"F32": 0, "Q8_0": 8, "BF16": 30}
UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value):
    body = {UINT32: lambda: struct.pack("<I", value), FLOAT32: lambda: struct.pack("<f", value),
            BOOL: lambda: struct.pack("<B", value), STRING: lambda: text(value),
            ARRAY: lambda: struct.pack("<IQ", FLOAT32, len(value)) + struct.pack(f"<{len(value)}f", *value)}[kind]()
    return text(key) + struct.pack("<I", kind) + body


def n_bytes(kind, shape):
    n = int(np.prod(shape))
    return {"F32": 4 * n, "BF16": 2 * n, "Q8_0": n // 32 * 34}[kind]


def random_bytes(rng, kind, shape, scale):
    n = int(np.prod(shape))
    if kind == "Q8_0":
        blocks = np.empty((n // 32, 34), np.uint8)
        blocks[:, :2] = np.frombuffer(np.float16(scale / 64).tobytes(), np.uint8)
        blocks[:, 2:] = rng.integers(-127, 128, (n // 32, 32), np.int8).view(np.uint8)
        return blocks.tobytes()
    # One random million, shifted: distinct enough, and made in seconds.
    pool = (rng.standard_normal(1_000_003) * scale).astype(np.float32)
    values = np.resize(np.roll(pool, int(rng.integers(1_000_003))), n)
    return values.tobytes() if kind == "F32" else (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def tensors(hidden, ffn, layers, out, matrix):
    kv = hidden // 4
    yield "v.patch_embd.weight", "F32", (hidden, 3, 14, 14), 0.02
    yield "v.patch_embd.weight.1", "F32", (hidden, 3, 14, 14), 0.02
    for i in range(layers):
        prefix = f"v.blk.{i}."
        for name, rows, columns in (("attn_qkv", hidden + 2 * kv, hidden), ("attn_out", hidden, hidden),
                                    ("ffn_gate", ffn, hidden), ("ffn_up", ffn, hidden), ("ffn_down", hidden, ffn)):
            yield prefix + name + ".weight", matrix, (rows, columns), 0.02
            yield prefix + name + ".bias", "F32", (rows,), 0.02
        yield prefix + "ln1.weight", "F32", (hidden,), 1.0
        yield prefix + "ln2.weight", "F32", (hidden,), 1.0
    yield "v.post_ln.weight", "F32", (hidden,), 1.0
    yield "mm.0.weight", matrix, (4 * hidden, 4 * hidden), 0.02
    yield "mm.0.bias", "F32", (4 * hidden,), 0.02
    yield "mm.2.weight", matrix, (out, 4 * hidden), 0.02
    yield "mm.2.bias", "F32", (out,), 0.02


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    parser.add_argument("--type", choices=("BF16", "Q8_0"), default="BF16")
    parser.add_argument("--layers", type=int, default=28)
    options = parser.parse_args()
    hidden, ffn, out = 2048, 5120, 5120
    keys = [
        ("general.architecture", STRING, "clip"), ("general.type", STRING, "mmproj"),
        ("general.file_type", UINT32, 32 if options.type == "BF16" else 7),
        ("clip.has_vision_encoder", BOOL, 1), ("clip.projector_type", STRING, "exaone4_5"), ("clip.use_silu", BOOL, 1),
        ("clip.vision.projection_dim", UINT32, out), ("clip.vision.image_size", UINT32, 560),
        ("clip.vision.patch_size", UINT32, 14), ("clip.vision.embedding_length", UINT32, hidden),
        ("clip.vision.feed_forward_length", UINT32, ffn), ("clip.vision.block_count", UINT32, options.layers),
        ("clip.vision.attention.head_count", UINT32, 32), ("clip.vision.attention.head_count_kv", UINT32, 8),
        ("clip.vision.attention.layer_norm_epsilon", FLOAT32, 1e-6),
        ("clip.vision.image_mean", ARRAY, [0.48145466, 0.4578275, 0.40821073]),
        ("clip.vision.image_std", ARRAY, [0.26862954, 0.26130258, 0.27577711]),
        ("clip.vision.image_min_pixels", UINT32, 3136), ("clip.vision.image_max_pixels", UINT32, 3211264),
        ("clip.vision.window_size", UINT32, 112), ("clip.vision.n_wa_pattern", UINT32, 7),
        ("general.quantization_version", UINT32, 2),
    ]
    plan = list(tensors(hidden, ffn, options.layers, out, options.type))
    infos, offset = b"", 0
    for name, kind, shape, _ in plan:
        infos += text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape))
        infos += struct.pack("<IQ", TYPES[kind], offset)
        offset += -(-n_bytes(kind, shape) // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(plan), len(keys)) + b"".join(entry(*k) for k in keys) + infos
    rng = np.random.default_rng(1)
    with open(options.output, "wb") as file:
        file.write(head + b"\0" * (-len(head) % ALIGNMENT))
        for name, kind, shape, scale in plan:
            data = np.ones(shape, np.float32).tobytes() if scale == 1.0 else random_bytes(rng, kind, shape, scale)
            file.write(data + b"\0" * (-len(data) % ALIGNMENT))


if __name__ == "__main__":
    main()
