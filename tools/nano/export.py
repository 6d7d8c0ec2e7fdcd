"""A trained run as a Hugging Face folder, and as GGUF by the engine's own tools.

    python tools/nano/export.py RUN FOLDER [--exaone build/release/exaone]

FOLDER is what transformers loads: config, generation settings, tokenizer, chat template, image processor, bf16 weights
under the published names (mtp.* among them). The script loads it again and refuses a folder that computes otherwise.
With --exaone also FOLDER.BF16.gguf (one file, vision tower within), FOLDER.Q8_0.gguf and FOLDER.Q4_K_M.gguf.
"""

import argparse
import json
import shutil
import subprocess
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer, Exaone4_5_ForConditionalGeneration

import document
import drawing
from model import Nano, published_config
from packing import Documents, batch_of
from tasks import draw

# Every value is stated: an engine that knows the family would take the big model's for those left out.
GENERATION = {"bos_token_id": 1, "eos_token_id": 53, "pad_token_id": 0, "do_sample": False, "temperature": 0.0, "top_p": 1.0,
              "presence_penalty": 0.0, "repetition_penalty": 1.0}
IMAGE_PROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor", "do_convert_rgb": True, "do_resize": True, "do_rescale": True, "do_normalize": True,
    "size": {"shortest_edge": drawing.MIN_PIXELS, "longest_edge": drawing.MAX_PIXELS}, "resample": 3, "rescale_factor": 1 / 255,
    "image_mean": list(drawing.MEAN), "image_std": list(drawing.STD), "patch_size": drawing.PATCH, "temporal_patch_size": 2,
    "merge_size": drawing.MERGE}
TOKENIZER = {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False, "add_eos_token": False, "add_prefix_space": False,
             "bos_token": "[BOS]", "eos_token": "<|endofturn|>", "pad_token": "[PAD]", "unk_token": "[UNK]",
             "clean_up_tokenization_spaces": False, "image_token": "<|image_pad|>", "video_token": "<|video_pad|>",
             "model_max_length": 8192}
PROCESSOR = {"processor_class": "Exaone4_5_Processor", "image_processor": IMAGE_PROCESSOR,
             "video_processor": IMAGE_PROCESSOR | {"video_processor_type": "Qwen2VLVideoProcessor", "do_sample_frames": False}}
LARGEST_BYTES = 10_000_000


def write_folder(model, tokenizer_file, folder):
    folder.mkdir(parents=True, exist_ok=True)
    vocab = Tokenizer.from_file(str(tokenizer_file)).get_vocab_size()

    def dump(name, value):
        folder.joinpath(name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    dump("config.json", published_config(vocab))
    dump("generation_config.json", GENERATION)
    dump("tokenizer_config.json", TOKENIZER)
    dump("preprocessor_config.json", IMAGE_PROCESSOR)
    dump("processor_config.json", PROCESSOR)
    shutil.copyfile(tokenizer_file, folder / "tokenizer.json")
    shutil.copyfile(document.TEMPLATE, folder / "chat_template.jinja")
    weights = {name: value.detach().to("cpu", torch.bfloat16).contiguous() for name, value in model.checkpoint().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return weights


@torch.inference_mode()
def check_folder(model, folder):
    """transformers' reading of the folder against the trained module with weights rounded the same way."""
    for weight in model.parameters():
        weight.copy_(weight.to(torch.bfloat16))
    loaded = Exaone4_5_ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    model.eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    item = draw("pictures", 9, 0, "test")
    text = document.conversation(item, True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if ids != plain.encode(text, add_special_tokens=False).ids:
        raise SystemExit("transformers' tokenizer gives other ids than tokenizer.json")
    batch = batch_of([Documents(plain, 0).of_item(item, True)], "cpu")
    mine = model.main.lm_head(model(batch, False)[0])
    length = batch.n_tokens
    theirs = loaded(input_ids=batch.ids[:, :length], pixel_values=batch.patches, image_grid_thw=batch.grids).logits
    error = (theirs - mine[:, :length]).abs().max().item()
    if not error < 1e-4:
        raise SystemExit(f"transformers' logits differ by {error}")
    print(f"{folder}: transformers agrees (largest difference of a logit {error:.1e})")


def write_gguf(exaone, folder):
    whole = folder.with_name(folder.name + ".BF16.gguf")
    subprocess.run([exaone, "convert", folder, "-o", whole, "--one-file", "--type", "bf16"], check=True)
    for kind in ("Q8_0", "Q4_K_M"):
        target = folder.with_name(f"{folder.name}.{kind}.gguf")
        # The embedding is the head too; at Q8_0 it would push the file over the limit.
        more = ["--token-embedding-type", "Q6_K", "--output-tensor-type", "Q6_K"] if kind == "Q8_0" else []
        subprocess.run([exaone, "quantize", whole, target, kind, *more], check=True)
        size = target.stat().st_size
        print(f"{target}: {size / 1e6:.2f} MB")
        if size > LARGEST_BYTES:
            raise SystemExit(f"{target} has {size} bytes, at most {LARGEST_BYTES} may ship")


def main():
    parser = argparse.ArgumentParser(description="Export EXAONE-nano")
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("--exaone", help="the engine's binary, for GGUF")
    options = parser.parse_args()
    run, folder = Path(options.run), Path(options.folder)
    model = Nano(Tokenizer.from_file(str(run / "tokenizer.json")).get_vocab_size())
    state = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    write_folder(model, run / "tokenizer.json", folder)
    check_folder(model, folder)
    if options.exaone:
        write_gguf(options.exaone, folder)


if __name__ == "__main__":
    main()
