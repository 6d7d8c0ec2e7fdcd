"""Writes the tiny random checkpoints of tests/data/models and what Hugging Face transformers computes with them.

    python tools/reference/make_tiny_models.py [OUT]        (default: tests/data/models)

The weights are random numbers: the models check arithmetic and plumbing, their text is noise. References are fp32,
eager attention, weights as stored. See README.md beside this file for the layout and the versions used.
"""

import copy
import json
import sys
from pathlib import Path

import jinja2
import jinja2.ext
import jinja2.sandbox
import numpy as np
import torch
import transformers
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import save_file as save_torch
from transformers.models.exaone4.configuration_exaone4 import Exaone4Config
from transformers.models.exaone4.modeling_exaone4 import Exaone4ForCausalLM

import gguf_writer
import tiny_tokenizers

HERE = Path(__file__).parent
N_SHORT, N_GREEDY, N_GREEDY_GGUF = 12, 40, 24

# generation: which tokenizer, template and file layout. The numbers differ from the published ones and from each
# other on purpose: an engine that hard-codes one of them fails.
MODELS = {
    "tiny-exaone4": dict(
        generation="4.0", seed=11, vocab_size=1000, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=6, num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-5, rope_theta=1e6,
        rope_original=64, rope_factor=16.0, window=None, tied=True, max_context=4096,
        long_lengths=(100, 300), gguf=("BF16", "Q8_0"), shards=1),
    "tiny-exaone4-hybrid": dict(
        generation="4.0", seed=12, vocab_size=1000, hidden_size=256, intermediate_size=256, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=1, head_dim=64, rms_norm_eps=1e-3, rope_theta=5e4,
        rope_original=64, rope_factor=8.0, window=16, tied=False, max_context=8192,
        long_lengths=(15, 16, 17, 32, 100), gguf=(), shards=2),
    "tiny-exaone4_5": dict(
        generation="4.5", seed=13, vocab_size=840, hidden_size=128, intermediate_size=256, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, head_dim=None, rms_norm_eps=1e-4, rope_theta=1e5,
        rope_original=64, rope_factor=4.0, window=20, tied=False, max_context=2048,
        long_lengths=(20, 21, 70), gguf=("Q4_0",), shards=1),
}


def text_config(m):
    rope = {"rope_type": "llama3", "factor": m["rope_factor"], "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": m["rope_original"]}
    hybrid = m["window"] is not None
    config = {
        "architectures": ["Exaone4ForCausalLM"], "model_type": "exaone4", "dtype": "bfloat16",
        "vocab_size": m["vocab_size"], "hidden_size": m["hidden_size"], "intermediate_size": m["intermediate_size"],
        "num_hidden_layers": m["num_hidden_layers"], "num_attention_heads": m["num_attention_heads"],
        "num_key_value_heads": m["num_key_value_heads"], "hidden_act": "silu", "rms_norm_eps": m["rms_norm_eps"],
        "max_position_embeddings": m["max_context"], "rope_theta": m["rope_theta"], "rope_scaling": rope,
        "sliding_window": m["window"], "sliding_window_pattern": "LLLG" if hybrid else None,
        "layer_types": ["sliding_attention" if hybrid and i % 4 != 3 else "full_attention"
                        for i in range(m["num_hidden_layers"])],
        "tie_word_embeddings": m["tied"], "attention_dropout": 0.0, "use_cache": True,
        "bos_token_id": 1, "eos_token_id": eos_of(m), "pad_token_id": 0,
    }
    if m["head_dim"]:
        config["head_dim"] = m["head_dim"]
    return config


def eos_of(m):
    return 361 if m["generation"] == "4.0" else 53


