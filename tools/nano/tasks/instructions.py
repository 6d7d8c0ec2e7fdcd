"""System instructions: which language, how long, or JSON. The question asks for a fact told with it."""

import json

from .item import Item, ask
from .lexicon import COLORS, CONTAINERS, THINGS, josa, plural

SYSTEMS = {
    "en": {"english": ["Always answer in English.", "Reply in English only.", "Answer in English."],
           "korean": ["Always answer in Korean.", "Reply in Korean only.", "Answer in Korean."],
           "short": ["Answer briefly.", "Keep answers short.", "Give the shortest answer."],
           "long": ["Answer in a full sentence.", "Use complete sentences.", "Give a full sentence."],
           "json": ["Answer in JSON.", "Reply with a JSON object only.", "Output JSON."]},
    "ko": {"english": ["항상 영어로 답하세요.", "영어로만 대답해 주세요.", "영어로 답해."],
           "korean": ["항상 한국어로 답하세요.", "한국어로만 대답해 주세요.", "한국어로 답해."],
           "short": ["짧게 답하세요.", "간단히 대답해 주세요.", "가장 짧게 답해."],
           "long": ["완전한 문장으로 답하세요.", "문장으로 대답해 주세요.", "온전한 문장으로 답해."],
           "json": ["JSON으로 답하세요.", "JSON 객체로만 대답해 주세요.", "JSON으로 출력해."]},
}
THOUGHTS = {
    "en": {"english": "The answer must be in English.", "korean": "The answer must be in Korean.",
           "short": "The answer must be short.", "long": "The answer must be a full sentence.", "json": "The answer must be JSON."},
    "ko": {"english": "영어로 답해야 한다.", "korean": "한국어로 답해야 한다.", "short": "짧게 답해야 한다.",
           "long": "문장으로 답해야 한다.", "json": "JSON으로 답해야 한다."},
}


def statement(color, container, thing, n, language):
    if language == "en":
        return f"The {color} {container} holds {n} {plural(thing, n)}."
    return f"{COLORS[color]} {CONTAINERS[container]}에는 {josa(THINGS[thing], '이가')} {n}개 있어요."


def question(color, container, language):
    if language == "en":
        return f"What is in the {color} {container}?"
    return f"{COLORS[color]} {CONTAINERS[container]}에는 무엇이 있나요?"


def reply(rule, color, container, thing, n, language):
    if rule == "json":
        names = (color, container, thing) if language == "en" else (COLORS[color], CONTAINERS[container], THINGS[thing])
        return json.dumps(dict(zip(("color", "place", "item", "count"), (*names, n))), ensure_ascii=False)
    if rule in ("english", "korean"):
        return statement(color, container, thing, n, {"english": "en", "korean": "ko"}[rule])
    if rule == "long":
        return statement(color, container, thing, n, language)
    return f"{n} {plural(thing, n)}" if language == "en" else f"{THINGS[thing]} {n}개"


def make(rng):
    language = rng.choice(("en", "ko"))
    rule = rng.choice(("english", "korean", "short", "long", "json"))
    colors = rng.sample(sorted(COLORS), 2)
    facts = [(color, rng.choice(sorted(CONTAINERS)), rng.choice(sorted(THINGS)), rng.randint(2, 20)) for color in colors]
    if rng.random() < 0.4:
        facts = facts[:1]
    asked = rng.choice(facts)
    # The system speaks the user's language or the other one.
    system_language = language if rng.random() < 0.7 else {"en": "ko", "ko": "en"}[language]
    text = " ".join([statement(*fact, language) for fact in facts] + [question(*asked[:2], language)])
    answer = reply(rule, *asked, language)
    check = {"kind": "json", "value": json.loads(answer)} if rule == "json" else {"kind": "exact", "text": answer}
    return Item("instructions", language, f"{rule} {language} {facts} {asked}",
                ask(text, rng.choice(SYSTEMS[system_language][rule])), THOUGHTS[language][rule], answer, check)
