// Templates that try to hurt: each must end with an error that names the limit, and hold little memory until
// then.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "jinja/jinja.h"

namespace {

using nlohmann::ordered_json;

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// The error of parsing or rendering; empty where there is none.
std::string error_of(const std::string& source, const ordered_json& variables = ordered_json::object(),
                     const exa::TemplateLimits& limits = {}) {
  try {
    exa::Template::parse(source).render(variables, limits);
    return {};
  } catch (const exa::Error& error) {
    EXPECT_TRUE(error.kind() == exa::ErrorKind::kBadInput || error.kind() == exa::ErrorKind::kUnsupported)
        << error.what();
    return error.message();
  }
}

TEST(TemplateLimits, HostileTemplatesStop) {
  const std::string grow = "{% set ns = namespace(x='ab') %}{% for i in range(100000) %}";
  const std::vector<std::string> hostile = {
      // recursion
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
      "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
      "{% macro m(x=m()) %}{% endmacro %}{{ m() }}",
      "{% macro m() %}{{ caller() }}{% endmacro %}{% macro r() %}{% call m() %}{{ r() }}{% endcall %}{% "
      "endmacro %}"
      "{{ r() }}",
      "{% set ns = namespace() %}{% macro m() %}{{ ns.f() }}{% endmacro %}{% set ns.f = m %}{{ m() }}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% set ns = namespace() %}{% for x in [1] recursive %}{% set ns.l = loop %}{{ ns.l([1]) }}{% endfor "
      "%}",
      // size of strings
      grow + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      grow + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
      grow + "{% set ns.x = ns.x * 2 %}{% endfor %}",
      grow + "{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}",
      grow + "{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}",
      grow + "{% set ns.x = ns.x.join([ns.x, ns.x]) %}{% endfor %}",
      grow + "{% set ns.x = '%s%s' % (ns.x, ns.x) %}{% endfor %}",
      grow + "{% set ns.x = '{0}{0}'.format(ns.x) %}{% endfor %}",
      grow + "{% set ns.x = ns.x|tojson|tojson %}{% endfor %}",
      grow + "{% set ns.x = ns.x|indent(1000, true) %}{% set ns.x = ns.x ~ '\n' ~ ns.x %}{% endfor %}",
      grow + "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
      grow + "{% set ns.x = ns.x|e|e|forceescape|replace('&', '&&') ~ '&' %}{% endfor %}",
      "{{ 'x' * 5000000 }}",
      "{{ 'x'.ljust(99999999999) }}",
      "{{ 'x'|center(99999999999) }}",
      "{{ '%099999999d' % 1 }}",
      "{{ '%.999999999f' % 1.5 }}",
      "{{ '{:>999999999}'.format('x') }}",
      "{{ 'abc'|indent(100000) }}",
      "{{ [1]|tojson(indent=100000) }}",
      // sequences
      grow + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x * 2 %}{% endfor %}",
      "{{ [1] * 99999999 }}",
      "{{ ([[1] * 999] * 99999)|map('list')|list }}",
      "{{ range(100000)|list|tojson }}{{ range(100000)|map('string')|list }}{{ range(100000)|list }}",
      "{{ range(100000)|batch(99999999, 1)|list }}",
      "{{ [1]|slice(99999999)|list }}",
      "{{ [1]|batch(99999999999, 0)|list }}",
      "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "{% set ns = namespace(x={}) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} %}{% endfor %}",
      "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = [ns.x.index] %}{% endfor %}",
      "{% set ns = namespace(x=1) %}{% set ns.x = [ns] %}{{ ns }}",
      "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns.x }}",
      // steps
      repeat("{% for i in range(100000) %}", 3) + repeat("{% endfor %}", 3),
      repeat("{% for i in range(1000) %}", 6) + "x" + repeat("{% endfor %}", 6),
      "{% for i in range(100000) %}{% for c in 'abcdefghijklmnop' * 100 %}{% endfor %}{% endfor %}",
      "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ s.find('b') }}{% endfor %}",
      "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ 'aaab' in s }}{% endfor %}",
      "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{{ s.count('b') }}{% endfor %}",
      "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% if s == s ~ '' %}{% endif %}{% endfor %}",
      "{% set s = '한' * 300000 %}{% for i in range(100000) %}{{ s[299999] }}{% endfor %}",
      "{% set s = '한' * 300000 %}{% for i in range(100000) %}{{ s[1:2] }}{{ s[-2:] }}{% endfor %}",
      "{% set s = ' ' * 1000000 %}{% for i in range(100000) %}{{ s.strip() }}{% endfor %}",
      "{% set l = range(100000) %}{% for i in l %}{{ -1 in l }}{% endfor %}",
      "{% set l = range(100000) %}{% for i in l %}{% if l == range(100000) %}{% endif %}{% endfor %}",
      "{% set l = range(100000) %}{% for i in l %}{{ l|sort|first }}{% endfor %}",
      "{% set l = range(100000) %}{% for i in l %}{{ l|sum }}{{ l|max }}{{ l|unique|list|length }}{% endfor "
      "%}",
      "{% for i in range(100000) %}{% macro m() %}{% endmacro %}{{ m() }}{{ m() }}{% endfor %}",
      "{% for i in range(100000) %}{% set n = namespace(a=i) %}{{ n.a }}{{ n.a }}{{ n.a }}{{ n.a }}{% endfor "
      "%}",
      "{% set ns = namespace() %}{% for i in range(100000) %}{% set n = namespace(p=ns.p) %}{% set ns.p = n "
      "%}"
      "{{ n.p }}{% endfor %}",
      "{% set ns = namespace() %}{% macro m() %}{% set ns.c = caller %}{% endmacro %}{% for i in "
      "range(100000) %}"
      "{% set p = ns.c %}{% call m() %}{{ p }}{% endcall %}{{ i }}{{ i }}{% endfor %}",
      "{{ 2 ** 99999999 }}",
      "{{ 10 ** 38 * 10 }}",
      "{% set ns = namespace(x=3) %}{% for i in range(1000) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
      "{{ '" + repeat("9", 5000) + "'|int }}",
      "{{ " + repeat("9", 5000) + " }}",
      "{{ strftime_now('" + repeat("%c", 5000) + "') }}",
      // nesting of the template's text
      "{{ " + repeat("(", 60000) + "1" + repeat(")", 60000) + " }}",
      "{{ " + repeat("[", 60000) + repeat("]", 60000) + " }}",
      "{{ " + repeat("{1:", 60000) + "1" + repeat("}", 60000) + " }}",
      "{{ " + repeat("f(", 60000) + repeat(")", 60000) + " }}",
      "{{ " + repeat("a[", 60000) + "1" + repeat("]", 60000) + " }}",
      "{{ " + repeat("not ", 60000) + "1 }}",
      "{{ " + repeat("-", 60000) + "1 }}",
      "{{ " + repeat("1 if 1 else ", 60000) + "1 }}",
      "{{ " + repeat("1 if ", 60000) + "1 }}",
      "{{ x" + repeat(".a", 60000) + " }}",
      "{{ x" + repeat("()", 60000) + " }}",
      "{{ x" + repeat("[0]", 60000) + " }}",
      "{{ x" + repeat("|string", 60000) + " }}",
      "{% set x" + repeat("|string", 60000) + " %}{% endset %}",
      repeat("{% if 1 %}", 6000) + repeat("{% endif %}", 6000),
      repeat("{% if 1 %}{% else %}", 6000) + repeat("{% endif %}", 6000),
      repeat("{% for x in y %}", 6000) + repeat("{% endfor %}", 6000),
      repeat("{% macro m() %}", 6000) + repeat("{% endmacro %}", 6000),
      repeat("{% set x %}", 6000) + repeat("{% endset %}", 6000),
      repeat("{% filter upper %}", 6000) + repeat("{% endfilter %}", 6000),
      repeat("{% generation %}", 6000) + repeat("{% endgeneration %}", 6000),
      "{% for " + repeat("(", 60000) + "x" + repeat(")", 60000) + " in y %}{% endfor %}",
      repeat("{% if 1 %}", 6000),
      "{{ " + repeat("(", 60000),
  };
  for (const std::string& source : hostile) {
    SCOPED_TRACE(source.substr(0, 200));
    const std::string error = error_of(source);
    EXPECT_EQ(error.substr(0, 16), "template_limit: ") << error;
  }
}

