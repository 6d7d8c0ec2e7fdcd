"""Trains EXAONE-nano, one stage at a time: text first, then pictures with text.

    python tools/nano/tokenizer.py RUN/tokenizer.json
    python tools/nano/train.py text RUN --steps 5000
    python tools/nano/train.py pictures RUN --steps 2800

RUN/STAGE.pt is written every few minutes and at the end; the same command goes on from there. The pictures stage begins
with the weights of the text stage. RUN/STAGE.csv and RUN/STAGE.svg show the losses.
"""

import argparse
import contextlib
import csv
import os
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tqdm import tqdm

import loss_plot
from model import WINDOW, Nano
from packing import STAGES, Documents, Packer

COLUMNS = ("step", "seconds", "documents", "tokens", "loss", "draft_loss", "draft_right", "lr")


def optimizers(model, lr, head_lr):
    """Muon for the matrices inside, AdamW for embeddings, norms, biases and the patch kernels."""
    inside, rest = [], []
    for name, weight in model.named_parameters():
        (inside if weight.ndim == 2 and "embed_tokens" not in name else rest).append(weight)
    return [torch.optim.Muon(inside, lr=lr, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=head_lr, betas=(0.9, 0.95), weight_decay=0.0)]


def rate_at(step, steps, warmup, decay):
    """Share of the full learning rate: up, level, then down to a twentieth over the last part."""
    if step < warmup:
        return (step + 1) / warmup
    left = (steps - step) / (decay * steps)
    return max(0.05, min(1.0, left))


def save(path, value):
    part = path.with_suffix(".part")
    torch.save(value, part)
    os.replace(part, path)


class Run:
    def __init__(self, options):
        self.options = options
        self.folder = Path(options.run)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(options.seed)
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.model = Nano(tokenizer.get_vocab_size()).to(self.device)
        self.optimizers = optimizers(self.model, options.lr, options.head_lr)
        self.packer = Packer(Documents(tokenizer, options.stage, options.seed), options.micro, WINDOW, self.device)
        self.step, self.seconds, self.tokens = 0, 0.0, 0
        self.state_path = self.folder / f"{options.stage}.pt"
        self.log_path = self.folder / f"{options.stage}.csv"
        self._begin()
        self.forward = torch.compile(self.model.losses, dynamic=False) if options.compile else self.model.losses

    def _begin(self):
        if self.state_path.exists():
            state = torch.load(self.state_path, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            for optimizer, values in zip(self.optimizers, state["optimizers"]):
                optimizer.load_state_dict(values)
            self.packer.restore(state["packer"])
            self.step, self.seconds, self.tokens = state["step"], state["seconds"], state["tokens"]
            self._trim_log()
            return
        if self.options.stage == "pictures":
            before = torch.load(self.folder / "text.pt", map_location=self.device, weights_only=True)
            self.model.load_state_dict(before["model"])
        with open(self.log_path, "w", newline="") as file:
            csv.writer(file).writerow(COLUMNS)

    def _trim_log(self):
        """Lines of steps that were lost with the last minutes would come twice."""
        with open(self.log_path, newline="") as file:
            head, *lines = list(csv.reader(file))
        with open(self.log_path, "w", newline="") as file:
            csv.writer(file).writerows([head] + [line for line in lines if int(line[0]) <= self.step])

    def save(self):
        save(self.state_path, {"model": self.model.state_dict(), "optimizers": [o.state_dict() for o in self.optimizers],
                               "packer": self.packer.state(), "step": self.step, "seconds": self.seconds, "tokens": self.tokens})
        loss_plot.write(self.log_path, self.log_path.with_suffix(".svg"))

    def one_step(self, batches):
        options, draft = self.options, self.step % self.options.draft_every == 0
        micro = [next(batches) for _ in range(options.accumulate)]
        n_learned = sum(int((b.targets >= 0).sum()) for b in micro)
        sums, n_drafted, n_right = [0.0, 0.0], 0, 0
        # bf16 where the processor multiplies it faster; weights and sums stay fp32.
        narrow = torch.autocast(self.device, torch.bfloat16) if options.dtype == "bf16" else contextlib.nullcontext()
        for batch in micro:
            with narrow:
                loss, _, draft_loss, n, right = self.forward(batch, draft)
            total = loss / n_learned
            if draft:
                total = total + options.draft_weight * draft_loss / n_learned
                sums[1] += float(draft_loss.detach())
                n_drafted, n_right = n_drafted + int(n), n_right + int(right)
            total.backward()
            sums[0] += float(loss.detach())
            self.tokens += int((batch.documents >= 0).sum())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        share = rate_at(self.step, options.steps, options.warmup, options.decay)
        for optimizer, lr in zip(self.optimizers, (options.lr, options.head_lr)):
            for group in optimizer.param_groups:
                group["lr"] = lr * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return {"loss": sums[0] / n_learned, "lr": options.lr * share,
                "draft_loss": sums[1] / n_drafted if n_drafted else "", "draft_right": n_right / n_drafted if n_drafted else ""}

    def go(self):
        options, batches = self.options, iter(self.packer)
        bar = tqdm(total=options.steps, initial=self.step, unit="step", desc=options.stage, mininterval=2)
        saved = started = time.monotonic()
        before = self.seconds
        with open(self.log_path, "a", newline="") as file:
            log = csv.writer(file)
            while self.step < options.steps and (not options.seconds or time.monotonic() - started < options.seconds):
                row = self.one_step(batches)
                now = time.monotonic()
                self.seconds = before + now - started
                row |= {"step": self.step, "seconds": round(self.seconds, 2), "documents": self.packer.next_index, "tokens": self.tokens}
                log.writerow([f"{row[c]:.6g}" if isinstance(row[c], float) and c != "seconds" else row[c] for c in COLUMNS])
                bar.update()
                shown = {"loss": f"{row['loss']:.3f}", "tokens/s": f"{self.tokens / self.seconds:.0f}"}
                bar.set_postfix(shown | ({"drafts": f"{row['draft_right']:.2f}"} if row["draft_right"] != "" else {}), refresh=False)
                if now - saved > 60 * options.save_minutes:
                    file.flush()
                    self.save()
                    saved = now
        bar.close()
        self.save()
        n = sum(weight.numel() for weight in self.model.parameters())
        print(f"{self.state_path}: step {self.step}, {n / 1e6:.2f} M parameters, {self.tokens} tokens in {self.seconds:.0f} s "
              f"({self.tokens / max(self.seconds, 1e-9):.0f} a second), {self.packer.next_index} documents")


def main():
    parser = argparse.ArgumentParser(description="Train EXAONE-nano")
    parser.add_argument("stage", choices=sorted(STAGES))
    parser.add_argument("run", help="folder with tokenizer.json")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--micro", type=int, default=4096, help="tokens of a micro-batch")
    parser.add_argument("--accumulate", type=int, default=1, help="micro-batches a step")
    parser.add_argument("--lr", type=float, default=4e-3, help="of the matrices (Muon)")
    parser.add_argument("--head-lr", type=float, default=4e-3, help="of embeddings and norms (AdamW)")
    parser.add_argument("--warmup", type=int, default=60)
    parser.add_argument("--decay", type=float, default=0.4, help="share of the steps over which the rate falls")
    parser.add_argument("--draft-weight", type=float, default=0.3)
    parser.add_argument("--draft-every", type=int, default=2, help="train the drafting layer in every n-th step")
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--save-minutes", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=0, help="stop early after this long; the same command goes on")
    options = parser.parse_args()
    Run(options).go()


if __name__ == "__main__":
    main()
