#!/usr/bin/env python3
"""Files and descriptors that used to go wrong in silence: types that lie, sums of other files, outputs that are no files, closed
descriptors, weights that are no numbers, rows that nobody judged."""

import json
import os
import resource
import stat
import struct
import subprocess
import unittest

from black_box import BAD_INPUT, BINARY, DENSE, DENSE_GGUF, HYBRID, IO, USAGE, BlackBox, exaone, gguf_key


class Requantizing(BlackBox):
    def test_a_larger_type_is_refused(self):
        for small, large in (("Q4_K_M", "Q8_0"), ("Q4_K_M", "Q6_K"), ("Q4_0", "Q5_0"), ("Q6_K", "Q8_0"), ("Q4_K_M", "Q4_0")):
            source, output = self.scratch / f"{small}.gguf", self.scratch / "out.gguf"
            output.unlink(missing_ok=True)
            self.succeed("quantize", HYBRID, source, small)
            self.fail_with(USAGE, "quantize", source, output, large, saying=["--allow-requantize", small.split("_")[0]])
            self.assertFalse(output.exists())
            done = exaone("quantize", source, output, large, "--allow-requantize")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("kept as they are", done.stderr.decode())

    def test_the_file_type_is_what_the_file_holds(self):
        source, output = self.scratch / "Q4_K_M.gguf", self.scratch / "out.gguf"
        self.succeed("quantize", HYBRID, source, "Q4_K_M")
        self.succeed("quantize", source, output, "Q8_0", "--allow-requantize")
        self.assertEqual(self.raw_file_type(output), 15)
        self.succeed("quantize", HYBRID, source, "Q8_0")
        self.succeed("quantize", source, output, "Q4_0")
        self.assertEqual(self.raw_file_type(output), 2)

    def raw_file_type(self, path):
        data = path.read_bytes()
        at = gguf_key(data, "general.file_type")
        return struct.unpack_from("<I", data, at + 4)[0]


