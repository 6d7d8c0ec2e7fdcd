#!/usr/bin/env python3
"""Random JSON schemas, each with texts that a model of random logits wrote under it, judged by jsonschema.

    random_schemas.py EXAONE TOKENIZER.json [--schemas 5000] [--range 0:5000] [--samples 2] [--seed 1]

Every text must be JSON and valid; texts cut off by the token limit are counted apart (they must be a prefix of
something valid, which only the automaton knows). Needs PyPI's jsonschema.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections import Counter

import jsonschema

NAMES = ["name", "age", "이름", "items", "a", "ab", "abc", "tag s", "quote\"d", "back\\slash", "값", "x/y", "~t", "é", "\ttab"]
WORDS = ["red", "green", "blue", "빨강", "초록", "a\"b", "line\nbreak", "", "😀", "\u0001"]
PATTERNS = ["^[a-z]+$", "^\\d{3}-\\d{4}$", "[0-9]", "^(foo|bar)?baz", "x$", "^[가-힣]{2,4}$", "^.{1,5}$", "^[^\"\\\\]*$", "a.c", "^(ab|cd)*$", "^\\w+@\\w+\\.com$", "^$|^z"]
FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "ipv6", "hostname", "email"]


class Maker:
    def __init__(self, rng):
        self.rng = rng
        self.definitions = {}

    def chance(self, p):
        return self.rng.random() < p

    def string(self):
        schema = {"type": "string"}
        how = self.rng.randrange(7)
        if how == 0:
            low = self.rng.choice([0, 1, 2, 5, 40])
            schema["minLength"] = low
            schema["maxLength"] = low + self.rng.choice([0, 1, 3, 20, 300])
        elif how == 1:
            schema["pattern"] = self.rng.choice(PATTERNS)
            if self.chance(0.3):
                schema["maxLength"] = 12
        elif how == 2:
            schema["format"] = self.rng.choice(FORMATS)
        elif how == 3:
            schema["maxLength"] = self.rng.choice([0, 1, 2, 10, 60])
        elif how == 4:
            schema["minLength"] = self.rng.choice([1, 3, 200])
        return schema

    def number(self):
        schema = {"type": self.rng.choice(["integer", "number"])}
        whole = schema["type"] == "integer"
        scale = self.rng.choice([1, 10, 1000, 10**9])

        def value():
            return self.rng.randint(-scale, scale) if whole or self.chance(0.4) else round(self.rng.uniform(-scale, scale), self.rng.randrange(6))

        how = self.rng.randrange(5)
        if how == 1:
            schema[self.rng.choice(["minimum", "exclusiveMinimum"])] = value()
        elif how == 2:
            schema[self.rng.choice(["maximum", "exclusiveMaximum"])] = value()
        elif how == 3:
            low = value()
            schema[self.rng.choice(["minimum", "exclusiveMinimum"])] = low
            schema[self.rng.choice(["maximum", "exclusiveMaximum"])] = low + self.rng.choice([2, 17, 1000])
        return schema

    def value(self, depth):
        how = self.rng.randrange(6 if depth > 0 else 4)
        if how == 0:
            return self.rng.choice(WORDS)
        if how == 1:
            return self.rng.choice([0, 1, -7, 2.5, 1e20, 12345678901234567, 1e-7, -0.0])
        if how == 2:
            return self.rng.choice([True, False])
        if how == 3:
            return None
        if how == 4:
            return [self.value(depth - 1) for _ in range(self.rng.randrange(3))]
        return {self.rng.choice(NAMES): self.value(depth - 1) for _ in range(self.rng.randrange(3))}

    def choice(self):
        if self.chance(0.3):
            return {"const": self.value(2)}
        values = []
        for _ in range(self.rng.randint(1, 6)):
            value = self.value(1)
            if value not in values:
                values.append(value)
        return {"enum": values}

    def array(self, depth):
        schema = {"type": "array"}
        if self.chance(0.8):
            schema["items"] = self.schema(depth - 1)
        if self.chance(0.3):
            schema["prefixItems"] = [self.schema(depth - 1) for _ in range(self.rng.randint(1, 3))]
            if self.chance(0.5):
                schema["items"] = False
        if self.chance(0.5):
            schema["minItems"] = self.rng.randrange(3) if schema.get("items") is not False else 0
        if self.chance(0.6):
            schema["maxItems"] = schema.get("minItems", 0) + self.rng.choice([0, 1, 4, 30])
        return schema

    def object(self, depth, names=NAMES):
        schema = {"type": "object"}
        chosen = self.rng.sample(names, self.rng.randint(0, min(len(names), self.rng.choice([2, 4, 12]))))
        if chosen or self.chance(0.5):
            schema["properties"] = {name: self.schema(depth - 1) for name in chosen}
        if self.chance(0.7):
            schema["required"] = [name for name in chosen if self.chance(0.5)]
            if self.chance(0.1):
                schema["required"].append("extra")
        how = self.rng.randrange(6)
        if how < 2:
            schema["additionalProperties"] = False
            if "extra" in schema.get("required", []):
                schema["required"].remove("extra")
        elif how == 2:
            schema["additionalProperties"] = self.schema(depth - 1)
        elif how == 3:
            schema["additionalProperties"] = True
        return schema

    def combined(self, depth):
        how = self.rng.randrange(5)
        if how == 0:
            return {"anyOf": [self.schema(depth - 1) for _ in range(self.rng.randint(1, 4))]}
        if how == 1:
            branches = []
            for i, word in enumerate(self.rng.sample(["circle", "사각형", "line"], 2)):
                branch = self.object(depth - 1, NAMES[:4])
                branch.setdefault("properties", {})
                branch["properties"] = {"kind": {"const": word}, **branch["properties"]}
                branch["required"] = ["kind", *branch.get("required", [])]
                branches.append(branch)
            return {"oneOf": branches}
        if how == 2:
            return {"oneOf": [{"type": "string", "maxLength": 20}, {"type": "integer"}, {"type": "null"}, self.array(depth)]}
        if how == 3:
            first, second = self.object(depth, NAMES[:5]), self.object(depth, NAMES[5:9])
            first.pop("additionalProperties", None)
            second.pop("additionalProperties", None)
            return {"allOf": [first, second]}
        return {"type": self.rng.sample(["null", "boolean", "integer", "number", "string"], self.rng.randint(1, 3))}

    def schema(self, depth):
        if depth <= 0 or self.chance(0.35):
            how = self.rng.randrange(8)
            if how < 3:
                return self.string()
            if how < 5:
                return self.number()
            if how == 5:
                return self.choice()
            if how == 6:
                return {"type": self.rng.choice(["boolean", "null"])}
            return self.rng.choice([{"type": "boolean"}, True, {}]) if self.chance(0.3) else {"type": "boolean"}
        how = self.rng.randrange(10)
        if how < 5:
            return self.object(depth)
        if how < 7:
            return self.array(depth)
        if how == 7 and self.definitions is not None:
            name = self.rng.choice(["node", "목록", "a/b~c"])
            if name not in self.definitions:
                self.definitions[name] = None
                self.definitions[name] = self.recursive(name, depth)
            return {"$ref": "#/$defs/" + name.replace("~", "~0").replace("/", "~1")}
        return self.combined(depth)

    def recursive(self, name, depth):
        reference = {"$ref": "#/$defs/" + name.replace("~", "~0").replace("/", "~1")}
        schema = {"type": "object", "properties": {"value": self.schema(min(depth - 1, 1)), "next": {"anyOf": [{"type": "null"}, reference]}, "children": {"type": "array", "items": reference, "maxItems": 2}}}
        schema["required"] = [key for key in ["value", "next"] if self.chance(0.5)]
        return schema

    def document(self):
        self.definitions = {}
        schema = self.schema(self.rng.choice([1, 2, 3, 4]))
        if not isinstance(schema, dict):
            schema = {"allOf": [schema]}
        if self.definitions:
            schema = {**schema, "$defs": self.definitions}
        return schema


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exaone")
    parser.add_argument("tokenizer")
    parser.add_argument("--schemas", type=int, default=5000)
    parser.add_argument("--range", default="0:", help="FIRST:END, the part of the schemas to take, so that many can run in turns")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-tokens", type=int, default=20000)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    first, _, end = options.range.partition(":")
    schemas = [Maker(rng).document() for _ in range(options.schemas)][int(first):int(end) if end else None]
    requests = "".join(json.dumps({"schema": schema}, ensure_ascii=False) + "\n" for schema in schemas)
    started = time.monotonic()
    command = [options.exaone, "grammar-check", "--jsonl", "-m", options.tokenizer, "--samples", str(options.samples), "--seed", str(options.seed), "--max-tokens", str(options.max_tokens)]
    run = subprocess.run(command, input=requests.encode(), capture_output=True)
    seconds = time.monotonic() - started
    if run.returncode != 0:
        sys.exit(run.stderr.decode())
    counts, keywords, failures = Counter(), Counter(), []
    sys.setrecursionlimit(20000)
    for schema, line in zip(schemas, run.stdout.decode().split("\n"), strict=False):
        result = json.loads(line)
        for word in json.dumps(schema).split('"')[1::2]:
            keywords[word] += 1
        if "error" in result:
            counts["refused: " + result["error"].split(": ", 1)[-1][:60]] += 1
            continue
        counts["schemas"] += 1
        judge = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
        for sample in result["samples"]:
            if not sample["ended"]:
                counts["cut off"] += 1
                continue
            counts["texts"] += 1
            try:
                judge.validate(json.loads(sample["text"]))
                counts["valid"] += 1
            except (json.JSONDecodeError, jsonschema.ValidationError) as error:
                failures.append((schema, sample["text"], str(error).splitlines()[0]))
    for schema, text, error in failures[:20]:
        print("FAILURE", json.dumps(schema, ensure_ascii=False)[:600], "\n   ", text[:600], "\n   ", error[:300])
    print(", ".join(f"{key} {n}" for key, n in counts.items()), f"failures {len(failures)}", f"{seconds:.1f} s")
    checked = set(jsonschema.Draft202012Validator.FORMAT_CHECKER.checkers)
    print("formats that the judge checks:", ", ".join(sorted(set(FORMATS) & checked)))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
