"""`exaone perplexity` and `exaone imatrix` from outside: figures that follow from the logits, bases, bad input."""

import json
import math
import unittest

from black_box import BAD_INPUT, DENSE, DENSE_GGUF, HYBRID, USAGE, BlackBox, read_safetensors, write_safetensors

CONTEXT = 64


class Perplexity(BlackBox):
    def setUp(self):
        super().setUp()
        self.text = self.scratch / "text.txt"
        self.text.write_text("\n\n".join(f"서울의 날씨 {i}, the quick brown fox {i * 7}!" for i in range(40)))

    def measure(self, model, *flags):
        return json.loads(self.succeed("perplexity", "-m", model, "-f", self.text, "-c", str(CONTEXT), "--json", *flags))

    def test_equals_the_logits(self):
        ids = json.loads(self.succeed("tokenize", "-m", DENSE, "--jsonl",
                                      stdin=json.dumps({"text": self.text.read_text()}).encode()))["ids"]
        measured = self.measure(DENSE, "--chunks", "1")
        context = ids[:CONTEXT]
        write_safetensors(self.scratch / "in.safetensors", {"ids": context})
        self.succeed("logits", "-m", DENSE, "--input", self.scratch / "in.safetensors", "--output",
                     self.scratch / "out.safetensors")
        _, (_, vocab), logits = read_safetensors(self.scratch / "out.safetensors")["logits"]
        total = 0.0
        rows = range(CONTEXT // 2, CONTEXT - 1)
        for row in rows:
            values = logits[row * vocab:(row + 1) * vocab]
            top = max(values)
            total -= values[context[row + 1]] - top - math.log(sum(math.exp(x - top) for x in values))
        self.assertEqual(measured["tokens"], len(rows))
        self.assertAlmostEqual(math.log(measured["perplexity"]), total / len(rows), places=4)

    def test_divergence_from_a_base(self):
        base = self.scratch / "base.safetensors"
        self.measure(DENSE, "--kl-divergence-base", base)
        same = self.measure(DENSE, "--kl-divergence-base", base, "--kl-divergence")
        self.assertLess(abs(same["mean_kl"]), 1e-6)
        self.assertEqual(same["same_top"], 1)
        other = self.measure(DENSE_GGUF, "--kl-divergence-base", base, "--kl-divergence")
        self.assertGreater(other["mean_kl"], 1e-6)
        self.assertLess(other["mean_kl"], 3e-3)

    def test_bad_input(self):
        base = self.scratch / "base.safetensors"
        self.fail_with(USAGE, "perplexity", "-m", DENSE, "-f", self.text, "--kl-divergence")
        self.measure(DENSE, "--kl-divergence-base", base)
        self.fail_with(BAD_INPUT, "perplexity", "-m", HYBRID, "-f", self.text, "-c", "32", "--kl-divergence-base", base,
                       "--kl-divergence", saying=["context"])
        self.text.write_text("짧다")
        self.fail_with(BAD_INPUT, "perplexity", "-m", DENSE, "-f", self.text, saying=["expected at least one context"])

    def test_imatrix_guides_the_quantizer(self):
        imatrix = self.scratch / "imatrix.gguf"
        self.succeed("imatrix", "-m", DENSE, "-f", self.text, "-o", imatrix, "-c", str(CONTEXT))
        plain, guided = self.scratch / "plain.gguf", self.scratch / "guided.gguf"
        self.succeed("quantize", DENSE, plain, "Q4_K_M")
        self.succeed("quantize", "--imatrix", imatrix, DENSE, guided, "Q4_K_M")
        self.assertNotEqual(plain.read_bytes(), guided.read_bytes())
        base = self.scratch / "base.safetensors"
        self.measure(DENSE, "--kl-divergence-base", base)
        divergence = [self.measure(model, "--kl-divergence-base", base, "--kl-divergence")["mean_kl"]
                      for model in (plain, guided)]
        self.assertLess(divergence[1], divergence[0] * 1.1)


if __name__ == "__main__":
    unittest.main()
