#!/usr/bin/env python3
"""Makes tests/data/models/tiny-vision: a random vision tower of EXAONE 4.5, and what transformers computes with it.

config.json, preprocessor_config.json, model.safetensors (bf16, the tower only) and reference.safetensors: for
pictures of tests/data/images grid_thw and embeds, and the same of a video of noise. Needs torch, transformers,
safetensors, Pillow.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file
from transformers.models.exaone4_5.configuration_exaone4_5 import Exaone4_5_VisionConfig
from transformers.models.exaone4_5.modeling_exaone4_5 import Exaone4_5_VisionModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

TESTS = Path(__file__).resolve().parents[2] / "tests/data"
OUT = TESTS / "models/tiny-vision"
PICTURES = {"large": "gif-large.gif", "small": "webp-lossless.webp", "turned": "png-exif6.png"}
VISION = {"depth": 3, "hidden_size": 64, "intermediate_size": 96, "num_heads": 4, "num_key_value_heads": 2,
          "out_hidden_size": 128, "in_channels": 3, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2,
          "window_size": 112, "fullatt_block_indexes": [1], "hidden_act": "silu"}
PROCESSOR = {"size": {"shortest_edge": 3136, "longest_edge": 3211264}, "image_mean": [0.48145466, 0.4578275, 0.40821073],
             "image_std": [0.26862954, 0.26130258, 0.27577711], "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}


def make_tower():
    torch.manual_seed(45)
    config = Exaone4_5_VisionConfig(**VISION)
    config._attn_implementation = "eager"
    tower = Exaone4_5_VisionModel(config).float().eval()
    weights = {}
    for name, value in tower.state_dict().items():
        center = 1.0 if "norm" in name or "ln_q" in name else 0.0
        width = value[0].numel() if value.ndim > 1 else 25
        random = (center + torch.randn_like(value) / width**0.5).to(torch.bfloat16)
        value.copy_(random.float())
        weights["model.visual." + name] = random.contiguous()
    return tower, weights


def video_patches(frames):
    """frames [2 t, h, w, 3] of whole cells: rows in the order of the tower's input."""
    values = (frames / 255.0 - np.array(PROCESSOR["image_mean"])) / np.array(PROCESSOR["image_std"])
    n, h, w, _ = frames.shape
    cut = values.reshape(n // 2, 2, h // 28, 2, 14, w // 28, 2, 14, 3)
    rows = cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7).reshape(-1, 3 * 2 * 14 * 14)
    return torch.from_numpy(rows.astype(np.float32)), torch.tensor([[n // 2, h // 14, w // 14]])


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    tower, weights = make_tower()
    processor = Qwen2VLImageProcessorPil(**PROCESSOR)
    frames = np.random.default_rng(3).integers(0, 256, (4, 56, 84, 3), np.uint8)
    reference = {"video.frames_u8": torch.from_numpy(frames)}
    inputs = {"video": video_patches(frames)}
    for name, file in PICTURES.items():
        image = ImageOps.exif_transpose(Image.open(TESTS / "images" / file)).convert("RGB")
        made = processor(images=image, return_tensors="pt")
        inputs[name] = made["pixel_values"], made["image_grid_thw"]
    for name, (pixels, grid) in inputs.items():
        with torch.no_grad():
            reference[name + ".embeds"] = tower(pixels, grid_thw=grid).pooler_output.contiguous()
        reference[name + ".grid_thw"] = grid[0].int().contiguous()
    save_file(weights, OUT / "model.safetensors", metadata={"format": "pt"})
    save_file(reference, OUT / "reference.safetensors")
    config = {"architectures": ["Exaone4_5_ForConditionalGeneration"], "model_type": "exaone4_5", "vision_config": VISION}
    (OUT / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (OUT / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=1) + "\n")


if __name__ == "__main__":
    main()
