"""Copying and reversing lists of words."""

from .item import Item, ask
from .lexicon import WORDS

QUESTIONS = {
    "en": {"copy": ["Repeat these words: {}", "Copy this list: {}", "Say exactly this: {}", "Write the words again: {}"],
           "reverse": ["Reverse the order of these words: {}", "Write this list backwards: {}", "Say these words from last to first: {}",
                       "Turn this list around: {}"],
           "first": ["What is the first word? {}", "Which word comes first? {}"],
           "last": ["What is the last word? {}", "Which word comes last? {}"]},
    "ko": {"copy": ["다음 단어를 그대로 말해 줘: {}", "이 목록을 따라 써 줘: {}", "똑같이 반복해 줘: {}", "단어를 다시 써 주세요: {}"],
           "reverse": ["다음 단어를 거꾸로 말해 줘: {}", "이 목록을 뒤집어 줘: {}", "마지막 단어부터 차례로 써 주세요: {}", "순서를 거꾸로 해 줘: {}"],
           "first": ["첫 번째 단어가 뭐야? {}", "맨 앞의 단어는 무엇인가요? {}"],
           "last": ["마지막 단어가 뭐야? {}", "맨 뒤의 단어는 무엇인가요? {}"]},
}


def solve(kind, words):
    return {"copy": words, "reverse": words[::-1], "first": words[:1], "last": words[-1:]}[kind]


def make(rng):
    language = rng.choice(("en", "ko"))
    kind = rng.choice(("copy", "copy", "reverse", "reverse", "reverse", "first", "last"))
    words = rng.sample(WORDS[language], rng.randint(3, 6))
    text = rng.choice(QUESTIONS[language][kind]).format(", ".join(words))
    numbered = [f"{i + 1} {word}" for i, word in enumerate(words)]
    answer = ", ".join(solve(kind, words))
    if kind == "reverse":
        thought = ", ".join(numbered) + "\n" + ", ".join(numbered[::-1])
    elif kind == "copy":
        thought = {"en": f"{len(words)} words, same order.", "ko": f"단어 {len(words)}개, 같은 순서."}[language]
    else:
        thought = ", ".join(numbered)
    return Item("words", language, f"{kind} {', '.join(words)}", ask(text), thought, answer, {"kind": "exact", "text": answer})
