#!/usr/bin/env python3
"""The rules of the house that a compiler does not check: which room sees which, names, sizes, banned calls."""

import json
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# A room may include itself and these. Arrows go down only (docs/architecture.md).
ROOMS = {
    "base": set(),
    "json": {"base"},
    "formats": {"json", "base"},
    "images": {"base"},
    "text": {"formats", "base"},
    "grammar": {"json", "text", "base"},
    "jinja": {"text", "base"},
    "chat": {"jinja", "json", "text", "base"},
    "kernels": {"base"},
    "model": {"kernels", "formats", "images", "base"},
    "convert": {"model", "text", "formats", "kernels", "base"},
    "engine": {"model", "chat", "grammar", "json", "text", "formats", "images", "kernels", "base"},
    "cli": {"engine", "convert", "model", "chat", "jinja", "grammar", "json", "text", "formats", "images", "kernels", "base"},
}
# What other rooms may see of a room that shows some faces only.
FACES = {"formats": {"formats/checkpoint.h", "formats/arrays.h"},
         "images": {"images/image.h", "images/jail.h"},
         "kernels": {"kernels/backend.h", "kernels/kv_block.h", "kernels/matrix.h", "kernels/quant.h",
                     "kernels/quantize.h"}}
# Who sees behind a room's faces, by the beginnings of their paths; the two of bench measure what an instruction set
# could do at most.
BEHIND_FACES = {"formats": ("src/convert/",),
                "kernels": ("src/cli/measure/bench_canary.cpp", "src/cli/measure/bench_run.cpp")}
# The sub-rooms of cli and which of them each may see; files of cli itself see all.
CLI_ROOMS = {
    "terminal": set(),
    "flags": {"terminal"},
    "talk": {"flags", "terminal"},
    "measure": {"flags", "terminal"},
    "stages": {"flags", "terminal"},
    "files": {"flags", "terminal"},
}
# What talks shows what the public API can do: these sub-rooms see it, base, and of the other rooms these headers only.
PUBLIC_ONLY = {"terminal", "flags", "talk"}
BESIDE_PUBLIC = {"text/utf8.h", "images/image.h"}
PUBLIC_ROOMS = {"engine", "cli"}
# What the other rooms see of include/.
PUBLIC_VALUES = {"exaone/error.h": ROOMS.keys(), "exaone/messages.h": {"chat"}}

