"""One of the processes that train: its model on the shared weights, its data, its part of each step."""

import time
from pathlib import Path

import torch
from tokenizers import Tokenizer

from model import Nano
from muon import Muon
from packing import Batches, Documents
from team import Team, views


def tokenizer_of(options):
    return Tokenizer.from_file(str(Path(options.run) / "tokenizer.json"))


def part_of(name):
    """Weights of one part get gradients in the same steps: the trunk's in all, the others' where they are computed."""
    if name.startswith("mtp"):
        return "draft"
    return "pictures" if "visual" in name or "cell_heads" in name else "trunk"


def new_model(options):
    """(model, Muon, AdamW). Muon for the matrices inside; AdamW for embeddings, norms, biases and, for their size, patch
    kernels and merger."""
    torch.manual_seed(options.seed)
    products = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    model = Nano(tokenizer_of(options).get_vocab_size(), options.compile, products)
    inside, rest, large = {}, [], []
    for name, weight in model.named_parameters():
        if "merger" in name or "patch_embed" in name or "cell_heads" in name:
            large.append(weight)
        elif weight.ndim == 2 and "embed_tokens" not in name:
            inside.setdefault(part_of(name), []).append(weight)
        else:
            rest.append(weight)
    adam = torch.optim.AdamW([{"params": rest, "share": 1.0}, {"params": large, "share": 0.15}], betas=(0.9, 0.95), weight_decay=0.0)
    return model, Muon(inside, products), adam


class Worker:
    def __init__(self, rank, team, options):
        torch.set_num_threads(1)
        torch._inductor.config.cpp.threads = 1
        torch.fx.experimental._config.use_duck_shape = False
        self.rank, self.team, self.options = rank, team, options
        self.model, self.muon, self.adam = new_model(options)
        self.muon.velocity = team.velocity
        named = list(self.model.named_parameters())
        self.weights, self.parts = [w for _, w in named], [part_of(name) for name, _ in named]
        for weight, view in zip(self.weights, views(team.weights, self.weights)):
            weight.data = view
        self.grads, self.reduced = views(team.grads[rank], self.weights), views(team.grads[0], self.weights)
        self._divide()
        self.batches, self.stream = None, None

    def _divide(self):
        """Worker 0 owns AdamW's weights, which cost about as much as two groups of Muon; these go where least is done."""
        load = [2.0 * max(map(self.muon.cost, range(len(self.muon.groups))))] + [0.0] * (self.team.n_workers - 1)
        self.owned = []
        for index in sorted(range(len(self.muon.groups)), key=self.muon.cost, reverse=True):
            least = load.index(min(load))
            load[least] += self.muon.cost(index)
            if least == self.rank:
                self.owned.append(index)

    def prepare(self):
        """Draws the coming step's batches; what they count is announced by announce()."""
        if self.stream is None:
            first = tuple(self.team.places[self.rank].tolist())
            self.stream = iter(Batches(Documents(tokenizer_of(self.options), self.options.seed), self.options.micro, "cpu", first,
                                       self.team.n_workers))
        self.batches = [next(self.stream) for _ in range(self.options.accumulate)]

    def announce(self):
        b = self.batches
        self.team.counts[self.rank] = torch.tensor([sum(x.n_learned for x in b), sum(x.n_drafted for x in b),
                                                    sum(len(x.cells) for x in b if x.cells is not None), sum(x.n_tokens for x in b)])

    def counts(self):
        return dict(zip(Team.COUNTS, self.team.counts.sum(0).tolist()))

    def _gradients(self, batch, draft, counts, first):
        """Adds one micro-batch's share of the step's gradient and its sums to the shared rows."""
        options = self.options
        sums = self.model.losses(batch, draft)
        loss = sums["text"] / counts["learned"]
        if draft:
            loss = loss + options.draft_weight * sums["draft"] / counts["drafted"]
        if "cells" in sums:
            loss = loss + options.cell_weight * sums["cells"] / counts["cells"]
        for mine, grad in zip(self.grads, torch.autograd.grad(loss, self.weights, allow_unused=True)):
            if grad is not None:
                mine.copy_(grad) if first else mine.add_(grad)
            elif first:
                mine.zero_()
        self.team.sums[self.rank] += torch.tensor([float(sums[k].detach()) if k in sums else 0.0 for k in Team.SUMS])

    def step(self, number):
        """From the meeting that begins a step to the one before the next begins."""
        team, draft, counts = self.team, number % self.options.draft_every == 0, self.counts()
        team.sums[self.rank] = 0
        for i, batch in enumerate(self.batches):
            self._gradients(batch, draft, counts, first=i == 0)
        following = self.batches[-1].following
        self.prepare()
        team.meet()
        with torch.no_grad():
            team.reduce(self.rank)
            team.meet()
            self._update(draft, counts["cells"] > 0, min(1.0, 1.0 / (team.squares.sum().sqrt().item() + 1e-6)))
        self.announce()
        team.places[self.rank] = torch.tensor(following)
        team.cpu[self.rank] = time.process_time()

    def _update(self, draft, pictures, scale):
        options, rate = self.options, self.team.rate.item()
        live = {"trunk": True, "draft": draft, "pictures": pictures}
        grads = {id(weight): grad for weight, part, grad in zip(self.weights, self.parts, self.reduced) if live[part]}
        for index in self.owned:
            if live[self.muon.parts[index]]:
                for weight in self.muon.groups[index]:
                    weight.grad = grads[id(weight)].mul_(scale)
                self.muon.update(index, options.lr * rate)
        if self.rank == 0:
            for group in self.adam.param_groups:
                group["lr"] = options.head_lr * rate * group["share"]
                for weight in group["params"]:
                    grad = grads.get(id(weight))
                    weight.grad = None if grad is None else grad.mul_(scale)
            self.adam.step()
