#!/usr/bin/env python3
"""test_summary.py LASTTEST_LOG: what a run of ctest cost and left out: its twenty slowest tests, and each single test that was
skipped with the reason, whether ctest ran it alone, in a shard of many, or as one of a Python file."""

import re
import sys
from pathlib import Path

SLOWEST = 20


def parts(log):
    """(name, output, seconds) of each ctest entry."""
    for match in re.finditer(r"^\d+/\d+ Test(?:ing)?: (.+?)$(.*?)^Test time = +([\d.]+) sec", log, re.MULTILINE | re.DOTALL):
        yield match.group(1), match.group(2), float(match.group(3))


def single_tests(name, output, seconds):
    """(test, seconds) of an entry: GoogleTest says the time of each test, a Python file counts as one."""
    room = name.split(".")[0]
    found = re.findall(r"^\[ +OK \] (.+?) \((\d+) ms\)$", output, re.MULTILINE)
    return [(f"{room}.{test}", int(ms) / 1000) for test, ms in found] or [(name, seconds)]


def skipped_tests(name, output):
    """(test, reason) of an entry."""
    room = name.split(".")[0]
    found = [(f"{room}.{test}", reason.strip().splitlines()[-1] if reason.strip() else "")
             for test, reason in re.findall(r"^\[ RUN +\] (\S+)$((?:(?!^\[).*\n)*)^\[  SKIPPED \] ", output, re.MULTILINE)]
    return found + [(f"{name}: {test}", reason)
                    for test, reason in re.findall(r"^(\w+) \([\w.]+\)(?:\n.*)? \.\.\. skipped [\"'](.*)[\"']$", output, re.MULTILINE)]


def main():
    log = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    times, skips = [], []
    for name, output, seconds in parts(log):
        times += single_tests(name, output, seconds)
        skips += skipped_tests(name, output)
    print(f"{len(times)} single tests; the slowest:")
    for test, seconds in sorted(times, key=lambda row: -row[1])[:SLOWEST]:
        print(f"{seconds:8.2f} s  {test}")
    print(f"{len(skips)} single tests skipped" + (":" if skips else ""))
    for test, reason in skips:
        print(f"  {test}: {reason}")


if __name__ == "__main__":
    main()
