"""Processes that train one model: weights, gradients and counts in shared memory, and the points where all of them meet.

Threads would share the interpreter, whose lock compiled loops hold. Every worker computes micro-batches of its own and
writes their gradient into its row; then each worker updates the weights that it owns, which all the others see.
"""

import torch
from torch import multiprocessing

PATIENCE = 300  # seconds until a worker that waits takes another one for lost; the first step compiles


class Team:
    """Made once and handed to every worker. For n workers and w weights in all:
    weights [w] f32 · grads [n, w] f32, the sum of all in row 0 once reduced · velocity: of Muon's groups ·
    counts [n, len(COUNTS)] i64 of the coming step · sums [n, len(SUMS)] f64 of the present one · squares [n] f64: of the
    gradient, each worker's part · places [n, 2] i64: where each one's data go on · cpu [n] f64: seconds ·
    rate [1] f64: of the coming step, below 0 when there is none."""

    COUNTS = ("learned", "drafted", "cells", "tokens")
    SUMS = ("text", "draft", "right", "cells")

    def __init__(self, n_workers, n_weights, velocity):
        def shared(*shape, dtype=torch.float64):
            return torch.zeros(*shape, dtype=dtype).share_memory_()

        self.n_workers = n_workers
        self.weights, self.grads = shared(n_weights, dtype=torch.float32), shared(n_workers, n_weights, dtype=torch.float32)
        self.velocity = [v.share_memory_() for v in velocity]
        self.counts = shared(n_workers, len(self.COUNTS), dtype=torch.int64)
        self.sums, self.squares, self.cpu, self.rate = shared(n_workers, len(self.SUMS)), shared(n_workers), shared(n_workers), shared(1)
        self.places = torch.tensor([(i, 0) for i in range(n_workers)]).share_memory_()
        self._barrier = multiprocessing.get_context("spawn").Barrier(n_workers)

    def meet(self):
        self._barrier.wait(PATIENCE)

    def reduce(self, rank):
        """This worker's stretch of the gradient: summed into row 0, its square kept."""
        size = -(-self.weights.numel() // self.n_workers)
        stretch = self.grads[:, rank * size:(rank + 1) * size]
        stretch[0] = stretch.sum(0)
        self.squares[rank] = torch.linalg.vector_norm(stretch[0]).square()


def views(flat, weights):
    """flat [w] → one view a weight, in order."""
    return [part.view_as(weight) for part, weight in zip(flat.split([w.numel() for w in weights]), weights)]


def start(n_workers, work, *arguments):
    """work(rank, *arguments) for every rank but 0, which the caller is."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=work, args=(rank, *arguments), daemon=True) for rank in range(1, n_workers)]
    for process in others:
        process.start()
