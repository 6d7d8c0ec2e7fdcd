#!/usr/bin/env python3
"""Decode speed, memory and first token beside llama.cpp, on the same file, interleaved: ours, theirs, ours, theirs.

    compare_llama.py --exaone BINARY --llama LLAMA_BENCH [--rounds 7] [--threads 2] MODEL.gguf ...

Prints one table row a file: median tokens/s of each, the median and range of the ratios of neighbouring runs, peak
memory, and seconds from start to first token with the file in the page cache. Standard library only.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def peak_rss_mib(command):
    """Runs a command, returns (stdout, peak resident MiB, seconds)."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return out, usage.ru_maxrss / 1024, time.monotonic() - start


def ours_decode(args, model):
    command = [args.exaone, "run", "-m", model, "-p", "hello", "-n", str(args.tokens + 1), "--json", "-t", str(args.threads)]
    out, rss, _ = peak_rss_mib(command)
    return json.loads(out)["timings"]["predicted_per_second"], rss


def theirs(args, model, prompt, tokens):
    command = [args.llama, "-m", model, "-t", str(args.threads), "-fa", "1", "-p", str(prompt), "-n", str(tokens), "-r", "1",
               "-o", "json"]
    out, rss, _ = peak_rss_mib(command)
    return json.loads(out)[0]["avg_ts"], rss


def ours_prefill(args, model):
    prompt = " a" * args.prompt
    command = [args.exaone, "run", "-m", model, "--raw", "-p", prompt, "-n", "1", "--json", "-t", str(args.threads)]
    out, _, _ = peak_rss_mib(command)
    return json.loads(out)["timings"]["prompt_per_second"]


def first_token_seconds(args, model):
    command = [args.exaone, "run", "-m", model, "--raw", "-p", "hello", "-n", "1", "-t", str(args.threads)]
    return peak_rss_mib(command)[2]


def ratios(ours, other):
    r = [a / b for a, b in zip(ours, other)]
    return f"{statistics.median(r):.2f} ({min(r):.2f}–{max(r):.2f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+")
    parser.add_argument("--exaone", required=True)
    parser.add_argument("--llama", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--prompt", type=int, default=512)
    args = parser.parse_args()
    print("| file | tg ours | tg llama.cpp | ratio (range) | pp ours | pp llama.cpp | ratio (range) | RSS ours / theirs MiB | "
          "start to first token s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for model in args.models:
        with open(model, "rb") as file:
            while file.read(1 << 26):
                pass
        tg, other_tg, pp, other_pp, rss, other_rss, first = [], [], [], [], [], [], []
        for _ in range(args.rounds):
            speed, peak = ours_decode(args, model)
            tg.append(speed)
            rss.append(peak)
            speed, peak = theirs(args, model, 0, args.tokens)
            other_tg.append(speed)
            other_rss.append(peak)
            if args.prompt:
                pp.append(ours_prefill(args, model))
                other_pp.append(theirs(args, model, args.prompt, 0)[0])
            first.append(first_token_seconds(args, model))
        name = os.path.basename(model)
        row = [name, f"{statistics.median(tg):.1f}", f"{statistics.median(other_tg):.1f}", ratios(tg, other_tg)]
        row += [f"{statistics.median(pp):.0f}", f"{statistics.median(other_pp):.0f}", ratios(pp, other_pp)] if pp else ["", "", ""]
        row += [f"{max(rss):.0f} / {max(other_rss):.0f}", f"{statistics.median(first):.2f}"]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
