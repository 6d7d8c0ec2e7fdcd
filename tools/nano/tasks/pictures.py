"""Questions on drawn pictures: colour, shape, number, position; one picture or two.

A scene is plain data; drawing.py turns it into pixels. The picture is a grid of 3 × 3 places, each object fills most of
one place (one object alone may be larger). Sizes are those of the file, in pixels.
"""

from dataclasses import replace

from .item import Item
from .lexicon import josa

COLORS = dict(zip("red blue green yellow black orange purple gray".split(),
                  "빨간색 파란색 초록색 노란색 검은색 주황색 보라색 회색".split()))
SHAPES = dict(zip("circle square triangle star cross".split(), "원 사각형 삼각형 별 십자가".split()))
PLACES = dict(zip(["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"],
                  ["왼쪽 위", "위", "오른쪽 위", "왼쪽", "가운데", "오른쪽", "왼쪽 아래", "아래", "오른쪽 아래"]))
COUNTS = {"en": ["no", "one", "two", "three", "four", "five"], "ko": ["0개", "한 개", "두 개", "세 개", "네 개", "다섯 개"]}
BACKGROUNDS = ["white", "white", "cream", "sky", "pink"]

QUESTIONS = {
    "en": {"color": ["What color is the {shape}?", "Which color does the {shape} have?"],
           "shape": ["What shape is this?", "Which shape do you see?"],
           "only_color": ["What color is it?", "Which color is the shape?"],
           "count": ["How many shapes are there?", "How many shapes do you see?"],
           "place": ["Where is the {color} {shape}?", "In which place is the {color} {shape}?"],
           "at": ["What is at the {place}?", "What do you see at the {place}?"],
           "describe": ["Describe the picture.", "What is in the picture?", "What do you see?"]},
    "ko": {"color": ["{shape_top} 무슨 색이에요?", "{shape}의 색이 뭐야?"],
           "shape": ["무슨 모양이에요?", "어떤 모양이 보여?"],
           "only_color": ["무슨 색이에요?", "색이 뭐야?"],
           "count": ["도형이 몇 개예요?", "도형이 몇 개 보여?"],
           "place": ["{color} {shape_top} 어디에 있어요?", "{color} {shape}의 위치는?"],
           "at": ["{place}에 무엇이 있어요?", "{place}에 뭐가 보여?"],
           "describe": ["그림을 설명해 줘.", "그림에 무엇이 있어요?", "뭐가 보여요?"]},
}
PAIR = {
    "en": {"which": "Which picture has the {color} {shape}?", "first": "What is in the first picture?", "second": "What is in the second picture?",
           "more": "Which picture has more shapes?"},
    "ko": {"which": "{color} {shape_top} 몇 번째 그림에 있어요?", "first": "첫 번째 그림에 무엇이 있어요?", "second": "두 번째 그림에 무엇이 있어요?",
           "more": "어느 그림에 도형이 더 많아요?"},
}
ORDER = {"en": ["the first picture", "the second picture"], "ko": ["첫 번째 그림", "두 번째 그림"]}
NUMBERS = {"en": ["first", "second"], "ko": ["첫", "두"]}


def scene(rng, n=None):
    """{"width", "height", "background", "objects": [{"shape", "color", "place" 0…8, "size" of the place it fills}]}"""
    n = n or rng.choice((1, 1, 1, 2, 2, 3, 4))
    places = sorted(rng.sample(range(9), n))
    looks = rng.sample([(shape, color) for shape in SHAPES for color in COLORS], n)
    low, high = rng.choices(((84, 150), (120, 252), (252, 420)), (60, 37, 3))[0]
    return {"width": rng.randint(low, high), "height": rng.randint(low, high), "background": rng.choice(BACKGROUNDS),
            "objects": [{"shape": s, "color": c, "place": p, "size": rng.randint(70, 96) / 100} for p, (s, c) in zip(places, looks)]}


def _look(thing, language):
    color, shape = thing["color"], thing["shape"]
    return (color, shape) if language == "en" else (COLORS[color], SHAPES[shape])


def _name(thing, language):
    if language == "en":
        article = "an" if thing["color"][0] in "aeiou" else "a"
        return f"{article} {thing['color']} {thing['shape']}"
    return " ".join(_look(thing, "ko"))


def _place(thing, language):
    return list(PLACES.items())[thing["place"]][language == "ko"]


def describe(picture, language):
    things = picture["objects"]
    if language == "en":
        return ", ".join(f"{_name(t, 'en')} at the {_place(t, 'en')}" for t in things).capitalize() + "."
    return ", ".join(f"{_place(t, 'ko')}에 {_name(t, 'ko')}" for t in things) + "."


def _found(things, wanted, shown):
    """What is looked for may stand before what is known of it: the whole list the other way round, then the wanted one of it,
    which begins with what is known. Each word stands behind a space, which makes it the same token wherever it is read."""
    return f" → {', '.join(map(shown, things))} → {shown(wanted)}"


