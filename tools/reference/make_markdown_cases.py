"""Writes tests/data/markdown/lines.jsonl: lines of Markdown, and what markdown-it-py says is text in them and how it is styled.

    python tools/reference/make_markdown_cases.py [OUT]        (needs markdown-it-py; the file was made with 4.3.0)

markdown-it runs with CommonMark's rules less those that a terminal shows as written (links, pictures, HTML, entities,
underscores, backslashes in front of other than the shown markers): src/cli/terminal/markdown_view.h names them.
{"line", "kind": paragraph, heading, item, quote, rule, code, nested, "runs": [[text, styles]]}: styles holds b, i, c.
"""

import json
import random
import re
import sys
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.rules_inline import emphasis, escape

N_LINES = 2000
ESCAPABLE = "*`_#|"
WORDS = ["a", "word", "값", "한국어", "x1", "SELECT", "count", "args", "f", "2", "3.5", "é", "🙂", "결과는"]
MARKS = ["*", "*", "**", "**", "***", "****", "`", "`", "``", "```", "\\", "_", "__", "\\*", "\\`", "\\_"]
PUNCTUATION = [".", ",", "(", ")", "[", "]", "\"", "'", "!", "?", ":", ";", "<", ">", "&", "|", "#", "-", "+", "=", "/", "…", "“", "”", "₩"]
STARTS = ["", "", "", "", "", "# ", "### ", "- ", "* ", "+ ", "1. ", "> ", ">", "    ", "- # ", "> - ", "12) ", "```", "~~~ ", "---", "* * *", "#", "\t"]


def parser():
    markdown = MarkdownIt("commonmark").disable(["link", "image", "autolink", "html_inline", "html_block", "entity", "reference"])

    def stars(state, silent):
        return state.src[state.pos] != "_" and emphasis.tokenize(state, silent)

    def escapes(state, silent):
        shown = state.src[state.pos] == "\\" and state.src[state.pos + 1:state.pos + 2] in tuple(ESCAPABLE)
        return shown and escape(state, silent)

    markdown.inline.ruler.at("emphasis", stars)
    markdown.inline.ruler.at("escape", escapes)
    return markdown


def runs_of(children, base):
    runs, bold, italic = [], 0, 0
    for token in children:
        bold += {"strong_open": 1, "strong_close": -1}.get(token.type, 0)
        italic += {"em_open": 1, "em_close": -1}.get(token.type, 0)
        text = token.content if token.type in ("text", "text_special", "code_inline") else ""
        style = "".join(letter for letter, on in (("b", bold or "b" in base), ("i", italic), ("c", token.type == "code_inline")) if on)
        if text and runs and runs[-1][1] == style:
            runs[-1][0] += text
        elif text:
            runs.append([text, style])
    return runs


def case(markdown, line):
    tokens = markdown.parse(line)
    opened = [token.type.removesuffix("_open") for token in tokens if token.type.endswith("_open")]
    leaf = next((token for token in tokens if token.type in ("inline", "code_block", "fence", "hr")), None)
    simple = {("paragraph",): "paragraph", ("heading",): "heading", ("bullet_list", "list_item", "paragraph"): "item",
              ("blockquote", "paragraph"): "quote", (): "code"}
    if leaf is not None and leaf.type == "hr" and not opened:
        return {"line": line, "kind": "rule", "runs": []}
    kind = simple.get(tuple(opened), "nested")
    if leaf is None:
        return {"line": line, "kind": "nested", "runs": []}
    if leaf.type == "inline":
        return {"line": line, "kind": kind, "runs": runs_of(leaf.children, "b" if kind == "heading" else "")}
    # Of a fence alone in its line nothing is text but what names its language.
    text = leaf.info if leaf.type == "fence" else leaf.content.rstrip("\n")
    return {"line": line, "kind": "nested" if leaf.type == "fence" else kind, "runs": [[text, "c"]] if text else []}


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "tests/data/markdown"
    out.mkdir(parents=True, exist_ok=True)
    random.seed(20261201)
    markdown, lines = parser(), set()
    while len(lines) < N_LINES:
        line = random.choice(STARTS)
        for _ in range(random.randrange(1, 14)):
            line += random.choice(random.choice((WORDS, MARKS, [" "], [" "], PUNCTUATION)))
        if not re.search(r"[0-9]\*+[0-9]", line):  # a product on a terminal, emphasis in CommonMark
            lines.add(line.rstrip())
    rows = [json.dumps(case(markdown, line), ensure_ascii=False) for line in sorted(lines) if line]
    (out / "lines.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
