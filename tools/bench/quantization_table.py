#!/usr/bin/env python3
"""Perplexity and KL divergence of every quantization of a model against its BF16 weights, as a Markdown table.

    quantization_table.py --exaone BINARY --text FILE [--ctx 512] [--chunks N] MODEL

MODEL is a Hugging Face folder or a .gguf file. The quantized files live in a temporary folder. Standard library only.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

TYPES = ("F16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS Q3_K_M Q2_K").split()


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.decode())
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exaone", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--ctx", default="512")
    parser.add_argument("--chunks")
    parser.add_argument("model")
    args = parser.parse_args()
    flags = ["-f", args.text, "--ctx", args.ctx, "--json"] + (["--chunks", args.chunks] if args.chunks else [])

    print("| type | bytes of the file | perplexity | mean KL | 99 % KL | same top token |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        base, full, small = (pathlib.Path(folder) / name for name in ("base.kl", "BF16.gguf", "small.gguf"))
        run(args.exaone, "quantize", args.model, full, "BF16")
        report = json.loads(run(args.exaone, "perplexity", "-m", full, "--kl-base", base, *flags))
        print(f"| BF16 | {full.stat().st_size:,} | {report['perplexity']:.4g} | | | |")
        for kind in TYPES:
            small.unlink(missing_ok=True)
            run(args.exaone, "quantize", full, small, kind)
            report = json.loads(run(args.exaone, "perplexity", "-m", small, "--kl-base", base, "--kl-divergence", *flags))
            print(f"| {kind} | {small.stat().st_size:,} | {report['perplexity']:.4g} | {report['mean_kl']:.2e} | "
                  f"{report['p99_kl']:.2e} | {100 * report['same_top']:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
