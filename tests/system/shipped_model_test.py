#!/usr/bin/env python3
"""Which model the program takes where none is named."""

import shutil
import subprocess
import unittest
from pathlib import Path

from black_box import BINARY, DENSE, DENSE_GGUF, USAGE, BlackBox, exaone

NAME = "EXAONE-nano.Q8_0.gguf"


class ShippedModel(BlackBox):
    def setUp(self):
        super().setUp()
        self.program = self.scratch / "tree/build/release/exaone"
        self.program.parent.mkdir(parents=True)
        shutil.copy(BINARY, self.program)

    def ids(self, environment=None):
        return subprocess.run([self.program, "tokenize"], input=b"Hello", capture_output=True, timeout=60, check=False, env=environment)

    def place(self, folder):
        path = self.scratch / "tree" / folder / NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DENSE_GGUF, path)
        return path

    def test_says_where_it_looked(self):
        done = self.ids()
        self.assertEqual((done.returncode, done.stdout, done.stderr.count(b"\n")), (USAGE, b"", 1))
        self.assertTrue(done.stderr.startswith(b"exaone: "))
        for folder in ("build/release", "build/share/exaone", "models"):
            self.assertIn(str(self.scratch / "tree" / folder / NAME), done.stderr.decode())

    def test_takes_the_first_place(self):
        expected = exaone("tokenize", "-m", DENSE, stdin=b"Hello").stdout
        for folder in ("models", "build/share/exaone", "build/release"):
            with self.subTest(folder=folder):
                good = self.place(folder)
                done = self.ids()
                self.assertEqual((done.returncode, done.stdout), (0, expected), done.stderr.decode())
                good.write_bytes(b"what lies at a later place is not read")

    def test_a_named_model_wins(self):
        self.place("models").write_bytes(b"no model")
        self.assertNotEqual(self.ids().returncode, 0)
        self.assertEqual(self.ids({"EXAONE_MODEL": str(DENSE)}).returncode, 0)


if __name__ == "__main__":
    unittest.main()
