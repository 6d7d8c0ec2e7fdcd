"""One exercise: a conversation up to an answer, the answer to learn, and how an answer of a model is judged."""

import hashlib
import json
import re
from dataclasses import dataclass, field


@dataclass
class Item:
    task: str
    language: str  # "en" or "ko"
    key: str  # the problem without its wording; decides the split
    messages: list  # OpenAI's shape, up to the question
    reasoning: str  # what is thought before the answer where thinking is on
    answer: str
    check: dict  # see judge
    tools: list = None
    tool_calls: list = field(default_factory=list)  # [{"name", "arguments"}], after the answer's text
    pictures: list = field(default_factory=list)  # scenes in the order of the image parts, see pictures.py


def held_out(task, key):
    """A tenth of all problems is never trained on; which, the problem itself decides."""
    return hashlib.sha256(f"{task}\n{key}".encode()).digest()[0] < 26


def ask(text, system=None):
    return ([{"role": "system", "content": system}] if system else []) + [{"role": "user", "content": text}]


def assistant_message(item):
    """The item's answer as a message, for a conversation that goes on after it."""
    message = {"role": "assistant", "content": item.answer, "reasoning_content": item.reasoning}
    if item.tool_calls:
        message["tool_calls"] = [{"type": "function", "function": call} for call in item.tool_calls]
    return message


def completion(item, thinking):
    """What the model has to write after the generation prompt, without the end of the turn."""
    calls = [f'<tool_call>{{"name": "{call["name"]}", "arguments": {json.dumps(call["arguments"], ensure_ascii=False)}}}'
             "</tool_call>" for call in item.tool_calls]
    text = "\n".join(([item.answer] if item.answer else []) + calls)
    return f"{item.reasoning}\n</think>\n\n{text}" if thinking else text


def split_output(text, thinking):
    """A model's raw text → (content, calls); calls is None where a call is malformed."""
    if thinking:
        if "</think>" not in text:
            return "", []
        text = text.split("</think>", 1)[1]
    calls = []
    for body in re.findall(r"<tool_call>(.*?)</tool_call>", text, re.S):
        try:
            call = json.loads(body)
            calls.append({"name": call["name"], "arguments": call["arguments"]})
        except (ValueError, KeyError, TypeError):
            return text, None
    return text.split("<tool_call>")[0].strip(), calls


def _has(content, word):
    """word as a word of its own: no part of a longer one or of another number. A Korean particle may follow."""
    before = "A-Za-z0-9가-힣" + ("-" if word[0].isdigit() else "")
    return re.search(f"(?<![{before}]){re.escape(word)}(?![A-Za-z0-9])", content, re.I) is not None


def judge(check, content, calls):
    """Whether an answer is right. Kinds of check:
    exact: content is `text` · number: the last number in content is `value` · json: content is JSON equal to `value`
    contains: content has every word of `all` · calls: the calls are `calls`, in any order."""
    if calls is None or (calls and check["kind"] != "calls"):
        return False
    if check["kind"] == "exact":
        return content.strip() == check["text"]
    if check["kind"] == "number":
        found = re.findall(r"-?\d+", content)
        return bool(found) and int(found[-1]) == check["value"]
    if check["kind"] == "json":
        try:
            return json.loads(content) == check["value"]
        except ValueError:
            return False
    if check["kind"] == "contains":
        return all(_has(content, word) for word in check["all"])
    if check["kind"] == "calls":
        def canonical(call):
            return json.dumps(call, sort_keys=True, ensure_ascii=False)
        return sorted(map(canonical, calls)) == sorted(map(canonical, check["calls"]))
    raise ValueError(f"unknown kind of check: {check['kind']}")
