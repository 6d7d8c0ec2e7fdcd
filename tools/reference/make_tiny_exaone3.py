"""Writes the tiny random checkpoints of EXAONE 3.5 and Deep and what Hugging Face transformers computes with them.

    python tools/reference/make_tiny_exaone3.py [OUT]        (default: tests/data/models)

The folders have the published names (`transformer.h.N…`, `num_layers`); transformers (5.24) maps model_type `exaone` to its
Llama and renames the tensors itself, so nothing of the reference is ours. Files as make_tiny_models.py writes them.
"""

import json
import sys
import tempfile
from pathlib import Path

import jinja2
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file as save_torch

import gguf_writer
import make_tiny_models as tiny
import tiny_tokenizers

MODELS = {
    "tiny-exaone3": dict(
        generation="3.5", seed=21, vocab_size=1000, hidden_size=160, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=None, rms_norm_eps=3e-3, rope_theta=2e4, rope_original=64,
        rope_factor=8.0, window=None, tied=True, max_context=2048, long_lengths=(100, 300), gguf=("Q8_0",)),
    "tiny-exaone3-deep": dict(
        generation="deep", seed=22, vocab_size=1000, hidden_size=128, intermediate_size=256, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=None, rms_norm_eps=1e-4, rope_theta=3e5, rope_original=32,
        rope_factor=4.0, window=None, tied=False, max_context=1024, long_lengths=(70, 200), gguf=("BF16",)),
}

GGUF_ENDS = {"attn.attention.q_proj": "attn_q", "attn.attention.k_proj": "attn_k", "attn.attention.v_proj": "attn_v",
             "attn.attention.out_proj": "attn_output", "ln_1": "attn_norm", "ln_2": "ffn_norm", "mlp.c_fc_0": "ffn_gate",
             "mlp.c_fc_1": "ffn_up", "mlp.c_proj": "ffn_down"}
GGUF_WHOLE = {"transformer.wte": "token_embd", "transformer.ln_f": "output_norm", "lm_head": "output"}


def config_of(m, **changed):
    rope = {"rope_type": "llama3", "factor": m["rope_factor"], "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": m["rope_original"]}
    return {
        "architectures": ["ExaoneForCausalLM"], "model_type": "exaone", "torch_dtype": "bfloat16",
        "vocab_size": m["vocab_size"], "hidden_size": m["hidden_size"], "intermediate_size": m["intermediate_size"],
        "num_layers": m["num_hidden_layers"], "num_attention_heads": m["num_attention_heads"],
        "num_key_value_heads": m["num_key_value_heads"], "activation_function": "silu",
        "layer_norm_epsilon": m["rms_norm_eps"], "max_position_embeddings": m["max_context"], "rope_theta": m["rope_theta"],
        "rope_scaling": rope, "tie_word_embeddings": m["tied"], "attention_dropout": 0.0, "embed_dropout": 0.0,
        "use_cache": True, "bos_token_id": 1, "eos_token_id": 361, "pad_token_id": 0, **changed}


def random_weights(m, rng):
    """Published names → f32 values that bf16 holds exactly; small residuals, so that a wrong epsilon shows."""
    hidden, ffn = m["hidden_size"], m["intermediate_size"]
    head_dim = hidden // m["num_attention_heads"]
    q, kv = hidden, m["num_key_value_heads"] * head_dim
    small = 2 * m["rms_norm_eps"] ** 0.5

    def exact(values):
        return gguf_writer.from_bf16(gguf_writer.to_bf16(values))

    def gauss(shape, std):
        return exact(rng.normal(0, std, shape))

    def norm():
        return exact(rng.uniform(0.6, 1.4, hidden))

    weights = {"transformer.wte.weight": gauss((m["vocab_size"], hidden), small)}
    for i in range(m["num_hidden_layers"]):
        prefix = f"transformer.h.{i}."
        weights |= {
            prefix + "ln_1.weight": norm(),
            prefix + "attn.attention.q_proj.weight": gauss((q, hidden), hidden**-0.5),
            prefix + "attn.attention.k_proj.weight": gauss((kv, hidden), hidden**-0.5),
            prefix + "attn.attention.v_proj.weight": gauss((kv, hidden), hidden**-0.5),
            prefix + "attn.attention.out_proj.weight": gauss((hidden, q), small * 2 * q**-0.5),
            prefix + "ln_2.weight": norm(),
            prefix + "mlp.c_fc_0.weight": gauss((ffn, hidden), hidden**-0.5),
            prefix + "mlp.c_fc_1.weight": gauss((ffn, hidden), hidden**-0.5),
            prefix + "mlp.c_proj.weight": gauss((hidden, ffn), small * 2 * ffn**-0.5)}
    weights["transformer.ln_f.weight"] = norm()
    if m["tied"]:  # the head's logits are then of the size of the norm's weights times the embedding's
        weights["transformer.ln_f.weight"] = exact(weights["transformer.ln_f.weight"] * 2 * (small * hidden**0.5) ** -1)
    else:
        weights["lm_head.weight"] = gauss((m["vocab_size"], hidden), 2 * hidden**-0.5)
    return weights


