#!/usr/bin/env python3
"""Writes tests/data/chat/template_cases.jsonl: templates of our own, rendered by Jinja2 as transformers sets it up.

    tools/reference/make_template_cases.py [OUTPUT]

Each line is {"template", "variables", "text"} or {"template", "variables", "error"[, "line"]}; "line" marks an error
of the template's syntax. Needs the Python packages jinja2 (3.1) and transformers (5).
"""

import json
import sys
from pathlib import Path

import jinja2
from transformers.utils.chat_template_utils import _compile_jinja_template

ROOT = Path(__file__).resolve().parents[2]

DATA = {
    "s": "Hello World",
    "ko": "안녕하세요 세계",
    "mixed": "  aé😀b\tc\n d  ",
    "quote": "it's \"q\" \\ \n\t\x01<&>",
    "empty": "",
    "n": 7,
    "neg": -3,
    "f": 2.5,
    "big": 12345678901234567890,
    "t": True,
    "no": False,
    "nil": None,
    "l": [1, 2, 3, "x", None, True, 2.5],
    "nums": [3, 1, 2, 10, -5],
    "words": ["banana", "Apple", "cherry", "apple"],
    "d": {"a": 1, "b": [1, {"c": "<&>'"}], "items": "shadow", "가": "나", "z y": None},
    "users": [
        {"name": "Bo", "age": 30, "tags": ["x"], "on": True},
        {"name": "al", "age": 25, "tags": [], "on": False},
        {"name": "Cy", "age": 30, "on": True, "deep": {"k": ["v0", "v1"]}},
    ],
    "nested": [[1, [2, 3]], [4], []],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi <|user|> there"},
        {"role": "assistant", "content": "<think>\nr\n</think>\n\nok"},
    ],
}

# One expression each: rendered as {{ EXPRESSION }}.
EXPRESSIONS = Path(__file__).with_name("template_expressions.txt").read_text(encoding="utf-8").strip("\n").split("\n")

