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
EXPRESSIONS = r"""
1 + 2 * 3
(1 + 2) * 3
7 // 2
-7 // 2
7 % 3
-7 % 3
7.5 % 2
-7.5 // 2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
7 / 2
6 / 2
1e3
1.5e-7
1e16
123456789.123
1_000 + 0x1f + 0b11 + 0o17
0.1 + 0.2
100000000000000000.0
1.0
-0.0
big
big + 1
2 ** 100
true
none
True and none
[] or 'x'
'' and 'x'
not true
not none
not []
1 < 2 < 3
1 < 3 < 2
1 == 1.0
1 == true
'a' == "a"
'a' != 'b'
'a' < 'b'
[1, 2] < [1, 3]
[1, 2] == [1, 2.0]
(1, 2) == [1, 2]
{'a': 1} == {'a': 1.0}
none == none
missing == missing
missing == none
'ell' in s
'x' not in s
'a' in d
'zz' in d
3 in nums
none in l
'가' in d
'' in s
'a' ~ 1 ~ none ~ 2.0 ~ true ~ [1, 'b'] ~ missing
'a' 'b' "c"
"esc \n\t\\ \' \" \x41 \u00e9 \101 \q"
'\ud55c\uae00'
[1, 'a', none, true, 2.5, "it's", 'q"', 'b\'"']
(1,)
(1, 2)
()
{}
{'a': 1, 'b': {'c': [1, 2]}, 3: 'x', none: 'y', true: 'z'}
{'a': 1, 'a': 2}
{1: 'a', 1.0: 'b', true: 'c'}[1]
s
ko
mixed
quote
quote|list|first
[quote]
['\x7f', '\x80', '\u200b', '\ue000', '\u00a0', '\n', '😀', '한']
l
d
n
f
t
nil
users
missing
missing.x
missing['x']
missing()
missing + 1
missing ~ 'x'
-missing
missing < 1
missing * 2
missing|length
missing|list
missing|join
missing|int
missing|upper
missing|trim
missing|first
missing|last
missing|tojson
missing|default('d')
missing|d
missing is string
missing is iterable
missing is sequence
missing is defined
missing is undefined
missing if missing else 'e'
'a' if false
('a' if false).x
d.missing
d.missing.deeper
d['missing']['deeper']
d[5]
d.a.b.c
l[99]
l[99].x
l['x']
l['x'].y
s.missing
s.missing.y
s[99]
s[99].y
n.missing.y
nil.x
nil.x.y
f.x.y
t.x.y
d['items']
d.get('a')
d.get('q')
d.get('q', 5)
d.get()
d.get(1, 2, 3)
d.keys()
d.values()|list
d.items()|list
d.keys()|list
d.items()
d|items|list
d|dictsort|map('first')|list
{'b': 1, 'A': 2, 'c': 0}|dictsort
{'b': 1, 'A': 2, 'c': 0}|dictsort(true)
{'b': 1, 'A': 2, 'c': 0}|dictsort(by='value')
{'b': 1, 'A': 2, 'c': 0}|dictsort(false, 'key', true)
{'b': 1}|dictsort(by='x')
d.update({'x': 1})
d.pop('a')
d.pop
d.__class__
d.__class__.x
l.append(1)
l.append
l.index('x')
l.index('nope')
l.count(1)
l|length
s|length
ko|length
d|length
n|length
nil|length
l[0]
l[-1]
l[1:3]
l[::-1]
l[::2]
l[-2:]
l[:-2]
l[5:1]
l[3:0:-1]
l[::0]
l['a':]
nums[1:][0]
s[0]
s[-1]
s[1:4]
s[::-1]
s[::2]
s[-5:-2]
s[4:1:-1]
ko[0]
ko[-2:]
ko[::-1]
ko[2:4]
mixed[2:5]
mixed[::2]
n[0]
n[1:]
nil[1:]
d[1:]
(1, 2, 3)[1:]
(1, 2, 3)[0]
range(5)
range(5)|list
range(1, 10, 3)|list
range(5, 0, -2)|list
range(0)|list
range(3)[1]
range(1, 2, 3)
range(1, 2, 0)
range('a')
range(100001)
range()
s.upper()
s.lower()
s.title()
"they're bill's friends".title()
"they're bill's friends"|title
'foo-bar (baz) [qux]'|title
s.capitalize()
'ÉCOLE straße'|lower
'école straße'|upper
'straße'|capitalize
s|upper
s|capitalize
s.swapcase()
ko.upper()
mixed.strip()
mixed.lstrip()
mixed.rstrip()
'xxhixx'.strip('x')
'<think>hint: ok'.lstrip('<think>')
'abcba'.rstrip('ab')
'abc'.strip(none)
'abc'.strip(1)
'\u3000a\u00a0'.strip()
mixed|trim
'xxhixx'|trim('x')
s.split()
s.split('o')
s.split('o', 1)
s.split(none, 1)
s.split(sep='l')
s.split(maxsplit=1)
s.split('')
s.split(5)
s.rsplit('o', 1)
'a b  c '.rsplit(none, 1)
'a b  c '.split(' ')
' a b  c '.split()
' a b  c '.split(none, 1)
''.split()
''.split('x')
'a</think>b</think>c'.split('</think>')[-1]
'a\nb\r\nc\x0bd\u2028e\n'.splitlines()
'a\nb\n'.splitlines(true)
s.partition('o')
s.rpartition('o')
s.partition('zz')
s.startswith('Hell')
s.startswith(('x', 'H'))
s.startswith(['x'])
s.startswith('e', 1)
s.endswith('ld')
s.endswith(('x', 'ld'))
s.find('o')
s.find('o', 5)
s.find('zz')
s.rfind('o')
ko.find('세')
s.index('W')
s.index('zz')
s.count('l')
s.count('')
'aaaa'.count('aa')
s.replace('l', 'L')
s.replace('l', 'L', 1)
s.replace('', '-')
'abc'.replace('', '-', 2)
s.replace('l')
s|replace('o', '0')
s|replace('o', '0', 1)
5|replace(5, 6)
s.removeprefix('Hello ')
s.removesuffix('World')
', '.join(['a', 'b'])
', '.join(l)
'-'.join('abc')
', '.join(5)
'abc'.ljust(5) ~ '|'
'abc'.rjust(5, '*')
'abc'.center(8, '-')
'ab'.center(5, '-')
'-42'.zfill(6)
'abc'.isalpha()
'a1'.isalnum()
'12'.isdigit()
''.isdigit()
' \t'.isspace()
'ABC'.isupper()
'aBc'.islower()
'가'.isalpha()
'abc'.isascii()
s.nope()
'%s and %s' % ('a', 1)
'%d|%5d|%-5d|%05d|%+d' % (1, 2, 3, 4, 5)
'%.2f|%8.3f|%e|%g' % (1.005, 2.5, 12345.678, 0.0001)
'%x|%X|%o|%#x' % (255, 255, 8, 255)
'%r|%s' % ("a'b", "a'b")
'%s' % none
'%s%%' % 5
'%(a)s-%(b)s' % {'a': 1, 'b': 2}
'%s' % (1, 2)
'%s %s' % (1,)
'%d' % 'x'
'%.3s|' % 'abcdef'
'%s %s'|format('a', 'b')
'{} {}'.format('a', 1)
'{0} {1} {0}'.format('a', 'b')
'{x}-{y.a}-{z[0]}'.format(x=1, y=d, z=l)
'{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}'.format('a', 'b', 'c', 42, 3.14159, 1234567)
'{{}} {!r}'.format('x')
'{}'.format()
'{a}'.format(b=1)
'{'.format()
s|first
s|last
l|first
l|last
[]|first
[]|last
ko|first
ko|last
d|first
d|list
'abc'|list
l|list
5|list
nil|list
nums|sort
nums|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
users|sort(attribute='age')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list
[1, 'a']|sort
nums|min
nums|max
[]|min
words|min
nums|sum
users|sum(attribute='age')
users|sum(attribute='age', start=100)
words|unique|list
words|unique(case_sensitive=true)|list
[1, 1.0, true, 'a', 'A']|unique|list
nums|reverse|list
'abc'|reverse
5|reverse
nums|join(', ')
l|join('-')
users|join(', ', attribute='name')
nums|join
'abc'|join('.')
5|join
users|map(attribute='name')|join(',')
users|map(attribute='deep.k.1')|list
users|map(attribute='tags', default='none')|list
users|map(attribute='x', nope=1)|list
words|map('upper')|list
words|map('replace', 'a', 'o')|join(' ')
words|map('nope')|list
words|map()|list
nums|select('odd')|list
nums|select('gt', 2)|list
nums|reject('even')|list
l|select|list
l|select('string')|list
l|select('nope')|list
users|selectattr('on')|map(attribute='name')|list
users|selectattr('age', 'equalto', 30)|list|length
users|selectattr('age', '==', 30)|map(attribute='name')|join(',')
users|rejectattr('on')|map(attribute='name')|list
users|selectattr('tags', 'defined')|list|length
users|selectattr('name', 'in', ['Bo', 'Cy'])|list|length
users|selectattr()|list
nums|select('odd')|length
nums|select('odd')|first
(nums|select('odd'))[0]
nums|batch(2)|list
nums|batch(2, 0)|list
nums|slice(2)|list
nums|slice(3, 'x')|list
d|tojson
l|tojson
quote|tojson
ko|tojson
ko|tojson(ensure_ascii=true)
'😀\u007f\u2028'|tojson(ensure_ascii=true)
'😀\u007f\u2028'|tojson
d|tojson(indent=2)
[]|tojson(indent=2)
[[], {}, [1]]|tojson(indent=1)
{'b': 1, 'a': 2}|tojson(sort_keys=true)
d|tojson(separators=(',', ':'))
d|tojson(indent=2, separators=(',', ': '))
{1: 'a', none: 'b', true: 'c', 1.5: 'd'}|tojson
(1, 2)|tojson
1e16|tojson
1.0|tojson
big|tojson
range(3)|tojson
missing|tojson
nums|select|tojson
{(1, 2): 3}|tojson
d|tojson|safe
'<b>'|e
'<b a="1">\'&'|escape
'<b>'|safe
('<b>'|safe) + '<i>'
'<i>' + ('<b>'|safe)
('<b>'|safe) ~ '<i>'
('<b>'|safe)|upper
'<b>'|safe|e
'<b>'|forceescape
'a'|string
5|string
l|string
'42'|int
'42.9'|int
' -7 '|int
'x'|int
'x'|int(9)
'0x1f'|int(0, 16)
'101'|int(base=2)
3.99|int
true|int
none|int
''|int
'1_000'|int
'1e3'|int
'3.5'|float
'x'|float
'x'|float(1.5)
5|float
'1e400'|float
'inf'|float
'nan'|float
-5|abs
-5.5|abs
(-5)|abs
'x'|abs
42.55|round
42.55|round(1)
42.55|round(1, 'floor')
42.55|round(1, 'ceil')
2.5|round
3.5|round
5|round
1234|round(-2)
1234.5|round(-2)
'x'|round
2.5|round(0, 'x')
'a\nb\n\nc'|indent
'a\nb\n\nc'|indent(2, true)
'a\nb\n\nc'|indent(2, blank=true)
'a\nb'|indent('> ', first=true)
''|indent
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(11, false, '...', 0)
'ab'|center(6) ~ '|'
'a b_c d-e 한글'|wordcount
missing|default
none|default('x')
none|default('x', true)
''|default('x', boolean=true)
0|d(5, true)
d|attr('a')
5|attr('x')
n is number
f is number
t is number
t is integer
n is integer
f is float
s is string
none is none
nil is none
n is none
t is true
'true' is true
1 is true
no is false
t is boolean
1 is boolean
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
range(3) is sequence
l is iterable
n is iterable
n is odd
4 is even
9 is divisibleby 3
9 is divisibleby(2)
3 is eq 3
3 is ne(3)
3 is lt 4
3 is ge 4
3 is in [1, 2, 3]
3 is not in [1, 2, 3]
'a' is in 'abc'
'abc' is lower
'ABC' is upper
range is callable
n is callable
n is sameas n
none is sameas none
true is sameas true
s is defined and not missing is defined
'upper' is filter
'nope' is filter
'odd' is test
('x'|safe) is escaped
1 is string or 2 is number
not 1 is string
n is not none and n > 3
s is startingwith 'x'
s|nope
namespace(a=1).a
namespace({'a': 1}, b=2).b
namespace(a=1).zz
namespace(_x=1)
namespace(a=1, b='x')
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1), ['b', 2]])
dict([1])
raise_exception('boom ' ~ n)
joiner()()
cycler()
s()
s.upper()()
l.nope()
1 + 'a'
'a' + 1
'a' + none
1 + none
none + 1
[1] + [2]
[1] + (2,)
[1] * 3
'ab' * 3
3 * 'ab'
'ab' * -1
'ab' * 'c'
'ab' * 2.5
'a' - 'b'
1 / 0
1 // 0
1 % 0
1.0 / 0
1 < 'a'
'a' >= 1
none < 1
[] < 1
1 > none
d < d
1 in 5
1 in none
1 in 'abc'
[1] in d
{'a': {}}[{}]
{[]: 1}
-'a'
+'a'
-true
+true
a.b
n.real
s|length > 3 and s.lower().startswith('h')
messages|length - 1
messages[0]['role'] + ':' + messages[0].content
messages[-1].content.split('</think>')[-1].strip()
(messages|last).role
messages[0:1][0].role
messages|selectattr('role', 'equalto', 'user')|map(attribute='content')|first
[m.role for m in messages]
{'a': 1}['a']
{'a': 1}.a
[1, 2, 3,]
{'a': 1,}
(1 if true else 2) + 3
1 if false else 2 if false else 3
'x' if n > 5 else 'y'
[1, 2][0] + {'k': 5}.k
s['upper']()
d['b'][1]['c']
d.b[1].c
d.b.0
d.b.1.c
nested[0][1][0]
nested|map('length')|list
nested|map('first')|list
loop
caller
1 is not none
1 ==
"{{ x }}"
'{% if %}'
'a b  c '.rsplit()
'  a b  '.rsplit(none, 1)
[1, 2, 3].index(4)
(1, 2).index(3)
(1, 2).count(1)
l.copy()
d.copy() == d
'x'.zfill(3)
'abc' is sequence
('a', 'b') is sequence
{'a': 1} is iterable
'%s' % [1, 2]
'%s' % {'a': 1}
'%s' % d.b
'%5.1f|' % 3.14159
'%g' % 1e20
'%g' % 100000.0
'%e' % 0
'{:.3}|{:10.2f}|{:>+5}|{:x}|{:#x}|{:%}'.format('abcdef', 3.14159, 5, 255, 255, 0.25)
'{:*^9}'.format('mid')
'{:d}'.format('x')
'{!s:>4}'.format('a')
'{0.a}'.format({'a': 5})
'ß'.upper()
'ΑΣ'.lower()
'İ'.lower()
'ǆ'.title()
'한글 abc'.title()
'tab\there'.expandtabs is defined
'abc'.index('c', 1)
'abc'.find('a', 1)
'abc'.find('', 3)
'abc'.find('', 4)
'abcabc'.rfind('abc', 0, 5)
'abc'.startswith('')
'abc'.startswith('', 5)
'abc'.endswith('b', 0, 2)
'abc'.count('b', 1)
'日本語'.find('語')
'日本語'.rjust(5, '字')
'日本語'|center(7) ~ '|'
'a,b;c'.replace(',', ';').split(';')
'A-B'.lower().replace('-', '_')
[[1, 2], [3]] | sum(start=[])
['a'] | sum
[0.1, 0.2, 0.3] | sum
[3, 1] | sort | first
[none, 1] | sort
[[2, 'b'], [1, 'a']] | sort
[true, false, 2] | sort
{'a': 2, 'b': 1} | sort
'hello' | sort | join
[1, [2, [3]]] | tojson
{'k': none, 'l': true, 'm': []} | tojson
{} | tojson(indent=2)
'a"b\\c/d' | tojson
'\u0000\u001f\u007f' | tojson
1e-7 | tojson
-0.0 | tojson
1.5e300 * 1e10 | tojson
12345678901234567890123 + 1
99999999999999999999 | tojson
1e22
1e21 + 1
123456789012345680.0
0.00001
0.0001
5e-324
1.7976931348623157e308
3.0 * 2
7 // 2.0
-7 // -2
7 % -3
-7.5 % 2
2 ** 0.5
0 ** 0
0.0 ** -1
true + true
true // 1
true % 2
'a' in ['a', 'b'] and 'c' not in ('a', 'b')
1 in (1, 2)
1.0 in [1]
true in [1]
'1' in [1]
none in [none]
missing in [1]
missing in [missing]
{'a': 1} in [{'a': 1}]
(1, 2) in [(1, 2)]
{(1, 2): 'x'}[(1, 2)]
{'a': 1}.items()|list|first|last
{'a': {'b': 2}}.a['b']
{'b': 1, 'a': 2}|items|sort
{'b': 1}|list
{'b': 1}|length
{'b': 1}.b.real
not d.missing and d.a
d.missing or 'dflt'
(d.missing or {}).get('x', 'y')
s if s is string and s|length > 5 else none
s.split()[0][::-1]|upper|replace('O', '0')
((n))
((n,))
(n if t)
[x for x in l]
{'a': 1, **d}
n == 7 == n
1 < n < 10 != 3
not n == 7
not n in [7]
n is not odd
n is odd is true
(n is odd) is true
n|string is string
n|string + 'x'
n ~ 'x' == '7x'
1 + 1 ~ 1 + 1
2 * 3 ~ 4
-n|abs
(-n)|abs
-2.5|round
d.b|last|tojson
'a' 'b'|upper
'a' ~ 'b'|upper
[1,2,3][-1:]
[1,2,3][:-1][::-1]
'abc'[5:]
'abc'[-10:2]
'abc'[::-2]
[][0] is defined
[1][0] is defined
l[1.0]
l[true]
l[none]
s[true]
s['length']
range(3) == range(3)
range(3)|last
range(3)[-1]
range(10)[2:5]|list
range(5)|reverse|list
range(5)|sum
range(3)|map('string')|join(',')
5 in range(10)
range(0, 10, 4)
range(-3)|list
dict()
dict(a=1) == {'a': 1}
namespace().x is defined
missing.a.b|default('x')
(missing.a)|default('x')
missing is none
missing == ''
missing|string|length
missing or none or 'z'
[missing]
[missing, 1]|join('-')
{'a': missing}
missing in 'abc'
'abc' in missing
missing[0]
missing[1:]
missing.split()
missing|items|list
missing|dictsort
missing|sort
missing|unique|list
missing|map('upper')|list
missing|select|list
missing|sum
missing|min
missing|reverse|list
missing|replace('a', 'b')
missing|float
missing|abs
missing|round
missing|indent
missing|truncate
missing|title
missing|capitalize
missing|wordcount
missing|e
missing|safe
missing|batch(2)|list
missing|attr('x')
missing|string
missing is callable
missing is number
missing is mapping
missing is odd
missing is lower
missing is in [1]
missing is eq 1
missing is sameas missing
missing ** 2
missing // 2
2 / missing
missing >= missing
missing % 2
missing + d.zz
d.zz + missing
('<'|safe)|list|first ~ '<' + '>'
'a' + missing
[1] + missing
missing + [1]
nil + 'x'
nil|upper
nil|length
nil|list
nil|first
nil|join
nil|default('x')
nil|int
nil|string
nil|tojson
nil.strip()
nil['x']['y']
nil()
5()
'abc'()
[]()
t|upper
f|string
5|upper
5|trim
5|title
5|replace('5', 6)
5|indent
5|truncate
5|first
5|sort
5|map('upper')|list
5|select|list
5|items|list
5|dictsort
5|unique|list
5|sum
5|min
5|batch(2)|list
[]|map('upper')|list
''|map('upper')|list
s|map('upper')|join
s|unique|join
s|sum
s|min
s|dictsort
s|batch(4)|list
s|int
s|tojson(1, 2)
s|replace('a')
s|truncate(2)
s|truncate(5)
s|truncate(length=8, end='..', leeway=0)
s|indent(first=true)
s|indent(width=2, first=true, blank=true)
s|nope(1)
s is nope
1 is divisibleby
1 is divisibleby 0
'a' is divisibleby 2
'a' is odd
none is odd
1.5 is odd
2.0 is even
'a' is gt 1
1 is sameas 1.0
1 is eq 1.0
s is eq 'Hello World'
s is ne s
'' is string
[] is sequence
() is iterable
{} is mapping
1 is not string
'a' is string and not 'b' is none
'x' is undefined
joiner is callable
range is defined
lipsum is defined
debug is defined
zzz is defined
""".strip("\n").split("\n")

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
