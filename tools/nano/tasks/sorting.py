"""Comparing two numbers, sorting three to five, the largest and the smallest."""

from .item import Item, ask

QUESTIONS = {
    "en": {"larger": ["Which is larger, {} or {}?", "Which number is bigger: {} or {}?"],
           "smaller": ["Which is smaller, {} or {}?", "Which number is less: {} or {}?"],
           "up": ["Sort these numbers: {}", "Sort from small to large: {}", "Put in ascending order: {}"],
           "down": ["Sort from large to small: {}", "Put in descending order: {}"],
           "max": ["What is the largest of {}?", "Find the maximum: {}"],
           "min": ["What is the smallest of {}?", "Find the minimum: {}"]},
    "ko": {"larger": ["{} 또는 {} 중 어느 것이 더 커?", "더 큰 수는 무엇인가요: {} 또는 {}?"],
           "smaller": ["{} 또는 {} 중 어느 것이 더 작아?", "더 작은 수는 무엇인가요: {} 또는 {}?"],
           "up": ["다음 수를 정렬해 줘: {}", "작은 수부터 써 줘: {}", "오름차순으로 정렬해 주세요: {}"],
           "down": ["큰 수부터 써 줘: {}", "내림차순으로 정렬해 주세요: {}"],
           "max": ["{} 중 가장 큰 수는?", "최댓값을 찾아 줘: {}"],
           "min": ["{} 중 가장 작은 수는?", "최솟값을 찾아 줘: {}"]},
}


def solve(kind, numbers):
    ordered = sorted(numbers, reverse=kind in ("down", "larger", "max"))
    return ordered if kind in ("up", "down") else ordered[:1]


def think(kind, numbers, language):
    """Selection: the next of those left, until none is."""
    if kind not in ("up", "down"):
        return ", ".join(map(str, numbers)) + f" → {solve(kind, numbers)[0]}"
    left, lines = list(numbers), []
    for value in solve(kind, numbers):
        lines.append(f"{', '.join(map(str, left))} → {value}")
        left.remove(value)
    return "\n".join(lines)


def make(rng):
    language = rng.choice(("en", "ko"))
    kind = rng.choice(("larger", "smaller", "up", "up", "up", "down", "down", "max", "min"))
    n = 2 if kind in ("larger", "smaller") else rng.randint(3, 5)
    top = rng.choice((100, 1000))
    numbers = rng.sample(range(1, top), n)
    question = rng.choice(QUESTIONS[language][kind])
    text = question.format(*numbers) if n == 2 else question.format(", ".join(map(str, numbers)))
    answer = ", ".join(map(str, solve(kind, numbers)))
    return Item("sorting", language, f"{kind} {numbers}", ask(text), think(kind, numbers, language), answer,
                {"kind": "exact", "text": answer})