def published_config(m):
    """config.json as the generation spells it: 4.5 nests the text part and keeps rope_theta inside rope_scaling."""
    config = text_config(m)
    if m["generation"] == "4.0":
        return config
    config["model_type"] = "exaone4_5_text"
    config["rope_scaling"] = {**config["rope_scaling"], "rope_theta": config.pop("rope_theta")}
    del config["tie_word_embeddings"]
    config |= {"num_nextn_predict_layers": 1, "mtp_share_layers": True}
    return {"architectures": ["Exaone4_5_ForConditionalGeneration"], "model_type": "exaone4_5",
            "text_config": config, "tie_word_embeddings": False, "vocab_size": m["vocab_size"],
            "vision_config": {"model_type": "exaone4_5_vision", "depth": 0, "hidden_size": 16, "patch_size": 14,
                              "in_channels": 3, "temporal_patch_size": 2, "spatial_merge_size": 2},
            "image_token_id": 67, "video_token_id": 68, "vision_start_token_id": 73, "vision_end_token_id": 74}


def random_weights(m, rng):
    """Hugging Face names of the 4.0 layout → f32 values that bf16 holds exactly."""
    hidden, ffn = m["hidden_size"], m["intermediate_size"]
    head_dim = m["head_dim"] or hidden // m["num_attention_heads"]
    q, kv = m["num_attention_heads"] * head_dim, m["num_key_value_heads"] * head_dim

    def gauss(shape, std):
        return gguf_writer.from_bf16(gguf_writer.to_bf16(rng.normal(0, std, shape)))

    def norm(width):
        return gguf_writer.from_bf16(gguf_writer.to_bf16(rng.uniform(0.6, 1.4, width)))

    def layer(prefix):
        # The outputs of o_proj and down_proj are normalised: small ones let a wrong epsilon show.
        small = 25 * m["rms_norm_eps"] ** 0.5
        return {
            f"{prefix}.self_attn.q_proj.weight": gauss((q, hidden), hidden**-0.5),
            f"{prefix}.self_attn.k_proj.weight": gauss((kv, hidden), hidden**-0.5),
            f"{prefix}.self_attn.v_proj.weight": gauss((kv, hidden), hidden**-0.5),
            f"{prefix}.self_attn.o_proj.weight": gauss((hidden, q), small * q**-0.5),
            f"{prefix}.self_attn.q_norm.weight": norm(head_dim),
            f"{prefix}.self_attn.k_norm.weight": norm(head_dim),
            f"{prefix}.post_attention_layernorm.weight": norm(hidden),
            f"{prefix}.post_feedforward_layernorm.weight": norm(hidden),
            f"{prefix}.mlp.gate_proj.weight": gauss((ffn, hidden), hidden**-0.5),
            f"{prefix}.mlp.up_proj.weight": gauss((ffn, hidden), hidden**-0.5),
            f"{prefix}.mlp.down_proj.weight": gauss((hidden, ffn), small * ffn**-0.5),
        }

    weights = {"model.embed_tokens.weight": gauss((m["vocab_size"], hidden), 2 * hidden**-0.5 if m["tied"] else 0.5)}
    for i in range(m["num_hidden_layers"]):
        weights |= layer(f"model.layers.{i}")
    weights["model.norm.weight"] = norm(hidden)
    if not m["tied"]:
        weights["lm_head.weight"] = gauss((m["vocab_size"], hidden), 2 * hidden**-0.5)
    if m["generation"] == "4.5":
        weights |= layer("mtp.layers.0")
        weights |= {"mtp.fc.weight": gauss((hidden, 2 * hidden), hidden**-0.5), "mtp.norm.weight": norm(hidden),
                    "mtp.pre_fc_norm_embedding.weight": norm(hidden), "mtp.pre_fc_norm_hidden.weight": norm(hidden)}
    return weights


