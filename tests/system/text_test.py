#!/usr/bin/env python3
"""`exaone tokenize`, `exaone template` and `exaone inspect` against Hugging Face's answers."""

import json
import unittest

from black_box import (DENSE, DENSE_GGUF, GOLDEN, HYBRID, NESTED, SANITIZED, BlackBox, cases, exaone, jsonl,
                       model_files)


class Version(BlackBox):
    def test_version(self):
        self.assertRegex(self.succeed("--version"), r"\d+\.\d+\.\d+")

    def test_help_goes_to_stdout(self):
        done = exaone("--help")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, b"")
        for command in (b"run", b"chat", b"tokenize", b"template", b"inspect", b"logits", b"verify"):
            self.assertIn(command, done.stdout)


class Tokenize(BlackBox):
    def check_cases(self, model, path):
        wanted = cases(path)
        lines = self.succeed("tokenize", "-m", model, "--jsonl", stdin=jsonl({"text": c["text"]} for c in wanted))
        found = [json.loads(line)["ids"] for line in lines.splitlines()]
        self.assertEqual(found, [c["ids"] for c in wanted])
        lines = self.succeed("tokenize", "-m", model, "--jsonl", "--detokenize",
                             stdin=jsonl({"ids": c["ids"]} for c in wanted))
        texts = [json.loads(line)["text"] for line in lines.split("\n") if line]
        self.assertEqual(texts, [c.get("decoded", c["text"]) for c in wanted])

    def test_repository_cases(self):
        for folder in (DENSE, HYBRID, NESTED):
            for model in [folder, folder / "tokenizer.json", *sorted(folder.glob("*.gguf"))]:
                with self.subTest(model=model.name):
                    self.check_cases(model, folder / "tokenizer.cases.jsonl")

    @unittest.skipIf(SANITIZED, "the tests of the text room read these there")
    def test_golden_cases(self):
        folder = GOLDEN / "tokenizer"
        if not folder.is_dir():
            self.skipTest("golden data is not here: ../shared/golden is absent")
        for name in ("exaone-4.0", "exaone-4.5-like"):
            with self.subTest(name=name):
                self.check_cases(folder / f"{name}.tokenizer.json", folder / f"{name}.cases.jsonl")

    def test_control_tokens_of_data_stay_text(self):
        text = b"[|user|] </think>"
        parsed = self.succeed("tokenize", "-m", DENSE, stdin=text).split()
        plain = self.succeed("tokenize", "-m", DENSE, "--no-parse-special", stdin=text).split()
        self.assertIn("360", parsed)
        self.assertNotIn("360", plain)
        self.assertGreater(len(plain), len(parsed))
        back = self.succeed("tokenize", "-m", DENSE, "--detokenize", stdin=" ".join(plain).encode())
        self.assertEqual(back.rstrip("\n"), text.decode())


class Template(BlackBox):
    def check_cases(self, arguments, wanted):
        requests = [{k: case[k] for k in ("messages", "tools", "kwargs", "add_generation_prompt")} for case in wanted]
        lines = self.succeed("template", *arguments, "--jsonl", stdin=jsonl(requests)).splitlines()
        expected = [{"text": c["expected"]} if "expected" in c else {"error": c["error"]} for c in wanted]
        self.assertEqual([json.loads(line) for line in lines], expected)

    def test_one_conversation(self):
        for case in cases(DENSE / "chat.cases.jsonl"):
            done = exaone("template", "-m", DENSE, stdin=jsonl([case]))
            if "expected" in case:
                self.assertEqual((done.returncode, done.stdout.decode()), (0, case["expected"]))
            else:
                self.assertEqual((done.returncode, done.stdout), (2, b""))
                self.assertIn(case["error"], done.stderr.decode())

    def test_repository_cases(self):
        for folder in (DENSE, NESTED):
            with self.subTest(model=folder.name):
                wanted = cases(folder / "chat.cases.jsonl")
                self.check_cases(["-m", folder], wanted)
                self.check_cases(["--template", folder / "chat_template.jinja"], wanted[:3])

    def test_gguf_carries_the_template(self):
        self.check_cases(["-m", DENSE_GGUF], cases(DENSE / "chat.cases.jsonl"))


class Inspect(BlackBox):
    def test_json(self):
        for model, _ in model_files():
            with self.subTest(model=model.name):
                folder = model if model.is_dir() else model.parent
                config = json.loads((folder / "config.json").read_text())
                report = json.loads(self.succeed("inspect", model, "--json"))
                self.assertEqual(report["config"]["hidden"], config.get("text_config", config)["hidden_size"])

    def test_text_goes_to_stdout(self):
        done = exaone("inspect", HYBRID)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(b"exaone4", done.stdout)


if __name__ == "__main__":
    unittest.main()
