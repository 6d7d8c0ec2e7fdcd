"""Trains EXAONE-nano on a processor.

    python tools/nano/tokenizer.py RUN/tokenizer.json
    python tools/nano/train.py RUN --steps 3900

RUN/state.pt is written every few minutes and at the end; the same command goes on from there, also with another length.
RUN/log.csv and RUN/loss.svg show the losses. The learning rate follows the share of the minutes (or of --steps) that is
used up. Each worker is a process that computes micro-batches by itself: that loses less than two threads within every
product, above all where other programs run.
"""

import argparse
import csv
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402
from tqdm import tqdm  # noqa: E402

import loss_plot  # noqa: E402
import team  # noqa: E402
from worker import Worker, new_model  # noqa: E402

COLUMNS = ("step", "seconds", "cpu_seconds", "tokens", "loss", "cell_loss", "draft_loss", "draft_right", "lr")


def rate_at(progress, decay):
    """Share of the full learning rate: level, then down to nothing over the last part."""
    return max(0.01, min(1.0, (1 - progress) / decay))


def save(path, value):
    part = path.with_suffix(".part")
    torch.save(value, part)
    os.replace(part, path)


class Run:
    """Worker 0 and what is done once: the clock, the log, the saved state."""

    def __init__(self, options):
        self.options, self.folder = options, Path(options.run)
        self.step, self.seconds, self.cpu_seconds, self.tokens = 0, 0.0, 0.0, 0
        self.state_path, self.log_path = self.folder / "state.pt", self.folder / "log.csv"
        model, muon, _ = new_model(options)
        self.team = team.Team(options.workers, sum(w.numel() for w in model.parameters()), muon.velocity)
        with torch.no_grad():
            for view, weight in zip(team.views(self.team.weights, list(model.parameters())), model.parameters()):
                view.copy_(weight)
        self.worker = Worker(0, self.team, options)
        self._begin()
        team.start(options.workers, work, self.team, options, self.step)
        self.worker.prepare()
        self.worker.announce()

    def _begin(self):
        if self.state_path.exists():
            state = torch.load(self.state_path, weights_only=True)
            self.worker.model.load_state_dict(state["model"])
            for mine, saved in zip(self.team.velocity, state["muon"]):
                mine.copy_(saved)
            self.worker.adam.load_state_dict(state["adam"])
            self.step, self.seconds, self.cpu_seconds = state["step"], state["seconds"], state["cpu_seconds"]
            self.tokens = state["tokens"]
            self.team.places.copy_(state["places"])
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
        """Between two steps: no other worker writes weights, velocities or places then."""
        save(self.state_path, {"model": self.worker.model.state_dict(), "muon": self.team.velocity, "adam": self.worker.adam.state_dict(),
                               "step": self.step, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "tokens": self.tokens,
                               "places": self.team.places})
        loss_plot.write(self.log_path, self.folder / "loss.svg")

    def progress(self):
        options = self.options
        return self.step / options.steps if options.steps else self.seconds / (60 * options.minutes)

    def row(self, draft, counts):
        """The step's line of the log: means over what every worker summed."""
        sums = dict(zip(team.Team.SUMS, self.team.sums.sum(0).tolist()))

        def mean(kind, n):
            return sums[kind] / n if n else ""

        return {"loss": mean("text", counts["learned"]), "cell_loss": mean("cells", counts["cells"]),
                "draft_loss": mean("draft", draft and counts["drafted"]), "draft_right": mean("right", draft and counts["drafted"]),
                "lr": self.options.lr * self.team.rate.item()}

    def go(self):
        options, shared = self.options, self.team
        bar = tqdm(total=1.0, mininterval=10, bar_format="{percentage:.1f}% {elapsed} {postfix}")
        saved = started = time.monotonic()
        before, cpu_before = self.seconds, self.cpu_seconds
        with open(self.log_path, "a", newline="") as file:
            log = csv.writer(file)
            while self.progress() < 1:
                shared.rate[0] = min(1.0, (self.step + 1) / options.warmup) * rate_at(self.progress(), options.decay)
                shared.meet()
                if time.monotonic() - saved > 60 * options.save_minutes:
                    self.save()
                    saved = time.monotonic()
                draft, counts = self.step % options.draft_every == 0, self.worker.counts()
                self.worker.step(self.step)
                row = self.row(draft, counts)
                self.step += 1
                self.tokens += counts["tokens"]
                self.seconds, self.cpu_seconds = before + time.monotonic() - started, cpu_before + shared.cpu.sum().item()
                row |= {"step": self.step, "seconds": round(self.seconds, 2), "cpu_seconds": round(self.cpu_seconds, 2),
                        "tokens": self.tokens}
                log.writerow([f"{row[c]:.6g}" if isinstance(row[c], float) and "seconds" not in c else row[c] for c in COLUMNS])
                file.flush()
                bar.n = min(1.0, self.progress())
                bar.set_postfix({"step": self.step, "loss": f"{row['loss']:.3f}", "tokens/s": f"{self.tokens / self.seconds:.0f}"},
                                refresh=False)
                bar.update(0)
        shared.rate[0] = -1
        shared.meet()
        bar.close()
        self.save()
        n = sum(weight.numel() for weight in self.worker.model.checkpoint().values())
        print(f"{self.state_path}: step {self.step}, {n / 1e6:.2f} M parameters, {self.tokens} tokens in {self.seconds:.0f} s, "
              f"{self.cpu_seconds:.0f} s of processor time")


def work(rank, shared, options, step):
    """What every other worker does, from the given step on."""
    worker = Worker(rank, shared, options)
    worker.prepare()
    worker.announce()
    while True:
        shared.meet()
        if shared.rate.item() < 0:
            return
        worker.step(step)
        step += 1


def main():
    parser = argparse.ArgumentParser(description="Train EXAONE-nano")
    parser.add_argument("run", help="folder with tokenizer.json")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="end after this time, over all resumptions")
    length.add_argument("--steps", type=int, help="end after this many steps: the same from run to run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--micro", type=int, default=1280, help="places of a micro-batch")
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches a worker and step")
    parser.add_argument("--lr", type=float, default=6e-3, help="of the matrices (Muon)")
    parser.add_argument("--head-lr", type=float, default=4e-3, help="of embeddings and norms (AdamW)")
    parser.add_argument("--warmup", type=int, default=40)
    parser.add_argument("--decay", type=float, default=0.4, help="last share of the run, over which the rate falls")
    parser.add_argument("--draft-weight", type=float, default=0.3)
    parser.add_argument("--draft-every", type=int, default=6, help="train the drafting layer in every n-th step")
    parser.add_argument("--cell-weight", type=float, default=0.2)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save-minutes", type=float, default=3)
    options = parser.parse_args()
    Run(options).go()


if __name__ == "__main__":
    main()
