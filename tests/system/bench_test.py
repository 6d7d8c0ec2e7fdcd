"""`exaone bench` from outside: llama-bench's keys, lists and ranges, every format, bad input."""

import csv
import io
import json
import unittest

from black_box import BAD_INPUT, DENSE_GGUF, HYBRID, UNSUPPORTED, USAGE, BlackBox

KEYS = ("build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params n_batch "
        "n_ubatch n_threads type_k type_v n_gpu_layers flash_attn n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts "
        "stddev_ts samples_ns samples_ts").split()
OWN_KEYS = ("n_sequences deterministic fast_prefill roofline_share read_gb_s int8_gops fp32_gflops tile_bf16_gflops "
            "tile_int8_gops load_ms first_token_ms vm_hwm_bytes rss_anon_bytes").split()


class Bench(BlackBox):
    def rows(self, *flags, model=DENSE_GGUF):
        return json.loads(self.succeed("bench", "-m", model, "-t", "1", "-r", "2", "-o", "json", *flags))

    def test_keys_and_figures(self):
        prompt, gen = self.rows("-p", "16", "-n", "4")
        for row in (prompt, gen):
            for key in KEYS + OWN_KEYS:
                self.assertIn(key, row)
            self.assertEqual(len(row["samples_ns"]), 2)
            n_tokens = row["n_prompt"] + row["n_gen"]
            for ns, speed in zip(row["samples_ns"], row["samples_ts"]):
                self.assertAlmostEqual(speed * ns / 1e9, n_tokens, delta=0.01 * n_tokens)
            self.assertAlmostEqual(row["avg_ts"], sum(row["samples_ts"]) / 2, delta=1e-6 * row["avg_ts"])
            self.assertGreater(row["read_gb_s"], 0.1)
            self.assertGreater(row["roofline_share"], 0)
            self.assertEqual(row["n_threads"], 1)
            self.assertEqual(row["model_size"] > 0, True)
        self.assertEqual((prompt["n_prompt"], prompt["n_gen"]), (16, 0))
        self.assertEqual((gen["n_prompt"], gen["n_gen"]), (0, 4))

    def test_lists_ranges_and_pairs(self):
        rows = self.rows("-p", "8,16", "-p", "4-8*2", "-n", "0", "-d", "0,8", "-pg", "8,2", "-ub", "4")
        shapes = [(row["n_depth"], row["n_prompt"], row["n_gen"]) for row in rows]
        self.assertEqual(shapes, [(d, p, n) for d in (0, 8) for p, n in ((8, 0), (16, 0), (4, 0), (8, 0), (8, 2))])
        self.assertEqual({row["n_ubatch"] for row in rows}, {4})

    def test_several_sequences(self):
        rows = self.rows("-p", "0", "-n", "4", "-npl", "1,3", "-d", "8", model=HYBRID)
        self.assertEqual([row["n_sequences"] for row in rows], [1, 3])
        self.assertAlmostEqual(rows[1]["samples_ts"][0] * rows[1]["samples_ns"][0] / 1e9, 12, delta=0.01)

    def test_depth_beyond_a_window(self):
        rows = self.rows("-p", "8", "-n", "4", "-d", "100", model=HYBRID)
        self.assertEqual([row["n_depth"] for row in rows], [100, 100])

    def test_every_type_of_the_cache(self):
        rows = self.rows("-p", "8", "-n", "4", "-d", "40", "-ctk", "bf16,f16,q8_0,f32", "-ctv", "bf16,f16,q8_0,f32", model=HYBRID)
        self.assertEqual([(row["type_k"], row["type_v"], row["n_gen"]) for row in rows],
                         [(kind, kind, n) for kind in ("bf16", "f16", "q8_0", "f32") for n in (0, 4)])
        self.assertEqual({row["type_k"] for row in self.rows("-p", "8", "-n", "0", "-ctv", "q8_0")}, {"q8_0"})

    def test_deterministic(self):
        self.assertEqual({row["deterministic"] for row in self.rows("-p", "8", "-n", "4")}, {False})
        self.assertEqual({row["deterministic"] for row in self.rows("-p", "8", "-n", "4", "--deterministic")}, {True})

    def test_fast_prefill(self):
        if self.rows("-p", "8", "-n", "0")[0]["isa"] == "amx":
            self.assertEqual({row["fast_prefill"] for row in self.rows("-p", "8", "-n", "4", "--fast-prefill")}, {True})
        else:
            self.fail_with(UNSUPPORTED, "bench", "-m", DENSE_GGUF, "--fast-prefill", saying=("--fast-prefill", "AMX"))
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "--fast-prefill", "--deterministic", saying=("--deterministic",))

    def test_formats(self):
        flags = ("bench", "-m", DENSE_GGUF, "-t", "1", "-r", "1", "-p", "8", "-n", "2")
        lines = self.succeed(*flags, "-o", "jsonl").splitlines()
        self.assertEqual([json.loads(line)["n_gen"] for line in lines], [0, 2])
        table = list(csv.DictReader(io.StringIO(self.succeed(*flags, "-o", "csv"))))
        self.assertEqual([row["n_gen"] for row in table], ["0", "2"])
        self.assertGreater(float(table[0]["avg_ts"]), 0)
        markdown = self.succeed(*flags).splitlines()
        self.assertEqual(len(markdown), 4)
        self.assertEqual({line.count("|") for line in markdown}, {10})
        self.assertIn("pp8", markdown[2])
        self.assertIn("tg2", markdown[3])

    def test_help(self):
        self.assertIn("-npl", self.succeed("bench", "--help"))

    def test_bad_input(self):
        self.fail_with(USAGE, "bench")
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "--synthetic", "1.2b")
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "-p", "x", saying=["-p", "x"])
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "-p", "8-", saying=["-p"])
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "-pg", "8", saying=["-pg"])
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "-o", "xml", saying=["xml", "jsonl"])
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "--nonsense")
        self.fail_with(USAGE, "bench", "--synthetic", "7b", saying=["7b", "1.2b"])
        self.fail_with(USAGE, "bench", "--synthetic", "32b:65", saying=["32b:65"])
        self.fail_with(USAGE, "bench", "--synthetic", "1.2b", "--type", "Q9", saying=["Q9"])
        self.fail_with(UNSUPPORTED, "bench", "-m", DENSE_GGUF, "-ctk", "bf16", "-ctv", "f32")
        self.fail_with(USAGE, "bench", "-m", DENSE_GGUF, "-ctk", "q4_0", saying=["q4_0", "bf16, f16, q8_0, f32"])
        broken = self.scratch / "broken.gguf"
        broken.write_bytes(b"GGUF")
        self.fail_with(BAD_INPUT, "bench", "-m", broken)


if __name__ == "__main__":
    unittest.main()
