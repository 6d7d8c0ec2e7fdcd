#!/usr/bin/env python3
"""Flags from the environment and the configuration file, completion scripts, manual pages."""

import json
import os
import subprocess
import unittest

from black_box import DENSE, IO, USAGE, BlackBox, exaone


class Settings(BlackBox):
    def setUp(self):
        super().setUp()
        self.config = self.scratch / "exaone/config.toml"
        self.config.parent.mkdir()
        self.home = {"XDG_CONFIG_HOME": str(self.scratch)}

    def tokens(self, *flags, **environment):
        out = self.succeed("run", "-m", DENSE, "-p", "Hello", "--json", "--temp", "1", "--seed", "1", *flags,
                           environment={**self.home, **environment})
        return json.loads(out)["usage"]["completion_tokens"]

    def test_flag_before_environment_before_file(self):
        self.config.write_text("max-tokens = 3\n")
        self.assertEqual(self.tokens(), 3)
        self.assertEqual(self.tokens(EXAONE_MAX_TOKENS="2"), 2)
        self.assertEqual(self.tokens("-n", "1", EXAONE_MAX_TOKENS="2"), 1)

    def test_a_section_is_for_its_command(self):
        self.config.write_text("max-tokens = 9\n[run]\nmax-tokens = 3\n[chat]\nmax-tokens = 5\n")
        self.assertEqual(self.tokens(), 3)

    def test_the_model_too(self):
        self.config.write_text(f'model = "{DENSE}"\n')
        self.assertTrue(self.succeed("run", "-p", "Hello", "-n", "2", environment=self.home))

    def test_print_config_says_which_source_won(self):
        self.config.write_text("max-tokens = 3\ntop-k = 5\n")
        out = self.succeed("run", "--print-config", "--seed", "7",
                           environment={**self.home, "EXAONE_TOP_K": "9", "EXAONE_TEMPERATURE": "0.5"})
        row = {line.split(" =")[0]: line for line in out.split("\n")}
        self.assertRegex(row["seed"], r"= +7 +# the command line")
        self.assertRegex(row["top-k"], r"= +9 +# EXAONE_TOP_K")
        self.assertRegex(row["temp"], r"= +0.5 +# EXAONE_TEMP")
        self.assertRegex(row["max-tokens"], r"= +3 +# .*config.toml")
        self.assertRegex(row["think"], r"= +auto +# the default")

    def test_what_is_wrong_is_said(self):
        self.config.write_text("max-tokkens = 3\n")
        self.fail_with(USAGE, "run", "-m", DENSE, "-p", "x", environment=self.home, saying=["max-tokkens", "config.toml"])
        self.config.write_text("")
        self.fail_with(USAGE, "run", "-m", DENSE, "-p", "x", environment={**self.home, "EXAONE_THREADS": "many"},
                       saying=["threads"])
        self.fail_with(IO, "run", "-m", DENSE, "-p", "x", environment={"EXAONE_CONFIG": str(self.scratch / "none")},
                       saying=["none"])

    def test_other_commands_do_not_mind(self):
        self.config.write_text("max-tokens = 3\n[quantize]\nthreads = 1\n")
        self.assertEqual(exaone("tokenize", "-m", DENSE, stdin=b"Hi", environment=self.home).returncode, 0)


class Shells(BlackBox):
    def test_completion(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.succeed("completion", shell)
            for word in ("chat", "run", "quantize", "reasoning-budget"):
                self.assertIn(word, script)
            self.require_program(shell)
            path = self.scratch / shell
            path.write_text(script)
            subprocess.run([shell, "-n", path], check=True, timeout=30)

    def test_bash_completes(self):
        script = self.scratch / "complete"
        script.write_text(self.succeed("completion", "bash"))

        def complete(*words):
            program = (f"source {script}; COMP_WORDS=({' '.join(words)!s} ''); COMP_CWORD={len(words)}; "
                       "_exaone; printf '%s\\n' \"${COMPREPLY[@]}\"")
            return subprocess.run(["bash", "-c", program], check=True, capture_output=True, timeout=30).stdout.decode().split()

        self.assertIn("chat", complete("exaone"))
        self.assertEqual(complete("exaone", "run", "--think"), ["on", "off", "auto"])
        self.assertEqual(complete("exaone", "chat", "--image-jail"), ["auto", "on", "off"])

    def test_fish_completes(self):
        self.require_program("fish")
        script = self.scratch / "complete.fish"
        script.write_text(self.succeed("completion", "fish"))

        def complete(line):
            program = f"source {script}; complete -C '{line}'"
            done = subprocess.run(["fish", "--no-config", "-c", program], capture_output=True, timeout=30,
                                  env={**os.environ, "HOME": str(self.scratch)}, check=True)
            self.assertEqual(done.stderr, b"")
            return [choice.split("\t")[0] for choice in done.stdout.decode().splitlines()]

        self.assertIn("chat", complete("exaone "))
        self.assertEqual(complete("exaone run --reasoning-b"), ["--reasoning-budget", "--reasoning-budget-message"])
        self.assertEqual(sorted(complete("exaone run --think ")), ["auto", "off", "on"])
        self.assertEqual(sorted(complete("exaone chat --cache-type ")), ["bf16", "f16", "q8_0"])

    def test_manual_pages(self):
        self.assertIn("quantize", self.succeed("man"))
        page = self.succeed("man", "run")
        self.assertTrue(page.startswith(".TH EXAONE-RUN 1"))
        self.assertIn("\\-\\-reasoning\\-budget", page)
        self.fail_with(USAGE, "man", "nonsense")
        self.require_program("groff")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-Kutf8"], input=page.encode(), capture_output=True, timeout=30,
                              check=True)
        self.assertEqual(done.stderr, b"")


if __name__ == "__main__":
    unittest.main()
