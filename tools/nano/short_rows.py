"""The text layers of model.py, computed for rows that hold one document each.

What transformers' modules compute with masks and padding to one length, written for training on a processor: causal
attention without a mask, query, key and value as one product, gate and up as another, and each half of a layer compiled
into a few loops. The weights stay those of the modules. export.py compares both.
"""

import torch
from torch.nn import functional as F


def _normed(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def _rotated(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def _heads(x, query, key, value, query_norm, key_norm, eps, rotation):
    """x [rows, length, width] → query, key, value [rows, heads, length, size], the latter two repeated for each query head."""
    rows, length, _ = x.shape
    size = query_norm.shape[0]
    n_query, n_key = query.shape[0] // size, key.shape[0] // size
    made = F.linear(x, torch.cat([query, key, value])).view(rows, length, n_query + 2 * n_key, size)
    q, k, v = made[:, :, :n_query], made[:, :, n_query:n_query + n_key], made[:, :, n_query + n_key:]
    q, k = _normed(q, query_norm, eps), _normed(k, key_norm, eps)
    if rotation is not None:
        cos, sin = rotation[0][:, None], rotation[1][:, None]
        q, k = _rotated(q, cos, sin), _rotated(k, cos, sin)

    def repeated(y):
        return y[:, :, :, None].expand(-1, -1, -1, n_query // n_key, -1).reshape(rows, length, n_query, size).transpose(1, 2)

    return q.transpose(1, 2), repeated(k), repeated(v)


def _rest(x, seen, out, attention_norm, gate, up, down, mlp_norm, eps):
    """The layer after its attention; seen [rows, heads, length, size]."""
    x = x + _normed(F.linear(seen.transpose(1, 2).reshape(x.shape), out), attention_norm, eps)
    width = gate.shape[0]
    both = F.linear(x, torch.cat([gate, up]))
    return x + _normed(F.linear(F.silu(both[..., :width]) * both[..., width:], down), mlp_norm, eps)


class ShortRows:
    def __init__(self, compiled):
        def made(f):
            return torch.compile(f, dynamic=True) if compiled else f

        self.heads, self.rest, self.normed = made(_heads), made(_rest), made(_normed)

    def layer(self, layer, x, rotation, window):
        a, eps = layer.self_attn, layer.post_attention_layernorm.variance_epsilon
        q, k, v = self.heads(x, a.q_proj.weight, a.k_proj.weight, a.v_proj.weight, a.q_norm.weight, a.k_norm.weight, eps, rotation)
        length = x.shape[1]
        mask = None
        if window and length > window:
            place = torch.arange(length, device=x.device)
            gap = place[:, None] - place[None, :]
            mask = (gap >= 0) & (gap < window)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        m = layer.mlp
        return self.rest(x, seen, a.o_proj.weight, layer.post_attention_layernorm.weight, m.gate_proj.weight, m.up_proj.weight,
                         m.down_proj.weight, layer.post_feedforward_layernorm.weight, eps)

    def text(self, text, embeds, layer_types, window):
        """embeds [rows, length, width], document starts at 0 of each row → (final hidden states, rotation)."""
        cos, sin = text.rotary_emb(embeds, torch.arange(embeds.shape[1], device=embeds.device)[None])
        rotation = (cos[0], sin[0])
        x = embeds
        for layer, kind in zip(text.layers, layer_types):
            sliding = kind == "sliding_attention"
            x = self.layer(layer, x, rotation if sliding else None, window if sliding else 0)
        return self.normed(x, text.norm.weight, text.norm.variance_epsilon), rotation
