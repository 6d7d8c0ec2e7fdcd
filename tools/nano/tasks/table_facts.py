"""Facts that stand in a table given with the question."""

from .item import Item, ask
from .lexicon import CITIES, PEOPLE, THINGS, josa

ASKS = {
    "en": {"city": ("Where does {} live?", "{} lives in {}."), "age": ("How old is {}?", "{} is {} years old."),
           "price": ("How much is the {}?", "The {} costs {} won."), "count": ("How many of the item {} are there?", "There are {1} of the item {0}."),
           "who_city": ("Who lives in {}?", "{1} lives in {0}."), "who_age": ("Who is {} years old?", "{1} is {0} years old.")},
    "ko": {"city": ("{} 어디에 살아요?", "{} {}에 살아요."), "age": ("{} 몇 살이에요?", "{} {}살이에요."),
           "price": ("{} 얼마예요?", "{} {}원이에요."), "count": ("{} 몇 개 있어요?", "{} {}개 있어요."),
           "who_city": ("누가 {}에 살아요?", "{1} {0}에 살아요."), "who_age": ("누가 {}살이에요?", "{1} {0}살이에요.")},
}
HEADS = {"en": {"people": ("name", "city", "age"), "things": ("item", "price", "count")},
         "ko": {"people": ("이름", "도시", "나이"), "things": ("물건", "가격", "개수")}}
LEADS = {"en": ["Here is a table.", "Look at this table.", "Use the table."], "ko": ["다음은 표예요.", "이 표를 보세요.", "표를 참고하세요."]}


def table(rng, kind, language):
    n = rng.randint(3, 5)
    if kind == "people":
        cities = list(CITIES) if language == "en" else list(CITIES.values())
        return list(zip(rng.sample(PEOPLE[language], n), rng.sample(cities, n), rng.sample(range(10, 90), n)))
    things = list(THINGS) if language == "en" else list(THINGS.values())
    return list(zip(rng.sample(things, n), [100 * p for p in rng.sample(range(1, 99), n)], rng.sample(range(2, 60), n)))


def markdown(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
                     + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def make(rng):
    language, kind = rng.choice(("en", "ko")), rng.choice(("people", "things"))
    rows, head = table(rng, kind, language), HEADS[language][kind]
    row = rng.choice(rows)
    field = rng.choice(("city", "age", "who_city", "who_age") if kind == "people" else ("price", "count"))
    given, wanted = {"city": (0, 1), "age": (0, 2), "who_city": (1, 0), "who_age": (2, 0), "price": (0, 1), "count": (0, 2)}[field]
    subject, value = str(row[given]), str(row[wanted])
    question, reply = ASKS[language][field]
    said = {"subject": subject, "value": value}
    if language == "ko":
        if field in ("city", "age"):
            said["subject"] = josa(subject, "은는")
        elif field in ("price", "count"):
            said["subject"] = josa(subject, "은는") if field == "price" else josa(subject, "이가")
        else:
            said["value"] = josa(value, "이가")
    text = f"{rng.choice(LEADS[language])}\n{markdown(head, rows)}\n{question.format(said['subject'])}"
    if given == 0:
        thought = f"{head[given]} {subject} → {' | '.join(map(str, row))} → {head[wanted]} {value}"
    else:  # the row's start lies before what is known: read on until it comes
        read = rows[:rows.index(row) + 1]
        thought = f"{head[given]} {subject}: {', '.join(f'{r[0]} {r[given]}' for r in read)} → {value}"
    return Item("table_facts", language, f"{field} {subject} {rows}", ask(text), thought,
                reply.format(said["subject"], said["value"]), {"kind": "contains", "all": [value]})
