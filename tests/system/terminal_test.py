#!/usr/bin/env python3
"""`exaone chat` as a new user drives it, on real screens of 80 and 200 columns (needs tmux)."""

import json
import os
import signal
import subprocess
import time
import unicodedata
import unittest
from pathlib import Path

from black_box import BINARY, MODELS, NESTED, ROOT, BlackBox

# Of the vocabulary of NESTED.
END_TOKENS = (2, 53, 65)
TOOL_CALL = 111


def columns_of(text):
    wide = sum(1 for c in text if unicodedata.east_asian_width(c) in "WF")
    return len(text) + wide - sum(1 for c in text if unicodedata.combining(c))


class Screen:
    """A program on a tmux terminal of its own."""

    def __init__(self, columns, rows, command, environment, log):
        self.socket = f"exaone-test-{os.getpid()}-{columns}-{log.parent.name}"
        self.log = log
        self.lines_typed = 0
        words = " ".join(f"{k}='{v}'" for k, v in environment.items())
        self.tmux("-f", "/dev/null", "-u", "new-session", "-d", "-x", str(columns), "-y", str(rows), f"env {words} {command}; "
                  "echo \"[exit $?]\"; sleep 60", ";", "pipe-pane", f"cat > '{log}'")

    def tmux(self, *arguments, check=True):
        return subprocess.run(["tmux", "-L", self.socket, *arguments], check=check, capture_output=True, timeout=30,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.decode("utf-8")

    def text(self):
        """All that was shown, lines that the terminal broke in one piece."""
        lines = self.tmux("capture-pane", "-p", "-J", "-S", "-2000").split("\n")
        return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"

    def rows(self):
        return self.tmux("capture-pane", "-p").split("\n")

    def wait_for(self, check, what, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if check(self.text()):
                return
            time.sleep(0.1)
        raise AssertionError(f"waited for {what}; the screen:\n{self.text()}")

    def n_prompts(self):
        """How many lines were asked for: bracketed paste is switched on before each."""
        return self.log.read_bytes().count(b"\x1b[?2004h") if self.log.exists() else 0

    def settle(self, seconds=60):
        """Until all that was typed is answered and the next prompt is there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answered = self.n_prompts() > self.lines_typed
            now = self.text()
            if answered and now.split("\n")[-2] in (">", "·"):
                return now
            if "[exit " in now:
                break
            time.sleep(0.05)
        raise AssertionError(f"no prompt; the screen:\n{self.text()}")

    def type(self, text, enter=True):
        self.tmux("send-keys", "-l", "--", text)
        if enter:
            self.key("Enter")

    def key(self, name):
        self.lines_typed += name == "Enter"
        self.tmux("send-keys", name)

    def paste(self, text):
        subprocess.run(["tmux", "-L", self.socket, "load-buffer", "-"], input=text.encode(), check=True, timeout=30)
        self.tmux("paste-buffer", "-p", "-r")

    def program(self):
        """The process that runs on the terminal."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])

    def settings(self):
        """The terminal's, as stty names them."""
        name = self.tmux("display-message", "-p", "#{pane_tty}").strip()
        return subprocess.run(["stty", "-F", name, "-a"], check=True, capture_output=True, timeout=30).stdout.decode().replace(";", " ").split()

    def close(self):
        self.tmux("kill-server", check=False)


class Terminal(BlackBox):
    def setUp(self):
        super().setUp()
        self.require_program("tmux")

    def open(self, columns, *flags, **environment):
        home = self.scratch / "home"
        home.mkdir(exist_ok=True)
        screen = Screen(columns, 40, f"{BINARY} chat -m {NESTED} --think off " + " ".join(map(str, flags)),
                        {"HOME": home, "XDG_STATE_HOME": home / "state", "LC_ALL": "C.UTF-8", **environment}, self.scratch / "log")
        self.addCleanup(screen.close)
        return screen

    def script(self, name, text):
        path = self.scratch / name
        path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
        path.chmod(0o755)
        return path


class Tour(Terminal):
    def tour(self, columns):
        saved = self.scratch / "talk.json"
        notes = self.scratch / "notes.txt"
        notes.write_text("회의록: 내일 10시\n", encoding="utf-8")
        # A model of noise would end some answers at once: without its end tokens it does not.
        screen = self.open(columns, "-n 24 --temp 1 --seed 3", *(f"--logit-bias {token}=-100" for token in END_TOKENS))
        shown = screen.settle()
        self.assertIn("Thinking is on by default", shown)                     # 1 starts, says what holds
        screen.type("안녕하세요? 서울의 날씨는 어때요?")                       # 2 Korean
        self.assertIn("> 안녕하세요? 서울의 날씨는 어때요?", screen.settle())
        screen.type("가나다라", enter=False)                                 # 3 editing Korean: erase one, insert one
        screen.key("BSpace")
        screen.key("Home")
        screen.type("마")
        self.assertIn("> 마가나다\n", screen.settle())
        screen.type("/help")                                                 # 4
        self.assertIn("/regen", screen.settle())
        self.assertTrue(any(row.startswith("Ctrl-C ") for row in screen.rows()))
        rows = screen.rows()
        # What stands above is the model's noise, which may fill its rows.
        asked = max((i for i, row in enumerate(rows) if row.startswith("> /help")), default=-1)
        self.assertFalse([row for row in rows[asked + 1:] if columns_of(row) >= 80], "help that wraps at 80 columns")
        screen.type("/system 짧게 답하세요.")                                 # 5
        self.assertIn("The system prompt is set.", screen.settle())
        screen.type("/set temp 0.5")                                         # 6
        self.assertIn("temp is 0.5.", screen.settle())
        screen.type("first line\\")                                          # 7 several lines
        screen.type("second line")
        screen.settle()
        lines = "\n".join(["줄"] * 20 + ["x"] * 180)                       # 8 a paste of 200 lines
        screen.paste(lines)
        screen.wait_for(lambda text: "[paste 1: 200 lines]" in text, "the note of the paste")
        screen.type(" 요약해 줘")
        self.assertIn("> [paste 1: 200 lines] 요약해 줘", screen.settle())
        screen.type(f"/read {notes}")                                        # 9
        self.assertIn("goes with the next question", screen.settle())
        screen.type("언제 만나요?")                                           # 10
        screen.settle()
        self.assert_whole(screen, columns)
        screen.type(f"/save {saved}")                                        # 11
        screen.settle()
        talk = json.loads(saved.read_text(encoding="utf-8"))["messages"]
        questions = [m["content"] for m in talk if m["role"] == "user"]
        self.assertEqual(questions[:2], ["안녕하세요? 서울의 날씨는 어때요?", "마가나다"])
        self.assertIn("first line\nsecond line", questions)
        self.assertIn(lines + " 요약해 줘", questions)
        self.assertIn("회의록: 내일 10시", questions[-1])
        screen.tmux("resize-window", "-x", str(columns + 30), "-y", "30")    # 12 resize
        screen.type("창 크기를 바꿨어요")
        screen.settle()
        self.assert_whole(screen, columns + 30)
        screen.type("/stats")                                                # 13 the last turn was read from the cache
        stats = screen.settle()
        cached = int(stats.rsplit("tokens, ", 1)[0].rsplit("prompt", 1)[1].split(" tokens, ")[1].split()[0])
        self.assertGreater(cached, 200)
        screen.type("/think on")                                             # 14
        screen.settle()
        screen.type("/set max_tokens 3000")
        screen.settle()
        self.stop_a_thought(screen)                                          # 15 Ctrl-C in the middle of a thought
        screen.type("/think off")                                            # 16
        screen.settle()
        screen.type("/set max_tokens 20")
        screen.settle()
        screen.type("/clear")                                                # 17
        screen.settle()
        screen.type(f"/load {saved}")                                        # 18
        self.assertIn(f"Loaded {len(talk)} messages.", screen.settle())
        screen.type("/regen")                                                # 19
        screen.settle()
        screen.type(f"/save {saved}")
        screen.settle()
        again = json.loads(saved.read_text(encoding="utf-8"))["messages"]
        self.assertEqual(len(again), len(talk))
        self.assertEqual(again[:-1], talk[:-1])
        self.assert_whole(screen, columns + 30)
        screen.key("C-c")                                                    # 20 twice leaves
        screen.wait_for(lambda text: "Ctrl-C again" in text, "the hint")
        screen.key("C-c")
        screen.wait_for(lambda text: "[exit 130]" in text, "the exit code")
        history = (self.scratch / "home/state/exaone/history").read_text(encoding="utf-8", errors="replace")
        self.assertIn("/help", history)

    def stop_a_thought(self, screen):
        for _ in range(20):
            before = screen.text()
            screen.type("깊이 생각해 봐")
            screen.wait_for(lambda text: len(text) > len(before) + 30, "a thought")
            screen.key("C-c")
            hint = "Ctrl-C again"
            screen.wait_for(lambda text: "[stopped" in text or text.count(hint) > before.count(hint), "the stop")
            if "[stopped" in screen.text():
                screen.settle()
                return
            screen.lines_typed += 1  # so small a model may think to the end before the key comes: it met a prompt
            screen.settle()
        self.fail("no thought lasted until Ctrl-C")

    def assert_whole(self, screen, columns):
        """No half character, no stray control sequence, no line beyond the screen."""
        for row in screen.rows():
            self.assertLessEqual(columns_of(row), columns, row)
            for remains in ("[0m", "[1m", "[2m", "[?2004", "[200~", "^["):
                self.assertNotIn(remains, row)

    def test_80_columns(self):
        self.tour(80)

    def test_200_columns(self):
        self.tour(200)


class Commands(Terminal):
    def test_edit_and_undo(self):
        editor = self.script("editor", "printf '고친 질문\\n둘째 줄\\n' > \"$1\"\n")
        screen = self.open(80, "-n 8 --temp 0", *(f"--logit-bias {token}=-100" for token in END_TOKENS), EDITOR=editor)
        saved = self.scratch / "talk.json"
        for line in ("첫 질문", "/edit", f"/save {saved}"):
            screen.settle()
            screen.type(line)
        self.assertIn("> 고친 질문\n둘째 줄\n", screen.settle())
        questions = [m["content"] for m in json.loads(saved.read_text(encoding="utf-8"))["messages"] if m["role"] == "user"]
        self.assertEqual(questions, ["고친 질문\n둘째 줄"])
        screen.type("/undo")
        self.assertIn("Forgotten: 고친 질문", screen.settle())
        screen.type("/undo")
        self.assertIn("There is nothing to undo.", screen.settle())

    def test_a_picture(self):
        screen = self.open(80, "-n 8 --temp 0 --mmproj", MODELS / "tiny-vision", *(f"--logit-bias {token}=-100" for token in END_TOKENS))
        screen.settle()
        screen.type(f"/image {ROOT / 'tests/data/images/jpeg-rgb.jpg'}")
        self.assertIn("jpeg-rgb.jpg goes with the next question.", screen.settle())
        screen.type("뭐가 보여?")
        screen.settle()
        screen.type("/stats")
        self.assertIn("images     1 picture (1 encoded, 0 reused)", screen.settle())

    def test_a_tool_runs_after_a_yes_only(self):
        tool = self.script("clock", "echo \"$1 says 세 시 $(cat)\"\n")
        tools = self.scratch / "tools.json"
        tools.write_text(json.dumps([{"name": "now", "parameters": {"type": "object", "properties": {}}}]), encoding="utf-8")
        # The biases make a model of noise call at once, and end its turn behind the call.
        screen = self.open(200, "-n 60 --temp 0 --tools", tools, "--tool-cmd", tool, f"--logit-bias {TOOL_CALL}=100",
                           *(f"--logit-bias {token}=50" for token in END_TOKENS))
        screen.settle()

        def asked(n):
            screen.wait_for(lambda text: text.count("now? [y/N] ") + text.count("now? [y/N]\n") == n, f"question {n}")

        screen.type("몇 시야?")
        asked(1)
        self.assertNotIn("says", screen.text())
        screen.type("y")
        asked(2)
        self.assertEqual(screen.text().count("now says 세 시 {}"), 1)
        screen.type("n")
        asked(3)
        self.assertEqual(screen.text().count("now says"), 1)
        screen.key("C-c")
        screen.wait_for(lambda text: text.endswith("\n>\n"), "the prompt")
        screen.lines_typed += 1  # the question that Ctrl-C answered
        saved = self.scratch / "talk.json"
        screen.type(f"/save {saved}")
        screen.settle()
        results = [m["content"] for m in json.loads(saved.read_text(encoding="utf-8"))["messages"] if m["role"] == "tool"]
        self.assertEqual(results, ["now says 세 시 {}"] + 2 * ["The user did not allow this call."])

    def test_a_terminated_chat_leaves_the_terminal_as_it_was(self):
        screen = self.open(80)
        screen.settle()
        screen.type("반쯤 쓴", enter=False)
        screen.wait_for(lambda text: "> 반쯤 쓴" in text, "what was typed")
        self.assertIn("-icanon", screen.settings())
        self.end(screen, lambda: os.kill(screen.program(), signal.SIGTERM), 143)

    def test_a_chat_that_is_quit_leaves_the_terminal_as_it_was(self):
        screen = self.open(80)
        screen.settle()
        self.end(screen, lambda: screen.key("C-\\"), 131)

    def end(self, screen, kill, code):
        kill()
        screen.wait_for(lambda text: f"\n[exit {code}]" in text, "the exit code")
        for word in ("icanon", "echo", "isig", "icrnl", "opost"):
            self.assertIn(word, screen.settings())
        screen.wait_for(lambda text: screen.log.read_bytes().count(b"\x1b[?2004l") == 1, "the end of bracketed paste")


if __name__ == "__main__":
    unittest.main()
