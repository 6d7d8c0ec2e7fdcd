"""A small GGUF v3 writer and plain encoders for the block types that the tests need (ggml's gguf.md)."""

import struct

import numpy as np

ALIGNMENT = 32
_VALUE_TYPES = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?"), "u64": (10, "<Q")}


def to_bf16(values):
    """Round to nearest even; u16."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def encode_f32(values):
    return values.astype(np.float32).tobytes(), values.astype(np.float32)


def encode_bf16(values):
    bits = to_bf16(values)
    return bits.tobytes(), from_bf16(bits)


def encode_q8_0(values):
    """Blocks of 32: f16 scale, 32 signed bytes."""
    blocks = values.astype(np.float32).reshape(-1, 32)
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    q = np.clip(np.round(blocks * inverse), -127, 127).astype(np.int8)
    stored = scale.astype(np.float16)
    encoded = np.concatenate([stored.view(np.uint8), q.view(np.uint8)], axis=1)
    return encoded.tobytes(), (stored.astype(np.float32) * q).reshape(values.shape)


def encode_q4_0(values):
    """Blocks of 32: f16 scale, 16 bytes; the low nibbles are the first half, a nibble means (n - 8) · scale."""
    blocks = values.astype(np.float32).reshape(-1, 32)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1)[:, None], axis=1)
    scale = extreme / -8
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)
    q = np.clip(np.floor(blocks * inverse + 8.5), 0, 15).astype(np.uint8)
    stored = scale.astype(np.float16)
    packed = q[:, :16] | (q[:, 16:] << 4)
    encoded = np.concatenate([stored.view(np.uint8), packed], axis=1)
    return encoded.tobytes(), (stored.astype(np.float32) * (q.astype(np.float32) - 8)).reshape(values.shape)


# name: (ggml type id, general.file_type, encoder)
TYPES = {"F32": (0, 0, encode_f32), "BF16": (30, 32, encode_bf16), "Q8_0": (8, 7, encode_q8_0),
         "Q4_0": (2, 2, encode_q4_0)}


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    if kind == "str":
        return struct.pack("<I", 8) + _string(value)
    if kind.startswith("array:"):
        element = kind.removeprefix("array:")
        if element == "str":
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
        code, fmt = _VALUE_TYPES[element]
        return struct.pack("<IIQ", 9, code, len(value)) + b"".join(struct.pack(fmt, v) for v in value)
    code, fmt = _VALUE_TYPES[kind]
    return struct.pack("<I", code) + struct.pack(fmt, value)


def write(path, metadata, tensors):
    """metadata: [(key, kind, value)]; tensors: [(name, shape slowest first, type name, bytes)]."""
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, kind, value in metadata:
        header += _string(key) + _value(kind, value)
    offset = 0
    for name, shape, type_name, data in tensors:
        header += _string(name) + struct.pack("<I", len(shape))
        header += b"".join(struct.pack("<Q", n) for n in reversed(shape))
        header += struct.pack("<IQ", TYPES[type_name][0], offset)
        offset += -(-len(data) // ALIGNMENT) * ALIGNMENT
    with open(path, "wb") as file:
        file.write(header + bytes(-len(header) % ALIGNMENT))
        for _, _, _, data in tensors:
            file.write(data + bytes(-len(data) % ALIGNMENT))