# Whole templates.
TEMPLATES = [
    "",
    "plain",
    "line\n",
    "line\n\n",
    "a\r\nb\rc\n",
    "{{ s }}\n",
    "{{ s }}\n\n",
    "  {{ s }}  \n  x",
    "{% if true %}\nx\n{% endif %}\n",
    "  {% if true %}\n  x\n  {% endif %}\n",
    "a {% if true %} b {% endif %} c",
    "a\n  {%- if true -%}  \n b \n {%- endif -%} \n c",
    "a\n  {%+ if true +%}\n b\n  {%+ endif %}\n c",
    "a {{- s -}} b",
    "a\n{{- s }}\n{{ s -}}\nb",
    "{#- c -#} x {# c #} y {#+ z +#}\n w",
    "a\n  {# comment #}\nb\n {#- x #}\n c {# y -#} \n d",
    "{% raw %}{{ x }} {% if %}{% endraw %}",
    "a\n  {% raw %}\n  {{ x }}\n  {% endraw %}\nb",
    "a {%- raw -%} \n {{ x }} \n {%- endraw -%} \n b",
    "{% raw -%}\n x {%+ endraw +%}\n y",
    "{{ '{{' }} {{ '}}' }} {{ {'a': {'b': 1}}['a']['b'] }}{{ {'a': {'b': {}}} }}",
    '{"name": "{{- s }}", "arguments": {{ d | tojson }}}{{- "</x>" }}',
    "{%if n>5%}y{%else%}n{%endif%}",
    "{% if n > 10 %}a{% elif n > 5 %}b{% elif true %}c{% else %}d{% endif %}",
    "{% if missing %}a{% elif nil %}b{% else %}d{% endif %}",
    "{% if n: %}a{% endif %}",
    "{% for x in nums %}{{ x }},{% endfor %}",
    "{% for x in nums %}{{ loop.index }}/{{ loop.length }}:{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for x in nums %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }} {% endfor %}",
    "{% for x in nums %}[{{ loop.previtem }}|{{ x }}|{{ loop.nextitem }}]{% endfor %}",
    "{% for x in nums %}{{ loop.previtem.x }}{% endfor %}",
    "{% for x in nums %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }} {% endfor %}",
    "{% for x in nums %}{{ loop.depth }}{{ loop.depth0 }}{{ loop.nope }}{% endfor %}",
    "{% for x in nums %}{{ loop }}{% endfor %}",
    "{% for x in nums if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}",
    "{% for x in nums if x > 100 %}x{% else %}none{% endfor %}",
    "{% for x in [] %}x{% else %}empty{% endfor %}",
    "{% for x in missing %}x{% else %}empty{% endfor %}",
    "{% for x in nil %}x{% endfor %}",
    "{% for x in 5 %}x{% endfor %}",
    "{% for c in 'a한b' %}{{ c }}.{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }};{% endfor %}",
    "{% for k, v in nums %}{{ k }}{% endfor %}",
    "{% for a, b in [[1, 2], [3]] %}{{ a }}{% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}",
    "{% for a, (b, c) in [[1, [2, 3]]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, b in ['xy'] %}{{ a }}{{ b }}{% endfor %}",
    "{% for x in nums %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in nums %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in nums %}{% for y in nums %}{% if y > x %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% for x in nums recursive %}{{ x }}{% endfor %}",
    "{% for x in nested recursive %}{{ loop.depth }}{% if x is number %}{{ x }}{% else %}[{{ loop(x) }}]{% endif %}{% endfor %}",
    "{% for x in nums %}{{ loop(x) }}{% endfor %}",
    "{% for x in nums %}{% set last = x %}{% endfor %}[{{ last }}]",
    "{% set last = 0 %}{% for x in nums %}{{ last }}{% set last = x %}{% endfor %}[{{ last }}]",
    "{% for x in [1, 2, 3] %}{% if x == 2 %}{% set seen = true %}{% endif %}{{ seen is defined }} {% endfor %}",
    "{% for x in [1, 2] %}{% set x = x * 10 %}{{ x }} {% endfor %}",
    "{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 5 %}{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}",
    "{% for i in range(3) %}{% for j in range(2) %}{{ loop.index }}{{ loop.last }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for x in nums %}{% set l2 = loop %}{% for y in [1] %}{{ l2.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% set ns = namespace(x=0) %}{% for i in nums %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.a.b = 1 %}",
    "{% set ns = namespace() %}{{ ns.a }}{{ ns.a is defined }}{% set ns.a = 1 %}{{ ns.a }}",
    "{% set ns = namespace() %}{{ ns.a.b }}",
    "{% set ns = {} %}{% set ns.a = 1 %}",
    "{% set nope.a = 1 %}",
    "{% set ns = namespace() %}{% set ns._a = 1 %}",
    "{% set ns = namespace(go=true) %}{% for x in nums if ns.go %}{{ x }}{% if x == 2 %}{% set ns.go = false %}{% endif %}{% endfor %}",
    "{% set ns = namespace(a=1, b=[]) %}{% set ns.b = ns.b + [ns.a] %}{% set ns.b = ns.b + ['x'] %}{{ ns.b }}",
    "{% set ns = namespace(a=1) %}{% set ns['a'] = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = [1, 2, 3] %}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set a %}x{{ n }}y{% endset %}{{ a }}{{ a|length }}",
    "{% set a | upper | replace('X', 'z') %}x{{ s }}y{% endset %}{{ a }}",
    "{% set a %}{% set b = 1 %}{{ b }}{% endset %}{{ a }}[{{ b }}]",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% if false %}{% set x = 2 %}{% endif %}{{ x is defined }}",
    "{% if not skip is defined %}{% set skip = true %}{% endif %}{{ skip }}",
    "{% set n = n + 1 %}{{ n }}",
    "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(b=4, a=5) }} {{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(x=2) }}",
    "{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}",
    "{% macro m(a) %}{{ kwargs|length }}{% endmacro %}{{ m(1, z=3) }}",
    "{% macro m() %}{{ n }}{% set n = 3 %}{{ n }}{% endmacro %}{{ m() }}{{ n }}",
    "{% macro m() %}{{ later }}{% endmacro %}{% set later = 'L' %}{{ m() }}",
    "{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in {{ n }}{% endcall %}",
    "{% macro m() %}[{{ caller(1, 2) }}]{% endmacro %}{% call(a, b) m() %}{{ a }}+{{ b }}{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro m() %}{% for x in nums %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}{% endmacro %}{{ m()|length }}",
    "{% macro m(a) -%}  {{ a }}  {%- endmacro %}[{{ m('x') }}]",
    "{% macro m(a) %}\n  {{ a }}\n{% endmacro %}\n[{{ m('x') }}]",
    "{% macro m() %}{% endmacro %}{{ m.name }} {{ m() == '' }} {{ m is callable }}",
    "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% endwith %}[{{ a }}]",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}[{{ q }}]",
    "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}",
    "{% filter upper %}abc {{ s }}{% endfilter %}",
    "{% filter replace('a', 'b')|upper %}aaa{% endfilter %}",
    "{% filter nope %}{% endfilter %}",
    "{% generation %}x{{ n }}{% set q = 1 %}{% endgeneration %}[{{ q }}]",
    "{% print 1, 2 %}",
    "{% if s is startingwith 'H' %}{% endif %}",
    "{% if false %}{{ s|nope }}{% endif %}ok",
    "{% if true %}{{ s|nope }}{% endif %}ok",
    "{{ s|nope if false else 'ok' }}",
    "{{ 'ok' if true else s|nope }}",
    "{% if false %}{% for x in nums %}{{ x|nope }}{% endfor %}{% endif %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner(' | ') %}{% for x in nums %}{{ j() }}{{ x }}{% endfor %}",
    "{% set g = nums|select('odd') %}{{ g|list }}{{ g|list }}{{ g is iterable }}{% if g %}t{% endif %}",
    "{% set r = nums|reverse %}{{ r|list }}{{ r|list }}",
    "{{ nums|map('string')|join(' ') }} {{ nums|map('abs')|sum }}",
    "{% do nums.append(1) %}",
    "{% set _ = nums.append(1) %}",
    "{% if %}",
    "{% if true %}",
    "{% for x in nums %}",
    "{% for %}",
    "{% for x nums %}{% endfor %}",
    "{% endif %}",
    "{% if true %}{% endfor %}{% endif %}",
    "{% if true %}{% for x in nums %}{% endif %}{% endfor %}",
    "{% nope %}",
    "{% 5 %}",
    "{{ }}",
    "{{ 1 + }}",
    "{{ (1 }}",
    "{{ 1) }}",
    "{{ [1, 2) }}",
    "{{ 'abc }}",
    "{{ a b }}",
    "{{ a ! b }}",
    "{{ a $ }}",
    "{{ a",
    "{% if a",
    "{# abc",
    "{% raw %}abc",
    "x\n\n{{ a.. }}",
    "x\n{% set true = 1 %}",
    "{% set 5 = 1 %}",
    "{% set a.b.c = 1 %}",
    "{% macro m(a=1, b) %}{% endmacro %}",
    "{% macro 5() %}{% endmacro %}",
    "{% call 5 %}{% endcall %}",
    "{{ f(a=1, 2) }}",
    "{{ f(*nums, **d) }}",
    "{{ s.split(*['o']) }}{{ dict(**{'a': 1}) }}",
    "{{ a is string is none }}",
    "{{ 1 2 }}",
    "{{ {1: 2 }}",
    "{{ {'a' 1} }}",
    "{{ a[1:2:3:4] }}",
    "{{ a[] }}",
    "{{ '\\x4' }}",
    "{{ x.'y' }}",
    "{% set x %}{% endset",
    "{% break %}",
    "{% continue %}",
    "{% for x in nums %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% elif true %}",
    "{% else %}",
    "a{{ 1 }}\n{{ 2 }}\nb\n\n{%- if true %}\n\nc\n\n{%- endif %}\n\nd",
    "\t{% set x = 1 %}\n\t{{ x }}\n",
    "x {% set y = 1 %} z\n  {% set z = 2 %}  \n w",
    "{{ 'a' -}}   \n\n  {{- 'b' }}",
    "{{ 1 }}{# x #}\n{{ 2 }}",
    "{%- for x in nums -%}\n  {{ x }},\n{%- endfor -%}\n",
    "{{ - 1 }}{{-1 }}{{- 1 -}} {{ 2 - 1 }}",
    "\u00a0 {%- if true %}x{% endif %}",
    "한글 {{ ko }} 끝\n",
    "{{ 한글 }}{% set 이름 = 1 %}{{ 이름 }}",
    "{{ messages[0].content }}{{ messages[1]['content'] }}",
    "{% for m in messages %}{% if m.role not in {'user': 1} %}{{ raise_exception('Unknown role: ' ~ m.role) }}{% endif %}{% endfor %}",
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\\n' + m['content'] }}{{ eos }}{% endfor %}",
    "{{ {'a': 'x'}[n] }}{{ {'a': 'x'}[n].y }}",
    "{{ [1, 2, 3] | map('tojson') | join }}",
    "{% set x = [1] %}{% set y = x + [2] %}{{ x }}{{ y }}{{ x is sameas x }}",
    "{{ (n, s) }}{{ [d.a, d['b']] }}",
    "{%- set q = {'k': [1, {'z': none}]} -%}{{ q.k[1].z is none }}{{ q | tojson(indent=4) }}",
    "{{ 'a,b' .split(',') [1] }}",
    "{{ n is divisibleby 7 and n is odd }}",
    "{{ 'x' in [] or 'y' not in ['y'] or 'z' }}",
    "{{ users | map(attribute='name') | map('lower') | sort | join('/') }}",
    "{{ users[0].tags[0] }}{{ users[1].tags[0] }}{{ users[2].tags[0] }}",
    "{{ loop }}{% for x in [1] %}{{ loop.index }}{% endfor %}{{ loop.index }}",
    "{% set x = 1 %}{% macro m() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "{% for x in [1,2,3] %}{% if loop.first %}{% set y = 'first' %}{% endif %}{{ y }},{% endfor %}",
    "{% for i in range(4) %}{% if i is even %}{% continue %}{% endif %}{{ i }}{{ loop.index }} {% endfor %}",
    "{% set a = [1,2,3] %}{{ a[a|length - 1] }}{{ a[-a|length] }}",
    "{% set x = 'a' if n == 7 else 'b' %}{{ x }}",
    "{% set sep = joiner() %}{{ sep() }}a{{ sep() }}b",
    "{{ strftime_now('') }}|",
    "{{ strftime_now('%%') }}|{{ strftime_now('%Y')|length }}",
    "{{ '\\n'.join(['a', 'b']) }}",
    "{{ 'it''s' }}",
    "{{ d.b | map(attribute='c') | list }}",
]

