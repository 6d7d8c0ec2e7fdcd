#!/usr/bin/env python3
"""What a person hands over as JSON: conversations with pictures, tools in other APIs' words, sizes and depths."""

import base64
import json
import time
import unittest

from black_box import BAD_INPUT, ROOT, UNSUPPORTED, BlackBox, exaone, jsonl

PICTURE = ROOT / "models/examples/two_shapes.png"
SEEN = "A blue circle at the left, a red star at the right.\n"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def data_uri(path):
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


class Pictures(BlackBox):
    def answer(self, part, beside=None):
        path = self.scratch / "messages.json"
        content = [part, {"type": "text", "text": "Describe the picture."}]
        path.write_text(json.dumps([{"role": "user", "content": content}]))
        if beside:
            (self.scratch / beside).write_bytes(PICTURE.read_bytes())
        return self.succeed("run", "--think", "off", "--temp", "0", "--messages", path)

    def test_in_messages(self):
        self.assertEqual(self.answer({"type": "image_url", "image_url": {"url": data_uri(PICTURE)}}), SEEN)
        self.assertEqual(self.answer({"type": "image", "path": "beside.png"}, "beside.png"), SEEN)

    def test_survive_save_and_load(self):
        saved = self.scratch / "talk.json"
        first = self.succeed("chat", "--think", "off", "--temp", "0",
                             stdin=f"/image {PICTURE}\nDescribe the picture.\n/save {saved}\n".encode())
        self.assertEqual(first, SEEN)
        content = json.loads(saved.read_text())["messages"][0]["content"]
        self.assertEqual(content[0], {"type": "image_url", "image_url": {"url": data_uri(PICTURE)}})
        again = self.succeed("chat", "--think", "off", "--temp", "0", stdin=f"/load {saved}\n/regen\n".encode())
        self.assertEqual(again, SEEN)

    def test_from_elsewhere_are_refused(self):
        path = self.scratch / "messages.json"
        for url, code in (("https://a.b/c.png", UNSUPPORTED), ("data:image/png,x", BAD_INPUT)):
            path.write_text(json.dumps([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]))
            self.fail_with(code, "run", "--messages", path, saying=["messages[0].content[0].image_url.url", "data"])


class Tools(BlackBox):
    def call(self, declaration, *flags):
        """The arguments of the first call that the shipped model makes of this tool."""
        path = self.scratch / "tools.json"
        path.write_text(json.dumps([declaration]))
        out = self.succeed("run", "--temp", "0", "--think", "off", "--tools", path, "-p", "How is the weather in Busan?", *flags)
        return json.loads(json.loads(out.split("\n")[0])["function"]["arguments"])

    def test_schemas_in_other_words_bind(self):
        for key in ("parameters", "input_schema", "inputSchema"):
            self.assertEqual(self.call({"name": "get_weather", "description": "Weather of a city", key: SCHEMA}), {"city": "Busan"})

    def test_a_schema_that_does_not_compile_is_any_object_without_strict(self):
        hours = {"type": "integer", "exclusiveMinimum": True, "minimum": 0}
        for parameters in ({"type": "object", "properties": {"city": {"type": "string"}, "hours": hours}},
                           {"type": "", "properties": None}):
            function = {"name": "get_weather", "description": "Weather of a city", "parameters": parameters}
            self.assertIsInstance(self.call({"type": "function", "function": function}), dict)
            path = self.scratch / "strict.json"
            path.write_text(json.dumps([{"type": "function", "function": {**function, "strict": True}}]))
            self.fail_with(BAD_INPUT, "run", "--tools", path, "-p", "x", saying=["tools[0].function.parameters"])

    def test_an_unknown_shape_is_refused_by_name(self):
        path = self.scratch / "tools.json"
        path.write_text(json.dumps([{"name": "f", "parametersJsonSchema": SCHEMA}]))
        self.fail_with(UNSUPPORTED, "run", "--tools", path, "-p", "x", saying=["parametersJsonSchema", "input_schema"])


class Sizes(BlackBox):
    def test_many_messages_take_time_in_proportion(self):
        """Ten times the messages were more than a hundred times the time."""
        times = {}
        for n in (12_000, 120_000):
            path = self.scratch / f"{n}.json"
            path.write_text(json.dumps([{"role": "user", "content": "x"}] * n))
            begun = time.monotonic()
            exaone("run", "-n", "1", "--messages", path)
            times[n] = time.monotonic() - begun
        self.assertLess(times[120_000], 12 * times[12_000] + 1, times)

    def test_limits_are_named(self):
        path = self.scratch / "messages.json"
        path.write_text(json.dumps([{"role": "user", "content": "x", **{f"k{i}": i for i in range(70_000)}}]))
        self.fail_with(BAD_INPUT, "run", "--messages", path, saying=["65536 keys"])
        path.write_text("[" * 100_000)
        self.fail_with(BAD_INPUT, "run", "--messages", path, saying=["128 levels"])

    def test_deep_lines(self):
        deep = b'{"schema":' + b"[" * 80_000 + b"]" * 80_000 + b',"texts":[]}\n'
        self.fail_with(BAD_INPUT, "grammar-check", "--jsonl", stdin=deep, saying=["standard input, line 1", "128 levels"])
        deep = b'{"messages":' + b"[" * 80_000 + b"]" * 80_000 + b"}\n"
        self.fail_with(BAD_INPUT, "template", "-m", ROOT / "tests/data/models/tiny-exaone4", "--jsonl", stdin=deep, saying=["128 levels"])

    def test_lines_of_another_shape(self):
        for line in ([1], {"choices": [1]}, {"choices": "x"}, {"regex": 5}, {"schema": True, "texts": [1]}):
            done = exaone("grammar-check", "--jsonl", stdin=jsonl([line]))
            self.assertNotIn(b"json.exception", done.stderr + done.stdout)
            self.assertTrue(done.returncode == BAD_INPUT or b'"error"' in done.stdout, line)


if __name__ == "__main__":
    unittest.main()
