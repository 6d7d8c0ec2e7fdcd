"""Conversations of several turns: what the user told before is asked for later."""

from . import arithmetic, identity
from .item import Item
from .lexicon import ANIMALS, CITIES, COLOR_NOUNS, PEOPLE, THINGS, josa

TELL = {
    "en": {"name": ["My name is {}.", "I am {}.", "Please call me {}."], "city": ["I live in {}.", "I am from {}."],
           "color": ["My favorite color is {}.", "I like {} best of all colors."], "pet": ["My pet is a {}.", "I have a {} at home."],
           "gift": ["I want a {} for my birthday.", "My birthday wish is a {}."]},
    "ko": {"name": ["제 이름은 {}.", "저는 {}.", "저를 {}라고 불러 주세요."], "city": ["저는 {}에 살아요.", "저는 {}에서 왔어요."],
           "color": ["제가 좋아하는 색은 {}.", "저는 색 중에서 {} 가장 좋아해요."], "pet": ["우리 집에는 {} 있어요.", "저는 집에서 {} 키워요."],
           "gift": ["생일 선물로 {} 받고 싶어요.", "생일에 {} 갖고 싶어요."]},
}
PARTICLES = {"name": ("이에요", "이에요", None), "city": (None, None), "color": ("이에요", "을를"), "pet": ("이가", "을를"), "gift": ("을를", "을를")}
ASK = {
    "en": {"name": ["What is my name?", "Do you remember my name?"], "city": ["Where do I live?", "Which city do I come from?"],
           "color": ["What is my favorite color?", "Which color do I like best?"], "pet": ["What is my pet?", "Which animal do I have?"],
           "gift": ["What do I want for my birthday?", "What is my birthday wish?"]},
    "ko": {"name": ["제 이름이 뭐예요?", "제 이름을 기억해요?"], "city": ["제가 어디에 살아요?", "저는 어느 도시 사람이에요?"],
           "color": ["제가 좋아하는 색이 뭐예요?", "저는 무슨 색을 가장 좋아해요?"], "pet": ["제가 키우는 동물이 뭐예요?", "우리 집에 무슨 동물이 있어요?"],
           "gift": ["제가 생일에 뭘 받고 싶어 해요?", "제 생일 소원이 뭐예요?"]},
}
SAY = {"en": {"name": "Your name is {}.", "city": "You live in {}.", "color": "Your favorite color is {}.", "pet": "Your pet is a {}.",
              "gift": "You want a {} for your birthday."},
       "ko": {"name": "이름은 {}.", "city": "{}에 사세요.", "color": "좋아하는 색은 {}.", "pet": "키우는 동물은 {}.", "gift": "생일에 받고 싶은 것은 {}."}}
NOTED = {"en": {"name": "Nice to meet you, {}!", "other": "I will remember that."}, "ko": {"name": "반가워요, {} 님!", "other": "기억할게요."}}
THOUGHTS = {"en": {"note": "The user tells me something. I note it.", "recall": "The user said: {}"},
            "ko": {"note": "사용자가 무언가를 알려 준다. 기억한다.", "recall": "사용자가 말했다: {}"}}


def _value(rng, about, language):
    pools = {"name": PEOPLE[language], "city": CITIES, "color": COLOR_NOUNS, "pet": ANIMALS, "gift": THINGS}
    pool = pools[about]
    if isinstance(pool, dict):
        pool = list(pool) if language == "en" else list(pool.values())
    return rng.choice(list(pool))


def _tell(rng, about, value, language):
    i = rng.randrange(len(TELL[language][about]))
    if language == "ko" and PARTICLES[about][i]:
        value = josa(value, PARTICLES[about][i])
    return TELL[language][about][i].format(value)


def _noted(about, value, language):
    return NOTED[language]["name"].format(value) if about == "name" else NOTED[language]["other"]


def make(rng):
    language = rng.choice(("en", "ko"))
    facts = [(about, _value(rng, about, language)) for about in rng.sample(sorted(TELL["en"]), rng.randint(1, 3))]
    messages, told, last_told = [], {}, None
    for about, value in facts:
        if rng.random() < 0.35:
            aside = (identity if rng.random() < 0.5 else arithmetic).make(rng)
            messages += aside.messages + [{"role": "assistant", "content": aside.answer}]
        told[about] = _tell(rng, about, value, language)
        last_told = (about, value)
        messages += [{"role": "user", "content": told[about]}, {"role": "assistant", "content": _noted(about, value, language)}]
    key = f"{language} {facts}"
    if rng.random() < 0.15:  # the answer to the telling itself
        about, value = last_told
        return Item("memory", language, f"note {key}", messages[:-1], THOUGHTS[language]["note"], _noted(about, value, language),
                    {"kind": "exact", "text": _noted(about, value, language)})
    if rng.random() < 0.5:
        aside = identity.make(rng)
        messages += aside.messages + [{"role": "assistant", "content": aside.answer}]
    about, value = rng.choice(facts)
    said = josa(value, "이에요") if language == "ko" and about != "city" else value
    return Item("memory", language, f"ask {about} {key}", messages + [{"role": "user", "content": rng.choice(ASK[language][about])}],
                THOUGHTS[language]["recall"].format(told[about]), SAY[language][about].format(said), {"kind": "contains", "all": [value]})
