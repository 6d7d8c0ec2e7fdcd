#!/usr/bin/env python3
"""The model that comes with the repository: the conversation that the README shows, held again; what else it promises."""

import json
import os
import pty
import re
import select
import shlex
import subprocess
import time
import unittest
from pathlib import Path

from black_box import BINARY, ROOT, BlackBox

MODEL = ROOT / "models/EXAONE-nano.Q8_0.gguf"
EXAMPLES = ROOT / "models/examples"
LARGEST_BYTES = 10_000_000


def shown_lines():
    """(words of a command, what it shows) for each `$ exaone …` of the README's blocks."""
    shown = []
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", (ROOT / "README.md").read_text(encoding="utf-8"), re.M):
        lines = [line[4:] for line in block.strip("\n").split("\n")]
        for line in lines:
            if line.startswith("$ exaone "):
                shown.append((shlex.split(line)[2:], []))
            elif lines[0].startswith("$ exaone "):
                shown[-1][1].append(line)
    return [(words, "\n".join(lines).strip("\n")) for words, lines in shown]


def on_a_terminal(words, seconds=120):
    """(exit status, what a terminal shows) of the binary, without colours."""
    screen, terminal = pty.openpty()
    with subprocess.Popen([BINARY, *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal,
                          env={**os.environ, "EXAONE_MODEL": str(MODEL), "TERM": "xterm-256color"}) as program:
        os.close(terminal)
        text, deadline = b"", time.monotonic() + seconds
        while select.select([screen], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                part = os.read(screen, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            text += part
        else:
            program.kill()
    os.close(screen)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode("utf-8")).replace("\r\n", "\n")
    # How far the reading is stands in the line that the answer overwrites.
    return program.returncode, "\n".join(line.rsplit("\r", 1)[-1].rstrip() for line in plain.split("\n")).strip("\n")


class Nano(BlackBox):
    def run_json(self, *arguments):
        return json.loads(self.succeed("run", "-m", MODEL, "--json", *arguments))

    def test_it_may_ship(self):
        self.assertLessEqual(MODEL.stat().st_size, LARGEST_BYTES)

    def test_the_readme_shows_what_happens(self):
        shown = shown_lines()
        self.assertGreaterEqual(len(shown), 7)
        for words, expected in shown:
            with self.subTest(words=words):
                status, text = on_a_terminal(words)
                self.assertEqual(status, 0, text)
                self.assertEqual(text, expected)

    def test_a_sum_in_both_languages(self):
        for question in ("What is 512 + 279?", "512 + 279는 얼마야?"):
            answer = self.run_json("--think", "on", "-p", question)
            self.assertEqual(answer["content"], "512 + 279 = 791")
            self.assertIn("2 + 9 = 11", answer["reasoning"])

    def test_a_tool_round_trip(self):
        tools = ("--tools", EXAMPLES / "tools.json")
        first = self.run_json(*tools, "-p", "Set a timer for 25 minutes.")
        [call] = first["tool_calls"]
        self.assertEqual((call["function"]["name"], json.loads(call["function"]["arguments"])), ("set_timer", {"minutes": 25}))
        messages = self.scratch / "messages.json"
        messages.write_text(json.dumps([{"role": "user", "content": "Set a timer for 25 minutes."},
                                        {"role": "assistant", "content": "", "tool_calls": [call]},
                                        {"role": "tool", "tool_call_id": call["id"], "content": '{"ok": true}'}]))
        self.assertEqual(self.run_json(*tools, "--messages", messages)["content"], "The timer is set for 25 minutes.")

    def test_pictures(self):
        pictures = {"A blue circle at the left, a red star at the right.": EXAMPLES / "two_shapes.png",
                    "A green triangle at the center.": EXAMPLES / "triangle.png"}
        for order in (list(pictures), list(pictures)[::-1]):
            images = [word for text in order for word in ("--image", pictures[text])]
            for nth, text in zip(("first", "second"), order):
                self.assertEqual(self.run_json(*images, "-p", f"What is in the {nth} picture?")["content"], text)

    def test_the_tour(self):
        done = subprocess.run(["tools/setup/start.sh", BINARY, ""], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                              check=False, env={**os.environ, "EXAONE_MODEL": str(MODEL)})
        text = done.stdout.decode("utf-8")
        self.assertEqual(done.returncode, 0, done.stderr.decode("utf-8"))
        for part in ("Hello! I am EXAONE-nano.", '"reasoning":', "347 + 285 = 632", '"name":"get_weather"', "sunny",
                     "A blue circle at the left, a red star at the right."):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
