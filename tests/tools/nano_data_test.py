#!/usr/bin/env python3
"""The exercises of EXAONE-nano: their answers, worked out again from the question's own words, and their split."""

import json
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "nano"))

from tasks import TASKS, draw, draw_chain  # noqa: E402
from tasks.item import completion, held_out, judge, split_output  # noqa: E402
from tasks.pictures import told  # noqa: E402

N = 400


def question(item):
    content = item.messages[-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def items(task, split="train", n=N):
    return [draw(task, 5, i, split) for i in range(n)]


class Split(unittest.TestCase):
    def test_no_problem_is_in_both(self):
        for task in TASKS:
            trained = {item.key for item in items(task)}
            tested = {item.key for item in items(task, "test", 100)}
            self.assertFalse(trained & tested, task)
            self.assertTrue(all(held_out(task, key) for key in tested), task)
            self.assertGreater(len(tested), 60, task)

    def test_the_same_arguments_give_the_same_item(self):
        for task in TASKS:
            self.assertEqual(draw(task, 7, 3, "test"), draw(task, 7, 3, "test"))
            self.assertNotEqual([draw(task, 7, i, "train") for i in range(4)], [draw(task, 8, i, "train") for i in range(4)])

    def test_both_languages_come_up(self):
        for task in TASKS:
            languages = [item.language for item in items(task, n=100)]
            self.assertGreater(languages.count("ko"), 20, task)
            self.assertGreater(languages.count("en"), 20, task)


class Told(unittest.TestCase):
    def test_a_picture_in_words_keeps_all_but_the_picture(self):
        for item in items("pictures", n=100):
            words = told(item)
            self.assertEqual((words.pictures, words.key, words.answer, words.reasoning), ([], item.key, item.answer, item.reasoning))
            described, asked = words.messages[0]["content"].split("\n")
            self.assertTrue(item.reasoning.startswith(described))
            self.assertEqual(asked, item.messages[0]["content"][-1]["text"])
            self.assertEqual(words.messages[1:], item.messages[1:])


class Judging(unittest.TestCase):
    def test_the_learned_answer_is_right_and_another_is_not(self):
        for task in TASKS:
            for item in items(task, n=100):
                for thinking in (True, False):
                    text = completion(item, thinking)
                    self.assertTrue(judge(item.check, *split_output(text, thinking)), (task, text))
                self.assertFalse(judge(item.check, "@", []), task)

    def test_unfinished_thinking_and_broken_calls_are_wrong(self):
        item = next(i for i in items("tool_calls") if i.tool_calls)
        self.assertFalse(judge(item.check, *split_output("I need", True)))
        self.assertFalse(judge(item.check, *split_output('<tool_call>{"name": "x", </tool_call>', False)))

    def test_a_word_counts_as_a_word_only(self):
        for word, text in (("hat", "I remember that."), ("5", "It is -5 degrees."), ("48", "4800 won"), ("48", "148 won")):
            self.assertFalse(judge({"kind": "contains", "all": [word]}, text, []), text)
        for word, text in (("-5", "기온은 -5도예요."), ("48", "48원이에요."), ("사과", "사과가 있어요."), ("Ana", "ana lives here")):
            self.assertTrue(judge({"kind": "contains", "all": [word]}, text, []), text)

    def test_a_call_where_none_is_due_is_wrong(self):
        self.assertFalse(judge({"kind": "exact", "text": "a"}, "a", [{"name": "f", "arguments": {}}]))


class Answers(unittest.TestCase):
    def test_arithmetic(self):
        carried = 0
        for item in items("arithmetic"):
            a, b = map(int, re.findall(r"\d+", question(item)))
            a, b = (a, b) if item.key.startswith(f"{a}") and item.key.endswith(f"{b}") else (b, a)
            minus = "-" in item.key
            self.assertEqual(item.key, f"{a}{'-' if minus else '+'}{b}")
            value = a - b if minus else a + b
            self.assertEqual(item.check, {"kind": "number", "value": value})
            self.assertTrue(item.answer.endswith(f"= {value}"))
            lines = item.reasoning.split("\n")
            digits = ""
            for line in lines[1:-1]:
                left, right = re.search(r": ([\d +-]+) = (\d+)", line).groups()
                total = sum(int(part) for part in left.replace("- ", "-").replace("+ ", "").split())
                self.assertEqual(total, int(right), line)
                digits = (right[-1] if line != lines[-2] else right) + digits
                carried += "1" in line.rpartition(",")[2]
            self.assertEqual(int(digits), value, item.reasoning)
            self.assertEqual(lines[-1], item.answer)
        self.assertGreater(carried, 50)

    def test_words(self):
        for item in items("words"):
            words = re.split(r"[:?] ", question(item))[-1].split(", ")
            kind = item.key.split(" ")[0]
            expected = {"copy": words, "reverse": list(reversed(words)), "first": [words[0]], "last": [words[-1]]}[kind]
            self.assertEqual(item.answer, ", ".join(expected))
            self.assertEqual(item.check["text"], item.answer)

    def test_sorting(self):
        for item in items("sorting"):
            numbers = [int(n) for n in re.findall(r"\d+", question(item))]
            kind = item.key.split(" ")[0]
            given = [int(n) for n in item.answer.split(", ")]
            if kind in ("up", "down"):
                self.assertEqual(sorted(given), sorted(numbers))
                pairs = list(zip(given, given[1:]))
                self.assertTrue(all(x < y for x, y in pairs) if kind == "up" else all(x > y for x, y in pairs))
            else:
                best = max if kind in ("larger", "max") else min
                self.assertEqual(given, [best(numbers)])

    def test_table_facts(self):
        for item in items("table_facts"):
            rows = [line.strip("|").split("|") for line in question(item).split("\n") if line.startswith("| ")][1:]
            rows = [[cell.strip() for cell in row] for row in rows]
            value = item.check["all"][0]
            holders = [row for row in rows if value in row]
            self.assertEqual(len(holders), 1, question(item))
            asked = question(item).rpartition("\n")[2]
            told = [cell for cell in holders[0] if cell != value and cell in asked]
            self.assertTrue(told, asked)
            others = [row for row in rows if row is not holders[0]]
            self.assertFalse([row for row in others if told[0] in row], "the question fits two rows")
            self.assertIn(value, item.answer)

    def test_instructions(self):
        korean = re.compile("[가-힣]")
        for item in items("instructions"):
            system, rule = item.messages[0]["content"], item.key.split(" ")[0]
            self.assertEqual(item.messages[0]["role"], "system")
            count = re.search(r"\d+", item.answer)[0]
            self.assertRegex(question(item), rf"\b{count}" if item.language == "en" else count)
            if rule == "json":
                self.assertIn("JSON", system)
                self.assertEqual(list(json.loads(item.answer)), ["color", "place", "item", "count"])
            elif rule in ("english", "korean"):
                self.assertEqual(bool(korean.search(item.answer)), rule == "korean")
            else:
                self.assertEqual(bool(korean.search(item.answer)), item.language == "ko")
            if rule == "short":
                self.assertLessEqual(len(item.answer.split()), 2)

    def test_tool_calls(self):
        calls = results = 0
        for item in items("tool_calls"):
            offered = {tool["function"]["name"]: tool["function"]["parameters"]["properties"] for tool in item.tools}
            for call in item.tool_calls:
                calls += 1
                self.assertEqual(set(call["arguments"]), set(offered[call["name"]]))
                for key, value in call["arguments"].items():
                    self.assertIn(str(value), question(item))
                    self.assertEqual(isinstance(value, int), offered[call["name"]][key]["type"] == "integer")
            told = [m["content"] for m in item.messages if m["role"] == "tool"]
            if told:
                results += 1
                made = [c["function"] for m in item.messages for c in m.get("tool_calls", [])]
                self.assertEqual(len(made), len(told))
                for call, text in zip(made, told):
                    value, given = json.loads(text), call["arguments"]
                    if call["name"] == "multiply":
                        self.assertEqual(value["result"], given["a"] * given["b"])
                    if call["name"] == "divide":
                        self.assertEqual(value["result"] * given["b"], given["a"])
                    for word in () if value == {"ok": True} else value.values():
                        self.assertIn(str(word), item.answer)
        self.assertGreater(min(calls, results), 50)

    def test_memory(self):
        for item in items("memory"):
            if item.key.startswith("note"):
                continue
            value = item.check["all"][0]
            self.assertTrue(any(value in m["content"] for m in item.messages[:-1] if m["role"] == "user"))
            self.assertIn(value, item.answer)

    def test_pictures(self):
        numbers = {"one": 1, "two": 2, "three": 3, "four": 4, "한": 1, "두": 2, "세": 3, "네": 4}
        for item in items("pictures", n=1000):
            first = item.messages[0]["content"]
            self.assertEqual([p["type"] for p in first], ["image"] * len(item.pictures) + ["text"])
            counted = re.fullmatch(r"(?:There (?:is|are) (\w+) shapes?\.|도형이 (\S+) 개 있어요\.)", item.answer)
            if counted:
                self.assertEqual(numbers[counted[1] or counted[2]], len(item.pictures[0]["objects"]))
            for scene in item.pictures:
                places = [thing["place"] for thing in scene["objects"]]
                self.assertEqual(len(set(places)), len(places))
            asked = re.fullmatch(r"(?:Where|In which place) is the (\w+) (\w+)\?", question(item))
            if asked:
                thing = next(t for t in item.pictures[0]["objects"] if (t["color"], t["shape"]) == asked.groups())
                row, column = divmod(thing["place"], 3)
                name = " ".join(w for w in (("top", "", "bottom")[row], ("left", "", "right")[column]) if w) or "center"
                self.assertEqual(item.answer, f"It is at the {name}.")

    def test_chains_end_in_a_question(self):
        for i in range(100):
            item = draw_chain(5, i)
            roles = [m["role"] for m in item.messages]
            self.assertEqual(roles[-1], "user")
            self.assertEqual(set(roles[0::2] + roles[1::2]), {"user", "assistant"})


if __name__ == "__main__":
    unittest.main()
