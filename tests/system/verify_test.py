#!/usr/bin/env python3
"""`exaone verify` and `exaone logits` on every model that has reference outputs."""

import json
import unittest

from black_box import (BAD_INPUT, DENSE, GOLDEN, HYBRID, NESTED, SANITIZED, BlackBox, exaone, model_files,
                       read_safetensors, write_safetensors)


def golden_models():
    """(model, its reference) of the golden EXAONE 4.x checkpoints, where they are at hand."""
    pairs = []
    for name in ("exaone4_5",) if SANITIZED else ("exaone4-dense", "exaone4-hybrid", "exaone4_5"):
        folder = GOLDEN / "models" / name
        if folder.is_dir():
            pairs.append((folder, folder / "reference.safetensors"))
            if SANITIZED:
                continue
            pairs += [(g, g.with_suffix(".reference.safetensors")) for g in sorted(folder.glob("gguf/[!m]*.gguf"))]
    return pairs


class Verify(BlackBox):
    def verify(self, model, reference, *flags):
        done = exaone("verify", "-m", model, "--reference", reference, "--json", *flags, timeout=600)
        report = json.loads(done.stdout)
        failed = [row for row in report["cases"] + report["pooled"] if row["passed"] is False]
        self.assertTrue(all(row["passed"] for row in report["pooled"]))
        self.assertEqual(failed, [], f"{model.name}\n{done.stderr.decode()}")
        self.assertTrue(report["passed"])
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, b"")
        return report

    def test_repository_models(self):
        for model, reference in model_files():
            with self.subTest(model=model.name):
                report = self.verify(model, reference)
                names = {row["case"] for row in report["cases"]}
                self.assertLessEqual({"short", "greedy"}, names)
                self.assertTrue(any(name.startswith("long") for name in names))
                self.assertEqual({row["precision"] for row in report["cases"]}, {"exact", "production"})

    def test_golden_models(self):
        if not GOLDEN.is_dir():
            self.skipTest("golden data is not here: ../shared/golden is absent")
        models = golden_models()
        self.assertGreaterEqual(len(models), 1 if SANITIZED else 10)
        for model, reference in models:
            with self.subTest(model=f"{model.parent.name}/{model.name}"):
                folder = GOLDEN / "models/exaone4_5"
                sees = folder in (model, *model.parents)
                flags = ("--images", folder / "images") if sees else ()
                if model.suffix == ".gguf" and sees:
                    flags += ("--mmproj", folder / "gguf/mmproj-bf16.gguf")
                report = self.verify(model, reference, *flags)
                if not sees:
                    continue
                names = {row["case"] for row in report["cases"]}
                self.assertLessEqual({f"image{i}" for i in range(4)}, names)
                self.assertEqual([row["case"] for row in report["skipped"] if row["case"] != "mtp"], [])
                if model == folder:
                    self.assertLessEqual({"two_images", "video"}, names)

    def test_other_pictures_fail(self):
        folder = GOLDEN / "models/exaone4_5"
        if not folder.is_dir():
            self.skipTest("golden data is not here: ../shared/golden is absent")
        images = self.scratch / "images"
        images.mkdir()
        for i, other in enumerate((1, 1, 2, 3)):
            (images / f"{i}.png").write_bytes((folder / f"images/{other}.png").read_bytes())
        self.fail_with(BAD_INPUT, "verify", "-m", folder, "--reference", folder / "reference.safetensors", "--images",
                       images, saying=["grid"])

    def test_thread_count_does_not_matter(self):
        one, three = (self.verify(HYBRID, HYBRID / "reference.safetensors", "-t", n) for n in (1, 3))
        self.assertEqual(one, three)

    def test_another_models_weights_fail(self):
        folder = self.copy_folder(DENSE)
        path = folder / "model.safetensors"
        data = bytearray(path.read_bytes())
        for i in range(len(data) - 65_536, len(data), 2):
            data[i + 1] ^= 0x80  # flips the sign of the last bf16 numbers
        path.write_bytes(data)
        done = exaone("verify", "-m", folder, "--reference", DENSE / "reference.safetensors", "--json")
        self.assertEqual(done.returncode, BAD_INPUT)
        self.assertFalse(json.loads(done.stdout)["passed"])
        self.assertEqual(done.stderr.count(b"\n"), 1)


class Logits(BlackBox):
    def logits(self, model, ids, *flags):
        write_safetensors(self.scratch / "in.safetensors", {"ids": ids})
        out = self.scratch / "out.safetensors"
        printed = self.succeed("logits", "-m", model, "--input", self.scratch / "in.safetensors", "--output", out,
                               *flags)
        self.assertEqual(printed, "")
        return read_safetensors(out)

    def test_equal_to_the_reference(self):
        for model in (DENSE, HYBRID, NESTED):
            reference = read_safetensors(model / "reference.safetensors")
            ids = reference["short.ids"][2]
            arrays = self.logits(model, ids, "--exact", "--hidden")
            _, shape, ours = arrays["logits"]
            _, expected_shape, expected = reference["short.logits"]
            self.assertEqual(shape, expected_shape)
            self.assertLess(max(abs(a - b) for a, b in zip(ours, expected)), 2e-4)
            n_hidden = sum(name.startswith("short.hidden.") for name in reference)
            self.assertEqual(sum(name.startswith("hidden.") for name in arrays), n_hidden)
            self.assertEqual(arrays["hidden.0"][2], reference["short.hidden.0"][2])

    def test_chunks_do_not_matter(self):
        ids = read_safetensors(HYBRID / "reference.safetensors")["long32.ids"][2]
        whole = self.logits(HYBRID, ids, "--exact")
        for chunk in (1, 3, 16, 31):
            with self.subTest(chunk=chunk):
                self.assertEqual(self.logits(HYBRID, ids, "--exact", "--chunk", chunk), whole)


if __name__ == "__main__":
    unittest.main()
