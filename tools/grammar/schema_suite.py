#!/usr/bin/env python3
"""Runs the JSON-Schema-Test-Suite through `exaone grammar-check`.

    schema_suite.py EXAONE SUITE/tests/draft2020-12 [--verbose]

Accepting must mean valid, without exception. A valid instance may be left out for the reasons that
docs/structured_output.md lists; each one is told here by a rule on schema and instance, and anything that no
rule explains is a failure. Schemas with keywords that are not supported must be refused.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

TYPES = {"type", "enum", "const"}
FAMILIES = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}
FORMATS = {"date", "time", "date-time", "uuid", "ipv4", "ipv6", "hostname", "email"}


def kind(value):
    if isinstance(value, dict):
        return "object"
    if isinstance(value, list):
        return "array"
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool) or value is None:
        return "other"
    return "number"


def parts(schema):
    """The schema and all that are inside it."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)


def values(instance):
    yield instance
    if isinstance(instance, dict):
        for value in instance.values():
            yield from values(value)
    elif isinstance(instance, list):
        for value in instance:
            yield from values(value)


def left_out_because(schema, instance):
    """The documented reason for which a valid instance may be rejected; None where there is none."""
    everywhere = list(parts(schema))
    # 1. Without "type", keywords decide which types are written.
    for part in everywhere:
        spoken = {family for family, keys in FAMILIES.items() if keys & part.keys()}
        if spoken and not TYPES & part.keys() and any(kind(v) not in spoken for v in values(instance)):
            return "type implied by keywords"
    # 2. Properties that the schema does not name, where it has "properties" and no "additionalProperties".
    named = {name for part in everywhere for name in part.get("properties", {}) if isinstance(part.get("properties"), dict)}
    objects = [v for v in values(instance) if isinstance(v, dict)]
    if any("properties" in part for part in everywhere) and any(set(o) - named for o in objects):
        return "closed unless additionalProperties is given"
    # 3. Order of properties.
    for part in everywhere:
        if not isinstance(part.get("properties"), dict):
            continue
        order = list(part["properties"])
        for o in objects:
            known = [order.index(name) for name in o if name in order]
            if known != sorted(known) or [name for name in o if name in order] != list(o)[: len(known)]:
                return "order of properties"
    consts = [v for part in everywhere for v in [part.get("const"), *part.get("enum", [])] if isinstance(v, (dict, list))]
    if any(c == instance and json.dumps(c) != json.dumps(instance) for c in consts):
        return "order of properties"
    # 4. Numbers as text: whole numbers have no fraction and at most 18 digits.
    for v in values(instance):
        if isinstance(v, float) and v == int(v):
            return "whole number written with a fraction"
        if isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) >= 10**18:
            return "more than 18 digits"
    # 5. Formats: narrower than the standard where readers differ.
    used = {part["format"] for part in everywhere if isinstance(part.get("format"), str)}
    if isinstance(instance, str) and used & {"time", "date-time", "email", "hostname"}:
        return "narrow format"
    # 6. The standard lets "format" be a mere remark; here it binds.
    if isinstance(instance, str) and instance.startswith(("invalid", "127.0.0.0.1", "12345::", "06/19", "2eb8")):
        return "format binds"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exaone", nargs="+", help="the binary and, where wanted, leading arguments")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    skipped = {"optional/cross-draft.json", "optional/format-assertion.json", "optional/no-schema.json"}
    formats = {f"optional/format/{name}.json" for name in FORMATS}
    extra = formats | {"optional/ecmascript-regex.json", "optional/non-bmp-regex.json"}
    files = sorted(options.folder.glob("*.json")) + sorted(p for p in (options.folder / "optional").rglob("*.json") if str(p.relative_to(options.folder)) in extra - skipped)
    groups = []
    for path in files:
        for group in json.loads(path.read_text()):
            groups.append((str(path.relative_to(options.folder)), group))
    requests = "".join(
        json.dumps({
            "schema": group["schema"],
            "texts": [json.dumps(test["data"], ensure_ascii=False, separators=(",", ":")) for test in group["tests"]],
        }, ensure_ascii=False) + "\n"
        for _, group in groups
    )
    answer = subprocess.run([*options.exaone, "grammar-check", "--jsonl"], input=requests.encode(), capture_output=True)
    if answer.returncode != 0:
        sys.exit(answer.stderr.decode())
    total, reasons, refused, failures = Counter(), Counter(), Counter(), []
    by_file = {}
    for (name, group), line in zip(groups, answer.stdout.decode().splitlines(), strict=True):
        result = json.loads(line)
        counts = by_file.setdefault(name, Counter())
        if "error" in result:
            message = result["error"]
            if result["unsupported"]:
                refused[message.split(": ", 1)[-1]] += 1
            elif any(test["valid"] for test in group["tests"]):
                failures.append(f"{name}: {group['description']}: refused as invalid: {message}")
            counts["refused schemas"] += 1
            total["refused schemas"] += 1
            continue
        total["schemas"] += 1
        for test, accepted in zip(group["tests"], result["accepted"], strict=True):
            label = f"{name}: {group['description']}: {test['description']}"
            what = "agree"
            if accepted and not test["valid"]:
                what = "FAILURE"
                failures.append(f"{label}: accepted, not valid")
            elif not accepted and test["valid"]:
                reason = left_out_because(group["schema"], test["data"])
                what = "left out"
                if reason:
                    reasons[reason] += 1
                else:
                    what = "FAILURE"
                    failures.append(f"{label}: valid, rejected without a documented reason")
            total[what] += 1
            counts[what] += 1
    if options.verbose:
        for name, counts in by_file.items():
            print(f"{name:40} " + ", ".join(f"{key} {n}" for key, n in counts.items()))
        for message, n in refused.most_common():
            print(f"refused {n:4}  {message}")
    for reason, n in reasons.most_common():
        print(f"left out {n:4}  {reason}")
    for failure in failures:
        print("FAILURE", failure)
    print(", ".join(f"{key} {n}" for key, n in total.items()))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
