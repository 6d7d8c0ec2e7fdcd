"""The text layers of model.py, computed for rows that hold one document each.

What transformers' modules compute with masks and padding to one length, written for training on a processor: query, key and
value as one product, gate and up as another, the query heads of a key head as one, and what lies between the products compiled
into a few loops. The weights stay those of the modules. export.py compares both.

Products and attention take their inputs rounded to the given type; the sums between the layers, the norms and the weights
stay fp32.
"""

import torch
from torch.nn import functional as F


def linear(x, weight, products):
    return F.linear(x.to(products), weight.to(products))


def _normed(x, weight, eps):
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def _rotated(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def _heads(x, query, key, value, query_norm, key_norm, eps, rotation, products):
    """x [rows, length, width] → query [rows · key heads, query heads a key head · length, size], key and value [rows · key
    heads, length, size]: the query heads that share a key head are one product."""
    rows, length, _ = x.shape
    size = query_norm.shape[0]
    n_query, n_key = query.shape[0] // size, key.shape[0] // size
    made = linear(x, torch.cat([query, key, value]), products).view(rows, length, n_query + 2 * n_key, size)
    q, k, v = made[:, :, :n_query], made[:, :, n_query:n_query + n_key], made[:, :, n_query + n_key:]
    q, k = _normed(q, query_norm, eps) * size**-0.5, _normed(k, key_norm, eps)
    if rotation is not None:
        cos, sin = rotation[0][:, None], rotation[1][:, None]
        q, k = _rotated(q, cos, sin), _rotated(k, cos, sin)
    q, k, v = (y.to(products).transpose(1, 2) for y in (q, k, v))
    return (q.reshape(rows * n_key, n_query // n_key * length, size), k.reshape(rows * n_key, length, size),
            v.reshape(rows * n_key, length, size))


def _shares(scores, mask, products):
    """scores [rows · key heads, n · length, length], mask [length, length], 0 or -inf → what each place takes from each."""
    length = scores.shape[-1]
    scores = scores.view(scores.shape[0], -1, length, length).float() + mask
    return torch.softmax(scores, -1).to(products).view(scores.shape[0], -1, length)


def _rest(x, seen, out, attention_norm, gate, up, down, mlp_norm, eps, products):
    """The layer after its attention; seen [rows · key heads, query heads a key head · length, size]."""
    rows, length, _ = x.shape
    seen = seen.view(rows, -1, length, seen.shape[-1]).transpose(1, 2).reshape(rows, length, -1)
    x = x + _normed(linear(seen, out, products), attention_norm, eps)
    width = gate.shape[0]
    both = linear(x, torch.cat([gate, up]), products)
    return x + _normed(linear(F.silu(both[..., :width].float()) * both[..., width:], down, products), mlp_norm, eps)


class ShortRows:
    def __init__(self, compiled, products):
        def made(f):
            return torch.compile(f, dynamic=True) if compiled else f

        self.products = products
        self.heads, self.shares, self.rest, self.normed = made(_heads), made(_shares), made(_rest), made(_normed)

    def layer(self, layer, x, rotation, mask):
        a, eps = layer.self_attn, layer.post_attention_layernorm.variance_epsilon
        q, k, v = self.heads(x, a.q_proj.weight, a.k_proj.weight, a.v_proj.weight, a.q_norm.weight, a.k_norm.weight, eps, rotation,
                             self.products)
        seen = self.shares(q @ k.mT, mask, self.products) @ v
        m = layer.mlp
        return self.rest(x, seen, a.o_proj.weight, layer.post_attention_layernorm.weight, m.gate_proj.weight, m.up_proj.weight,
                         m.down_proj.weight, layer.post_feedforward_layernorm.weight, eps, self.products)

    def text(self, text, embeds, layer_types, window):
        """embeds [rows, length, width], document starts at 0 of each row → (final hidden states, rotation, mask of a window)."""
        place = torch.arange(embeds.shape[1], device=embeds.device)
        cos, sin = text.rotary_emb(embeds, place[None])
        rotation, gap = (cos[0], sin[0]), place[:, None] - place[None, :]
        masks = {kind: torch.zeros(gap.shape, device=gap.device).masked_fill_((gap < 0) | (gap >= reach), -torch.inf)
                 for kind, reach in (("sliding_attention", window), ("full_attention", len(place)))}
        x = embeds
        for layer, kind in zip(text.layers, layer_types):
            x = self.layer(layer, x, rotation if kind == "sliding_attention" else None, masks[kind])
        return self.normed(x, text.norm.weight, text.norm.variance_epsilon), rotation, masks["sliding_attention"]
