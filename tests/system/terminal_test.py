#!/usr/bin/env python3
"""`exaone chat` as a new user drives it, on real screens of 80 and 200 columns (needs tmux)."""

import json
import os
import shutil
import subprocess
import time
import unicodedata
import unittest

from black_box import BINARY, NESTED, BlackBox


def columns_of(text):
    wide = sum(1 for c in text if unicodedata.east_asian_width(c) in "WF")
    return len(text) + wide - sum(1 for c in text if unicodedata.combining(c))


class Screen:
    """A program on a tmux terminal of its own."""

    def __init__(self, columns, rows, command, environment, log):
        self.socket = f"exaone-test-{os.getpid()}-{columns}"
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

    def close(self):
        self.tmux("kill-server", check=False)


@unittest.skipUnless(shutil.which("tmux"), "needs tmux")
class Tour(BlackBox):
    def tour(self, columns):
        home = self.scratch / "home"
        home.mkdir()
        saved = self.scratch / "talk.json"
        notes = self.scratch / "notes.txt"
        notes.write_text("회의록: 내일 10시\n", encoding="utf-8")
        # A model of noise would end some answers at once: without its end tokens it does not.
        endless = " ".join(f"--logit-bias {token}=-100" for token in (2, 53, 65))
        screen = Screen(columns, 40, f"{BINARY} chat -m {NESTED} -n 24 --temp 1 --seed 3 --think off {endless}",
                        {"HOME": home, "XDG_STATE_HOME": home / "state", "LC_ALL": "C.UTF-8"}, self.scratch / "log")
        self.addCleanup(screen.close)
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
        history = (home / "state/exaone/history").read_text(encoding="utf-8", errors="replace")
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


if __name__ == "__main__":
    unittest.main()
