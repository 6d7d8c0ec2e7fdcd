"""Small byte-level BPE tokenizers laid out like those of EXAONE 4.0 and 4.5, trained on corpus.txt.

Ids follow the published order: added tokens, the 256 byte symbols, merges by rank. The names and ids of control tokens
are facts of the family; merges come from our own sentences.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = Path(__file__).parent

EXAONE_45_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
                     r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+")

TAGS = ["</tool_call>", "<tool_call>", "</tool_result>", "<tool_result>", "</think>", "<think>"]


def added_tokens_40():
    """(content, special) by id, 0 … 361."""
    tokens = [(t, True) for t in ("[PAD]", "[BOS]", "[EOS]", "[UNK]")]
    tokens += [(" " * n, False) for n in range(31, 1, -1)]
    tokens += [("\t" * n, False) for n in range(9, 1, -1)]
    tokens += [("<|endoftext|>", True)]
    tokens += [(f"[unused{i}]", True) for i in range(351 - len(tokens))]
    tokens += [(t, False) for t in TAGS]
    tokens += [(f"[|{t}|]", True) for t in ("system", "tool", "assistant", "user", "endofturn")]
    return tokens


def added_tokens_45():
    """(content, special) by id, 0 … 119."""
    at = {0: "[PAD]", 1: "[BOS]", 2: "[EOS]", 3: "[UNK]", 50: "<|system|>", 51: "<|user|>", 52: "<|assistant|>",
          53: "<|endofturn|>", 60: "<|file_sep|>", 61: "<|repo_name|>", 62: "<|fim_prefix|>", 63: "<|fim_middle|>",
          64: "<|fim_suffix|>", 65: "<|fim_pad|>", 66: "<|vision_pad|>", 67: "<|image_pad|>", 68: "<|video_pad|>",
          73: "<vision>", 74: "</vision>", 105: "<|tool|>", 106: "<|tool_declare|>"}
    plain = {4 + i: " " * n for i, n in enumerate(range(31, 1, -1))}
    plain |= {34 + i: "\t" * n for i, n in enumerate(range(9, 1, -1))}
    plain |= {110 + i: tag for i, tag in enumerate(TAGS)}
    return [(plain[i], False) if i in plain else (at.get(i, f"<|unused_{i}|>"), True) for i in range(120)]


def _set_up(model, generation):
    tokenizer = Tokenizer(model)
    if generation == "4.0":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    elif generation == "3.5":
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    else:
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(EXAONE_45_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def build(generation, vocab_size):
    """The tokenizers.Tokenizer of one generation ("3.5", "4.0" or "4.5") with exactly vocab_size ids."""
    added = added_tokens_45() if generation == "4.5" else added_tokens_40()
    n_merges = vocab_size - len(added) - 256

    trained = _set_up(models.BPE(), generation)
    trainer = trainers.BpeTrainer(vocab_size=256 + n_merges, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    trained.train_from_iterator(HERE.joinpath("corpus.txt").read_text().splitlines(keepends=True), trainer)
    by_rank = sorted(trained.get_vocab().items(), key=lambda item: item[1])
    if len(by_rank) != 256 + n_merges:
        raise SystemExit(f"corpus.txt gives {len(by_rank) - 256} merges, {n_merges} are needed")
    merges = _merges_of(trained)

    vocab = {content: i for i, (content, _) in enumerate(added)}
    vocab |= {piece: len(added) + i for i, (piece, _) in enumerate(by_rank)}
    tokenizer = _set_up(models.BPE(vocab=vocab, merges=merges), generation)
    for content, special in added:
        token = AddedToken(content, normalized=False, special=special)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    if tokenizer.get_vocab_size() != vocab_size:
        raise SystemExit(f"{tokenizer.get_vocab_size()} ids, {vocab_size} expected")
    return tokenizer


def _merges_of(tokenizer):
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
