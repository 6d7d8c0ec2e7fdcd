"""Writes tests/data/tokenizer: texts with the ids that Hugging Face's tokenizers gives for them.

    venv/bin/python tools/reference/make_tokenizer_cases.py

For the tokenizers of the tiny models (4.0 and 4.5 rules), and for two made here from the same corpus: the rules of
EXAONE 3.x (NFKC, every digit alone) and 4.5 rules with added tokens that are matched after normalisation. Texts mix
sentences of corpus.txt with characters that have hurt tokenizers; they come from a fixed seed.
"""

import json
import random
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers

import tiny_tokenizers

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "tests" / "data"
OUT = DATA / "tokenizer"
N_CASES = 220

NASTY = ([" ", " ", "  ", "   ", "\t", "\t\t", "\n", "\n", "\r\n", "\r", "\n\n", "\u00a0", "\u3000", "\u2028", "\u0085",
          "\u200b", "\u200d", "\ufeff", "\0", "\x01", "\x1c", "'", "'s", "'S", "'\u017f", "'ll", "'LL", "'Re", "'ve", "'d",
          "\u2019s", "/", "//", "-", "...", "!?", "(", ")", '"', "\u00bd", "\u2463", "\u2167", "\u0664", "0", "7", "42",
          "1234567", "e\u0301", "\u00e9", "a\u0323\u0301", "a\u0301\u0323", "\u0301", "\u0308\u0301", "\u0344", "\u212b",
          "\u2126", "\ufb01", "\uff21", "\uff1c", "\u3392", "\u1100\u1161", "\u1100\u1161\u11a8", "\uac00\u11a8", "\uac00",
          "\u11a8", "\u3131", "\u0e33", "\u0928\u093f", "\u0915\u094d\u0937", "\u05d0\u05b8", "\u4e2d", "\u65e5\u672c",
          "\U0001f469\u200d\U0001f467", "\U0001f1f0\U0001f1f7", "\U0001d400", "\U00011930", "\u0898", "\u20000",
          "o\u0323\u0302", "o\u0302\u0323", "b\u1ed9", "bo\u0302", "\ufffd", "A", "z", "\u00df", "\u01c5", "\u02b0", "\u0660", "\u0e01"])
MARKUP = ["<think>", "</think>", "<tool_call>", "</tool_call>", "[|user|]", "[|endofturn|]", "<|user|>", "<|endofturn|>",
          "[PAD]", "[BOS", "<think", "\uff1cthink\uff1e", "<|image_pad|>", "[unused3]", "[unused33]", "<vision>"]


def texts(rng, sentences):
    words = sorted({word for sentence in sentences for word in sentence.split()})
    yield from ("", " ", "  ", "\n", "a", " a", "\u0301", "'", "'s", " '", "a" * 300, " " * 100, "\t" * 40 + "x", "\u0301" * 50)
    yield from (unicodedata.normalize(form, sentence) for sentence in sentences[:8] for form in ("NFD", "NFKC"))
    for i in range(N_CASES):
        style = i % 3
        parts = []
        for _ in range(rng.randint(2, 14)):
            kind = rng.random()
            if style == 0 or kind < 0.35:
                parts.append(rng.choice(NASTY))
            elif kind < 0.45:
                parts.append(rng.choice(MARKUP))
            elif kind < 0.9:
                parts.append(rng.choice(words) + rng.choice([" ", " ", "", "  "]))
            else:
                parts.append(chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0xAC00, 0xD7A4),
                                             rng.randrange(0x300, 0x3400), rng.randrange(0x10000, 0x1FFFF)])))
        yield "".join(parts)


def write_cases(name, tokenizer, sentences):
    rng = random.Random(f"cases of {name}")
    with open(OUT / f"{name}.cases.jsonl", "w", encoding="ascii", newline="\n") as file:
        for text in texts(rng, sentences):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            case = {"text": text, "ids": ids}
            decoded = tokenizer.decode(ids, skip_special_tokens=False)
            if decoded != text:
                case["decoded"] = decoded
            file.write(json.dumps(case) + "\n")


def with_fewer_added(generation, n_ids, kept, normalized):
    """A tokenizer of `generation` with only the added tokens `kept`, at the end of the ids."""
    built = json.loads(tiny_tokenizers.build(generation, n_ids).to_str())
    n_added = len(built["added_tokens"])
    special = {token["content"]: token["special"] for token in built["added_tokens"]}
    pieces = sorted((i, piece) for piece, i in built["model"]["vocab"].items() if i >= n_added)
    built["model"]["vocab"] = {piece: i for i, (_, piece) in enumerate(pieces)}
    built["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(built))
    for content in kept:
        tokenizer.add_tokens([AddedToken(content, normalized=normalized, special=special.get(content, True))])
    return tokenizer


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    sentences = (HERE / "corpus.txt").read_text(encoding="utf-8").splitlines()
    for model in ("tiny-exaone4", "tiny-exaone4_5"):
        write_cases(model, Tokenizer.from_file(str(DATA / "models" / model / "tokenizer.json")), sentences)

    runs = [" " * n for n in range(5, 1, -1)] + ["\t\t"]
    old = with_fewer_added("4.0", 1000, runs + ["[BOS]", "[|user|]", "[|endofturn|]", "<think>"], normalized=False)
    old.normalizer = normalizers.NFKC()
    old.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    late = with_fewer_added("4.5", 760, runs + ["<|user|>", "<think>", "</think>", "b\u1ed9", "o\u0323\u0302"], normalized=True)
    for name, tokenizer in (("exaone-3.5", old), ("late-added", late)):
        text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        (OUT / f"{name}.tokenizer.json").write_text(text + "\n", encoding="utf-8", newline="\n")
        write_cases(name, tokenizer, sentences)


if __name__ == "__main__":
    main()