# Chat templates of our own in the format that published ones have: other words, the same constructs.
NATIVE = """\
{%- set marks = {'user': '[U]\\n', 'assistant': '[A]\\n', 'system': '[S]\\n', 'tool': '[T]\\n'} %}
{%- set stop = '[END]\\n' %}
{%- if keep_reasoning is not defined %}
  {%- set keep_reasoning = false %}
{%- endif %}
{%- macro declare(list) %}
    {{- "Tools:\\n" }}
    {%- for one in list %}
        {{- "<t>" ~ (one | tojson(ensure_ascii=False) | safe) ~ "</t>\\n" }}
    {%- endfor %}
{%- endmacro %}
{%- set last = namespace(user = messages | length - 1, open = true) %}
{%- for m in messages[::-1] %}
    {%- if last.open and m.role == "user" and m.content is string %}
        {%- set last.user = messages | length - 1 - loop.index0 -%}
        {%- set last.open = false -%}
    {%- endif %}
{%- endfor %}
{%- for i in range(messages | length) %}
    {%- set m = messages[i] %}
    {%- if m.role not in marks %}
        {{- raise_exception('No such role: ' ~ m.role) }}
    {%- endif %}
    {%- if i == 0 and m.role == 'system' %}
        {{- marks.system }}{{- m.content }}
        {%- if tools is defined and tools %}
            {{- "\\n\\n" }}{{- declare(tools) }}
        {%- endif %}
        {{- stop -}}
        {%- continue %}
    {%- elif i == 0 and tools %}
        {{- marks.system }}{{- declare(tools) }}{{- stop -}}
    {%- endif %}
    {%- if m.role == 'assistant' %}
        {{- marks.assistant }}
        {%- set text = (m.content if m.content else "") %}
        {%- set why = none %}
        {%- if m.reasoning_content is defined and m.reasoning_content %}
            {%- set why = m.reasoning_content.strip() %}
        {%- elif "</think>" in text %}
            {%- set why = text.split('</think>')[0].lstrip('<think>').strip() %}
            {%- set text = text.split('</think>')[-1] %}
        {%- endif %}
        {%- if not (why and i > last.user) and not keep_reasoning %}
            {%- set why = none %}
        {%- endif %}
        {{- "<think>\\n" ~ (why if why is not none else "") ~ "\\n</think>\\n\\n" }}
        {{- text.strip() }}
        {%- for call in m.tool_calls or [] %}
            {%- if call.function is defined %}{% set call = call.function %}{% endif %}
            {%- if call.arguments is not defined %}
                {{- raise_exception('no arguments: ' ~ call) }}
            {%- endif %}
            {%- if not loop.first or text %}{{ "\\n" }}{% endif %}
            {{- "<c>" }}{"name": "{{- call.name }}", "arguments": {{ call.arguments | tojson | safe }}}{{- "</c>" }}
        {%- endfor %}
        {{- stop -}}
    {%- elif m.role == 'tool' %}
        {%- if i == 0 or messages[i - 1].role != 'tool' %}
            {{- marks['tool'] }}
        {%- endif %}
        {{- "<r>" }}{% if m.content is string %}{{ m.content }}{% else %}{{ m.content | tojson }}{% endif %}{{- "</r>" }}
        {%- if loop.last or messages[i + 1].role != 'tool' %}
            {{- stop -}}
        {%- else %}
            {{- "\\n" }}
        {%- endif %}
    {%- else %}
        {{- marks[m.role] }}
        {%- if m.content is string %}
            {{- m.content }}
        {%- else %}
            {%- for part in m.content %}
                {%- if part.type == 'image' %}
                    {%- if number_images %}Image {{ loop.index }}: {% endif %}
                    {{- "<v>*</v>\\n" }}
                {%- else %}
                    {{- part.text }}
                {%- endif %}
            {%- endfor %}
        {%- endif %}
        {{- stop -}}
    {%- endif %}
{% endfor %}


{%- if add_generation_prompt %}
    {{- marks['assistant'] }}
    {%- if enable_thinking is not defined or enable_thinking is true %}
        {{- "<think>\\n" }}
    {%- else %}
        {{- "<think>\\n\\n</think>\\n\\n" }}
    {%- endif %}
{%- endif %}
"""

