"""Trains EXAONE-nano on a processor.

    python tools/nano/tokenizer.py RUN/tokenizer.json
    python tools/nano/train.py RUN --minutes 60

RUN/state.pt is written every few minutes and at the end; the same command goes on from there, also with another --minutes.
RUN/log.csv and RUN/loss.svg show the losses. The learning rate follows the share of the minutes (or of --steps) that is
used up. Each thread computes micro-batches by itself: that loses less than two threads within every product, above all
where other programs run.
"""

import argparse
import csv
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402
from tqdm import tqdm  # noqa: E402

import loss_plot  # noqa: E402
from model import Nano  # noqa: E402
from muon import Muon  # noqa: E402
from packing import Batches, Documents  # noqa: E402

COLUMNS = ("step", "seconds", "cpu_seconds", "documents", "tokens", "loss", "cell_loss", "draft_loss", "draft_right", "lr")


def optimizers(model):
    """Muon for the matrices inside; AdamW for embeddings, norms, biases and, for their size, patch kernels and merger."""
    inside, rest, large = [], [], []
    for name, weight in model.named_parameters():
        if "merger" in name or "patch_embed" in name or "cell_heads" in name:
            large.append(weight)
        else:
            (inside if weight.ndim == 2 and "embed_tokens" not in name else rest).append(weight)
    adam = torch.optim.AdamW([{"params": rest, "share": 1.0}, {"params": large, "share": 0.3}], betas=(0.9, 0.95), weight_decay=0.0)
    return Muon(inside), adam


def rate_at(progress, decay):
    """Share of the full learning rate: level, then down to nothing over the last part."""
    return max(0.01, min(1.0, (1 - progress) / decay))


def save(path, value):
    part = path.with_suffix(".part")
    torch.save(value, part)
    os.replace(part, path)


