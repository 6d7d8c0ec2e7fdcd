"""`exaone quantize` from outside: results that run, kills at any moment, full disks, odd arguments."""

import random
import re
import resource
import signal
import subprocess
import time
import unittest

from black_box import BAD_INPUT, BINARY, DENSE, DENSE_GGUF, HYBRID, IO, SANITIZED, USAGE, BlackBox, exaone

KINDS = ("F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S Q4_0 Q4_1 Q5_0 Q5_1 Q3_K_M Q2_K IQ4_NL IQ4_XS").split()


class Quantize(BlackBox):
    def test_every_kind_runs(self):
        for model in (DENSE, HYBRID):
            for kind in ("F32", "Q4_K_M", "IQ4_XS") if SANITIZED else KINDS:
                output = self.scratch / f"{kind}.gguf"
                self.succeed("quantize", model, output, kind.lower())
                text = self.succeed("run", "-m", output, "-n", "4", "--temp", "0", "-p", "안녕")
                self.assertIsInstance(text, str)
        self.succeed("verify", "-m", self.scratch / "F32.gguf", "--reference", HYBRID / "reference.safetensors")

    def test_lines(self):
        done = exaone("quantize", HYBRID, self.scratch / "out.gguf", "Q4_K_M")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, b"")
        lines = [line for line in done.stderr.decode().splitlines() if line.startswith("[")]
        pattern = r"\[ *\d+/\d+\] \S+ +\d+( x \d+)*  \S+( → \S+)?  [\d.]+( → [\d.]+)? MiB"
        for line in lines:
            self.assertRegex(line, f"^{pattern}$")
        self.assertTrue(any(re.search(r"blk\.0\.attn_q\.weight +256 x 256  BF16 → Q4_K  0\.1 → 0\.0 MiB", line)
                            for line in lines), lines)

    def test_dry_run_writes_nothing_and_foretells(self):
        output = self.scratch / "out.gguf"
        table = self.succeed("quantize", HYBRID, output, "Q5_K_M", "--dry-run", "--tensor-type", "attn_q=Q8_0")
        self.assertFalse(output.exists())
        line = re.compile(r"^(\S+\.weight) +.*?(\S+)  [\d.]+(?: → [\d.]+)? MiB$", re.MULTILINE)
        self.succeed("quantize", HYBRID, output, "Q5_K_M", "--tensor-type", "attn_q=Q8_0")
        written = self.succeed("quantize", output, self.scratch / "b.gguf", "F32", "--pure", "--dry-run")
        before = dict(re.findall(r"^(\S+\.weight) +[\dx ]+  (\S+)", written, re.MULTILINE))
        self.assertGreater(len(before), 20)
        self.assertEqual(dict(line.findall(table)), before)
        self.assertEqual(before["blk.0.attn_q.weight"], "Q8_0")
        self.assertRegex(table, r"\noutput +[\d.]+ MiB +[\d.]+ bits a weight\n")

    def test_killed_at_any_moment(self):
        output = self.scratch / "out.gguf"
        start = time.monotonic()
        self.succeed("quantize", HYBRID, output, "Q4_K_M")
        duration = time.monotonic() - start
        whole = output.read_bytes()
        chance = random.Random(11)
        n_unfinished = 0
        for old in (None, b"an old file") * (4 if SANITIZED else 25):
            output.unlink(missing_ok=True)
            if old:
                output.write_bytes(old)
            process = subprocess.Popen([BINARY, "quantize", str(HYBRID), str(output), "Q4_K_M"],
                                       stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 1.2 * duration))
            process.kill()
            process.wait()
            found = output.read_bytes() if output.exists() else None
            self.assertIn(found, (old, whole))
            n_unfinished += found == old
        self.assertGreater(n_unfinished, 0 if SANITIZED else 5)

    def test_full_disk(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

        done = subprocess.run([BINARY, "quantize", str(HYBRID), str(self.scratch / "out.gguf"), "Q8_0"],
                              capture_output=True, preexec_fn=limit, check=False)
        self.assertEqual(done.returncode, IO, done.stderr)
        last = done.stderr.decode().splitlines()[-1]
        self.assertTrue(last.startswith("exaone: ") and "cannot write" in last, last)
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_arguments(self):
        output = self.scratch / "out.gguf"
        self.fail_with(USAGE, "quantize", DENSE)
        self.fail_with(USAGE, "quantize", DENSE, output)
        self.fail_with(USAGE, "quantize", DENSE, output, "Q9", saying=["Q9", "Q4_K_M", "IQ4_XS"])
        self.fail_with(USAGE, "quantize", DENSE, output, "Q8_0", "--tensor-type", "attn_q", saying=["REGEX=TYPE"])
        self.fail_with(USAGE, "quantize", DENSE, output, "Q8_0", "--tensor-type", "(=Q8_0", saying=["("])
        self.fail_with(USAGE, "quantize", DENSE, output, "Q8_0", "--tensor-type", "a=Q9", saying=["Q9", "Q6_K"])
        self.fail_with(USAGE, "quantize", DENSE, output, "Q8_0", "--output-tensor-type", "x")
        self.fail_with(USAGE, "quantize", DENSE, output, "Q8_0", "--keep-split")
        self.fail_with(BAD_INPUT, "quantize", DENSE_GGUF, output, "Q4_0", "--imatrix", DENSE_GGUF)
        self.fail_with(IO, "quantize", DENSE / "none.gguf", output, "Q4_0")
        self.fail_with(IO, "quantize", DENSE, self.scratch / "none" / "out.gguf", "Q4_0")
        self.fail_with(BAD_INPUT, "quantize", DENSE, self.scratch, "Q4_0", saying=["folder"])
        self.fail_with(BAD_INPUT, "quantize", DENSE, "/dev/null", "Q4_0", saying=["device"])
        copy = self.scratch / "in.gguf"
        copy.write_bytes(DENSE_GGUF.read_bytes())
        self.fail_with(BAD_INPUT, "quantize", copy, copy, "F16", saying=["one of the inputs"])
        self.assertEqual(copy.read_bytes(), DENSE_GGUF.read_bytes())


if __name__ == "__main__":
    unittest.main()
