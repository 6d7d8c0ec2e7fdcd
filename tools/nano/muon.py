"""Muon for many small matrices: those of one shape are orthogonalised together, in fp32.

Momentum (Nesterov), then the nearest half-orthogonal matrix by five odd polynomials (Newton-Schulz, the coefficients of
Polar Express), scaled so that an update is as large as Adam's usually is: 0.2 √max(rows, columns).
"""

import torch

COEFFICIENTS = ((8.2873, -23.5959, 17.3004), (4.1071, -2.9479, 0.5448), (3.9487, -2.9089, 0.5518), (3.3184, -2.4885, 0.51),
                (2.3007, -1.6689, 0.4188))


def orthogonal(x):
    """x [n, rows, columns] → the same shape, singular values near 1."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in COEFFICIENTS:
        square = x @ x.mT
        x = a * x + torch.baddbmm(square, square, square, beta=b, alpha=c) @ x
    return x.mT if tall else x


class Muon:
    """step() is cut into jobs that may run on several threads at once: no two touch the same matrix."""

    MOST = 14  # matrices a job

    def __init__(self, weights, momentum=0.95, weight_decay=0.01):
        self.momentum, self.weight_decay = momentum, weight_decay
        by_shape = {}
        for weight in weights:
            by_shape.setdefault(tuple(weight.shape), []).append(weight)
        self.groups = [same[i:i + self.MOST] for same in by_shape.values() for i in range(0, len(same), self.MOST)]
        self.velocity = [torch.zeros(len(group), *group[0].shape) for group in self.groups]

    @torch.no_grad()
    def update(self, index, lr):
        group, velocity = self.groups[index], self.velocity[index]
        if any(weight.grad is None for weight in group):
            return
        grads = torch.stack([weight.grad for weight in group])
        velocity.lerp_(grads, 1 - self.momentum)
        update = orthogonal(grads.lerp_(velocity, self.momentum))
        size = lr * 0.2 * max(group[0].shape) ** 0.5
        for weight, change in zip(group, update):
            weight.mul_(1 - lr * self.weight_decay).sub_(change, alpha=size)

    def state_dict(self):
        return self.velocity

    def load_state_dict(self, velocity):
        for mine, saved in zip(self.velocity, velocity):
            mine.copy_(saved)