def ask_one(rng, picture, language):
    """(question, answer, words of a right answer, thought after the description)"""
    things = picture["objects"]
    by_shape = {}
    for thing in things:
        by_shape.setdefault(thing["shape"], []).append(thing)
    kinds = ["count", "place", "at", "describe"] + (["shape", "only_color", "shape", "only_color"] if len(things) == 1 else ["color"])
    kind = rng.choice(kinds)
    thing = rng.choice(things)
    if kind == "color":
        singles = [same[0] for same in by_shape.values() if len(same) == 1]
        if not singles:
            kind = "count"
        else:
            thing = rng.choice(singles)
    en = language == "en"
    color, shape = _look(thing, language)
    place = _place(thing, language)
    question = rng.choice(QUESTIONS[language][kind]).format(color=color, shape=shape, place=place,
                                                            shape_top=shape if en else josa(shape, "은는"))
    if kind in ("color", "only_color"):
        answer = f"The {shape} is {color}." if en else f"{josa(shape, '은는')} {josa(color, '이에요')}."
        looked = _found(things, thing, lambda t: " ".join(_look(t, language)[::-1])) if kind == "color" else ""
        return question, answer, [color], looked
    if kind == "shape":
        return question, f"It is {_name(thing, 'en')}." if en else f"{josa(_name(thing, 'ko'), '이에요')}.", [color, shape], ""
    if kind == "count":
        number = COUNTS[language][len(things)]
        plural = "shape" if len(things) == 1 else "shapes"
        answer = f"There {'is' if len(things) == 1 else 'are'} {number} {plural}." if en else f"도형이 {number} 있어요."
        return question, answer, [number], ""
    if kind == "place":
        return (question, f"It is at the {place}." if en else f"{place}에 있어요.", [place],
                _found(things, thing, lambda t: " ".join((*_look(t, language), _place(t, language)))))
    if kind == "at":
        answer = f"{_name(thing, 'en')}.".capitalize() if en else f"{josa(_name(thing, 'ko'), '이에요')}."
        return question, answer, [color, shape], ""
    return question, describe(picture, language), [describe(picture, language)], ""


def ask_two(rng, pictures, language):
    en, (first, second) = language == "en", pictures
    kinds = ["first", "second", "which"] + (["more"] if len(first["objects"]) != len(second["objects"]) else [])
    kind = rng.choice(kinds)
    looks = [{(t["shape"], t["color"]) for t in p["objects"]} for p in pictures]
    which = rng.randrange(2)
    thing = rng.choice(pictures[which]["objects"])
    if kind == "which" and (thing["shape"], thing["color"]) in looks[1 - which]:
        kind = "first"
    color, shape = _look(thing, language)
    question = PAIR[language][kind].format(color=color, shape=shape, shape_top=shape if en else josa(shape, "은는"))
    if kind in ("first", "second"):
        text = describe(pictures[kind == "second"], language)
        return question, text, [text], ""
    if kind == "more":
        which = int(len(second["objects"]) > len(first["objects"]))
    name = ORDER[language][which]
    looked = ""
    if kind == "which":
        listed = [(i, t) for i, picture in enumerate(pictures) for t in picture["objects"]]
        looked = _found(listed, (which, thing), lambda t: " ".join((*_look(t[1], language), NUMBERS[language][t[0]])))
    return question, (name.capitalize() + "." if en else f"{josa(name, '이에요')}."), [name], looked


def make(rng, n_pictures=None):
    language = rng.choice(("en", "ko"))
    n_pictures = n_pictures or (2 if rng.random() < 0.2 else 1)
    pictures = [scene(rng, None if n_pictures == 1 else rng.choice((1, 1, 2))) for _ in range(n_pictures)]
    asking = ask_one if n_pictures == 1 else ask_two
    target = pictures[0] if n_pictures == 1 else pictures
    # Several questions on one picture: the answers before the last are part of the conversation.
    turns = [asking(rng, target, language) for _ in range(rng.choice((1, 1, 2, 3)))]
    messages = []
    for i, (question, answer, *_) in enumerate(turns):
        content = [{"type": "image"}] * n_pictures + [{"type": "text", "text": question}] if i == 0 else question
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    question, answer, words, looked = turns[-1]
    seen = [describe(p, language) for p in pictures]
    thought = " / ".join(seen) + looked
    return Item("pictures", language, f"{pictures} {question}", messages[:-1], thought, answer, {"kind": "contains", "all": words},
                pictures=pictures)


def told(item):
    """The item with its pictures told in words: what a thought does once it has said what is seen, at a fraction of the cost."""
    first, *rest = item.messages
    words = " / ".join(describe(picture, item.language) for picture in item.pictures)
    return replace(item, messages=[{"role": "user", "content": f"{words}\n{first['content'][-1]['text']}"}, *rest], pictures=[])