def load_model(config, weights):
    """What transformers makes of a folder with this config and these values."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(config))
        save_torch({name: torch.from_numpy(value.copy()) for name, value in weights.items()}, Path(folder, "model.safetensors"),
                   metadata={"format": "pt"})
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    lost = {key: value for key, value in report.items() if value and not (config["tie_word_embeddings"] and key == "missing_keys"
                                                                         and set(value) == {"lm_head.weight"})}
    if lost:
        raise SystemExit(f"transformers did not take every tensor: {lost}")
    return model.eval()


def check_sensitivity(name, m, weights, reference):
    ids, positions = reference[f"long{m['long_lengths'][-1]}.ids"], reference[f"long{m['long_lengths'][-1]}.positions"]
    expected = reference[f"long{m['long_lengths'][-1]}.logits"]
    rope = config_of(m)["rope_scaling"]
    for key, value in {"layer_norm_epsilon": m["rms_norm_eps"] * 0.1, "rope_theta": m["rope_theta"] * 0.5,
                       "rope_scaling": {**rope, "factor": rope["factor"] * 0.5}}.items():
        logits = tiny.forward(load_model(config_of(m, **{key: value}), weights), ids).logits[0, positions].numpy()
        error = np.abs(logits - expected).max()
        print(f"  {name}: wrong {key} moves the logits by {error:.3f}")
        if error < 0.05:
            raise SystemExit(f"{name}: a wrong {key} would go unnoticed")


def gguf_name(name):
    stem = name.removesuffix(".weight")
    if stem in GGUF_WHOLE:
        return GGUF_WHOLE[stem] + ".weight"
    _, _, block, part = stem.split(".", 3)
    return f"blk.{block}.{GGUF_ENDS[part]}.weight"


def write_gguf(folder, name, m, weights, tokenizer, type_name):
    shape = {**m, "head_dim": m["hidden_size"] // m["num_attention_heads"]}
    factors = tiny.rope_factors(shape)
    tensors, stored = [("rope_freqs.weight", factors.shape, "F32", factors.tobytes())], {}
    for hf_name, value in weights.items():
        chosen = type_name if value.ndim == 2 else "F32"
        data, stored[hf_name] = gguf_writer.TYPES[chosen][2](value)
        tensors.append((gguf_name(hf_name), value.shape, chosen, data))
    metadata = [(key.replace("exaone4", "exaone"), kind, "exaone" if value == "exaone4" else value)
                for key, kind, value in tiny.gguf_metadata(name, {**m, "generation": "4.0"}, type_name, tokenizer)
                if key not in ("exaone4.vocab_size", "tokenizer.chat_template")]
    metadata += [("exaone.rope.dimension_count", "u32", shape["head_dim"]), ("tokenizer.chat_template", "str", tiny.template_of(m))]
    stem = f"{name}.{type_name}"
    gguf_writer.write(folder / f"{stem}.gguf", metadata, tensors)
    rng = np.random.default_rng(m["seed"] + 1000)
    arrays = tiny.references(load_model(config_of(m), stored), {**m, "generation": "4.0"}, rng, m["long_lengths"][-1:],
                             tiny.N_GREEDY_GGUF, False)
    save_numpy(arrays, folder / f"{stem}.reference.safetensors")


def make(out, name, m):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(m["seed"])
    tokenizer = tiny_tokenizers.build("3.5", m["vocab_size"])
    weights = random_weights(m, rng)
    tiny.write_side_files(folder, {**m, "generation": "4.0"}, tokenizer)
    folder.joinpath("config.json").write_text(json.dumps(config_of(m), indent=2) + "\n")
    folder.joinpath("chat_template.jinja").write_text(tiny.template_of(m))
    save_torch({n: torch.from_numpy(v.copy()).to(torch.bfloat16) for n, v in weights.items()}, folder / "model.safetensors",
               metadata={"format": "pt"})
    arrays = tiny.references(load_model(config_of(m), weights), {**m, "generation": "4.0"}, rng, m["long_lengths"], tiny.N_GREEDY, True)
    check_sensitivity(name, m, weights, arrays)
    save_numpy(arrays, folder / "reference.safetensors")
    for type_name in m["gguf"]:
        write_gguf(folder, name, m, weights, tokenizer, type_name)
    tiny.write_chat_cases(folder, m)
    tiny.write_tokenizer_cases(folder, tokenizer)
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size / 1e6:.1f} MB, logits std {arrays['short.logits'].std():.2f}, "
          f"smallest greedy margin {arrays['greedy.margin'].min():.1e}")


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "tests" / "data" / "models"
    torch.set_num_threads(1)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, Jinja2 {jinja2.__version__}")
    for name, m in MODELS.items():
        make(out, name, m)


if __name__ == "__main__":
    main()
