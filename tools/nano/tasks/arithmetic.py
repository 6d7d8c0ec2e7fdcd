"""Adding and subtracting numbers of two and three digits, column by column where thinking is on."""

from .item import Item, ask
from .lexicon import PEOPLE, THINGS, josa, plural

PLACES = {"en": ("ones", "tens", "hundreds", "thousands"), "ko": ("일의 자리", "십의 자리", "백의 자리", "천의 자리")}
CARRY = {"en": "carry", "ko": "올림"}
BORROW = {"en": "borrow", "ko": "내림"}

QUESTIONS = {
    "en": {"+": ["What is {a} + {b}?", "{a} + {b} = ?", "{a}+{b}", "Add {a} and {b}.", "How much is {a} plus {b}?", "Calculate {a} + {b}.",
                 "Please compute {a} + {b}."],
           "-": ["What is {a} - {b}?", "{a} - {b} = ?", "{a}-{b}", "Subtract {b} from {a}.", "How much is {a} minus {b}?",
                 "Calculate {a} - {b}.", "Please compute {a} - {b}."]},
    "ko": {"+": ["{a} + {b}는 얼마야?", "{a} + {b} = ?", "{a}+{b}", "{a_and} {b_obj} 더해 줘.", "{a} 더하기 {b}는?", "{a} + {b} 계산해 줘.",
                 "{a_and} {b}의 합은 얼마인가요?"],
           "-": ["{a} - {b}는 얼마야?", "{a} - {b} = ?", "{a}-{b}", "{a}에서 {b_obj} 빼 줘.", "{a} 빼기 {b}는?", "{a} - {b} 계산해 줘.",
                 "{a}에서 {b_obj} 빼면 얼마인가요?"]},
}
STORIES = {
    "en": {"+": "{who} has {a} {things} and gets {b} more. How many {things} does {who} have now?",
           "-": "{who} has {a} {things} and gives away {b}. How many {things} are left?"},
    "ko": {"+": "{who_top} {thing} {a}개가 있고 {b}개를 더 받았어요. 모두 몇 개인가요?",
           "-": "{who_top} {thing} {a}개가 있고 {b}개를 나눠 주었어요. 몇 개가 남았나요?"},
}


def columns(a, sign, b, language):
    """The written method, least digit first. Every step needs only the digits it names."""
    lines, carry = [f"{a} {sign} {b}"], 0
    n = max(len(str(a)), len(str(b)))
    for place in range(n):
        x, y = a // 10**place % 10, b // 10**place % 10
        if sign == "+":
            total = x + y + carry
            shown = f"{x} + {y}" + (" + 1" if carry else "") + f" = {total}"
            carry = total // 10
            note = f", {CARRY[language]} 1" if carry and place < n - 1 else ""
        else:
            low = x - carry - y < 0
            total = x - carry - y + (10 if low else 0)
            shown = f"{x + (10 if low else 0)}" + (" - 1" if carry else "") + f" - {y} = {total}"
            carry = int(low)
            note = f", {BORROW[language]} 1" if carry else ""
        lines.append(f"{PLACES[language][place]}: {shown}{note}")
    return "\n".join(lines + [f"{a} {sign} {b} = {a + b if sign == '+' else a - b}"])


def number(rng):
    return rng.randint(10, 99) if rng.random() < 0.35 else rng.randint(100, 999)


def make(rng):
    language, sign = rng.choice(("en", "ko")), rng.choice("+-")
    a, b = number(rng), number(rng)
    if sign == "-" and a < b:
        a, b = b, a
    if rng.random() < 0.2:
        thing, who = rng.choice(sorted(THINGS)), rng.choice(PEOPLE[language])
        text = STORIES[language][sign].format(who=who, who_top=josa(who + "에게", "은는"), a=a, b=b, things=plural(thing, 2),
                                              thing=josa(THINGS[thing], "이가"))
    else:
        text = rng.choice(QUESTIONS[language][sign]).format(a=a, b=b, a_and=josa(str(a), "과와"), b_obj=josa(str(b), "을를"))
    value = a + b if sign == "+" else a - b
    return Item("arithmetic", language, f"{a}{sign}{b}", ask(text), columns(a, sign, b, language),
                f"{a} {sign} {b} = {value}", {"kind": "number", "value": value})