TEST(TemplateLimits, ALoopThatFiltersByItselfEnds) {
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% for x in range(9) if ns.l is not defined or ns.l.last %}"
                     "{% set ns.l = loop %}{{ ns.l.length }}{% endfor %}{{ ns.l.last }}{{ ns.l.length }}"),
            "");
}

TEST(TemplateLimits, LongIsNotDeep) {
  EXPECT_EQ(error_of("{{ 1" + repeat(" + 1", 5000) + " }}"), "");
  EXPECT_EQ(error_of("{{ 'a'" + repeat(" ~ 'a'", 5000) + " }}"), "");
  EXPECT_EQ(error_of("{{ true" + repeat(" and true", 5000) + " or 1" + repeat(" or 0", 5000) + " }}"), "");
  EXPECT_EQ(error_of("{{ 1" + repeat(" < 2 > 1", 5000) + " }}"), "");
  EXPECT_EQ(error_of("{{ [" + repeat("1,", 20000) + "] | length }}"), "");
  EXPECT_EQ(error_of("{{ {" + repeat("'a': 1,", 20000) + "} | length }}"), "");
  EXPECT_EQ(error_of("{% if 0 %}" + repeat("{% elif 0 %}", 5000) + "{% endif %}"), "");
  EXPECT_EQ(error_of(repeat("{{ 1 }}{% set x = 1 %}", 5000)), "");
}

