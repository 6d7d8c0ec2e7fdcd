"""A conversation as text and ids, and which of the ids a model learns to write."""

import copy
import json
from functools import cache
from pathlib import Path

import jinja2
import jinja2.ext
import jinja2.sandbox

from tasks.item import completion

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
END_OF_TURN = "<|endofturn|>\n"


@cache
def template(path=TEMPLATE):
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                               extensions=[jinja2.ext.loopcontrols])
    environment.filters["tojson"] = lambda value, ensure_ascii=False: json.dumps(value, ensure_ascii=ensure_ascii)

    def raise_exception(message):
        raise jinja2.TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(path.read_text())


def prompt(item, thinking):
    return template().render(messages=item.messages, tools=item.tools, enable_thinking=thinking, add_generation_prompt=True)


def conversation(item, thinking):
    """The prompt and the answer to learn, as one text."""
    return prompt(item, thinking) + completion(item, thinking) + END_OF_TURN


def expand_pictures(ids, image_id, n_tokens):
    """Each image placeholder becomes as many as its picture has tokens; n_tokens in the order of the pictures."""
    counts, out = iter(n_tokens), []
    for i in ids:
        out += [i] * next(counts) if i == image_id else [i]
    return out


def learned(ids, newline, assistant=52, end_of_turn=53, think=356, end_of_think=355):
    """True where an id is the assistant's: after its header and the part of the think block that the prompt holds."""
    marks, i, n = [False] * len(ids), 0, len(ids)
    while i < n:
        if ids[i] != assistant:
            i += 1
            continue
        if ids[i + 1:i + 4] != [newline, think, newline]:
            raise ValueError("an assistant's turn without its think block")
        i += 4
        if ids[i:i + 4] == [newline, end_of_think, newline, newline]:
            i += 4
        while i < n and ids[i] != end_of_turn:
            marks[i] = True
            i += 1
        if i < n:
            marks[i] = True
    return marks


def without_thoughts(item):
    """The item with its earlier thoughts gone, which is how a conversation without thinking looks."""
    item = copy.copy(item)
    item.messages = [{k: v for k, v in m.items() if k != "reasoning_content"} for m in item.messages]
    return item
