#!/usr/bin/env python3
"""`exaone chat`: through a pipe and on a terminal; and what `make run` starts."""

import os
import pty
import select
import signal
import subprocess
import time
import unittest

from black_box import BAD_INPUT, BINARY, DENSE, DENSE_GGUF, ROOT, UNSUPPORTED, BlackBox


class Pipe(BlackBox):
    def test_lines_are_turns(self):
        flags = ["-m", DENSE, "-n", "8", "--temp", "0"]
        first = self.succeed("chat", *flags, stdin=b"Hello\n")
        both = self.succeed("chat", *flags, stdin=b"Hello\nAnd then?\n")
        self.assertTrue(both.startswith(first))
        self.assertGreater(len(both), len(first))

    def test_clear_forgets(self):
        flags = ["-m", DENSE, "-n", "8", "--temp", "0"]
        once = self.succeed("chat", *flags, stdin=b"Hello\n")
        self.assertEqual(self.succeed("chat", *flags, stdin=b"Hello\n/clear\nHello\n/exit\nnever read\n"), once + once)


    def test_a_model_without_a_template_is_given_none(self):
        """Section 6.6, EXAONE-4.0 issue 3: a template that is built in would be wrong."""
        folder = self.copy_folder(DENSE)
        (folder / "chat_template.jinja").unlink()
        self.fail_with(UNSUPPORTED, "chat", "-m", folder, stdin=b"Hello\n", saying=["no chat template"])
        self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "Hello", saying=["no chat template"])
        self.succeed("run", "-m", folder, "--raw", "-p", "Hello", "-n", "4")


class Terminal(BlackBox):
    def talk(self, *steps):
        """Starts a chat on a new terminal; each step is (text to wait for, bytes to type). (exit code, all output)."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm"
            os.execv(BINARY, [BINARY, "chat", "-m", str(DENSE_GGUF), "-n", "16", "--temp", "0"])
        seen, deadline = b"", time.monotonic() + 60
        try:
            for expected, typed in steps:
                mark = len(seen)
                while expected not in seen[mark:] and time.monotonic() < deadline:
                    seen += self.read(terminal)
                self.assertIn(expected, seen[mark:], seen)
                os.write(terminal, typed)
            status = None
            while status is None and time.monotonic() < deadline:
                seen += self.read(terminal)
                done, raw = os.waitpid(pid, os.WNOHANG)
                status = os.waitstatus_to_exitcode(raw) if done else None
        finally:
            if status is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(terminal)
        return status, seen

    @staticmethod
    def read(terminal):
        if not select.select([terminal], [], [], 0.2)[0]:
            return b""
        try:
            return os.read(terminal, 65536)
        except OSError:  # the other side is closed
            return b""

    def test_a_short_conversation(self):
        status, seen = self.talk((b">", b"Hello\n"), (b">", b"/help\n"), (b"/clear", b"/exit\n"))
        self.assertEqual(status, 0, seen)

    def test_end_of_input_leaves(self):
        status, seen = self.talk((b">", b"\x04"))
        self.assertEqual(status, 0, seen)


class MakeRun(BlackBox):
    def test_a_named_model_without_a_terminal(self):
        done = subprocess.run([ROOT / "tools/setup/start.sh", BINARY, "tests/data/models/tiny-exaone4"], cwd=ROOT,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        command, answer = done.stdout.strip().split(b"\n", 1)
        self.assertTrue(command.startswith(b"$ exaone run -m tests/data/models/tiny-exaone4 "), command)
        self.assertTrue(answer.strip())


if __name__ == "__main__":
    unittest.main()