class ForeignSums(BlackBox):
    """llama-quantize copies our sums and writes other tensors."""

    def rewritten(self):
        """A file whose sums stand for tensors in another order: two names of equally shaped tensors are swapped."""
        path = self.scratch / "ours.gguf"
        self.succeed("quantize", DENSE, path, "Q8_0")
        data = bytearray(path.read_bytes())
        a, b = b"blk.0.ffn_up.weight", b"blk.1.ffn_up.weight"
        at, bt = data.index(a), data.index(b)
        data[at:at + len(a)], data[bt:bt + len(b)] = b, a
        path.write_bytes(data)
        return path

    def test_are_ignored_with_a_note(self):
        path = self.rewritten()
        self.assertIn("of other tensors", self.succeed("inspect", "--checksums", path))
        done = exaone("split", path, "-o", self.scratch / "s.gguf", "--split-size", "200K")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"of other tensors", done.stderr)
        done = exaone("quantize", path, self.scratch / "q.gguf", "Q4_0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"of other tensors", done.stderr)

    def test_damage_is_still_found(self):
        path = self.scratch / "ours.gguf"
        self.succeed("quantize", DENSE, path, "Q8_0")
        self.assertIn("0 of", self.succeed("inspect", "--checksums", path))
        data = bytearray(path.read_bytes())
        data[-100] ^= 1
        path.write_bytes(data)
        self.assertEqual(exaone("inspect", "--checksums", path).returncode, BAD_INPUT)
        self.fail_with_last(BAD_INPUT, "merge", path, "-o", self.scratch / "m.gguf", saying="damaged")

    def fail_with_last(self, code, *arguments, saying):
        done = exaone(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(saying, done.stderr.decode().splitlines()[-1])


class Outputs(BlackBox):
    def test_what_is_no_file_is_not_replaced(self):
        text = self.scratch / "t.txt"
        text.write_text("one two three four five six seven eight nine ten " * 20)
        commands = [["convert", DENSE, "-o"], ["quantize", DENSE], ["split", DENSE_GGUF, "--split-size", "200K", "-o"],
                    ["merge", DENSE_GGUF, "-o"], ["imatrix", "-m", DENSE, "-f", text, "-c", "32", "--raw", "-o"],
                    ["perplexity", "-m", DENSE, "-f", text, "-c", "32", "--kl-divergence-base"],
                    ["logits", "-m", DENSE, "--ids", "1,2,3", "--output"]]
        for kind in ("pipe", "folder"):
            for command in commands:
                target = self.scratch / "target"
                os.mkfifo(target) if kind == "pipe" else target.mkdir()
                before = stat.S_IFMT(target.stat().st_mode)
                arguments = [*command, target, *(["Q8_0"] if command[0] == "quantize" else [])]
                done = exaone(*arguments, timeout=60)
                if command[0] != "split":  # whose shards have names of their own
                    self.assertNotEqual(done.returncode, 0, arguments)
                self.assertEqual(stat.S_IFMT(target.stat().st_mode), before, arguments)
                target.unlink() if kind == "pipe" else target.rmdir()
        pipe = self.scratch / "saved"
        os.mkfifo(pipe)
        done = exaone("chat", "-m", DENSE, "-n", "2", stdin=f"Hello\n/save {pipe}\n".encode(), timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(stat.S_ISFIFO(pipe.stat().st_mode))

    def test_a_pipe_that_nobody_writes_to_is_refused(self):
        pipe = self.scratch / "pipe"
        os.mkfifo(pipe)
        for flag in ("--messages", "--tools", "--schema", "--grammar", "--image"):
            done = exaone("run", "-m", DENSE, "-p", "x", flag, pipe, timeout=30)
            self.assertIn(b"not a regular file", done.stderr)
        self.fail_with(IO, "perplexity", "-m", DENSE, "-f", pipe, "-c", "32", saying=["not a regular file"])

    def test_a_limit_on_file_sizes(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

        done = subprocess.run([BINARY, "quantize", DENSE, self.scratch / "o.gguf", "Q8_0"], capture_output=True, timeout=60,
                              preexec_fn=limit, check=False)
        self.assertEqual(done.returncode, IO, done.stderr)
        self.assertFalse((self.scratch / "o.gguf").exists())


class ClosedDescriptors(BlackBox):
    def run_closed(self, closed, *arguments):
        def close():
            for descriptor in closed:
                os.close(descriptor)

        return subprocess.run([BINARY, *map(str, arguments)], preexec_fn=close, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def test_no_file_takes_their_numbers(self):
        whole = self.scratch / "whole"
        whole.mkdir()
        self.succeed("split", DENSE_GGUF, "-o", whole / "s.gguf", "--split-size", "200K")
        for closed in ((0, 1, 2), (1, 2), (2,), (0, 2)):
            folder = self.scratch / "".join(map(str, closed))
            folder.mkdir()
            self.assertEqual(self.run_closed(closed, "split", DENSE_GGUF, "-o", folder / "s.gguf", "--split-size", "200K"), 0)
            for file in whole.iterdir():
                self.assertEqual((folder / file.name).read_bytes(), file.read_bytes(), (closed, file.name))

    def test_what_cannot_be_read_or_written_is_an_error(self):
        self.assertNotEqual(self.run_closed((1,), "run", "-m", DENSE, "-p", "x", "-n", "2"), 0)
        self.assertNotEqual(self.run_closed((0,), "chat", "-m", DENSE, "-n", "2"), 0)


class NoNumbers(BlackBox):
    def test_perplexity_and_imatrix_end_as_errors(self):
        folder = self.copy_folder(DENSE)
        weights = folder / "model.safetensors"
        data = bytearray(weights.read_bytes())
        length = struct.unpack_from("<Q", data)[0]
        header = json.loads(data[8:8 + length])
        for name in ("model.norm.weight", "model.layers.1.post_attention_layernorm.weight"):
            begin = header[name]["data_offsets"][0]
            data[8 + length + begin:8 + length + begin + 2] = b"\xc0\x7f"
        weights.write_bytes(data)
        text = self.scratch / "t.txt"
        text.write_text("one two three four five six seven eight nine ten " * 20)
        base, matrix = self.scratch / "base", self.scratch / "imatrix.gguf"
        done = exaone("perplexity", "-m", folder, "-f", text, "-c", "32", "--kl-divergence-base", base)
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("chunk 1", done.stderr.decode())
        done = exaone("imatrix", "-m", folder, "-f", text, "-c", "32", "--raw", "-o", matrix)
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        self.assertIn("layer 1", done.stderr.decode())
        self.assertFalse(base.exists() or matrix.exists())


class Verdicts(BlackBox):
    def test_what_nobody_judged_is_not_ok(self):
        table = self.succeed("verify", "-m", DENSE_GGUF, "--reference", DENSE_GGUF.with_suffix(".reference.safetensors"))
        for line in table.splitlines():
            if " 0 of 0 compared" in line or ("production" in line and line.startswith(("short", "long"))):
                self.assertTrue(line.endswith(" -"), line)


class Splitting(BlackBox):
    def test_a_size_that_holds_no_two_tensors_is_refused(self):
        for size in ("10", "100", "1K"):
            self.fail_with(USAGE, "split", DENSE_GGUF, "-o", self.scratch / "s.gguf", "--split-size", size, saying=["tensors", "4G"])
        self.assertEqual(list(self.scratch.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