BANNED_NAMES = {"util", "utils", "common", "helper", "helpers", "misc", "manager"}
BANNED_CALLS = {
    "std::regex": r"std::w?regex|<regex>",
    "strto*": r"\bstrto(d|f|l|ld|ll|ul|ull|imax|umax)\s*\(",
    "sto*": r"\bsto(i|l|ll|ul|ull|f|d|ld)\s*\(",
    "ato*": r"\bato(i|l|ll|f)\s*\(",
    "sscanf": r"\bv?s(n)?scanf\s*\(",
    "sprintf": r"\bv?sprintf\s*\(",
    "strcpy, strcat, gets": r"\b(strcpy|strcat|gets)\s*\(",
    "rand": r"\bs?rand\s*\(",
    "assert, abort": r"(?<!static_)\bassert\s*\(|\babort\s*\(",
    "TODO, FIXME": r"\b(TODO|FIXME|XXX)\b",
}
# 500 lines are the aim (CONTRIBUTING.md); this is where a file has to become two.
MOST_LINES = 600

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:[^"\\\n]|\\.)*"', re.DOTALL)


def sources(*folders):
    found = []
    for folder in folders:
        found += [p for p in sorted((ROOT / folder).rglob("*")) if p.suffix in {".cpp", ".h", ".cu", ".inc", ".inl"}]
    return [p.relative_to(ROOT).as_posix() for p in found]


def text_of(path):
    return (ROOT / path).read_text(encoding="utf-8")


def include_faults(path, text):
    """One sentence for each include that points up, sideways, or behind a room's face."""
    room = path.split("/")[1] if path.startswith("src/") else None
    sub = path.split("/")[2] if room == "cli" and path.count("/") > 2 else None
    faults = []
    for kind, target in INCLUDE.findall(text):
        if kind == "<":
            continue
        head = target.split("/")[0]
        where = f"{path}: includes {target}"
        if head == "exaone":
            if room is not None and room not in PUBLIC_ROOMS and room not in PUBLIC_VALUES.get(target, ()):
                faults.append(f"{where}: only engine and cli see the public API")
        elif room is None:
            faults.append(f"{where}: a public header may include public headers only")
        elif head not in ROOMS:
            faults.append(f"{where}: name the room, as in \"{room}/{target}\"")
        elif sub in PUBLIC_ONLY and head not in {"cli", "base"} and target not in BESIDE_PUBLIC:
            faults.append(f"{where}: cli/{sub} uses include/exaone, base and {', '.join(sorted(BESIDE_PUBLIC))} only")
        elif sub and head == "cli" and target.split("/")[1] not in CLI_ROOMS[sub] | {sub}:
            faults.append(f"{where}: cli/{sub} may see {', '.join(sorted(CLI_ROOMS[sub])) or 'no other part of cli'}")
        elif head != room and head not in ROOMS[room]:
            faults.append(f"{where}: {room} may see {', '.join(sorted(ROOMS[room])) or 'no room'}")
        elif head != room and target not in FACES.get(head, {target}) \
                and not path.startswith(BEHIND_FACES.get(head, ())):
            faults.append(f"{where}: other rooms see {', '.join(sorted(FACES[head]))} only")
    return faults


def banned_calls(path, text):
    code = NOISE.sub(lambda m: "\n" * m.group().count("\n"), text)
    subjects = {name: text if name.startswith("TODO") else code for name in BANNED_CALLS}
    return [f"{path}:{subjects[name][:m.start()].count(chr(10)) + 1}: {name}"
            for name, pattern in BANNED_CALLS.items() for m in re.finditer(pattern, subjects[name])]


class House(unittest.TestCase):
    def expect_none(self, faults):
        self.assertFalse(faults, "\n" + "\n".join(faults))

    def test_every_folder_of_src_is_a_known_room(self):
        rooms = {path.split("/")[1] for path in sources("src")}
        self.expect_none(sorted(f"src/{room} has no row in ROOMS" for room in rooms - ROOMS.keys()))
        self.expect_none(sorted(f"ROOMS has an empty row: {room}" for room in ROOMS.keys() - rooms))
        subs = {path.split("/")[2] for path in sources("src/cli") if path.count("/") > 2}
        self.expect_none(sorted(f"src/cli/{sub} and CLI_ROOMS differ" for sub in subs ^ CLI_ROOMS.keys()))

    def test_includes_point_down(self):
        self.expect_none([f for path in sources("src", "include") for f in include_faults(path, text_of(path))])

    def test_cmake_links_the_same_arrows(self):
        faults = []
        for room, arguments in re.findall(r"^exaone_room\((\w+)([^)]*)\)", text_of("src/CMakeLists.txt"), re.MULTILINE):
            depends = re.search(r"DEPENDS\s+([\w\s]*?)(?:LIBRARIES|$)", arguments)
            for other in depends.group(1).split() if depends else []:
                if other not in ROOMS.get(room, set()):
                    faults.append(f"src/CMakeLists.txt links {room} with {other}")
        self.expect_none(faults)

    def test_no_banned_call(self):
        self.expect_none([f for path in sources("src", "include") for f in banned_calls(path, text_of(path))])

    def test_file_names_name_a_job(self):
        paths = sources("src", "include", "tests", "fuzz", "bench")
        self.expect_none([path for path in paths if BANNED_NAMES & set(re.split(r"[/_.]", path.lower()))])

    def test_headers_open_with_their_concept(self):
        faults = []
        for path in sources("src", "include"):
            text = text_of(path)
            if path.endswith(".h") and not (text.startswith("// ") and "\n#pragma once\n" in text):
                faults.append(f"{path}: a header opens with a comment, then #pragma once")
            if path.endswith(".inl") and not text.startswith("// "):
                faults.append(f"{path}: a file to be included opens with a comment")
        self.expect_none(faults)

    def test_files_stay_readable(self):
        lengths = {path: text_of(path).count("\n") for path in sources("src", "include", "tests", "fuzz", "bench")}
        self.expect_none([f"{path}: {n} lines, at most {MOST_LINES}" for path, n in lengths.items() if n > MOST_LINES])


class Newcomer(unittest.TestCase):
    def test_the_page_says_where_things_are(self):
        page = text_of("docs/architecture.md")
        questions = json.loads(text_of("tests/house/where_is.json"))
        self.assertGreaterEqual(len(questions), 15)
        for question, path in questions.items():
            self.assertTrue((ROOT / path).is_file(), f"{question} {path} does not exist")
            name = path.removeprefix("src/").removesuffix(".cpp").removesuffix(".h")
            self.assertIn(f"`{name}`", page, f"{question} docs/architecture.md does not name {name}")


class Checks(unittest.TestCase):
    """The scans themselves can fail."""

    def test_an_arrow_that_points_up(self):
        self.assertTrue(include_faults("src/base/x.cpp", '#include "engine/engine.h"\n'))
        self.assertTrue(include_faults("src/kernels/x.cpp", '#include "formats/checkpoint.h"\n'))
        self.assertTrue(include_faults("src/model/x.cpp", '#include "formats/gguf.h"\n'))
        self.assertTrue(include_faults("src/convert/x.cpp", '#include "kernels/isa/isa.h"\n'))
        self.assertTrue(include_faults("src/cli/measure/bench.cpp", '#include "kernels/isa/isa.h"\n'))
        self.assertFalse(include_faults("src/convert/x.cpp", '#include "formats/gguf.h"\n'))
        self.assertFalse(include_faults("src/cli/measure/bench_canary.cpp", '#include "kernels/isa/isa.h"\n'))
        self.assertTrue(include_faults("src/cli/talk/run.cpp", '#include "engine/sampler.h"\n'))
        self.assertTrue(include_faults("src/cli/flags/x.h", '#include "kernels/backend.h"\n'))
        self.assertTrue(include_faults("src/cli/terminal/x.cpp", '#include "cli/talk/run.h"\n'))
        self.assertTrue(include_faults("src/cli/files/x.cpp", '#include "cli/measure/bench.h"\n'))
        self.assertFalse(include_faults("src/cli/talk/x.cpp", '#include "cli/terminal/streams.h"\n'))
        self.assertFalse(include_faults("src/cli/program.cpp", '#include "cli/measure/bench.h"\n'))
        self.assertTrue(include_faults("src/text/x.cpp", '#include "exaone/engine.h"\n'))
        self.assertTrue(include_faults("include/exaone/x.h", '#include "base/error.h"\n'))
        self.assertFalse(include_faults("src/model/x.cpp", '#include "formats/checkpoint.h"\n#include <vector>\n'))

    def test_a_banned_call(self):
        self.assertTrue(banned_calls("x.cpp", "int a = std::stoi(s);\n"))
        self.assertTrue(banned_calls("x.cpp", "a = atoi (s);\n"))
        self.assertEqual(banned_calls("x.cpp", '\n\nassert(x); // atoi(s)\n"std::regex"\n'), ["x.cpp:3: assert, abort"])
        self.assertFalse(banned_calls("x.cpp", "static_assert(true); brand(1); restore(x);\n"))


if __name__ == "__main__":
    unittest.main()
