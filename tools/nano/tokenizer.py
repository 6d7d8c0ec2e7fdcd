"""A tokenizer of EXAONE 4.5's kind for the toy: NFC, its pre-tokenizer, superwords, control tokens at their ids.

    python tools/nano/tokenizer.py OUT.json [--vocab 4096] [--items 3000]

Ids 0…361 are the added tokens of the family, 362…617 the bytes, merges follow by rank. The vocabulary is trained on
the training split of the tasks; a merge never crosses a newline, as in the published vocabulary.
"""

import argparse
import json
import random
import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import document
from tasks import TASKS, draw

PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
           r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+")
# The same, but each newline alone: what never stands together is never merged.
TRAINING_PATTERN = PATTERN.replace(r"\s*[\r\n]|", r"[^\S\r\n]*[\r\n]|")
# One word at most.
WORD_PATTERN = TRAINING_PATTERN.replace(r"(?: \p{L}\p{M}*)*", "")

N_ADDED, N_BYTES = 362, 256
_PLAIN = {4 + i: " " * n for i, n in enumerate(range(31, 1, -1))}
_PLAIN |= {34 + i: "\t" * n for i, n in enumerate(range(9, 1, -1))}
_PLAIN |= {351: "</tool_call>", 352: "<tool_call>", 353: "</tool_result>", 354: "<tool_result>", 355: "</think>", 356: "<think>"}
_CONTROL = {0: "[PAD]", 1: "[BOS]", 2: "[EOS]", 3: "[UNK]", 42: "<|endoftext|>", 50: "<|system|>", 51: "<|user|>", 52: "<|assistant|>",
            53: "<|endofturn|>", 60: "<|file_sep|>", 61: "<|repo_name|>", 62: "<|fim_prefix|>", 63: "<|fim_middle|>",
            64: "<|fim_suffix|>", 65: "<|fim_pad|>", 66: "<|vision_pad|>", 67: "<|image_pad|>", 68: "<|video_pad|>",
            73: "<vision>", 74: "</vision>", 102: "<|grounding|>", 103: "<|markdown|>", 104: "<|html|>", 105: "<|tool|>",
            106: "<|tool_declare|>"}
ASSISTANT, END_OF_TURN, IMAGE, THINK, END_OF_THINK = 52, 53, 67, 356, 355


def added_tokens():
    """(content, special) by id."""
    return [(_PLAIN[i], False) if i in _PLAIN else (_CONTROL.get(i, f"<|unused_{i}|>"), True) for i in range(N_ADDED)]


def _pre_tokenizer(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _model(vocab, alphabet, merges):
    """vocab goes first, then the bytes, then what the merges make."""
    pieces = sorted(alphabet) + ["".join(pair) for pair in merges]
    return models.BPE(vocab=vocab | {piece: len(vocab) + i for i, piece in enumerate(pieces)}, merges=merges)


def _set_up(model, pattern):
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _pre_tokenizer(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def corpus(seed, n_items):
    """Texts between control tokens: every item of the training split, thought and answer."""
    control = "|".join(re.escape(text) for text, _ in added_tokens() if text.strip())
    for task in sorted(TASKS):
        for index in range(n_items):
            item = draw(task, seed, index, "train")
            text = document.conversation(item, random.Random(f"{seed} {task} {index}").random() < 0.6)
            yield from (part for part in re.split(control, text) if part)


def _byte_pairs(texts, n, alphabet, pre_tokenizer):
    """n merges, best first, as (left, right)."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizer
    trained.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=len(alphabet) + n, show_progress=False, min_frequency=4,
                                                           initial_alphabet=alphabet))
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    if len(merges) != n:
        raise SystemExit(f"the text gives {len(merges)} merges, {n} are needed")
    return merges


def _superwords(texts, words, n):
    """n merges of whole tokens of `words`: each of its ids stands as one character in the text that they are learned from."""
    first = 0xF0000  # a private plane of Unicode
    pieces = {chr(first + i): words.id_to_token(i) for i in range(words.get_vocab_size())}
    split = pre_tokenizers.Split(Regex(TRAINING_PATTERN), behavior="isolated")
    lines = ("".join(chr(first + i) for i in words.encode(part).ids) for text in texts for part, _ in split.pre_tokenize_str(text))
    merges = _byte_pairs(lines, n, list(pieces), pre_tokenizers.WhitespaceSplit())
    return [tuple("".join(pieces[c] for c in side) for side in pair) for pair in merges]


def train(seed, vocab_size, n_items, n_word_merges):
    texts = list(corpus(seed, n_items))
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    merges = _byte_pairs(texts, n_word_merges, alphabet, _pre_tokenizer(WORD_PATTERN))
    # Superwords come after all words in rank, so that they begin and end where words do.
    merges += _superwords(texts, _set_up(_model({}, alphabet, merges), WORD_PATTERN), vocab_size - N_ADDED - N_BYTES - n_word_merges)
    added = added_tokens()
    tokenizer = _set_up(_model({content: i for i, (content, _) in enumerate(added)}, alphabet, merges), PATTERN)
    for content, special in added:
        token = AddedToken(content, normalized=False, special=special)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    return tokenizer, texts


def main():
    parser = argparse.ArgumentParser(description="Train the tokenizer of EXAONE-nano")
    parser.add_argument("out")
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--items", type=int, default=3000, help="items of each task to train on")
    parser.add_argument("--words", type=int, default=2600, help="merges within words; superwords get the rest")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tokenizer, texts = train(options.seed, options.vocab, options.items, options.words)
    tokenizer.save(options.out, pretty=False)
    sample = texts[:: max(1, len(texts) // 2000)]
    n_tokens = sum(len(tokenizer.encode(text).ids) for text in sample)
    spaced = sum(" " in tokenizer.decode([i]).strip() for i in range(N_ADDED + N_BYTES, options.vocab))
    print(f"{options.out}: {tokenizer.get_vocab_size()} ids, {spaced} superwords, "
          f"{sum(len(t.encode()) for t in sample) / n_tokens:.2f} bytes a token")


if __name__ == "__main__":
    main()