def load_model(config, weights):
    model = Exaone4ForCausalLM._from_config(Exaone4Config(**copy.deepcopy(config)), attn_implementation="eager",
                                            dtype=torch.float32).eval()
    state = {name: torch.from_numpy(value.copy()) for name, value in weights.items() if not name.startswith("mtp.")}
    if config["tie_word_embeddings"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model


@torch.inference_mode()
def forward(model, ids, hidden=False):
    return model(torch.tensor(np.array([ids])), use_cache=False, output_hidden_states=hidden)


def interesting_positions(n, window):
    positions = {0, 1, n // 3, n // 2, n - 2, n - 1}
    if window:
        positions |= {p + d for p in (window, 2 * window) for d in (-1, 0, 1)}
    return sorted(p for p in positions if 0 <= p < n)


def references(model, m, rng, lengths, n_greedy, with_hidden):
    first = 362 if m["generation"] == "4.0" else 120
    short = rng.integers(first, m["vocab_size"], N_SHORT)
    out = forward(model, short, hidden=True)
    arrays = {"short.ids": short.astype(np.int32), "short.logits": out.logits[0].numpy()}
    if with_hidden:
        arrays |= {f"short.hidden.{i}": h[0].numpy() for i, h in enumerate(out.hidden_states)}
    for n in lengths:
        ids = rng.integers(first, m["vocab_size"], n)
        positions = interesting_positions(n, m["window"])
        arrays |= {f"long{n}.ids": ids.astype(np.int32), f"long{n}.positions": np.array(positions, np.int32),
                   f"long{n}.logits": forward(model, ids).logits[0, positions].numpy()}
    ids, margins = list(short), []
    for _ in range(n_greedy):
        top = torch.topk(forward(model, ids).logits[0, -1], 2)
        ids.append(int(top.indices[0]))
        margins.append(float(top.values[0] - top.values[1]))
    return arrays | {"greedy.ids": np.array(ids[N_SHORT:], np.int32), "greedy.margin": np.array(margins, np.float32)}


def check_sensitivity(name, config, weights, reference):
    """Each misreading of the config must move the logits far beyond any numeric error."""
    sequences = [k for k in reference if k.startswith("long") and k.endswith(".ids")]
    longest = max(sequences, key=lambda k: len(reference[k]))
    ids, positions = reference[longest], reference[longest.replace("ids", "positions")]
    wrong = {"rms_norm_eps": config["rms_norm_eps"] * 0.1, "rope_theta": config["rope_theta"] * 0.5,
             "rope_scaling": {**config["rope_scaling"], "factor": config["rope_scaling"]["factor"] * 0.5}}
    if config["sliding_window"]:
        wrong["sliding_window"] = config["sliding_window"] + 1
        wrong["layer_types"] = ["sliding_attention"] * config["num_hidden_layers"]
    for key, value in wrong.items():
        logits = forward(load_model({**config, key: value}, weights), ids).logits[0, positions].numpy()
        error = np.abs(logits - reference[longest.replace("ids", "logits")]).max()
        print(f"  {name}: wrong {key} moves the logits by {error:.3f}")
        if error < 0.05:
            raise SystemExit(f"{name}: a wrong {key} would go unnoticed")


def write_side_files(folder, m, tokenizer):
    def dump(file_name, value):
        folder.joinpath(file_name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    dump("config.json", published_config(m))
    generation = {"bos_token_id": 1, "eos_token_id": eos_of(m), "pad_token_id": 0}
    if m["generation"] == "4.5":
        generation |= {"do_sample": True, "temperature": 1.0, "top_p": 0.95, "presence_penalty": 1.5}
    dump("generation_config.json", generation)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    dump("tokenizer_config.json", {
        "tokenizer_class": "GPT2Tokenizer", "add_bos_token": False, "add_prefix_space": False, "bos_token": "[BOS]",
        "eos_token": "[|endofturn|]" if m["generation"] == "4.0" else "<|endofturn|>", "pad_token": "[PAD]",
        "unk_token": "[UNK]", "clean_up_tokenization_spaces": False})
    folder.joinpath("chat_template.jinja").write_text(template_of(m))


def template_of(m):
    return HERE.joinpath("templates", f"exaone-{m['generation']}.jinja").read_text()


def write_safetensors(folder, m, weights):
    def published(name):
        nested = m["generation"] == "4.5" and name.startswith("model.")
        return name.replace("model.", "model.language_model.", 1) if nested else name

    tensors = {published(n): torch.from_numpy(v.copy()).to(torch.bfloat16) for n, v in weights.items()}
    if m["generation"] == "4.5":  # a stand-in for the vision tower: an engine for text has to step over it
        tensors["model.visual.patch_embed.proj.weight"] = torch.zeros(16, 3, 2, 14, 14, dtype=torch.bfloat16)
    if m["shards"] == 1:
        save_torch(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, weight_map = sorted(tensors), {}
    for s in range(m["shards"]):
        file_name = f"model-{s + 1:05}-of-{m['shards']:05}.safetensors"
        shard = {n: tensors[n] for n in names[s::m["shards"]]}
        save_torch(shard, folder / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file_name)
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": weight_map}
    folder.joinpath("model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


GGUF_ENDS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
             "post_attention_layernorm": "post_attention_norm", "post_feedforward_layernorm": "post_ffw_norm",
             "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GGUF_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
              "mtp.fc": "nextn.eh_proj", "mtp.norm": "nextn.shared_head_norm",
              "mtp.pre_fc_norm_embedding": "nextn.enorm", "mtp.pre_fc_norm_hidden": "nextn.hnorm"}


def gguf_name(name, m):
    stem, n = name.removesuffix(".weight"), m["num_hidden_layers"]
    if stem in GGUF_WHOLE:
        return (f"blk.{n}." if stem.startswith("mtp.") else "") + GGUF_WHOLE[stem] + ".weight"
    parts = stem.split(".", 3)
    block = n if parts[0] == "mtp" else int(parts[2])
    return f"blk.{block}.{GGUF_ENDS[parts[3]]}.weight"


def rope_factors(m):
    """inv / inv' of the llama3 rule, as rope_freqs.weight stores it."""
    head_dim = m["head_dim"] or m["hidden_size"] // m["num_attention_heads"]
    inv = m["rope_theta"] ** (-np.arange(0, head_dim, 2) / head_dim)
    turns = m["rope_original"] * inv / (2 * np.pi)  # how often a dimension turns within the original context
    smooth = np.clip((turns - 1) / (4 - 1), 0, 1)
    return (1 / ((1 - smooth) / m["rope_factor"] + smooth)).astype(np.float32)


def gguf_metadata(name, m, type_name, tokenizer):
    config, model = text_config(m), json.loads(tokenizer.to_str())["model"]
    mtp = 1 if m["generation"] == "4.5" else 0
    special = {t["id"]: t["special"] for t in json.loads(tokenizer.to_str())["added_tokens"]}
    tokens = [tokenizer.id_to_token(i) for i in range(m["vocab_size"])]
    meta = [("general.architecture", "str", "exaone4"), ("general.name", "str", name),
            ("exaone4.block_count", "u32", m["num_hidden_layers"] + mtp),
            ("exaone4.context_length", "u32", m["max_context"]),
            ("exaone4.embedding_length", "u32", m["hidden_size"]),
            ("exaone4.feed_forward_length", "u32", m["intermediate_size"]),
            ("exaone4.attention.head_count", "u32", m["num_attention_heads"]),
            ("exaone4.attention.head_count_kv", "u32", m["num_key_value_heads"]),
            ("exaone4.rope.freq_base", "f32", m["rope_theta"]),
            ("exaone4.attention.layer_norm_rms_epsilon", "f32", m["rms_norm_eps"]),
            ("exaone4.vocab_size", "u32", m["vocab_size"])]
    if m["head_dim"]:
        meta += [("exaone4.attention.key_length", "u32", m["head_dim"]),
                 ("exaone4.attention.value_length", "u32", m["head_dim"])]
    if m["window"]:
        meta += [("exaone4.attention.sliding_window", "u32", m["window"]),
                 ("exaone4.attention.sliding_window_pattern", "array:bool",
                  [t == "sliding_attention" for t in config["layer_types"]])]
    if mtp:
        meta += [("exaone4.nextn_predict_layers", "u32", mtp), ("general.sampling.temp", "f32", 1.0),
                 ("general.sampling.top_p", "f32", 0.95)]
    return meta + [
        ("general.file_type", "u32", gguf_writer.TYPES[type_name][1]), ("general.quantization_version", "u32", 2),
        ("tokenizer.ggml.model", "str", "gpt2"),
        ("tokenizer.ggml.pre", "str", "exaone4" if m["generation"] == "4.0" else "exaone-moe"),
        ("tokenizer.ggml.tokens", "array:str", tokens),
        ("tokenizer.ggml.token_type", "array:i32",
         [1 if i not in special else 3 if special[i] else 4 for i in range(m["vocab_size"])]),
        ("tokenizer.ggml.merges", "array:str", [" ".join(pair) for pair in model["merges"]]),
        ("tokenizer.ggml.bos_token_id", "u32", 1), ("tokenizer.ggml.eos_token_id", "u32", eos_of(m)),
        ("tokenizer.ggml.unknown_token_id", "u32", 3), ("tokenizer.ggml.padding_token_id", "u32", 0),
        ("tokenizer.ggml.add_bos_token", "bool", False),
        ("tokenizer.chat_template", "str", template_of(m))]


def write_gguf(folder, name, m, weights, tokenizer, type_name):
    """Matrices as type_name, vectors as F32; the reference is computed from the values the file holds."""
    tensors, stored = [("rope_freqs.weight", rope_factors(m).shape, "F32", rope_factors(m).tobytes())], {}
    for hf_name, value in weights.items():
        chosen = type_name if value.ndim == 2 else "F32"
        data, stored[hf_name] = gguf_writer.TYPES[chosen][2](value)
        tensors.append((gguf_name(hf_name, m), value.shape, chosen, data))
    stem = f"{name}.{type_name}"
    gguf_writer.write(folder / f"{stem}.gguf", gguf_metadata(name, m, type_name, tokenizer), tensors)
    rng = np.random.default_rng(m["seed"] + 1000)
    arrays = references(load_model(text_config(m), stored), m, rng, m["long_lengths"][-1:], N_GREEDY_GGUF, False)
    save_numpy(arrays, folder / f"{stem}.reference.safetensors")


def write_chat_cases(folder, m):
    """Conversations and what Jinja2 makes of them, set up as transformers does."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    environment.filters["tojson"] = lambda value, ensure_ascii=False: json.dumps(value, ensure_ascii=ensure_ascii)

    def raise_exception(message):
        raise jinja2.TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    template = environment.from_string(template_of(m))
    lines = []
    for case in json.loads(HERE.joinpath("chat_cases.json").read_text()):
        case = {"messages": case["messages"], "tools": case.get("tools"), "kwargs": case.get("kwargs", {}),
                "add_generation_prompt": case.get("add_generation_prompt", True)}
        try:
            case["expected"] = template.render(messages=case["messages"], tools=case["tools"], **case["kwargs"],
                                               add_generation_prompt=case["add_generation_prompt"])
        except jinja2.TemplateError as error:
            case["error"] = str(error)
        lines.append(json.dumps(case, ensure_ascii=False))
    folder.joinpath("chat.cases.jsonl").write_text("\n".join(lines) + "\n")


def write_tokenizer_cases(folder, tokenizer):
    lines = []
    for text in json.loads(HERE.joinpath("tokenizer_cases.json").read_text()):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        case = {"text": text, "ids": ids} | ({"decoded": decoded} if decoded != text else {})
        lines.append(json.dumps(case, ensure_ascii=False))
    folder.joinpath("tokenizer.cases.jsonl").write_text("\n".join(lines) + "\n")


def make(out, name, m):
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(m["seed"])
    tokenizer = tiny_tokenizers.build(m["generation"], m["vocab_size"])
    weights, config = random_weights(m, rng), text_config(m)
    write_side_files(folder, m, tokenizer)
    write_safetensors(folder, m, weights)
    arrays = references(load_model(config, weights), m, rng, m["long_lengths"], N_GREEDY, True)
    check_sensitivity(name, config, weights, arrays)
    save_numpy(arrays, folder / "reference.safetensors")
    for type_name in m["gguf"]:
        write_gguf(folder, name, m, weights, tokenizer, type_name)
    write_chat_cases(folder, m)
    write_tokenizer_cases(folder, tokenizer)
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size / 1e6:.1f} MB, logits std {arrays['short.logits'].std():.2f}, "
          f"smallest greedy margin {arrays['greedy.margin'].min():.1e}")


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "tests" / "data" / "models"
    torch.set_num_threads(1)
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, Jinja2 {jinja2.__version__}")
    for name, m in MODELS.items():
        make(out, name, m)


if __name__ == "__main__":
    main()
