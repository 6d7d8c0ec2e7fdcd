#!/usr/bin/env python3
"""Answers that are less than they seem, commands that a pipe would swallow, values that say nothing."""

import json
import unittest

from black_box import BAD_INPUT, DENSE, DENSE_GGUF, ROOT, USAGE, BlackBox, exaone

INCOMPLETE = 7
SCHEMA = ROOT / "models/examples/fact_schema.json"


class CutShort(BlackBox):
    def run_model(self, code, *arguments, stdin=b""):
        done = exaone(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, code, done)
        return done.stdout.decode(), done.stderr.decode()

    def test_thinking_alone(self):
        out, err = self.run_model(0, "run", "-p", "What is 347 + 285?", "-n", "20")
        self.assertEqual((out, err), ("\n", "[cut after 20 tokens, all of them thinking; -n allows more]\n"))
        out, err = self.run_model(0, "run", "-p", "What is 347 + 285?", "-c", "40")
        self.assertIn("all of them thinking: the context of 40 tokens is full", err)
        _, err = self.run_model(0, "run", "--json", "-p", "What is 347 + 285?", "-n", "20")
        self.assertIn("all of them thinking", err)
        out, err = self.run_model(0, "chat", "-n", "20", stdin=b"What is 347 + 285?\n")
        self.assertIn("all of them thinking", err)

    def test_a_whole_answer_says_nothing(self):
        self.assertEqual(self.run_model(0, "run", "--temp", "0", "-p", "Hello!")[1], "")

    def test_a_cut_answer(self):
        out, err = self.run_model(0, "run", "--think", "off", "-p", "Hello!", "-n", "3")
        self.assertEqual(err, "[cut after 3 tokens; -n allows more]\n")

    def test_what_was_promised_ends_otherwise(self):
        flags = ["--think", "off", "--temp", "0", "-p", "The red box holds 4 apples. What is in the red box?"]
        out, err = self.run_model(INCOMPLETE, "run", "--schema", SCHEMA, "-n", "5", *flags)
        self.assertTrue(out.startswith("{"))
        self.assertIn("the answer is not what the schema demands: cut after 5 tokens", err)
        out, err = self.run_model(INCOMPLETE, "run", "--json", "--schema", SCHEMA, "-n", "5", *flags)
        self.assertEqual(json.loads(out)["finish_reason"], "length")
        self.run_model(INCOMPLETE, "run", "--stream-json", "--schema", SCHEMA, "-n", "5", *flags)
        self.run_model(INCOMPLETE, "run", "--schema", SCHEMA, "--stop", '"place"', *flags)
        self.run_model(INCOMPLETE, "chat", "--schema", SCHEMA, "-n", "5", "--think", "off", stdin=b"x\n")
        grammar = self.scratch / "g.gbnf"
        grammar.write_text('root ::= "abcdefghijklmnop" | "q"')
        _, err = self.run_model(INCOMPLETE, "run", "--grammar", grammar, "-n", "1", "--logit-bias", "113=-100", *flags)
        self.assertIn("not what the grammar demands", err)

    def test_what_is_whole_at_the_limit_is_whole(self):
        grammar = self.scratch / "g.gbnf"
        grammar.write_text('root ::= [a-z]+')
        self.run_model(0, "run", "-m", DENSE_GGUF, "--think", "off", "--grammar", grammar, "-n", "3", "-p", "x")


class PipedChat(BlackBox):
    def test_unknown_commands_are_errors(self):
        for line in (b"/bogus\nHello!\n", b"/regen\n", b"/undo\n", b"/result x\n"):
            done = exaone("chat", stdin=line)
            self.assertEqual(done.returncode, USAGE, line)
            self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)

    def test_what_was_asked_for_is_printed(self):
        for line, expected in ((b"/help\n", "/regen"), (b"/show\n", "context"), (b"/stats\n", "no answer yet"),
                               (b"/system Be brief.\n/system\n", "Be brief."), (b"Hello!\n/stats\n", "tokens/s")):
            self.assertIn(expected, self.succeed("chat", "--think", "off", stdin=line))


class EmptyValues(BlackBox):
    def test_on_the_command_line(self):
        for flags in (["-m", ""], ["--mmproj", ""], ["--schema", ""], ["--grammar", ""], ["--messages", ""], ["--image", ""],
                      ["--tools", ""]):
            self.fail_with(USAGE, "run", "-p", "Hello", *flags, saying=["empty"])
        for command in (["inspect", ""], ["tokenize", "-m", ""], ["convert", "", "-o", "x"], ["quantize", "", "x", "Q4_0"],
                        ["convert", DENSE, "-o", ""]):
            self.fail_with(USAGE, *command, saying=["empty"])

    def test_in_the_environment_and_the_file(self):
        self.fail_with(USAGE, "run", "-p", "Hello", environment={"EXAONE_MODEL": ""}, saying=["EXAONE_MODEL", "empty"])
        config = self.scratch / "config.toml"
        config.write_text('model = ""\n')
        self.fail_with(USAGE, "run", "-p", "Hello", environment={"EXAONE_CONFIG": str(config)}, saying=["model", "empty"])

    def test_texts_may_be_empty(self):
        self.succeed("run", "-m", DENSE_GGUF, "-p", "Hello", "--system", "", "-n", "2")
        self.fail_with(USAGE, "run", "-m", DENSE_GGUF, "-p", "", saying=["the prompt is empty"])


class HugeTemplates(BlackBox):
    def test_a_template_is_bounded_while_it_is_parsed(self):
        path = self.scratch / "t.jinja"
        for text, limit in (("{{ [" + "1," * 1_000_000 + "]|length }}", "1048576"),
                            ("{{ [" + "1," * 200_000 + "]|length }}", "65536 nodes"),
                            ("{{ 1 }}" * 100_000, "65536 nodes")):
            path.write_text(text)
            self.fail_with(BAD_INPUT, "template", "--template", path, stdin=b'{"messages":[]}', saying=["template_limit", limit])
        path.write_text("{{ [" + "1," * 20_000 + "]|length }}")
        self.assertEqual(self.succeed("template", "--template", path, stdin=b'{"messages":[]}'), "20000")


if __name__ == "__main__":
    unittest.main()
