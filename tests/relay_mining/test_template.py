"""Chat templates in the sandbox: rendered as transformers does, and stopped where hostile."""

import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_mining import ChatTemplate, Conversation, TemplateError, read_conversation
from tests.relay_mining.templates import FAMILIES, SPECIAL, render_as_transformers

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of <a> city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {
    "id": "call00001",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Zürich", "days": [1, 2]}'},
}
TALK = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Weather in Zürich?\n"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call00001", "content": '{"sky": "grey"}'},
    {"role": "assistant", "content": "Grey."},
    {"role": "user", "content": "And <b>Bern</b>?"},
]
texts = st.text(max_size=30)
roles = st.sampled_from(["user", "assistant", "system", "tool"])
turns = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, roles, texts),
    min_size=1,
    max_size=6,
)


def both(source: str, body: dict[str, Any], **more: Any) -> tuple[str, str]:
    conversation = read_conversation(body)
    ours = ChatTemplate(source, SPECIAL).render(conversation, now=NOW, **more)
    return ours, render_as_transformers(source, conversation, NOW, **more)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tools", [[], [TOOL], [TOOL, TOOL]])
@pytest.mark.parametrize("opens", [True, False])
def test_real_templates_render_as_transformers_renders_them(
    family: str, tools: list[Any], opens: bool
) -> None:
    body = {"messages": TALK if family != "mistral" else TALK[1:], "tools": tools}
    ours, theirs = both(FAMILIES[family], body, add_generation_prompt=opens)
    assert ours == theirs
    assert ("Weather of <a> city" in ours) == bool(tools)
    assert "Zürich" in ours


@pytest.mark.parametrize("family", FAMILIES)
@given(messages=turns, thinks=st.booleans())
def test_any_turns_render_alike_or_are_refused_by_both(
    family: str, messages: list[dict[str, str]], thinks: bool
) -> None:
    body = {"messages": messages, "chat_template_kwargs": {"enable_thinking": thinks}}
    try:
        ours, theirs = both(FAMILIES[family], body)
    except TemplateError:
        with pytest.raises(Exception, match=r"alternate|system"):
            render_as_transformers(FAMILIES[family], read_conversation(body), NOW)
    else:
        assert ours == theirs


