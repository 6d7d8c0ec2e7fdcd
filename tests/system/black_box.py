"""The binary under test seen from outside: how to run it, where the models are, how to break a file on purpose."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("EXAONE_BINARY", str(ROOT / "build/release/exaone"))
MODELS = ROOT / "tests/data/models"
GOLDEN = ROOT.parent / "shared/golden"

DENSE = MODELS / "tiny-exaone4"
HYBRID = MODELS / "tiny-exaone4-hybrid"
NESTED = MODELS / "tiny-exaone4_5"
PRE_NORM = MODELS / "tiny-exaone3"  # EXAONE 3.5
DEEP = MODELS / "tiny-exaone3-deep"
DENSE_GGUF = DENSE / "tiny-exaone4.Q8_0.gguf"

# Sanitizers look at every access once, at a tenth of the speed: what repeats the same code is repeated less.
SANITIZED = bool(os.environ.get("EXAONE_SANITIZE"))

USAGE, BAD_INPUT, UNSUPPORTED, MEMORY, IO = 1, 2, 3, 4, 5


def model_files():
    """(model, its reference) for every repository model: folders and GGUF files."""
    pairs = [(folder, folder / "reference.safetensors") for folder in (DENSE, HYBRID, NESTED, PRE_NORM, DEEP)]
    pairs += [(gguf, gguf.with_suffix(".reference.safetensors")) for gguf in sorted(MODELS.glob("*/*.gguf"))]
    return pairs


def exaone(*arguments, stdin=b"", timeout=120, environment=None):
    """Runs the binary; stdout and stderr as bytes."""
    return subprocess.run([BINARY, *map(str, arguments)], input=stdin, capture_output=True, timeout=timeout,
                          check=False, env={**os.environ, **(environment or {})})


def jsonl(values):
    return "".join(json.dumps(v, ensure_ascii=False) + "\n" for v in values).encode()


def cases(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


class BlackBox(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="exaone-test-")
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)

    def require_program(self, name):
        """A test that leaves something out for want of a package does not pass."""
        self.assertIsNotNone(shutil.which(name), f"{name} is missing; tools/setup/install_packages.sh installs it")

    def succeed(self, *arguments, **options):
        """stdout as text of a run that must exit 0."""
        done = exaone(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode("utf-8")

    def fail_with(self, code, *arguments, saying=(), **options):
        """The one line on stderr of a run that must fail with this exit code and print nothing else."""
        done = exaone(*arguments, **options)
        shown = f"{' '.join(map(str, arguments))}\nstderr: {done.stderr.decode(errors='replace')[-2000:]}"
        self.assertEqual(done.returncode, code, shown)
        self.assertEqual(done.stdout, b"", shown)
        line = done.stderr.decode("utf-8")
        self.assertTrue(line.startswith("exaone: "), shown)
        self.assertTrue(line.endswith("\n") and line.count("\n") == 1, f"expected one line\n{shown}")
        for word in saying:
            self.assertIn(str(word), line)
        return line

    def copy_folder(self, model):
        target = self.scratch / model.name
        shutil.copytree(model, target, ignore=shutil.ignore_patterns("*.gguf", "*reference*", "*.jsonl"))
        return target


def edit_json(path, change):
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def edit_safetensors_header(path, change):
    """Lets `change` edit the parsed header; the tensor bytes stay."""
    data = path.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:8 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])


def write_safetensors(path, arrays):
    """arrays: name → list of ints (I32, one dimension)."""
    header, body = {}, b""
    for name, values in arrays.items():
        piece = struct.pack(f"<{len(values)}i", *values)
        header[name] = {"dtype": "I32", "shape": [len(values)], "data_offsets": [len(body), len(body) + len(piece)]}
        body += piece
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def read_safetensors(path):
    """name → (dtype, shape, flat list of numbers), F32 and I32 only."""
    data = path.read_bytes()
    length = struct.unpack_from("<Q", data)[0]
    arrays = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        code = {"F32": "f", "I32": "i"}[entry["dtype"]]
        numbers = struct.unpack_from(f"<{(end - begin) // 4}{code}", data, 8 + length + begin)
        arrays[name] = (entry["dtype"], entry["shape"], list(numbers))
    return arrays


def gguf_key(data, key):
    """Offset of the value type behind a metadata key."""
    name = struct.pack("<Q", len(key)) + key.encode()
    at = data.index(name)
    return at + len(name)


def gguf_tensor(data, name):
    """Offset of n_dims behind a tensor's name."""
    return gguf_key(data, name)
