"""Calling one or two of the tools offered, reading their results, and leaving them alone where nothing needs them."""

import json

from . import identity
from .item import Item, ask
from .lexicon import CITIES, PEOPLE, THINGS, plural


def _declare(name, description, /, **properties):
    kinds = {key: {"type": value} for key, value in properties.items()}
    return {"type": "function", "function": {"name": name, "description": description,
                                             "parameters": {"type": "object", "properties": kinds, "required": list(kinds)}}}


TOOLS = {tool["function"]["name"]: tool for tool in (
    _declare("get_weather", "Weather of a city", city="string"),
    _declare("get_time", "Time in a city", city="string"),
    _declare("multiply", "Product of two numbers", a="integer", b="integer"),
    _declare("divide", "Quotient of two numbers", a="integer", b="integer"),
    _declare("set_timer", "Start a timer", minutes="integer"),
    _declare("send_message", "Send a message to a person", to="string", text="string"),
    _declare("get_price", "Price of an item", item="string"),
    _declare("add_to_cart", "Put items into the cart", item="string", count="integer"),
    _declare("find_person", "Phone number of a person", name="string"),
    _declare("exchange", "Exchange dollars for won", dollars="integer"),
)}

WEATHER = {"en": ["sunny", "cloudy", "rainy", "snowy", "windy", "foggy"], "ko": ["맑음", "흐림", "비", "눈", "바람", "안개"]}
TEXTS = {"en": ["See you at six", "I am late", "Happy birthday", "Call me back", "Dinner is ready", "Good luck"],
         "ko": ["여섯 시에 봐요", "조금 늦어요", "생일 축하해", "전화해 줘", "저녁 먹자", "행운을 빌어"]}
QUESTIONS = {
    "get_weather": {"en": ["How is the weather in {city}?", "Tell me the weather in {city}.", "What is the weather like in {city}?"],
                    "ko": ["{city} 날씨 어때?", "{city} 날씨 알려 줘.", "{city}의 날씨가 궁금해요."]},
    "get_time": {"en": ["What time is it in {city}?", "Tell me the time in {city}."], "ko": ["{city} 지금 몇 시야?", "{city} 시간 알려 줘."]},
    "multiply": {"en": ["What is {a} times {b}?", "Multiply {a} by {b}."], "ko": ["{a} 곱하기 {b}는?", "{a} × {b} 계산해 줘."]},
    "divide": {"en": ["What is {a} divided by {b}?", "Divide {a} by {b}."], "ko": ["{a} 나누기 {b}는?", "{a} ÷ {b} 계산해 줘."]},
    "set_timer": {"en": ["Set a timer for {minutes} minutes.", "Start a {minutes} minute timer."],
                  "ko": ["타이머 {minutes}분 맞춰 줘.", "{minutes}분 타이머 시작해 줘."]},
    "send_message": {"en": ['Send "{text}" to {to}.', 'Write "{text}" to {to}.'], "ko": ['{to}에게 "{text}"라고 보내 줘.', '{to}에게 "{text}" 메시지 보내.']},
    "get_price": {"en": ["What does a {item} cost?", "How much is one {item}?"], "ko": ["{item} 가격이 얼마야?", "{item} 얼마인지 알려 줘."]},
    "add_to_cart": {"en": ["Put {count} {items} into the cart.", "Add {count} {items} to my cart."],
                    "ko": ["장바구니에 {item} {count}개 담아 줘.", "{item} {count}개 장바구니에 넣어 줘."]},
    "find_person": {"en": ["What is the phone number of {name}?", "Find the number of {name}."], "ko": ["{name} 전화번호가 뭐야?", "{name} 번호 찾아 줘."]},
    "exchange": {"en": ["How many won are {dollars} dollars?", "Exchange {dollars} dollars."], "ko": ["{dollars}달러는 몇 원이야?", "{dollars}달러 환전해 줘."]},
}
ANSWERS = {
    "get_weather": {"en": "The weather in {city} is {sky} at {degrees} degrees.", "ko": "{city} 날씨는 {sky}, 기온은 {degrees}도예요."},
    "get_time": {"en": "It is {time} in {city}.", "ko": "{city} 시간은 {time}이에요."},
    "multiply": {"en": "{a} times {b} is {result}.", "ko": "{a} 곱하기 {b}의 답은 {result}."},
    "divide": {"en": "{a} divided by {b} is {result}.", "ko": "{a} 나누기 {b}의 답은 {result}."},
    "set_timer": {"en": "The timer is set for {minutes} minutes.", "ko": "타이머를 {minutes}분으로 맞췄어요."},
    "send_message": {"en": "I sent the message to {to}.", "ko": "{to}에게 메시지를 보냈어요."},
    "get_price": {"en": "One {item} costs {price} won.", "ko": "{item} 가격은 {price}원이에요."},
    "add_to_cart": {"en": "{count} {items} are in the cart.", "ko": "장바구니에 {item} {count}개를 담았어요."},
    "find_person": {"en": "The number of {name} is {phone}.", "ko": "{name} 번호는 {phone}이에요."},
    "exchange": {"en": "{dollars} dollars are {won} won.", "ko": "{dollars}달러는 {won}원이에요."},
}
THOUGHTS = {"en": {"call": "I need {}.", "none": "No tool is needed. ", "result": "The result is here. I answer with it."},
            "ko": {"call": "{} 도구가 필요하다.", "none": "도구가 필요 없다. ", "result": "결과가 나왔다. 이것으로 답한다."}}