TEST(TemplateLimits, NestedDataIsALimitToo) {
  ordered_json deep = ordered_json::array();
  for (int i = 0; i < 1000; ++i) {
    ordered_json outer = ordered_json::array();
    outer.push_back(std::move(deep));
    deep = std::move(outer);
  }
  ordered_json variables = ordered_json::object();
  variables["x"] = std::move(deep);
  EXPECT_EQ(error_of("{{ x }}", variables).substr(0, 16), "template_limit: ");
}

TEST(TemplateLimits, OutputStopsAtTheLimit) {
  exa::TemplateLimits limits;
  limits.output_bytes = 1000;
  const std::string eleven = "{% for i in range(11) %}" + std::string(100, 'x') + "{% endfor %}";
  const std::string ten = "{% for i in range(10) %}" + std::string(100, 'x') + "{% endfor %}";
  EXPECT_EQ(error_of(ten, ordered_json::object(), limits), "");
  EXPECT_EQ(error_of(eleven, ordered_json::object(), limits).substr(0, 16), "template_limit: ");
}

TEST(TemplateLimits, FuelIsSpentBySteps) {
  exa::TemplateLimits limits;
  limits.fuel = 1000;
  EXPECT_EQ(error_of("{% for i in range(50) %}{{ i }}{% endfor %}", ordered_json::object(), limits), "");
  EXPECT_EQ(
      error_of("{% for i in range(900) %}{{ i }}{% endfor %}", ordered_json::object(), limits).substr(0, 16),
      "template_limit: ");
}

TEST(TemplateLimits, ALongConversationFits) {
  ordered_json variables;
  variables["messages"] = ordered_json::array();
  for (int i = 0; i < 2000; ++i) {
    variables["messages"].push_back(
        {{"role", i % 2 ? "assistant" : "user"}, {"content", repeat("가나다 <think> ", 80)}});
  }
  const std::string source =
      "{% for m in messages %}{{ '[' + m.role + ']' }}{% if '</think>' in m.content %}"
      "{% set c = m.content.split('</think>')[-1].strip() %}{% else %}{% set c = m.content.strip() %}{% "
      "endif %}"
      "{{ c ~ '[END]\n' }}{% endfor %}";
  EXPECT_EQ(error_of(source, variables), "");
}

TEST(TemplateLimits, WhatIsMissingIsNamed) {
  const std::vector<std::pair<std::string, std::string>> unsupported = {
      {"{% include 'x' %}", "include"},
      {"{% import 'x' as y %}", "import"},
      {"{% extends 'x' %}", "extends"},
      {"{% from 'x' import y %}", "from"},
      {"{% block x %}{% endblock %}", "block"},
      {"{{ 'x'|urlize }}", "urlize"},
      {"{{ 'x'.encode() }}", "encode"},
      {"{{ lipsum() }}", "lipsum"},
      {"{% autoescape true %}{% endautoescape %}", "autoescape"}};
  for (const auto& [source, word] : unsupported) {
    try {
      exa::Template::parse(source).render(ordered_json::object());
      ADD_FAILURE() << source;
    } catch (const exa::Error& error) {
      EXPECT_EQ(error.kind(), exa::ErrorKind::kUnsupported) << error.what();
      EXPECT_NE(error.message().find(word), std::string::npos) << error.what();
    }
  }
}

TEST(TemplateLimits, VariablesMustBeAnObject) {
  for (const ordered_json& variables : {ordered_json(), ordered_json("x"), ordered_json::array()}) {
    EXPECT_NE(error_of("x", variables), "");
  }
}

TEST(TemplateLimits, BrokenUtf8IsAnError) {
  EXPECT_EQ(error_of("a\n\xFF"), "the template is not valid UTF-8");
  EXPECT_EQ(error_of("{{ '\xE3\x81' }}"), "the template is not valid UTF-8");
}

}  // namespace