WHITE_SPACE = {
    "trim_blocks": "a\n{% if true %}\nb\n{% endif %}\nc",
    "lstrip_blocks": "a\n    {% if true %}\n  b\n    {% endif %}\nc",
    "kept by plus": "a\n  {%+ if true %}\nb{% endif +%}\nc",
    "cut by minus": "a \n {%- if true -%} \n b {{- ' c ' -}} \n{%- endif %} d",
    "comment": "a\n  {# no\n one #}\nb",
    "last line": "a\n",
    "break": "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "continue": "{% for i in 'abc' %}{% if i == 'b' %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "generation": "{% generation %}\na{% set x = 1 %}{% endgeneration %}{{ x is defined }}",
    "tojson": "{{ {'b': 1, 'a': ['<é>', None, true, 1.0]} | tojson }}{{ [1] | tojson(indent=2) }}",
    "tojson separators": "{{ {'b': 1, 'a': 2} | tojson(separators=(',', ':'), sort_keys=true) }}",
    "not escaped": "{{ '<a href=\"x\">' }}{{ messages[0].content | safe }}",
    "undefined": "{{ nothing }}{{ messages[0].nothing is defined }}{{ nothing | default('x') }}",
    "slices": "{{ messages[::-1] | length }}{{ messages[0].content[1:] }}{{ 'abc'[-1] }}",
    "namespace": "{% set n = namespace() %}{% for i in 'a' %}{% set n.a = 1 %}{% endfor %}"
    "{{ n.a }}",
    "scopes": "{% set a = 1 %}{% for i in [1] %}{% set a = 2 %}{% endfor %}{{ a }}",
    "loop": "{% for m in messages %}{{ loop.index }}{{ loop.last }}{% endfor %}",
    "neighbours": "{% for m in messages %}{{ loop.previtem is defined }}{% endfor %}",
    "dates": "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d') }}",
}


@pytest.mark.parametrize("name", WHITE_SPACE)
def test_every_rule_of_rendering_is_that_of_transformers(name: str) -> None:
    ours, theirs = both(WHITE_SPACE[name], {"messages": TALK})
    assert ours == theirs


def test_what_a_request_brings_cannot_hide_what_the_rule_gives() -> None:
    template = ChatTemplate("{{ messages | length }}{{ bos_token }}{{ x }}", {"bos_token": "<s>"})
    conversation = Conversation(({"role": "user", "content": "a"},), (), {"x": 7})
    assert template.render(conversation) == "1<s>7"


REAL = """{{- bos_token }}{%- set ns = namespace(system='') %}
{%- if messages[0]['role'] == 'system' %}{%- set ns.system = messages[0]['content'] | trim %}
{%- set messages = messages[1:] %}{%- endif %}
{%- macro turn(m) %}[{{ m.role | upper }}] {{ m.content }}{% endmacro %}
{%- for m in messages if m.role != 'tool' %}{%- if loop.first and ns.system %}
{{- ns.system ~ '\\n' }}{%- endif %}{{- turn(m) ~ loop.index ~ '/' ~ loop.length }}
{%- if m.tool_calls is defined and m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}
{%- if (loop.index0 % 2 == 0) != (m['role'] == 'user') %}
{{- raise_exception('roles must alternate') }}{% endif %}{%- endfor %}
{%- generation %}{{ strftime_now('%d %b %Y') }}{% endgeneration %}
{{- messages | map(attribute='content') | join('|') }}"""


def test_what_real_templates_use_is_rendered() -> None:
    template = ChatTemplate(REAL, {"bos_token": "<s>"})
    messages = (
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": [{"name": "é"}]},
    )
    assert template.render(Conversation(messages), now=NOW) == (
        '<s>Be brief.\n[USER] a1/2[ASSISTANT] b2/2[{"name": "é"}]02 Jan 2026a|b'
    )
    with pytest.raises(TemplateError, match="roles must alternate"):
        template.render(Conversation(messages[1:] + messages[1:2] * 2), now=NOW)
    with pytest.raises(TemplateError, match="date"):
        template.render(Conversation(messages))


DOUBLING = "{% set n=namespace(x='aa', y=[1], z=[1]) %}{% for i in range(60) %}"
LONG = "{% set a='x'*100000 %}{% for i in range(99999) %}"
TWICE = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"

HOSTILE = {
    "huge range": "{% for i in range(1000000000) %}{% endfor %}",
    "nested loops": TWICE,
    "doubled by ~": DOUBLING + "{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubled by +": DOUBLING + "{% set n.x = n.x + n.x %}{% endfor %}",
    "doubled block": DOUBLING + "{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
    "shared lists": DOUBLING + "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.y }}",
    "compared lists": DOUBLING + "{% set n.y = [n.y, n.y] %}{% set n.z = [n.z, n.z] %}{% endfor %}"
    "{{ n.y == n.z }}",
    "repeated text": "{{ 'a' * 1000000000 }}",
    "repeated list": "{{ [1] * 1000000000 }}",
    "power": "{{ 2 ** 1000000000 }}",
    "wide %": "{{ '%1000000000d' % 1 }}",
    "wide format": "{{ '{:1000000000}'.format(1) }}",
    "wide center": "{{ 'x'.center(1000000000) }}",
    "wide filter": "{{ 'x' | center(1000000000) }}",
    "wide indent": "{{ [1] | tojson(indent=1000000000) }}",
    "indented tools": "{% for i in range(9999) %}{{ tools | tojson(indent=16) }}{% endfor %}",
    "tools in a macro": "{% macro f(t) %}{% for x in t %}{{ f(tools) }}{% endfor %}{% endmacro %}"
    "{{ f(tools) }}",
    "doubled tools": DOUBLING + "{% set n.y = n.y + tools + n.y %}{% endfor %}{{ n.y | tojson }}",
    "hidden clock": "{% set strftime_now = 3 %}{{ strftime_now('%Y') }}",
    "many dates": "{% for i in range(999999) %}{{ strftime_now('%Y' * 20) }}{% endfor %}",
    "round": "{{ 1.5 | round(100000000, 'floor') }}",
    "exponential macro": "{% macro f(n) %}{{ f(n-1) }}{{ f(n-1) }}{% endmacro %}{{ f(60) }}",
    "written text": "{% for i in range(99999) %}" + "y" * 50_000 + "{% endfor %}",
    "replace product": "{% set a='x'*1000000 %}{{ a.replace('x', a) }}",
    "join product": "{% set a='x'*1000000 %}{{ a.join(a) }}",
    "filter product": "{% set a='x'*1000000 %}{{ a | replace('x', a) }}",
    "search": LONG + "{{ 'zz' in a }}{% endfor %}",
    "slices": LONG + "{% set b = a[1:] %}{% endfor %}",
    "recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "hidden budget": "{% set __budget__ = 3 %}" + TWICE,
    "include": "{% include 'x' %}",
    "lipsum": "{{ lipsum(100000) }}",
    "Python's insides": "{{ ''.__class__.__mro__ }}",
    "globals": "{{ cycler.__init__.__globals__ }}",
    "attr": "{{ (messages | map(attribute='__class__') | first).__mro__ }}",
    "changed messages": "{{ messages.append(1) }}",
    "deep brackets": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "deep blocks": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "deep set blocks": "{% set a %}" * 5_000 + "{% endset %}" * 5_000,
    "long elif": "{% if 0 %}" + "{% elif 0 %}" * 9_000 + "{% endif %}",
    "long not": "{{ " + "not " * 30_000 + "1 }}",
    "long sum": "{{ " + "1+" * 30_000 + "1 }}",
    "long attribute": "{{ a" + ".a" * 30_000 + " }}",
    "nested lazies": "{% set n = namespace(x=[[1]]) %}{% for i in range(90000) %}"
    "{% set n.x = n.x | map('list') %}{% endfor %}{{ n.x | list }}",
    "nested hidden lazies": "{% set n = namespace(x=[1]) %}{% for i in range(90000) %}"
    "{% set n.x = [n.x] | map('_turns', 0) | first %}{% endfor %}{{ n.x | list }}",
    "long number": "{{ " + "9" * 5_000 + " }}",
    "big number": "{{ " + "9" * 30 + " }}",
    "infinite number": "{{ 1e999 + x }}",
    "wide date": "{{ strftime_now('%1000000000d') }}",
    "no syntax": "{% for %}",
    "too long": " " * (1 << 18),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_stopped(name: str) -> None:
    """Under the recursion limit that a process which speaks web3 has."""
    conversation = Conversation(({"role": "user", "content": "hi"},), (TOOL,))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        with pytest.raises(TemplateError):
            ChatTemplate(HOSTILE[name]).render(conversation, now=NOW)
    finally:
        sys.setrecursionlimit(limit)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"properties": value}
    return value


@pytest.mark.timeout(30)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_deep_schema_is_refused_and_a_huge_one_is_rendered_or_stopped(family: str) -> None:
    template = ChatTemplate(FAMILIES[family], SPECIAL)
    user = ({"role": "user", "content": "hi"},)
    deep = {**TOOL, "function": {**TOOL["function"], "parameters": nested(100_000)}}
    with pytest.raises(TemplateError, match="nested deeper"):
        template.render(Conversation(user, (deep,)), now=NOW)
    for depth in (32, 33):
        tool = {**TOOL, "function": {**TOOL["function"], "parameters": nested(depth)}}
        assert template.render(Conversation(user, (tool,)), now=NOW).count('"properties"') == depth
    wide = {str(number): "x" * 90 for number in range(100_000)}
    huge = {**TOOL, "function": {**TOOL["function"], "parameters": wide}}
    with pytest.raises(TemplateError, match="too much output"):
        template.render(Conversation(user, (huge,)), now=NOW)
