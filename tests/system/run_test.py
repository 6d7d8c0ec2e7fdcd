#!/usr/bin/env python3
"""`exaone run`: the answer on stdout and nothing else, the same answer every time, signals and pipes."""

import json
import os
import signal
import subprocess
import time
import unittest

from black_box import (BINARY, DENSE, DENSE_GGUF, HYBRID, NESTED, USAGE, BlackBox, exaone, read_safetensors,
                       write_safetensors)


class Run(BlackBox):
    def test_answers_and_exits(self):
        for model in (DENSE, DENSE_GGUF, HYBRID, NESTED):
            with self.subTest(model=model.name):
                done = exaone("run", "-m", model, "-p", "안녕하세요?", "-n", "16", "--seed", "1")
                self.assertEqual(done.returncode, 0, done.stderr.decode())
                self.assertTrue(done.stdout)
                done.stdout.decode("utf-8")

    def test_prompt_from_stdin_is_the_same_prompt(self):
        flags = ["-m", DENSE, "-n", "12", "--temp", "0"]
        self.assertEqual(self.succeed("run", *flags, "-p", "Hello"), self.succeed("run", *flags, stdin=b"Hello"))

    def test_stdout_is_the_answer_alone(self):
        quiet = exaone("run", "-m", DENSE, "-p", "Hello", "-n", "12", "--temp", "0")
        chatty = exaone("run", "-m", DENSE, "-p", "Hello", "-n", "12", "--temp", "0", "-v")
        self.assertEqual(quiet.stdout, chatty.stdout)
        self.assertTrue(chatty.stderr)

    def test_fast_prefill_says_where_it_changes_nothing(self):
        flags = ("run", "-m", NESTED, "-p", "Hello", "-n", "4", "--temp", "0")
        usual, fast = exaone(*flags, "-v"), exaone(*flags, "--fast-prefill")
        self.assertEqual(fast.returncode, 0)
        if b", amx" in usual.stderr:
            self.assertEqual(fast.stderr, b"")
        else:
            self.assertEqual(usual.stdout, fast.stdout)
            self.assertIn(b"needs a processor with AMX", fast.stderr)
        self.fail_with(USAGE, *flags, "--fast-prefill", "--deterministic", saying=("--fast-prefill", "--deterministic"))

    def test_same_seed_same_answer(self):
        flags = ["-m", NESTED, "-p", "Hello", "-n", "24", "--temp", "1.0", "--think", "off"]
        first = self.succeed("run", *flags, "--seed", "7")
        self.assertEqual(first, self.succeed("run", *flags, "--seed", "7", "-t", "1"))
        self.assertNotEqual(first, self.succeed("run", *flags, "--seed", "8"))

    def test_greedy_tokens_are_the_largest_logits(self):
        for model in (DENSE, HYBRID):
            with self.subTest(model=model.name):
                prompt = "The capital of Korea"
                ids = self.encode(model, prompt)
                n_prompt = len(ids)
                for _ in range(6):
                    write_safetensors(self.scratch / "in.safetensors", {"ids": ids, "positions": [len(ids) - 1]})
                    self.succeed("logits", "-m", model, "--input", self.scratch / "in.safetensors",
                                 "--output", self.scratch / "out.safetensors")
                    row = read_safetensors(self.scratch / "out.safetensors")["logits"][2]
                    ids.append(row.index(max(row)))
                found = self.succeed("run", "-m", model, "--raw", "-p", prompt, "-n", "6", "--temp", "0")
                # Control tokens are generated, but not shown.
                added = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
                control = {token["id"] for token in added if token["special"]}
                shown = [i for i in ids[n_prompt:] if i not in control]
                self.assertEqual(found.rstrip("\n"), self.decode(model, shown).rstrip("\n"))

    def test_json(self):
        report = json.loads(self.succeed("run", "-m", DENSE, "-p", "Hello", "-n", "5", "--temp", "0", "--json"))
        self.assertIsInstance(report["content"], str)
        self.assertIn(report["finish_reason"], ("stop", "length"))
        usage = report["usage"]
        self.assertLessEqual(usage["completion_tokens"], 5)
        self.assertGreater(usage["prompt_tokens"], 5)

    def test_what_is_piped_in_follows_the_prompt(self):
        flags = ["-m", DENSE, "-n", "4", "--temp", "0", "--json"]

        def prompt_tokens(*more, stdin=b""):
            return json.loads(self.succeed("run", *flags, *more, stdin=stdin))["usage"]["prompt_tokens"]

        alone = prompt_tokens("-p", "요약해 줘")
        both = prompt_tokens("-p", "요약해 줘", stdin="긴 보고서입니다.\n".encode())
        self.assertGreater(both, alone)
        self.assertEqual(both, prompt_tokens("-p", "요약해 줘\n\n긴 보고서입니다."))

    def test_stream_json_adds_up_to_json(self):
        flags = ["run", "-m", NESTED, "-p", "Hello", "-n", "40", "--temp", "1", "--seed", "4", "--reasoning-budget", "6"]
        whole = json.loads(self.succeed(*flags, "--json"))
        events = [json.loads(line) for line in self.succeed(*flags, "--stream-json").split("\n") if line]
        for kind in ("reasoning", "content"):
            self.assertEqual("".join(e["text"] for e in events if e["type"] == kind), whole[kind])
        self.assertEqual(events[0]["type"], "prefill")
        self.assertEqual(events[-1]["type"], "finished")
        self.assertEqual(events[-1]["finish_reason"], whole["finish_reason"])
        self.assertEqual(events[-1]["usage"]["completion_tokens"], whole["usage"]["completion_tokens"])

    def test_choices_have_seeds_of_their_own(self):
        flags = ["run", "-m", NESTED, "-p", "Hello", "-n", "12", "--temp", "1", "--think", "off"]
        report = json.loads(self.succeed(*flags, "--seed", "7", "--choices", "3", "--json"))
        self.assertEqual([c["seed"] for c in report["choices"]], [7, 8, 9])
        single = json.loads(self.succeed(*flags, "--seed", "8", "--json"))
        self.assertEqual(report["choices"][1]["content"], single["content"])
        self.assertGreater(report["choices"][1]["usage"]["cached_tokens"], 0)

    def test_a_whole_conversation(self):
        talk = [{"role": "developer", "content": "짧게"}, {"role": "user", "content": "w?"},
                {"role": "assistant", "content": None,
                 "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
                {"role": "tool", "tool_call_id": "a", "content": "맑음"}]
        path = self.scratch / "talk.json"
        path.write_text(json.dumps({"messages": talk}), encoding="utf-8")
        tools = self.scratch / "tools.json"
        tools.write_text(json.dumps([{"name": "f", "parameters": {"type": "object"}}]))
        for model in (DENSE, NESTED):
            flags = ["run", "-m", model, "--messages", path, "-n", "4", "--temp", "0", "--json"]
            report = json.loads(self.succeed(*flags))
            more = json.loads(self.succeed(*flags, "--tools", tools))
            self.assertGreater(more["usage"]["prompt_tokens"], report["usage"]["prompt_tokens"])
            self.assertEqual(report["tool_calls"], [])
        path.write_text('[{"role": "robot", "content": "x"}]')
        self.fail_with(2, "run", "-m", DENSE, "--messages", path, saying=["robot", "messages[0]"])
        path.write_text("[")
        self.fail_with(2, "run", "-m", DENSE, "--messages", path, saying=["JSON"])

    def test_stop_text(self):
        flags = ["run", "-m", DENSE, "-p", "Hello", "-n", "40", "--temp", "1", "--seed", "2"]
        whole = self.succeed(*flags).rstrip("\n")
        stop = next(c for c in whole[len(whole) // 2:] if c.isalpha())  # noise may hold a NUL, which no argument can
        report = json.loads(self.succeed(*flags, "--stop", stop, "--json"))
        self.assertEqual(report["stop"], stop)
        self.assertTrue(whole.startswith(report["content"]))
        self.assertNotIn(stop, report["content"])

    def test_a_schema_binds_the_answer(self):
        schema = self.scratch / "schema.json"
        schema.write_text(json.dumps({"type": "object", "properties": {"도시": {"enum": ["서울", "부산"]}}, "required": ["도시"],
                                      "additionalProperties": False}), encoding="utf-8")
        flags = ["run", "-p", "Hello", "-n", "200", "--temp", "1", "--reasoning-budget", "4", "--json"]
        for model in (DENSE, NESTED):
            for think in ("on", "off"):
                report = json.loads(self.succeed(*flags, "-m", model, "--think", think, "--schema", schema))
                self.assertEqual(report["finish_reason"], "stop")
                self.assertIn(json.loads(report["content"])["도시"], ("서울", "부산"))
        grammar = self.scratch / "grammar.gbnf"
        grammar.write_text('root ::= "yes" | "no"\n')
        report = json.loads(self.succeed(*flags, "-m", DENSE, "--grammar", grammar))
        self.assertIn(report["content"], ("yes", "no"))
        schema.write_text('{"type": "object", "nonsense": 1, "if": {}}')
        self.assertNotEqual(exaone(*flags, "-m", DENSE, "--schema", schema).returncode, 0)

    def test_system_message_changes_the_prompt(self):
        def prompt_tokens(*flags):
            out = self.succeed("run", "-m", DENSE, "-p", "Hello", "-n", "1", "--json", *flags)
            return json.loads(out)["usage"]["prompt_tokens"]

        self.assertGreater(prompt_tokens("--system", "짧게 답하세요."), prompt_tokens())
        self.assertLess(prompt_tokens("--think", "on"), prompt_tokens("--think", "off"))
        self.assertLess(prompt_tokens("--raw"), prompt_tokens())

    def encode(self, model, text):
        return [int(i) for i in self.succeed("tokenize", "-m", model, stdin=text.encode()).split()]

    def decode(self, model, ids):
        return self.succeed("tokenize", "-m", model, "--detokenize", stdin=" ".join(map(str, ids)).encode())


class Signals(BlackBox):
    def test_interrupt_exits_130(self):
        process = subprocess.Popen([BINARY, "run", "-m", str(HYBRID), "-p", "Hello", "-n", "100000", "--temp", "1",
                                    "--raw", "-c", "8192"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(process.stdout.read(1))
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertLess(time.monotonic() - started, 10)

    def test_a_reader_that_leaves_is_no_crash(self):
        process = subprocess.Popen([BINARY, "run", "-m", str(HYBRID), "-p", "Hello", "-n", "4000", "--raw"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(1)
        process.stdout.close()
        process.wait(timeout=60)
        process.stderr.close()
        self.assertIn(process.returncode, (0, 5, -signal.SIGPIPE, 128 + signal.SIGPIPE))

    @unittest.skipUnless(os.path.exists("/dev/full"), "needs /dev/full")
    def test_a_full_disk_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BINARY, "run", "-m", str(DENSE), "-p", "Hello", "-n", "4"], stdout=full,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(done.returncode, 5)
        self.assertTrue(done.stderr.startswith(b"exaone: "))


if __name__ == "__main__":
    unittest.main()