def arguments(rng, name, language):
    cities = list(CITIES) if language == "en" else list(CITIES.values())
    things = list(THINGS) if language == "en" else list(THINGS.values())
    if name in ("get_weather", "get_time"):
        return {"city": rng.choice(cities)}
    if name == "multiply":
        return {"a": rng.randint(2, 999), "b": rng.randint(2, 99)}
    if name == "divide":
        b = rng.randint(2, 99)
        return {"a": b * rng.randint(2, 99), "b": b}
    if name == "set_timer":
        return {"minutes": rng.randint(2, 120)}
    if name == "send_message":
        return {"to": rng.choice(PEOPLE[language]), "text": rng.choice(TEXTS[language])}
    if name == "get_price":
        return {"item": rng.choice(things)}
    if name == "add_to_cart":
        return {"item": rng.choice(things), "count": rng.randint(2, 30)}
    if name == "find_person":
        return {"name": rng.choice(PEOPLE[language])}
    return {"dollars": rng.randint(2, 999)}


def result(rng, name, given, language):
    """What the tool answers, and the words that a right reply has to repeat."""
    if name == "get_weather":
        value = {"sky": rng.choice(WEATHER[language]), "degrees": rng.randint(-9, 35)}
        return value, [value["sky"], str(value["degrees"])]
    if name == "get_time":
        value = {"time": f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"}
    elif name == "multiply":
        value = {"result": given["a"] * given["b"]}
    elif name == "divide":
        value = {"result": given["a"] // given["b"]}
    elif name == "get_price":
        value = {"price": 10 * rng.randint(5, 999)}
    elif name == "find_person":
        value = {"phone": f"010-{rng.randint(1000, 9999)}-{rng.randint(1000, 9999)}"}
    elif name == "exchange":
        value = {"won": given["dollars"] * rng.randint(1300, 1500)}
    else:
        return {"ok": True}, [str(v) for key, v in given.items() if key not in ("text", "item")]
    return value, [str(v) for v in value.values()]


def _said(template, given, more, language):
    values = given | more
    if "item" in given:
        values["items"] = plural(given["item"], given.get("count", 2)) if language == "en" else given["item"]
    return template.format(**values)


def make(rng):
    language = rng.choice(("en", "ko"))
    offered = rng.sample(sorted(TOOLS), rng.choice((1, 1, 2, 2, 3)))
    tools = [TOOLS[name] for name in offered]
    thoughts = THOUGHTS[language]
    if rng.random() < 0.12:
        plain = identity.make(rng)
        return Item("tool_calls", plain.language, f"none {sorted(offered)} {plain.key}", plain.messages,
                    THOUGHTS[plain.language]["none"] + plain.reasoning, plain.answer, plain.check, tools=tools)
    used = rng.sample(offered, 2 if len(offered) > 1 and rng.random() < 0.4 else 1)
    calls = [{"name": name, "arguments": arguments(rng, name, language)} for name in used]
    questions = [_said(rng.choice(QUESTIONS[c["name"]][language]), c["arguments"], {}, language) for c in calls]
    key = f"{sorted(offered)} {json.dumps(calls, ensure_ascii=False)}"
    messages = ask(" ".join(questions))
    thought = thoughts["call"].format(", ".join(used))
    if rng.random() < 0.5:
        return Item("tool_calls", language, f"call {key}", messages, thought, "", {"kind": "calls", "calls": calls}, tools=tools,
                    tool_calls=calls)
    messages.append({"role": "assistant", "content": "", "reasoning_content": thought,
                     "tool_calls": [{"type": "function", "function": call} for call in calls]})
    answers, words = [], []
    for call in calls:
        value, needed = result(rng, call["name"], call["arguments"], language)
        messages.append({"role": "tool", "content": json.dumps(value, ensure_ascii=False)})
        answers.append(_said(ANSWERS[call["name"]][language], call["arguments"], value, language))
        words += needed
    return Item("tool_calls", language, f"result {key} {words}", messages, thoughts["result"], " ".join(answers),
                {"kind": "contains", "all": words}, tools=tools)
