#!/usr/bin/env python3
"""Ours beside llama.cpp on the same files, interleaved: ours, theirs, ours, theirs. Prints the tables of docs/performance.md.

    bench/compare.py --exaone build/release/exaone --llama DIR [--rounds 5] [--threads 2] MODEL.gguf ...

DIR holds llama-bench (and llama-batched-bench, where there is one; else prompts of 2, 4, 8, 16 tokens stand for
batches). Figures are medians; ranges are those of the ratios of neighbouring runs. Refuses to start while another
process takes more than 5 % of a processor, and repeats a round in which the machine read memory at less than 85 % of
its median rate. Standard library only.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUSY_PERCENT = 5
LEAST_CANARY = 0.85
MOST_REPEATS = 3
BATCHES = (2, 4, 8, 16)
DEPTH = 4096
GROUPS = ("pp", "tg", "depth", "batch", "memory", "busy", "start")


def cpu_ticks():
    """pid → (processor ticks so far, command)."""
    ticks = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        fields = text[text.rindex(")") + 2:].split()
        ticks[int(stat.parent.name)] = (int(fields[11]) + int(fields[12]), name)
    return ticks


def busy_processes(seconds=2.0):
    """(command, percent of one processor) of every other process that takes more than BUSY_PERCENT."""
    before = cpu_ticks()
    time.sleep(seconds)
    hertz = os.sysconf("SC_CLK_TCK")
    found = []
    for pid, (ticks, name) in cpu_ticks().items():
        percent = 100 * (ticks - before.get(pid, (0, ""))[0]) / hertz / seconds
        if pid != os.getpid() and pid in before and percent > BUSY_PERCENT:
            found.append((name, percent))
    return found


def run(command):
    """(standard output, peak resident MiB, seconds) of a command that must succeed."""
    with tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = status
        if status != 0:
            errors.seek(0)
            sys.exit(f"failed: {' '.join(map(str, command))}\n{errors.read().decode(errors='replace')[-2000:]}")
    return out, usage.ru_maxrss / 1024, seconds


class Ours:
    def __init__(self, args):
        self.args = args

    def bench(self, model, *flags):
        out, rss, _ = run([self.args.exaone, "bench", "-m", model, "-t", str(self.args.threads), "-r", "1", "-o", "jsonl",
                           *flags])
        return [json.loads(line) for line in out.splitlines()], rss

    def speed(self, model, prompt, tokens, depth):
        rows, _ = self.bench(model, "-p", str(prompt), "-n", str(tokens), "-d", str(depth))
        return rows[0]["avg_ts"], rows[0]

    def batches(self, model):
        rows, _ = self.bench(model, "-p", "0", "-n", "32", "-d", "128", "-npl", ",".join(map(str, BATCHES)))
        return {row["n_sequences"]: (row["avg_ts"], row) for row in rows}

    def memory(self, model):
        return self.bench(model, "-p", "0", "-n", "0", "-pg", "512,32")[1]

    def first_token(self, model, *flags):
        return run([self.args.exaone, "run", "-m", model, "--raw", "-p", "a", "-n", "1", "-t", str(self.args.threads),
                    *flags])[2]


class Theirs:
    def __init__(self, args):
        self.args = args
        self.batched = args.llama / "llama-batched-bench"

    def bench(self, model, *flags):
        out, rss, _ = run([self.args.llama / "llama-bench", "-m", model, "-t", str(self.args.threads), "-fa", "1", "-r", "1",
                           "-o", "json", *flags])
        return json.loads(out), rss

    def speed(self, model, prompt, tokens, depth):
        rows, _ = self.bench(model, "-p", str(prompt), "-n", str(tokens), "-d", str(depth))
        return rows[0]["avg_ts"], rows[0]

    def batches(self, model):
        if not self.batched.exists():
            rows, _ = self.bench(model, "-n", "0", "-p", ",".join(map(str, BATCHES)))
            return {row["n_prompt"]: (row["avg_ts"], row) for row in rows}
        tokens = max(BATCHES) * (128 + 32)
        out, _, _ = run([self.batched, "-m", model, "-t", str(self.args.threads), "-fa", "on", "-c", str(tokens), "-npp",
                         "128", "-ntg", "32", "-npl", ",".join(map(str, BATCHES)), "--output-format", "jsonl"])
        rows = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
        return {row["pl"]: (row["speed_tg"], row) for row in rows}

    def memory(self, model):
        return self.bench(model, "-p", "0", "-n", "0", "-pg", "512,32")[1]


class Samples:
    """Figures of one test, ours and theirs, round by round."""

    def __init__(self):
        self.ours, self.theirs, self.shares, self.reads = [], [], [], []

    def add(self, ours, theirs, row=None):
        self.ours.append(ours)
        self.theirs.append(theirs)
        if row is not None and "roofline_share" in row:
            self.shares.append(row["roofline_share"])
            self.reads.append(row["read_gb_s"])

    def cells(self, digits):
        ratios = [a / b for a, b in zip(self.ours, self.theirs)]
        share = f"{100 * statistics.median(self.shares):.0f} %" if self.shares else ""
        spread = (max(self.ours) - min(self.ours)) / statistics.median(self.ours)
        return [f"{statistics.median(self.ours):.{digits}f}", f"{100 * spread:.0f} %", share,
                f"{statistics.median(self.theirs):.{digits}f}",
                f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})"]


class Comparison:
    def __init__(self, args):
        self.args = args
        self.ours, self.theirs = Ours(args), Theirs(args)
        self.reads = []  # GB/s of every canary of the session

    def steady(self, row):
        """True where the machine read as fast as it mostly does."""
        read = row.get("read_gb_s", 0)
        known = self.reads[:]
        self.reads.append(read)
        return len(known) < 5 or read >= LEAST_CANARY * statistics.median(known)

    def rounds(self, measure_ours, measure_theirs, keys):
        samples = {key: Samples() for key in keys}
        for _ in range(self.args.rounds):
            for repeat in range(MOST_REPEATS + 1):
                ours = measure_ours()
                theirs = measure_theirs()
                if repeat == MOST_REPEATS or all(self.steady(row) for _, row in ours.values()):
                    break
                print("slow machine: the round is repeated", file=sys.stderr)
            for key in keys:
                samples[key].add(ours[key][0], theirs[key][0], ours[key][1])
        return samples

    def one(self, label, model, prompt, tokens, depth=0):
        samples = self.rounds(lambda: {label: self.ours.speed(model, prompt, tokens, depth)},
                              lambda: {label: self.theirs.speed(model, prompt, tokens, depth)}, [label])
        return [(label, samples[label])]

    def speeds(self, model):
        rows = []
        if "tg" in self.args.tests:
            rows += self.one("tg64", model, 0, 64)
        if "pp" in self.args.tests:
            rows += self.one("pp512", model, 512, 0)
        if "depth" in self.args.tests:
            rows += self.one(f"tg64 @ d{DEPTH}", model, 0, 64, DEPTH)
            rows += self.one(f"pp512 @ d{DEPTH}", model, 512, 0, DEPTH)
        if "batch" in self.args.tests:
            samples = self.rounds(lambda: self.ours.batches(model), lambda: self.theirs.batches(model), BATCHES)
            rows += [(f"{n} sequences", samples[n]) for n in BATCHES]
        return rows

    def busy(self, model):
        """Shares of their own quiet decode speed that ours and theirs keep beside one process that never sleeps."""
        shares = [[], []]
        for _ in range(self.args.rounds):
            for engine, kept in zip((self.ours, self.theirs), shares):
                quiet = engine.speed(model, 0, 32, 0)[0]
                spinner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                try:
                    kept.append(engine.speed(model, 0, 32, 0)[0] / quiet)
                finally:
                    spinner.kill()
                    spinner.wait()
        return [statistics.median(kept) for kept in shares]

    def print_speeds(self, models):
        print("| file | test | ours, tokens/s | spread | of the limit | llama.cpp | ratio (range) |")
        print("|---|---|---|---|---|---|---|")
        for model in models:
            for label, samples in self.speeds(model):
                digits = 0 if statistics.median(samples.ours) >= 100 else 1
                print("| " + " | ".join([model.stem, label, *samples.cells(digits)]) + " |", flush=True)

    def print_memory(self, models):
        print("\n| file | MiB | peak MiB, pp512 + tg32: ours | llama.cpp | ratio |\n|---|---|---|---|---|")
        for model in models:
            ours, theirs = self.ours.memory(model), self.theirs.memory(model)
            size = model.stat().st_size / 2**20
            print(f"| {model.stem} | {size:.0f} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |", flush=True)

    def print_busy(self, models):
        print("\n| file | of the quiet speed beside one busy process: ours | llama.cpp |\n|---|---|---|")
        for model in models[:1]:
            ours, theirs = self.busy(model)
            print(f"| {model.stem} | {100 * ours:.0f} % | {100 * theirs:.0f} % |", flush=True)

    def print_start(self, models):
        print("\n| file | start to the end of one token, s, median (range): packing | from the pack cache |\n|---|---|---|")
        for model in models:
            cells = []
            for flags in (["--no-pack-cache"], []):
                if not flags:  # the first start writes the file, perhaps in a process that outlives it
                    self.ours.first_token(model)
                    time.sleep(10)
                seconds = []
                for _ in range(self.args.rounds):
                    seconds.append(self.ours.first_token(model, *flags))
                cells.append(f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})")
            print("| " + " | ".join([model.stem, *cells]) + " |", flush=True)


def read_into_cache(model):
    with open(model, "rb") as file:
        while file.read(1 << 26):
            pass


def describe_machine(args):
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), "unknown processor")
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    commit = subprocess.run(["git", "-C", args.llama, "log", "-1", "--format=%h %cs"], capture_output=True, text=True,
                            check=False).stdout.strip()
    return (f"{time.strftime('%Y-%m-%d')}, {cpu}, {os.cpu_count()} processors, Linux {os.uname().release}, huge pages "
            f"{pages.read_text().strip() if pages.exists() else 'unknown'}; {args.threads} threads, {args.rounds} rounds; "
            f"llama.cpp {commit or 'of unknown commit'}, -fa 1")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL")
    parser.add_argument("--exaone", default="build/release/exaone")
    parser.add_argument("--llama", required=True, type=Path, help="folder of llama-bench")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tests", default=",".join(GROUPS), help="of " + ",".join(GROUPS))
    args = parser.parse_args()
    args.tests = set(args.tests.split(","))
    if args.tests - set(GROUPS):
        parser.error(f"unknown tests: {', '.join(sorted(args.tests - set(GROUPS)))}")
    others = busy_processes()
    if others:
        sys.exit("not quiet: " + ", ".join(f"{name} takes {percent:.0f} % of a processor" for name, percent in others))
    comparison = Comparison(args)
    print(describe_machine(args) + "\n")
    for model in args.models:
        read_into_cache(model)
    if args.tests & {"pp", "tg", "depth", "batch"}:
        comparison.print_speeds(args.models)
    for group, show in (("memory", comparison.print_memory), ("busy", comparison.print_busy),
                        ("start", comparison.print_start)):
        if group in args.tests:
            show(args.models)
    if comparison.reads:
        print(f"\nThe machine read {min(comparison.reads):.1f} to {max(comparison.reads):.1f} GB/s meanwhile, "
              f"{statistics.median(comparison.reads):.1f} in the median.")
    others = busy_processes()
    if others:
        print("Beware, something ran at the end: " + ", ".join(f"{name} {percent:.0f} %" for name, percent in others))


if __name__ == "__main__":
    main()