class Run:
    def __init__(self, options):
        self.options = options
        self.folder = Path(options.run)
        torch.manual_seed(options.seed)
        torch.set_num_threads(1)
        torch._inductor.config.cpp.threads = 1
        torch.fx.experimental._config.use_duck_shape = False
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.documents = Documents(tokenizer, options.seed)
        self.model = Nano(tokenizer.get_vocab_size(), compiled=options.compile)
        self.muon, self.adam = optimizers(self.model)
        self.weights = list(self.model.parameters())
        self.step, self.seconds, self.cpu_seconds, self.tokens, self.at = 0, 0.0, 0.0, 0, (0, 0)
        self.state_path, self.log_path = self.folder / "state.pt", self.folder / "log.csv"
        self._begin()
        self.pool = ThreadPoolExecutor(options.threads, initializer=torch.set_num_threads, initargs=(1,))

    def _begin(self):
        if self.state_path.exists():
            state = torch.load(self.state_path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.muon.load_state_dict(state["muon"])
            self.adam.load_state_dict(state["adam"])
            self.step, self.seconds, self.cpu_seconds = state["step"], state["seconds"], state["cpu_seconds"]
            self.tokens, self.at = state["tokens"], state["at"]
            self._trim_log()
            return
        with open(self.log_path, "w", newline="") as file:
            csv.writer(file).writerow(COLUMNS)

    def _trim_log(self):
        """Lines of steps that were lost with the last minutes would come twice."""
        with open(self.log_path, newline="") as file:
            head, *lines = list(csv.reader(file))
        with open(self.log_path, "w", newline="") as file:
            csv.writer(file).writerows([head] + [line for line in lines if int(line[0]) <= self.step])

    def save(self):
        save(self.state_path, {"model": self.model.state_dict(), "muon": self.muon.state_dict(), "adam": self.adam.state_dict(),
                               "step": self.step, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "tokens": self.tokens,
                               "at": self.at})
        loss_plot.write(self.log_path, self.folder / "loss.svg")

    def gradients(self, batch, draft, totals):
        """One micro-batch's share of the step's gradient, and its sums."""
        options = self.options
        sums = self.model.losses(batch, draft)
        loss = sums["text"] / totals["learned"]
        if draft:
            loss = loss + options.draft_weight * sums["draft"] / totals["drafted"]
        if "cells" in sums:
            loss = loss + options.cell_weight * sums["cells"] / totals["cells"]
        return torch.autograd.grad(loss, self.weights, allow_unused=True), {k: float(v.detach()) for k, v in sums.items()}

    def one_step(self, batches, rate, prefetch):
        options, draft = self.options, self.step % self.options.draft_every == 0
        totals = {"learned": sum(b.n_learned for b in batches), "drafted": sum(b.n_drafted for b in batches),
                  "cells": sum(len(b.cells) for b in batches if b.cells is not None)}
        if self.step == self.first:  # what is compiled is compiled once, not by every thread
            parts = [self.gradients(b, d, totals) for b in batches for d in {True, draft}][-len(batches):]
            following = prefetch()
        else:
            waiting = [self.pool.submit(self.gradients, b, draft, totals) for b in sorted(batches, key=lambda b: -b.ids.numel())]
            following = prefetch()
            parts = [w.result() for w in waiting]
        with torch.no_grad():
            for weight, *grads in zip(self.weights, *(g for g, _ in parts)):
                grads = [g for g in grads if g is not None]
                weight.grad = sum(grads[1:], grads[0]) if grads else None
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = options.head_lr * rate * group["share"]
        list(self.pool.map(lambda i: self.muon.update(i, options.lr * rate), range(len(self.muon.groups))))
        self.adam.step()
        self.step += 1
        self.tokens += sum(b.n_tokens for b in batches)
        self.at = batches[-1].following

        def mean(kind, n):
            return sum(s.get(kind, 0.0) for _, s in parts) / n if n else ""

        return {"loss": mean("text", totals["learned"]), "cell_loss": mean("cells", totals["cells"]),
                "draft_loss": mean("draft", draft and totals["drafted"]), "draft_right": mean("right", draft and totals["drafted"]),
                "lr": options.lr * rate}, following

    def progress(self):
        options = self.options
        return self.step / options.steps if options.steps else self.seconds / (60 * options.minutes)

    def go(self):
        options, endless = self.options, iter(Batches(self.documents, self.options.micro, "cpu", self.at))
        self.first = self.step

        def prefetch():
            return [next(endless) for _ in range(options.accumulate)]

        bar = tqdm(total=1.0, mininterval=10, bar_format="{percentage:.1f}% {elapsed} {postfix}")
        saved = started = time.monotonic()
        before, cpu_before, batches = self.seconds, self.cpu_seconds, prefetch()
        with open(self.log_path, "a", newline="") as file:
            log = csv.writer(file)
            while self.progress() < 1:
                warm = min(1.0, (self.step + 1) / options.warmup)
                row, batches = self.one_step(batches, warm * rate_at(self.progress(), options.decay), prefetch)
                now = time.monotonic()
                self.seconds, self.cpu_seconds = before + now - started, cpu_before + time.process_time()
                row |= {"step": self.step, "seconds": round(self.seconds, 2), "cpu_seconds": round(self.cpu_seconds, 2),
                        "documents": self.at[0] * Batches.POOL, "tokens": self.tokens}
                log.writerow([f"{row[c]:.6g}" if isinstance(row[c], float) and "seconds" not in c else row[c] for c in COLUMNS])
                file.flush()
                bar.n = min(1.0, self.progress())
                bar.set_postfix({"step": self.step, "loss": f"{row['loss']:.3f}", "tokens/s": f"{self.tokens / self.seconds:.0f}"},
                                refresh=False)
                bar.update(0)
                if now - saved > 60 * options.save_minutes:
                    self.save()
                    saved = now
        bar.close()
        self.save()
        n = sum(weight.numel() for weight in self.model.checkpoint().values())
        print(f"{self.state_path}: step {self.step}, {n / 1e6:.2f} M parameters, {self.tokens} tokens in {self.seconds:.0f} s, "
              f"{self.cpu_seconds:.0f} s of processor time")


def main():
    parser = argparse.ArgumentParser(description="Train EXAONE-nano")
    parser.add_argument("run", help="folder with tokenizer.json")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="end after this time, over all resumptions")
    length.add_argument("--steps", type=int, help="end after this many steps: the same from run to run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--micro", type=int, default=1024, help="places of a micro-batch")
    parser.add_argument("--accumulate", type=int, default=4, help="micro-batches a step")
    parser.add_argument("--lr", type=float, default=6e-3, help="of the matrices (Muon)")
    parser.add_argument("--head-lr", type=float, default=4e-3, help="of embeddings and norms (AdamW)")
    parser.add_argument("--warmup", type=int, default=40)
    parser.add_argument("--decay", type=float, default=0.5, help="last share of the run, over which the rate falls")
    parser.add_argument("--draft-weight", type=float, default=0.3)
    parser.add_argument("--draft-every", type=int, default=4, help="train the drafting layer in every n-th step")
    parser.add_argument("--cell-weight", type=float, default=0.2)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save-minutes", type=float, default=3)
    options = parser.parse_args()
    sys.setswitchinterval(0.0005)
    Run(options).go()


if __name__ == "__main__":
    main()
