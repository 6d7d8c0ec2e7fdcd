#!/usr/bin/env python3
"""EXAONE 3.5 and Deep: from a folder and from GGUF, converted, quantized, on each kind of cache and instruction set."""

import json
import unittest

from black_box import BAD_INPUT, DEEP, PRE_NORM, SANITIZED, BlackBox, edit_json, exaone

ISAS = ("scalar",) if SANITIZED else ("scalar", "avx2", "avx512")


class Family(BlackBox):
    def answer(self, model, *flags, environment=None):
        done = exaone("run", "-m", model, "-p", "Hello", "-n", "24", "--temp", "0", "--json",
                      *flags, environment=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_folder_and_conversion_agree(self):
        for model in (PRE_NORM, DEEP):
            output = self.scratch / f"{model.name}.gguf"
            self.succeed("convert", model, "-o", output)
            folder, file = self.answer(model), self.answer(output)
            self.assertEqual((folder["content"], folder["reasoning"]), (file["content"], file["reasoning"]))
            self.succeed("verify", "-m", output, "--reference", model / "reference.safetensors")
            for kind in ("Q4_0", "Q4_K_M", "Q8_0"):
                small = self.scratch / f"{kind}.gguf"
                self.succeed("quantize", output, small, kind)
                self.answer(small)
                self.assertIn('"exaone"', self.succeed("inspect", "--json", small))

    def test_heads_of_80_on_every_cache_and_instruction_set(self):
        for cache in ("bf16", "f16", "q8_0"):
            answers = {isa: self.answer(PRE_NORM, "--cache-type", cache, "-t", "1", environment={"EXAONE_ISA": isa})["content"]
                       for isa in ISAS if self.has(isa)}
            self.assertEqual(len(set(answers.values())), 1, (cache, answers))

    def has(self, isa):
        """Other instruction sets than this machine's are refused."""
        return exaone("tokenize", "-m", PRE_NORM, stdin=b"x", environment={"EXAONE_ISA": isa}).returncode == 0

    def test_deep_thinks_in_its_own_tags(self):
        budget = ("--reasoning-budget", "5", "--reasoning-budget-message", "")
        report = self.answer(DEEP, *budget)
        self.assertGreater(report["usage"]["reasoning_tokens"], 5)
        self.assertNotIn("</thought>", report["content"] + report["reasoning"])
        self.assertEqual(self.answer(DEEP, "--think", "off")["content"], "", "it thinks whatever is asked")
        self.assertEqual(self.answer(PRE_NORM, "--think", "on")["reasoning"], "")

    def test_broken_configs(self):
        for change, word in ((lambda c: c.pop("num_layers"), "num_layers"), (lambda c: c.update(num_layers=3), "h.2"),
                             (lambda c: c.update(activation_function="gelu"), "gelu"),
                             (lambda c: c.update(layer_norm_epsilon="x"), "layer_norm_epsilon"),
                             (lambda c: c.update(num_key_value_heads=3), "head")):
            folder = self.copy_folder(PRE_NORM)
            edit_json(folder / "config.json", change)
            done = exaone("run", "-m", folder, "-p", "x")
            self.assertIn(done.returncode, (BAD_INPUT, 3))
            self.assertIn(word, done.stderr.decode())
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


if __name__ == "__main__":
    unittest.main()
