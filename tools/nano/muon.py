"""Muon for many small matrices: those of one shape are orthogonalised together.

Momentum (Nesterov), then the nearest half-orthogonal matrix by five odd polynomials (Newton-Schulz, the coefficients of
Polar Express), scaled so that an update is as large as Adam's usually is: 0.2 √max(rows, columns).
"""

import torch

COEFFICIENTS = ((8.2873, -23.5959, 17.3004), (4.1071, -2.9479, 0.5448), (3.9487, -2.9089, 0.5518), (3.3184, -2.4885, 0.51),
                (2.3007, -1.6689, 0.4188))
# The polynomials grow fast beyond the largest singular value that each may meet; rounding to bf16 must not get there.
SAFETY = 1.03


def orthogonal(x, products):
    """x [n, rows, columns] → the same shape, singular values near 1."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = (x / (x.norm(dim=(1, 2), keepdim=True) * SAFETY + 1e-7)).to(products)
    for a, b, c in COEFFICIENTS:
        square = x @ x.mT
        a, b, c = a / SAFETY, b / SAFETY**3, c / SAFETY**5
        x = a * x + torch.baddbmm(square, square, square, beta=b, alpha=c) @ x
    x = (x.mT if tall else x).float()
    # None is longer than an orthogonal one, whatever was rounded.
    return x * (min(x.shape[1:]) ** 0.5 / x.norm(dim=(1, 2), keepdim=True)).clamp(max=1.0)


class Muon:
    """The matrices of one shape and one part of the model form groups; no two groups share a matrix, so different processes
    may update different groups. `velocity` has a place for every matrix; in shared memory it is everybody's."""

    MOST = 10  # matrices a group

    def __init__(self, parts, products, momentum=0.95, weight_decay=0.01):
        """parts: name → matrices that get gradients in the same steps."""
        self.products, self.momentum, self.weight_decay = products, momentum, weight_decay
        self.groups, self.parts = [], []
        for part, weights in parts.items():
            by_shape = {}
            for weight in weights:
                by_shape.setdefault(tuple(weight.shape), []).append(weight)
            for same in by_shape.values():
                self.groups += [same[i:i + self.MOST] for i in range(0, len(same), self.MOST)]
            self.parts += [part] * (len(self.groups) - len(self.parts))
        self.velocity = [torch.zeros(len(group), *group[0].shape) for group in self.groups]

    def cost(self, index):
        """Multiplications of one update, up to a factor."""
        rows, columns = self.groups[index][0].shape
        return len(self.groups[index]) * rows * columns * min(rows, columns)

    @torch.no_grad()
    def update(self, index, lr):
        group, velocity = self.groups[index], self.velocity[index]
        grads = torch.stack([weight.grad for weight in group])
        velocity.lerp_(grads, 1 - self.momentum)
        update = orthogonal(grads.lerp_(velocity, self.momentum), self.products)
        size = lr * 0.2 * max(group[0].shape) ** 0.5
        for weight, change in zip(group, update):
            weight.mul_(1 - lr * self.weight_decay).sub_(change, alpha=size)
