"""EXAONE-nano: transformers' Exaone4_5_ForConditionalGeneration at toy size, and the drafting layer beside it.

transformers leaves the mtp.* weights of a checkpoint alone, so the drafting layer is a module of its own here; it is
stored under the published names.
"""

import torch
from torch import nn
from transformers import Exaone4_5_Config, Exaone4_5_ForConditionalGeneration
from transformers.models.exaone4.modeling_exaone4 import Exaone4DecoderLayer, Exaone4RMSNorm

from drawing import CELL_CLASSES
from short_rows import ShortRows, linear

WINDOW = 256


def published_config(vocab_size):
    """config.json in the spelling of the published 4.5 checkpoint."""
    layer_types = ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention"] * 2
    return {
        "architectures": ["Exaone4_5_ForConditionalGeneration"], "model_type": "exaone4_5", "dtype": "bfloat16",
        "image_token_id": 67, "video_token_id": 68, "vision_start_token_id": 73, "vision_end_token_id": 74, "vision_token_id": 67,
        "tie_word_embeddings": True, "vocab_size": vocab_size,
        "text_config": {
            "model_type": "exaone4_5_text", "architectures": ["Exaone4ForCausalLM"], "dtype": "bfloat16",
            "vocab_size": vocab_size, "hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": len(layer_types),
            "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_act": "silu", "rms_norm_eps": 1e-5,
            "max_position_embeddings": 8192, "initializer_range": 0.02, "attention_dropout": 0.0, "use_cache": True,
            "sliding_window": WINDOW, "sliding_window_pattern": "LLLG", "layer_types": layer_types,
            "rope_scaling": {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 16.0, "low_freq_factor": 1.0,
                             "high_freq_factor": 4.0, "original_max_position_embeddings": 1024},
            "num_nextn_predict_layers": 1, "_num_mtp_layers": 1, "mtp_share_layers": True, "mtp_loss_scaling_factor": 0.05,
            "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 53, "pad_token_id": 0},
        "vision_config": {
            "model_type": "exaone4_5_vision", "dtype": "bfloat16", "depth": 2, "hidden_size": 256, "intermediate_size": 256,
            "num_heads": 8, "num_key_value_heads": 2, "out_hidden_size": 256, "in_channels": 3, "patch_size": 14,
            "temporal_patch_size": 2, "spatial_merge_size": 2, "window_size": 112, "fullatt_block_indexes": [1],
            "hidden_act": "silu", "initializer_range": 0.02, "tokens_per_second": 2},
    }


def transformers_config(vocab_size):
    config = published_config(vocab_size)
    return Exaone4_5_Config(**{key: config[key] for key in ("text_config", "vision_config", "image_token_id", "video_token_id",
                                                            "tie_word_embeddings")})


class DraftLayer(nn.Module):
    """One draft step for every position: (input embedding of the next token, final hidden state) → hidden state."""

    def __init__(self, text_config):
        super().__init__()
        hidden, eps = text_config.hidden_size, text_config.rms_norm_eps
        self.pre_fc_norm_embedding = Exaone4RMSNorm(hidden, eps)
        self.pre_fc_norm_hidden = Exaone4RMSNorm(hidden, eps)
        self.fc = nn.Linear(2 * hidden, hidden, bias=False)
        self.layers = nn.ModuleList([Exaone4DecoderLayer(text_config, 0)])  # layer 0 is a sliding one with RoPE
        self.norm = Exaone4RMSNorm(hidden, eps)


class Nano(nn.Module):
    def __init__(self, vocab_size, compiled=False, products=torch.float32):
        super().__init__()
        self.rows = ShortRows(compiled, products)
        config = transformers_config(vocab_size)
        # eager: its products are faster than the fused attention's backward pass in bf16
        self.main = Exaone4_5_ForConditionalGeneration._from_config(config, attn_implementation="eager", dtype=torch.float32)
        kernel = self.main.model.visual.patch_embed.proj.weight  # as large as its input: a product, not a convolution
        self.main.model.visual.patch_embed.forward = lambda patches: linear(patches, kernel.flatten(1), products)
        self.mtp = DraftLayer(self.main.config.text_config)
        # Only for training: says of each picture token what is drawn there, so that the tower learns from every token.
        self.cell_heads = nn.ModuleList([nn.Linear(256, n) for n in CELL_CLASSES])
        self._initialize()

    @torch.no_grad()
    def _initialize(self):
        for name, weight in self.named_parameters():
            if weight.ndim >= 2 and "embed_tokens" not in name:
                weight.normal_(0, weight[0].numel() ** -0.5)
            elif "embed_tokens" in name:
                weight.normal_(0, 0.08)
            elif "post_attention_layernorm" in name or "post_feedforward_layernorm" in name:
                weight.fill_(0.1)  # each sublayer's output is normalised: it must not drown the embedding at the start
            elif "bias" in name:
                weight.zero_()
        self.main.model.visual.merger.mlp[2].weight.mul_(0.1)  # a picture's rows begin as large as a word's

    @property
    def text(self):
        return self.main.model.language_model

    def forward(self, batch, draft):
        """batch: see packing.Batch → (final hidden states, draft hidden states or None, rows of the pictures or None)."""
        embeds, seen = self.text.embed_tokens(batch.ids), None
        if batch.patches is not None:
            with torch.autocast("cpu", self.rows.products, enabled=self.rows.products != torch.float32):
                seen = self.main.model.visual(batch.patches, grid_thw=batch.grids).pooler_output.float()
            embeds = embeds.masked_scatter((batch.ids == 67).unsqueeze(-1), seen.to(embeds.dtype))
        hidden, *near = self.rows.text(self.text, embeds, self.main.config.text_config.layer_types, WINDOW)
        return hidden, self.draft(torch.roll(embeds, -1, dims=1), hidden, *near) if draft else None, seen

    def draft(self, next_embeds, hidden, rotation, mask):
        mtp, rows = self.mtp, self.rows
        eps = mtp.norm.variance_epsilon
        z = linear(torch.cat([rows.normed(next_embeds, mtp.pre_fc_norm_embedding.weight, eps),
                              rows.normed(hidden, mtp.pre_fc_norm_hidden.weight, eps)], -1), mtp.fc.weight, rows.products).float()
        return rows.normed(rows.layer(mtp.layers[0], z, rotation, mask), mtp.norm.weight, eps)

    def logits(self, hidden):
        return linear(hidden, self.main.lm_head.weight, self.rows.products).float()

    def losses(self, batch, draft):
        """Sums over the batch. text: the loss of the learned tokens; with a draft also draft and the number of right ones;
        with pictures also cells, the loss of what lies where. The head meets learned rows only."""
        hidden, drafts, seen = self(batch, draft)
        rows = batch.targets >= 0
        sums = {"text": nn.functional.cross_entropy(self.logits(hidden[rows]), batch.targets[rows], reduction="sum")}
        if seen is not None:
            sums["cells"] = sum(nn.functional.cross_entropy(head(seen), batch.cells[:, i], reduction="sum")
                                for i, head in enumerate(self.cell_heads))
        if draft:
            # The row at p knows x[p+1] and proposes x[p+2], which is the target of the row at p+1.
            ahead, rows = batch.targets[:, 1:], batch.targets[:, 1:] >= 0
            logits = self.logits(drafts[:, :-1][rows])
            sums["draft"] = nn.functional.cross_entropy(logits, ahead[rows], reduction="sum")
            sums["right"] = (logits.argmax(-1) == ahead[rows]).sum()
        return sums

    def checkpoint(self):
        """Published names → tensors; a tied head is left out."""
        tensors = {name: value for name, value in self.main.state_dict().items() if name != "lm_head.weight"}
        return tensors | {f"mtp.{name}": value for name, value in self.mtp.state_dict().items()}