CLASSIC = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}{{ '[S][END]\\n' }}{% endif %}"
    "{% set content = message['content'] %}{% if '</thought>' in content %}"
    "{% set content = content.split('</thought>')[-1].lstrip() %}{% endif %}"
    "{{ '[' + message['role'][0] | upper + ']' + content }}"
    "{% if not message['role'] == 'user' %}{{ '[END]' }}{% endif %}{% if not loop.last %}{{ '\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '\\n[A]<thought>\\n' }}{% endif %}"
)

TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "날씨 <&> 'q'", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "enum": ["서울", "Busan"]}}}}},
    {"name": "bare", "parameters": None},
]
CONVERSATIONS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be kind. [END]"}, {"role": "user", "content": "안녕 <think>"}],
    [{"role": "user", "content": "a"}, {"role": "assistant", "content": "<think>\nhint\n</think>\n\nb "},
     {"role": "user", "content": "c"}],
    [{"role": "user", "content": "w?"},
     {"role": "assistant", "content": "ok ", "reasoning_content": " r1 ", "tool_calls": [
         {"id": "1", "type": "function", "function": {"name": "weather", "arguments": {"city": "서울", "n": [1, 2.5, None]}}},
         {"name": "bare", "arguments": "{\"x\": 1}"}]},
     {"role": "tool", "content": "맑음"}, {"role": "tool", "content": [1, "나", {"k": True}]}],
    [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}, {"type": "image"}]}],
    [{"role": "user", "content": "w?"}, {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}],
    [{"role": "user", "content": "w?"}, {"role": "robot", "content": "?"}],
    [{"role": "assistant", "content": ""}, {"role": "user", "content": "x</thought>y"}],
    [],
]
SETTINGS = [
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "enable_thinking": False, "tools": TOOLS},
    {"add_generation_prompt": False, "keep_reasoning": True, "number_images": True, "enable_thinking": "false"},
]


def rendered(template, variables):
    try:
        return {"text": _compile_jinja_template(template).render(**variables)}
    except jinja2.TemplateSyntaxError as error:
        return {"error": error.message, "line": error.lineno}
    except SyntaxError as error:
        return {"error": error.msg, "line": 0}
    except Exception as error:
        return {"error": str(error)}


def main():
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/data/chat/template_cases.jsonl"
    templates = ["{{ " + expression + " }}" for expression in EXPRESSIONS] + TEMPLATES
    lines = [{"variables": DATA}]
    lines += [{"template": template, **rendered(template, DATA)} for template in templates]
    for template in (NATIVE, CLASSIC):
        lines.append({"conversation_template": template})
        for messages in CONVERSATIONS:
            for settings in SETTINGS:
                variables = {"messages": messages, "tools": None, **settings}
                lines.append({"variables": variables, **rendered(template, variables)})
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{len(lines)} lines, {path.stat().st_size} bytes: {path}")


if __name__ == "__main__":
    main()
