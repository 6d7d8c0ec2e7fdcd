#!/usr/bin/env python3
"""The file of packed weights as a black box: damaged, cut or opened to others, it never changes an answer."""

import json
import os
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from black_box import BINARY, DENSE, IO, BlackBox, exaone

HUGE_PAGE = 2 << 20  # the file's data begins at a multiple of it
END_TOKENS = (2, 53, 65)
ROWS = 560_000  # of the embedding, nearly all padding: less than 64 MiB of weights get no file


def pad_embedding(folder):
    """The model with rows of zeros behind its embedding's."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    begin = 8 + struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8:begin])
    body = data[begin:]
    embedding = header["model.embed_tokens.weight"]
    first, last = embedding["data_offsets"]
    rows, width = embedding["shape"]
    table = body[first:last] + bytes((ROWS - rows) * (last - first) // rows)
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["data_offsets"][0] >= last:
            tensor["data_offsets"] = [offset - (last - first) for offset in tensor["data_offsets"]]
    body = body[:first] + body[last:]
    embedding["shape"] = [ROWS, width]
    embedding["data_offsets"] = [len(body), len(body) + len(table)]
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body + table)
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] = ROWS
    (folder / "config.json").write_text(json.dumps(config))


class PackCache(BlackBox):
    def setUp(self):
        super().setUp()
        self.model = self.copy_folder(DENSE)
        pad_embedding(self.model)
        self.environment = {"XDG_CACHE_HOME": str(self.scratch / "cache")}

    def arguments(self, n_tokens):
        biases = [word for token in END_TOKENS for word in ("--logit-bias", f"{token}=-100")]
        return ("run", "-m", self.model, "-p", "a bird", "--temp", "0", "-n", n_tokens, *biases)

    def answer(self):
        done = exaone(*self.arguments(24), environment=self.environment)
        self.assertIn(done.returncode, (0, 7), done.stderr.decode(errors="replace"))
        return done.stdout

    def file(self, is_anew=lambda path: True):
        """The one file of the cache, when whoever writes it is done: a process that outlives its run may."""
        for _ in range(1200):
            for path in (self.scratch / "cache" / "exaone").glob("*.p16"):
                if is_anew(path):
                    return path
            time.sleep(0.05)
        self.fail("no file of packed weights, or it was not made anew")

    def test_a_damaged_page_is_noticed_and_the_file_made_anew(self):
        answer = self.answer()
        path = self.file()
        whole = path.read_bytes()
        self.assertEqual(self.answer(), answer)
        self.assertTrue(path.read_bytes() == whole)
        for offset in (HUGE_PAGE + 8192, HUGE_PAGE + (len(whole) - HUGE_PAGE) // 2):
            with open(path, "r+b") as file:
                file.seek(offset)
                file.write(bytes(byte ^ 0x11 for byte in whole[offset:offset + 4096]))
            self.assertEqual(self.answer(), answer)
            self.file(lambda path: path.read_bytes() == whole)

    def test_rights(self):
        self.answer()
        path = self.file()
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)
        path.chmod(0o664)
        before = path.stat().st_mtime_ns  # the number of a removed file may be the new one's, its time is not
        self.answer()
        after = self.file(lambda path: path.stat().st_mtime_ns != before).stat()
        self.assertEqual(after.st_mode & 0o777, 0o600)

    def test_a_file_that_is_cut_under_a_run_ends_it_in_one_line(self):
        self.answer()
        path = self.file()
        command = [BINARY, *map(str, self.arguments(1900)), "-c", "2000"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, **self.environment}) as run:
            self.assertTrue(run.stdout.read(1))
            os.truncate(path, HUGE_PAGE)
            run.stdout.read()
            line = run.stderr.read().decode()
            self.assertEqual(run.wait(60), IO, line)
        self.assertTrue(line.startswith("exaone: ") and line.count("\n") == 1, line)
        self.assertIn(path.name, line)
        self.answer()  # the next start finds a broken file and makes it anew
        self.file(lambda path: path.stat().st_size > HUGE_PAGE)


if __name__ == "__main__":
    unittest.main()
