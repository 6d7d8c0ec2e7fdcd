"""`exaone convert`, `split`, `merge` from outside: kills at any moment, full disks, odd arguments."""

import json
import random
import resource
import shutil
import signal
import struct
import subprocess
import time
import unittest

from black_box import BAD_INPUT, BINARY, DENSE, HYBRID, IO, MODELS, NESTED, USAGE, BlackBox, edit_json, exaone


def add_head(path, rows):
    """Adds lm_head.weight, the embedding's rows moved on by so many, and returns its bytes."""
    data = path.read_bytes()
    begin = 8 + struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:begin])
    embedding = header["model.embed_tokens.weight"]
    first, last = embedding["data_offsets"]
    body = data[begin:]
    table = body[first:last]
    cut = rows * (last - first) // embedding["shape"][0]
    header["lm_head.weight"] = {**embedding, "data_offsets": [len(body), len(body) + len(table)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body + table[len(table) - cut:] + table[:len(table) - cut])
    return len(table)


class Convert(BlackBox):
    def convert(self, model, *arguments):
        output = self.scratch / "out.gguf"
        self.succeed("convert", model, "-o", output, *arguments)
        return output

    def test_result_runs(self):
        for model in (DENSE, HYBRID):
            output = self.convert(model)
            self.succeed("verify", "-m", output, "--reference", model / "reference.safetensors")

    def test_one_line_a_tensor(self):
        done = exaone("convert", DENSE, "-o", self.scratch / "out.gguf")
        lines = done.stderr.decode().splitlines()
        self.assertTrue(lines[0].startswith("[ 1/25] "), lines[0])
        self.assertTrue(lines[24].startswith("[25/25] "), lines[24])
        self.assertEqual(done.stdout, b"")

    def test_killed_at_any_moment(self):
        output = self.scratch / "out.gguf"
        start = time.monotonic()
        self.succeed("convert", HYBRID, "-o", output)
        duration = time.monotonic() - start
        whole = output.read_bytes()
        chance = random.Random(7)
        n_unfinished = 0
        for old in (None, b"an old file") * 25:
            output.unlink(missing_ok=True)
            if old:
                output.write_bytes(old)
            process = subprocess.Popen([BINARY, "convert", str(HYBRID), "-o", str(output)],
                                       stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 1.2 * duration))
            process.kill()
            process.wait()
            found = output.read_bytes() if output.exists() else None
            self.assertIn(found, (old, whole))
            n_unfinished += found == old
        self.assertGreater(n_unfinished, 5)

    def test_full_disk(self):
        output = self.scratch / "out.gguf"

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

        done = subprocess.run([BINARY, "convert", str(DENSE), "-o", str(output)], capture_output=True,
                              preexec_fn=limit, check=False)
        self.assertEqual(done.returncode, IO, done.stderr)
        last = done.stderr.decode().splitlines()[-1]
        self.assertTrue(last.startswith("exaone: ") and "cannot write" in last, last)
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_split_and_merge(self):
        output = self.convert(DENSE)
        self.succeed("split", output, "-o", self.scratch / "cut.gguf", "--split-size", "300K")
        shards = sorted(self.scratch.glob("cut-*-of-*.gguf"))
        self.assertGreater(len(shards), 2)
        self.succeed("verify", "-m", shards[-1], "--reference", DENSE / "reference.safetensors")
        merged = self.scratch / "merged.gguf"
        self.succeed("merge", shards[1], "-o", merged)
        self.assertEqual(merged.read_bytes(), output.read_bytes())
        shards[1].unlink()
        self.fail_with(IO, "merge", shards[0], "-o", merged, saying=["missing shard", "2"])

    def test_arguments(self):
        output = self.scratch / "out.gguf"
        self.fail_with(USAGE, "convert", DENSE)
        self.fail_with(USAGE, "convert", DENSE, "-o", output, "--type", "q9")
        self.fail_with(USAGE, "convert", DENSE, "-o", output, "--split-size", "4X", saying=["--split-size", "4X"])
        self.fail_with(USAGE, "convert", DENSE, "-o", output, "--split-size", "0")
        self.fail_with(USAGE, "convert", NESTED, "-o", output, "--one-file", "--mmproj", output)
        self.fail_with(BAD_INPUT, "convert", DENSE / "config.json", "-o", output)
        self.fail_with(IO, "convert", MODELS / "none", "-o", output, saying=["none"])
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_damaged_tensor_is_named(self):
        output = self.convert(DENSE)
        data = bytearray(output.read_bytes())
        data[-2000] ^= 16
        output.write_bytes(data)
        self.fail_late("split", output, "-o", self.scratch / "cut.gguf", "--split-size", "300K")
        self.assertEqual(list(self.scratch.iterdir()), [output])

    def fail_late(self, *arguments):
        """A failure after progress lines."""
        done = exaone(*arguments)
        self.assertEqual(done.returncode, BAD_INPUT, done.stderr)
        last = done.stderr.decode().splitlines()[-1]
        self.assertIn("CRC32C", last)
        self.assertIn("blk.", last)

    def test_index_that_names_an_absent_tensor(self):
        folder = self.copy_folder(HYBRID)

        def add(index):
            index["weight_map"]["model.layers.99.mlp.up_proj.weight"] = "model-00001-of-00002.safetensors"

        edit_json(folder / "model.safetensors.index.json", add)
        self.fail_with(BAD_INPUT, "convert", folder, "-o", self.scratch / "out.gguf", saying=["model.layers.99"])

    def test_a_head_beside_a_config_that_ties(self):
        """inspect and convert tell another head from a copy of the embedding."""
        plain = json.loads(self.succeed("inspect", DENSE, "--json"))
        for rows, tied in ((0, True), (1, False)):
            folder = self.copy_folder(DENSE)
            n_bytes = add_head(folder / "model.safetensors", rows)
            report = json.loads(self.succeed("inspect", folder, "--json"))
            self.assertEqual(report["config"]["tied_head"], tied)
            more = report["memory"]["weight_bytes"] - plain["memory"]["weight_bytes"]
            if tied:
                self.assertEqual(more, 0)
            else:  # packed in blocks of 16 rows
                self.assertIn(more - n_bytes, range(0, 15 * report["config"]["hidden"] * 2 + 1))
            output = self.convert(folder)
            name = b"output.weight"
            self.assertEqual(struct.pack("<Q", len(name)) + name in output.read_bytes(), not tied)
            shutil.rmtree(folder)

    def test_missing_shard(self):
        folder = self.copy_folder(HYBRID)
        (folder / "model-00002-of-00002.safetensors").unlink()
        self.fail_with(IO, "convert", folder, "-o", self.scratch / "out.gguf", saying=["model-00002-of-00002"])

    def test_header_is_gguf_3(self):
        data = self.convert(DENSE, "--type", "q8_0").read_bytes()
        self.assertEqual(data[:4], b"GGUF")
        self.assertEqual(struct.unpack_from("<I", data, 4)[0], 3)


if __name__ == "__main__":
    unittest.main()
